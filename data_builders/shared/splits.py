"""Which scenes are held out: by hash, so that adding files moves no other scene."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def hash_integer(text: str) -> int:
    """Returns 64 bits of the text's hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def held_out(scenes: Iterable[str], *, share: float, seed: int) -> set[str]:
    """Returns the scenes whose hash, with the seed, falls under `share`.

    In small sets the scene of lowest (highest) hash fills a held-out (kept) side that
    would be empty; of a single scene nothing is held out.
    """
    hashes = {scene: hash_integer(f"{seed}:{scene}") / 2.0**64 for scene in scenes}
    if not hashes:
        return set()
    ordered = sorted(hashes, key=hashes.__getitem__)
    chosen = {scene for scene in ordered if hashes[scene] < share}
    return (chosen | {ordered[0]}) - {ordered[-1]}


def drawn(scenes: Iterable[str], *, count: int, seed: int) -> set[str]:
    """Returns the `count` scenes of lowest hash: a draw that can be repeated."""
    return set(
        sorted(scenes, key=lambda scene: hash_integer(f"{seed}:{scene}"))[:count]
    )
