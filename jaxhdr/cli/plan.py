"""Plans which files a command reads and writes, and finds mistakes before work starts.

The module imports only the standard library, because `jaxhdr --help` needs it.
"""

import collections
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from jaxhdr.errors import UserError
from jaxhdr.options import ULTRA_HDR_SUFFIXES, WRITTEN_SUFFIXES

ULTRA_HDR: Final = "ultrahdr"
"""Name of the format of photographs with a gain map."""

SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    **{suffix.removeprefix("."): (suffix,) for suffix in WRITTEN_SUFFIXES},
    ULTRA_HDR: ULTRA_HDR_SUFFIXES,
}
"""Suffixes of each format; a file in a folder gets the first."""

FORMATS: Final = tuple(SUFFIXES)
"""Names of the formats in which `jaxhdr` writes its results."""


class Job(NamedTuple):
    """One photograph, its output, and its preview if there is one."""

    source: pathlib.Path
    output: pathlib.Path
    preview: pathlib.Path | None


def plan(
    inputs: Sequence[str],
    output: str,
    *,
    file_format: str | None = None,
    preview: bool = True,
) -> list[Job]:
    """Returns one job per input.

    The one photograph may also be the output if that is a .jpg, which keeps it; see
    `image_io.check_in_place`.

    Args:
      inputs: photographs; they need not exist.
      output: existing folder, or a file if there is one input.
      file_format: one of `FORMATS`, for files in a folder; default: "exr".
      preview: whether to plan previews.

    Raises:
      UserError: an output cannot be written, has an unknown suffix, is an input, or is
        written twice.
    """
    sources = [pathlib.Path(name) for name in inputs]
    is_named = not _is_folder(output) and len(sources) == 1
    if not is_named:
        suffix, *_ = SUFFIXES[file_format or FORMATS[0]]
        folder = pathlib.Path(output)
        outputs = [folder / f"{source.stem}{suffix}" for source in sources]
    else:
        outputs = [pathlib.Path(output)]
        _check_suffix(outputs[0], file_format)
    _check_folder(outputs[0].parent)
    jobs = [
        Job(source, target, _preview_path(target) if preview else None)
        for source, target in zip(sources, outputs, strict=True)
    ]
    # Only a photograph that is named twice may get a gain map where it is.
    _check_collisions(jobs, may_be_input=is_named and _is_ultra_hdr(outputs[0]))
    return jobs


def plan_file(
    inputs: Sequence[str], output: str, *, suffixes: Sequence[str]
) -> pathlib.Path:
    """Returns the path of the one file that a command writes, after checking it.

    Args:
      inputs: files that the command reads; they need not exist.
      output: file to write.
      suffixes: the suffixes that it may have.

    Raises:
      UserError: the output cannot be written, has an unknown suffix, or is an input.
    """
    target = pathlib.Path(output)
    if _is_folder(output):
        raise UserError(f"cannot write {output}: it is a folder; name a file")
    if target.suffix.lower() not in suffixes:
        raise UserError(
            f"cannot write {output}: its suffix is {target.suffix!r}; expected one of "
            f"{', '.join(suffixes)}"
        )
    _check_folder(target.parent)
    _check_target(target, {_identity(path) for path in inputs})
    return target


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) or path.endswith(("/", os.sep))


def _preview_path(output: pathlib.Path) -> pathlib.Path:
    return output.with_name(f"{output.stem}.preview.png")


def _check_suffix(output: pathlib.Path, file_format: str | None) -> None:
    suffix = output.suffix.lower()
    known = [known for suffixes in SUFFIXES.values() for known in suffixes]
    if suffix not in known:
        raise UserError(
            f"cannot write {output}: its suffix is {output.suffix!r}; expected one of "
            f"{', '.join(known)}, or an existing folder"
        )
    if file_format is not None and suffix not in SUFFIXES[file_format]:
        raise UserError(
            f"--format {file_format} contradicts the suffix of {output}; leave out "
            "--format"
        )


def _check_folder(folder: pathlib.Path) -> None:
    if not os.path.exists(folder):
        raise UserError(f"the output folder {folder} does not exist; create it first")
    if not os.path.isdir(folder):
        raise UserError(f"{folder} is a file; expected a folder for the output")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"the folder {folder} is not writable; choose another one")


def _is_ultra_hdr(output: pathlib.Path) -> bool:
    return output.suffix.lower() in ULTRA_HDR_SUFFIXES


def _check_collisions(jobs: Sequence[Job], *, may_be_input: bool) -> None:
    sources = {_identity(job.source) for job in jobs}
    by_output = collections.defaultdict(list)
    for job in jobs:
        by_output[job.output].append(job.source)
        _check_target(job.output, set() if may_be_input else sources)
        if job.preview is not None:
            _check_target(job.preview, sources)
    for target, clashing in by_output.items():
        if len(clashing) > 1:
            names = " and ".join(map(str, clashing))
            raise UserError(
                f"{names} would both become {target}; convert them one by one"
            )
    for job in jobs:
        if job.preview in by_output:
            raise UserError(
                f"{job.preview} would be both the preview of {job.output} and the "
                f"result of {by_output[job.preview][0]}; pass --no-preview or convert "
                "them one by one"
            )


def _check_target(target: pathlib.Path, sources: Collection[object]) -> None:
    if os.path.isdir(target):
        raise UserError(f"cannot write {target}: it is a folder; choose another name")
    if _identity(target) in sources:
        raise UserError(f"cannot write {target}: it is an input; choose another output")


def _identity(path: str | os.PathLike) -> object:
    """Returns what is the same for all names of a file, links among them."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # it need not exist
        return os.path.realpath(path)
    return status.st_dev, status.st_ino
