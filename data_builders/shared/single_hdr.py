"""The layout of the test sets that the authors of SingleHDR (Liu et al. 2020) share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from data_builders.shared import published
from data_builders.shared.source_files import SourceFile, match


def numbered_pairs(files: Sequence[SourceFile]) -> Iterator[published.Group]:
    """Yields the pairs of a test set, in which each pair has a numbered folder."""
    photographs = match(files, r"(\d{5})/input\.(?:jpe?g|png)")
    truths = match(files, r"(\d{5})/gt\.hdr")
    for (name,), ldr, hdr in published.join(photographs, truths):
        yield published.pair(
            name=f"test_{name}", scene=f"test_{name}", split="test", hdr=hdr, ldr=ldr
        )
