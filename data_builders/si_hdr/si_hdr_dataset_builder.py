"""SI-HDR (Hanji et al. 2022): photographs of 181 scenes beside their HDR images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import cast

import tensorflow_datasets as tfds

from data_builders.shared import published
from data_builders.shared.source_files import SourceFile, match

_TREE = """
reference/001.exr ... 181.exr
input/clip_95/001.png ... 181.png
input/clip_97/001.png ... 181.png
"""


@dataclasses.dataclass(eq=False)
class SiHdrConfig(tfds.core.BuilderConfig):
    """The choice of published photographs.

    Attributes:
      clipping: folder of the photographs, below `input`.
    """

    clipping: str = "clip_97"


class Builder(published.PublishedBuilder):
    """Builder of the `si_hdr` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    BUILDER_CONFIGS = [  # noqa: RUF012 - the name TFDS reads
        SiHdrConfig(name=name, description=f"Photographs of {name}.", clipping=name)
        for name in ("clip_97", "clip_95")
    ]
    data_set = published.DataSet(
        title="SI-HDR",
        pages=("https://doi.org/10.17863/CAM.87333",),
        size="1.5 GB (reference.zip) and the inputs; reconstructions.zip is not needed",
        licence="CC BY 4.0",
        tree=_TREE,
        published={"test": 181},
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = published.instructions(data_set)

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[published.Group]:
        config = cast(SiHdrConfig, self.builder_config)
        photographs = match(files, rf"input/(?:.*/)?{config.clipping}/(\d+)\.png")
        truths = match(files, r"reference/(\d+)\.exr")
        for (scene,), ldr, hdr in published.join(photographs, truths):
            yield published.pair(
                name=scene, scene=scene, split="test", hdr=hdr, ldr=ldr
            )
