"""The HDR Photographic Survey (Fairchild 2007): 106 scenes, radiance only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow_datasets as tfds

from data_builders import published
from data_builders.source_files import SourceFile, match

_TREE = """
*.exr     one of each scene, such as 507.exr or BarHarborSunrise.exr
"""


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
    is_paired = False
    read = staticmethod(published.read_single)

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
