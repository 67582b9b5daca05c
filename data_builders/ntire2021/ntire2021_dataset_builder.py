"""NTIRE 2021 HDR challenge, track 1 (Perez-Pellitero et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow_datasets as tfds

from data_builders.shared import published, readings
from data_builders.shared.shards import Example
from data_builders.shared.source_files import SourceFile, match, opened
from jaxhdr import image_io
from jaxhdr.errors import UserError

_RATIO = "ratio"
_TREE = """
0000_medium.png          8-bit photograph
0000_gt.png              16-bit, gamma-coded
0000_alignratio.npy      the factor by which the codes were multiplied
"""

# The challenge encodes radiance with this power, as its scoring script shows.
_GAMMA = 2.24
# KUNet (Wang et al. 2022) splits the 1,494 training frames into 1,416 and 78.
_VALIDATION_SHARE = 78 / 1494


def _read(group: published.Group) -> Iterator[tuple[str, Example]]:
    ldr = readings.read_codes(group.file(published.LDR))
    file = group.file(published.HDR)
    with opened(file) as path:
        codes = image_io.read_encoded(path)
    hdr = readings.check((codes / _ratio(group.file(_RATIO))) ** _GAMMA, file.name)
    yield group.name, readings.pair(hdr, ldr, name=group.name, scene=group.scene)


def _ratio(file: SourceFile) -> np.float32:
    """Returns the number in the file.

    Raises:
      UserError: the file cannot be read, or its number is not positive.
    """
    try:
        with opened(file) as path:
            ratio = np.float32(np.load(path, allow_pickle=False).reshape(()))
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise UserError(
            f"cannot read {file.name}: {error}; download it again"
        ) from error
    if not (np.isfinite(ratio) and ratio > 0):
        raise UserError(
            f"{file.name} holds {ratio}; expected a positive number: download it again"
        )
    return ratio


class Builder(published.PublishedBuilder):
    """Builder of the `ntire2021` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    data_set = published.DataSet(
        title="NTIRE 2021 HDR, track 1",
        pages=("https://competitions.codalab.org/competitions/28161",),
        size="not published",
        licence="for registered participants; see the challenge's terms",
        tree=_TREE,
        published={"train+validation": 1494},
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = published.instructions(data_set)

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[published.Group]:
        roles = {
            published.LDR: match(files, r"(\d{4})_medium\.png"),
            published.HDR: match(files, r"(\d{4})_gt\.png"),
            _RATIO: match(files, r"(\d{4})_alignratio\.npy"),
        }
        keys = sorted(set().union(*roles.values()))
        first_held_out = len(keys) - max(1, round(_VALIDATION_SHARE * len(keys)))
        for number, key in enumerate(keys):
            yield published.Group(
                name=key[0],
                scene=key[0],
                split="validation" if number >= first_held_out else "train",
                files={role: found.get(key) for role, found in roles.items()},
            )

    def _reader(self):
        return _read
