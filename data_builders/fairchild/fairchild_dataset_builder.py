"""The HDR Photographic Survey (Fairchild 2007): 106 scenes, radiance only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import tensorflow_datasets as tfds

from data_builders.shared import published, readings, records
from data_builders.shared.resizing import shrink
from data_builders.shared.shards import Example
from data_builders.shared.source_files import SourceFile, match

_TREE = """
*.exr     one file for each scene, such as 507.exr or BarHarborSunrise.exr
"""

# Full-size images are large, and reading a patch of an image reads all of it.
_MAXIMUM_SIDE = 1024


def _read(
    group: published.Group, maximum_side: int = 0
) -> Iterator[tuple[str, Example]]:
    hdr = readings.read_radiance(group.file(published.HDR))
    small = shrink(hdr, maximum_side)
    yield group.name, records.record(small, name=group.name, scene=group.scene)


def _read_1k(group: published.Group) -> Iterator[tuple[str, Example]]:
    yield from _read(group, _MAXIMUM_SIDE)


class Builder(published.PublishedBuilder):
    """Builder of the `fairchild` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    data_set = published.DataSet(
        title="the HDR Photographic Survey",
        pages=("http://markfairchild.org/HDR.html",),
        size="not published",
        licence="for non-commercial research, with credit; see the author's page",
        tree=_TREE,
        published={"train+validation": 106},
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = published.instructions(data_set)
    BUILDER_CONFIGS = [  # noqa: RUF012 - the name TFDS reads
        tfds.core.BuilderConfig(
            name="images_1k",
            description=f"The images, at most {_MAXIMUM_SIDE} pixels wide and high.",
        ),
        tfds.core.BuilderConfig(name="images", description="The images as they are."),
    ]
    is_paired = False

    def _reader(self):
        config = cast(tfds.core.BuilderConfig, self.builder_config)
        return _read_1k if config.name == "images_1k" else _read

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[published.Group]:
        found = match(files, r"([^/]+)\.exr")
        side_of = published.with_validation(scene for (scene,) in found)
        for (scene,), hdr in sorted(found.items()):
            yield published.Group(
                name=scene,
                scene=scene,
                split=side_of(scene),
                files={published.HDR: hdr},
            )
