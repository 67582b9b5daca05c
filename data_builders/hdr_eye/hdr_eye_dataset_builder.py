"""HDR-Eye (Nemoto et al. 2015): photographs of 46 scenes beside merged brackets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow_datasets as tfds

from data_builders.shared import published
from data_builders.shared.single_hdr import numbered_pairs
from data_builders.shared.source_files import SourceFile, match

_TREE = """
images/LDR/C01_LDR.tif ... C46_LDR.tif      (the authors' layout)
images/HDR/C01_HDR.hdr ... C46_HDR.hdr
HDR-Eye/00000/input.jpg, gt.hdr ...         (or the copy of SingleHDR)
"""


class Builder(published.PublishedBuilder):
    """Builder of the `hdr_eye` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    data_set = published.DataSet(
        title="HDR-Eye",
        pages=(
            "https://www.epfl.ch/labs/mmspg/downloads/hdr-eye/",
            "https://github.com/alex04072000/SingleHDR",
        ),
        size="0.52 GB (the copy of SingleHDR)",
        licence="not stated with the copy; see the authors' page",
        tree=_TREE,
        published={"test": 46},
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = published.instructions(data_set)

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[published.Group]:
        photographs = match(files, r"LDR/(C\d+)_LDR\.tiff?")
        truths = match(files, r"HDR/(C\d+)_HDR\.hdr")
        for (scene,), ldr, hdr in published.join(photographs, truths):
            yield published.pair(
                name=scene, scene=scene, split="test", hdr=hdr, ldr=ldr
            )
        if not photographs and not truths:
            yield from numbered_pairs(files)
