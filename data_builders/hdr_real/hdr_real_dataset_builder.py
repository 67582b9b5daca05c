"""HDR-Real (Liu et al. 2020): real photographs beside merged brackets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow_datasets as tfds

from data_builders.shared import published
from data_builders.shared.single_hdr import numbered_pairs
from data_builders.shared.source_files import SourceFile, first_bytes_hash, match

_TREE = """
HDR-Real/LDR_in/*.jpg      (or R_CVPR2020_jpg_training/LDR_in/*.jpg)
HDR-Real/HDR_gt/*.hdr      (or R_CVPR2020_jpg_training/HDR_gt/*.hdr)
HDR-Real/00000/input.jpg   (the test set is optional; folders have five digits)
HDR-Real/00000/gt.hdr
"""


class Builder(published.PublishedBuilder):
    """Builder of the `hdr_real` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    data_set = published.DataSet(
        title="HDR-Real",
        pages=("https://github.com/alex04072000/SingleHDR",),
        size="14 GB (training, with HDR-Synth), 17 GB (test, with others' results)",
        licence="none stated: ask the authors before using it beyond research",
        tree=_TREE,
        published={"train+validation": 9786, "test": 1838},
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = published.instructions(data_set)

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[published.Group]:
        yield from _training_pairs(
            match(files, r"LDR_in/([^/]+)\.jpe?g"),
            match(files, r"HDR_gt/([^/]+)\.hdr"),
        )
        yield from numbered_pairs(files)


def _training_pairs(
    photographs: Mapping[tuple[str, ...], SourceFile],
    truths: Mapping[tuple[str, ...], SourceFile],
) -> Iterator[published.Group]:
    """Yields the training pairs; the last scenes by name are `validation`.

    All photographs of one HDR image are one scene. Some places have several versions of
    their HDR image, which count as several scenes with neighbouring names. Taking the
    last scenes can divide such a place only at one border, a random choice anywhere.
    """
    joined = list(published.join(photographs, truths))
    if not photographs.keys() & truths.keys() and len(photographs) == len(truths):
        # The authors' own training code pairs files by order, whatever their names.
        joined = [
            (key, photographs[key], truths[other])
            for key, other in zip(sorted(photographs), sorted(truths), strict=True)
        ]
    scenes: dict[str, int] = {}
    found = []
    for (name,), ldr, hdr in joined:
        scene = first_bytes_hash(hdr) if hdr else name
        scenes.setdefault(scene, len(scenes))
        found.append((name, scene, ldr, hdr))
    first_held_out = len(scenes) - max(
        1, round(published.VALIDATION_SHARE * len(scenes))
    )
    for name, scene, ldr, hdr in found:
        split = "validation" if scenes[scene] >= first_held_out else "train"
        yield published.pair(name=name, scene=scene, split=split, hdr=hdr, ldr=ldr)
