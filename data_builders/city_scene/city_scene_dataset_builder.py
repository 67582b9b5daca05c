"""City Scene (Zhang and Lalonde 2017): panoramas of 128 x 64 pixels, rendered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow_datasets as tfds

from data_builders.shared import published
from data_builders.shared.shards import Problem
from data_builders.shared.source_files import SourceFile, match

_TREE = """
train/YYYYMMDDHHMMSS_flip{0,1}_expo{-1,00,01}.jpg and .exr
test/YYYYMMDDHHMMSS_flip{0,1}_expo{-1,00,01}.jpg and .exr
"""
_NAME = r"(train|test)/((\d{8})\d{6}_flip[01]_expo-?\d+)"


class Builder(published.PublishedBuilder):
    """Builder of the `city_scene` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    data_set = published.DataSet(
        title="City Scene",
        pages=("https://github.com/jacenfox/ldr2hdr-public",),
        size="not published",
        licence="non-commercial; the Laval HDR data used may not be passed on",
        tree=_TREE,
        published={"train+validation": 39460},
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = published.instructions(data_set)

    def _groups(
        self, files: Sequence[SourceFile]
    ) -> Iterable[published.Group | Problem]:
        photographs = match(files, rf"{_NAME}\.jpe?g")
        truths = match(files, rf"{_NAME}\.exr")
        joined = list(published.join(photographs, truths))
        tested = {day for (side, _, day), *_ in joined if side.lower() == "test"}
        days = {day for (side, _, day), *_ in joined if side.lower() == "train"}
        side_of = published.with_validation(days - tested)
        for (side, name, day), ldr, hdr in joined:
            is_test = side.lower() == "test"
            if day in tested and not is_test:
                yield Problem(f"train/{name}", "the test set has panoramas of this day")
                continue
            split = "test" if is_test else side_of(day)
            yield published.pair(name=name, scene=day, split=split, hdr=hdr, ldr=ldr)
