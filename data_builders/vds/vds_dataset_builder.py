"""VDS (Lee et al. 2018): stacks of seven exposures, with merged HDR images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float

from data_builders.shared import published, readings
from data_builders.shared.shards import Example
from data_builders.shared.source_files import SourceFile, match
from jaxhdr.errors import UserError
from jaxhdr.imaging import color

_TREE = """
train/set/t1/t1_-3EV_true.jpg.png ... t1_3EV_true.jpg.png
test/set/t1/t1_-3EV_true.jpg.png ... t1_3EV_true.jpg.png
test_hdr/t1.hdr ...             (optional; a missing file is merged from its stack)
"""
_STOPS = range(-3, 4)


def merge(
    stack: Mapping[int, Float[np.ndarray, "h w 3"]],
) -> Float[np.ndarray, "h w 3"]:
    """Returns the radiance of a stack; 1.0 just clips the exposure at 0 EV.

    The result is the mean of the linearised photographs, each divided by its exposure,
    with the triangular weights of Debevec and Malik (1997), equation 4. The shortest
    exposure gives the values that all photographs clip, and the longest exposure those
    that are black in all photographs.

    Args:
      stack: display-encoded sRGB photographs, keyed by exposure in stops.
    """
    total = weights = np.float32(0)
    for stops, encoded in stack.items():
        weight = np.minimum(encoded, 1 - encoded)
        total = total + weight * _linear(encoded, stops)
        weights = weights + weight
    shortest, longest = min(stack), max(stack)
    ends = np.where(
        stack[shortest] >= 0.5,
        _linear(stack[shortest], shortest),
        _linear(stack[longest], longest),
    )
    merged = total / np.where(weights > 0, weights, 1)
    return np.where(weights > 0, merged, ends).astype(np.float32)


def _linear(
    encoded: Float[np.ndarray, "h w 3"], stops: int
) -> Float[np.ndarray, "h w 3"]:
    linear = np.asarray(color.srgb_decode(jnp.asarray(encoded)))
    return linear / np.float32(2.0**stops)


def _read(group: published.Group) -> Iterator[tuple[str, Example]]:
    ldr = readings.read_codes(group.file(_role(0)))
    if published.HDR in group.files:
        hdr = readings.read_radiance(group.file(published.HDR))
    else:
        stack = {
            stops: readings.read_codes(group.file(_role(stops))).astype(np.float32)
            / 255
            for stops in _STOPS
        }
        if len({encoded.shape for encoded in stack.values()}) > 1:
            raise UserError(
                f"the exposures of {group.name} differ in size; use photographs of the "
                "same size"
            )
        hdr = readings.check(merge(stack), group.name)
    yield group.name, readings.pair(hdr, ldr, name=group.name, scene=group.scene)


class Builder(published.PublishedBuilder):
    """Builder of the `vds` data set."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 - the name TFDS reads
    data_set = published.DataSet(
        title="VDS",
        pages=("https://github.com/Siyeong-Lee/Deep_Recursive_HDRI",),
        size="not published",
        licence="none stated: ask the authors before using it beyond research",
        tree=_TREE,
        published={},
    )
    MANUAL_DOWNLOAD_INSTRUCTIONS = published.instructions(data_set)

    def _groups(self, files: Sequence[SourceFile]) -> Iterable[published.Group]:
        exposures = match(
            files, r"(train|test)/(?:[^/]*/)*(t\d+)_(-?[0-3])EV_true\.jpg\.png"
        )
        truths = match(files, r"test_hdr/(?:[^/]*/)*(t\d+)[^/]*\.(?:hdr|exr)")
        scenes = sorted({(side, scene) for side, scene, _ in exposures})
        side_of = published.with_validation(s for side, s in scenes if side != "test")
        for side, scene in scenes:
            stack = {
                _role(stops): exposures.get((side, scene, str(stops)))
                for stops in _STOPS
            }
            truth = truths.get((scene,)) if side == "test" else None
            yield published.Group(
                name=f"{side}_{scene}",
                scene=f"{side}_{scene}",
                split="test" if side == "test" else side_of(scene),
                files=stack | ({published.HDR: truth} if truth else {}),
            )

    def _reader(self):
        return _read


def _role(stops: int) -> str:
    return f"exposure at {stops} EV"
