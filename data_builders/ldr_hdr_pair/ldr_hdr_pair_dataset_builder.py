"""LDR-HDR pair (Jang et al. 2020): 450 scenes, three photographs of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow_datasets as tfds

from data_builders.shared import published, splits
from data_builders.shared.source_files import SourceFile, match

_TREE = """
HDR/HDR_001.hdr ... HDR_450.hdr
LDR_exposure_-2/LDR_001.jpg ... LDR_450.jpg
LDR_exposure_0/LDR_001.jpg ... LDR_450.jpg
LDR_exposure_+2/LDR_001.jpg ... LDR_450.jpg
"""
_EXPOSURES = ("-2", "0", "+2")

# The share follows from the totals in Oh et al. (2022), section 3.1; see the README.
_TRAIN_SHARE = 150 / 450


class Builder(published.PublishedBuilder):
    """Builder of the `ldr_hdr_pair` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    data_set = published.DataSet(
        title="LDR-HDR pair",
        pages=("https://github.com/HanbyolJang/LDR-HDR-pair_Dataset",),
        size="1.45 GB",
        licence="none stated: ask the authors before using it beyond research",
        tree=_TREE,
        published={"train+validation": 450, "test": 900},
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = published.instructions(data_set)

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[published.Group]:
        truths = match(files, r"HDR/HDR_(\d+)\.hdr")
        photographs = match(files, r"LDR_exposure_([+-]?\d)/LDR_(\d+)\.jpe?g")
        scenes = {scene for (scene,) in truths} | {scene for _, scene in photographs}
        split_of = _split_of(scenes)
        for scene in sorted(scenes):
            hdr = truths.get((scene,))
            for exposure in _EXPOSURES:
                ldr = photographs.get((exposure, scene))
                if ldr is None and hdr is None:
                    continue
                yield published.pair(
                    name=f"{scene}_{exposure}",
                    scene=scene,
                    split=split_of[scene],
                    hdr=hdr,
                    ldr=ldr,
                )


def _split_of(scenes: set[str]) -> dict[str, str]:
    """Returns the split of each scene; two thirds of the scenes are `test`."""
    train = splits.drawn(scenes, count=round(_TRAIN_SHARE * len(scenes)), seed=0)
    side = published.with_validation(train)
    return {scene: side(scene) if scene in train else "test" for scene in scenes}
