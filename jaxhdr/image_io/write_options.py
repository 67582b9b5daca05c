"""Checks that a format can keep what the caller wants of it."""

import math
import os
import pathlib

from jaxhdr.errors import UserError
from jaxhdr.image_io.display import display_files
from jaxhdr.options import (
    PRIMARIES,
    PRIMARIES_SUFFIXES,
    TRANSFERS,
    ULTRA_HDR_SUFFIXES,
    WRITTEN_SUFFIXES,
)

_MOST_NITS = 10_000  # of PQ


def check_hdr_suffix(path: str | os.PathLike) -> None:
    """Checks that `write_hdr` knows the suffix of `path`.

    Raises:
      UserError: the suffix is unknown.
    """
    if _suffix(path) not in WRITTEN_SUFFIXES:
        advice = ""
        if _suffix(path) in ULTRA_HDR_SUFFIXES:
            advice = (
                "; an Ultra HDR JPEG also needs its photograph: use `jaxhdr PHOTO -o "
                "NAME.jpg`, or image_io.write_ultra_hdr"
            )
        raise UserError(
            f"cannot write {path}: its suffix is {pathlib.Path(path).suffix!r}; "
            f"expected one of {', '.join(WRITTEN_SUFFIXES)}{advice}"
        )


def check_writing(
    path: str | os.PathLike,
    *,
    transfer: str | None = None,
    white_nits: float | None = None,
    primaries: str | None = None,
) -> None:
    """Checks that `write_hdr` can write `path` with these options.

    Args:
      path: a file name; its folder is not looked at.
      transfer: transfer function; None for that of the format.
      white_nits: light of radiance 1.0 in cd/m^2; None for 203.
      primaries: one of `jaxhdr.options.PRIMARIES`; None for those of the format.

    Raises:
      UserError: the suffix is unknown, the format cannot keep what is wanted, or the
        library that writes it is not installed.
    """
    check_hdr_suffix(path)
    suffix = _suffix(path)
    known = TRANSFERS.get(suffix, ("linear",))
    if transfer is not None and transfer not in known:
        raise UserError(
            f"cannot write {path} with the transfer function {transfer!r}: {suffix} "
            f"has {' or '.join(known)}; choose one of them or another suffix"
        )
    _check_white(path, suffix, transfer or known[0], white_nits)
    if primaries is not None:
        _check_primaries(path, suffix, primaries)
    display_files.check_encoder(path)


def _check_white(
    path: str | os.PathLike, suffix: str, transfer: str, white_nits: float | None
) -> None:
    if white_nits is None:
        return
    if not (math.isfinite(white_nits) and 0 < white_nits <= _MOST_NITS):
        raise UserError(
            f"cannot write {path} with a white of {white_nits} cd/m^2; expected more "
            f"than 0 and at most {_MOST_NITS}"
        )
    if transfer == "linear":
        advice = "leave it out"
        if suffix in TRANSFERS:
            advice += " or choose the transfer function pq or hlg"
        raise UserError(
            f"cannot write {path} with a white of {white_nits:g} cd/m^2: linear light "
            f"in {suffix} is relative; {advice}"
        )


def _check_primaries(path: str | os.PathLike, suffix: str, primaries: str) -> None:
    if primaries not in PRIMARIES:
        raise UserError(
            f"cannot write {path} in the primaries {primaries!r}; expected one of "
            f"{', '.join(PRIMARIES)}"
        )
    if suffix not in PRIMARIES_SUFFIXES:
        fixed = "is always in BT.709"
        if suffix in TRANSFERS:
            fixed = "is always in BT.2020, or linear in BT.709"
        raise UserError(
            f"cannot write {path} in the primaries {primaries!r}: {suffix} {fixed}; "
            f"leave them out or choose one of {', '.join(PRIMARIES_SUFFIXES)}"
        )


def _suffix(path: str | os.PathLike) -> str:
    return pathlib.Path(path).suffix.lower()
