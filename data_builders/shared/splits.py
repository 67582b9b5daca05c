"""Splits of scenes, chosen by hash so that adding files moves no other scene."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxhdr.errors import UserError


def hash_integer(text: str) -> int:
    """Returns 64 bits of the text's hash, which are the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def held_out(scenes: Iterable[str], *, share: float, seed: int) -> set[str]:
    """Returns the scenes whose hash, mapped to [0, 1), is below `share`.

    No side stays empty in a small set: the scene of the lowest hash is always held out,
    and the scene of the highest hash never. So a single scene is not held out.

    Args:
      scenes: names of the scenes.
      share: expected share of scenes that are held out.
      seed: seed that is hashed together with the name of each scene.
    """
    hashes = {scene: hash_integer(f"{seed}:{scene}") / 2.0**64 for scene in scenes}
    if not hashes:
        return set()
    ordered = sorted(hashes, key=hashes.__getitem__)
    chosen = {scene for scene in ordered if hashes[scene] < share}
    return (chosen | {ordered[0]}) - {ordered[-1]}


def drawn(scenes: Iterable[str], *, count: int, seed: int) -> set[str]:
    """Returns the `count` scenes with the lowest hashes, a repeatable random draw."""
    return set(
        sorted(scenes, key=lambda scene: hash_integer(f"{seed}:{scene}"))[:count]
    )


def scene_of(name: str) -> str:
    """Returns the scene of a file: its name without folder and suffix."""
    return Path(name).stem


def series_of(name: str) -> str:
    """Returns the series of a file: the first word of its scene's name.

    Files of one place or set share their first word. Several series may share it, too,
    but no series has two first words, so no series is divided between splits.
    """
    return scene_of(name).split("_")[0].lower()


def split_by_series(
    names: Sequence[str], *, share: float, seed: int
) -> dict[str, list[str]]:
    """Returns the names of `train` and `validation`, with each series in one split.

    Args:
      names: names of the files.
      share: expected share of series (not of files) in `validation`; see `held_out`.
      seed: seed that is hashed together with the name of each series.

    Raises:
      UserError: all files are of one series.
    """
    series = dict.fromkeys(series_of(name) for name in names)
    if len(series) < 2:
        raise UserError(
            f"all {len(names)} files are of one series, {next(iter(series))!r} (the "
            "first word of their names), and cannot be split into train and "
            "validation; name files <series>_<anything>, with at least two series"
        )
    validation = held_out(series, share=share, seed=seed)
    return {
        "train": [name for name in names if series_of(name) not in validation],
        "validation": [name for name in names if series_of(name) in validation],
    }
