"""Damages files in every way that disks, networks and programs do, by a seed."""

import numpy as np

_HEADER = 600  # bytes; headers declare the sizes, so half of the damage is there
_NUMBERS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x10\x27\0\0")


def damaged(data: bytes, seed: int) -> bytes:
    """Returns a file with some bytes changed, lost, repeated, added or cut off."""
    rng = np.random.default_rng(seed)
    changed = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        end = len(changed) if rng.integers(2) else min(_HEADER, len(changed))
        at, length = int(rng.integers(end)), int(rng.integers(1, 64))
        match rng.integers(8):
            case 0:
                changed[at : at + 8] = rng.bytes(min(8, len(changed) - at))
            case 1:
                changed[at : at + 4] = _NUMBERS[rng.integers(len(_NUMBERS))]
            case 2:
                changed[at] ^= 1 << int(rng.integers(8))
            case 3:
                changed[at] = rng.choice([0, 255])
            case 4 if len(changed) > 128:
                del changed[at : at + length]
            case 5:
                changed[at:at] = changed[at : at + length] * 3
            case 6:
                changed[at:at] = rng.bytes(length)
            case _:
                changed += rng.bytes(length)
    return bytes(changed[: rng.integers(1, len(changed))] if seed % 7 == 0 else changed)
