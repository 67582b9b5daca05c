"""What a page shows: a photograph and radiance of the same pixels, packed.

`encoded` is display-encoded in [0, 1]; `hdr` is linear BT.709 radiance >= 0.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float, UInt16

from jaxhdr.errors import UserError
from jaxhdr.imaging import camera, scales
from jaxhdr.pictures import previews
from jaxhdr.viewer import packing
from jaxhdr.viewer.packing import Halves

DEFAULT_SIDE: Final = 2048
"""Longest side of the images of a page, in pixels.

It is that of a preview, and more than most windows have. A photograph of 12 megapixels
with four stages then gives a page of 26 MB, and of 86 MB without the limit
(`benchmarks/view.py`).
"""

Picture = Float[np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True)
class Radiance:
    """Radiance that a page can show.

    Attributes:
      name: what the page calls it, as plain text.
      hdr: the radiance.
      factor: what brings it to the scale of the photograph; the page can leave it out.
      is_estimate: whether it resembles the last estimate in the list, so that it is
        stored as the difference from that.
    """

    name: str
    hdr: Picture
    factor: float = 1.0
    is_estimate: bool = False


class PackedImage(NamedTuple):
    """One image of a page: what the script needs to know, and its bands as text."""

    facts: dict[str, Any]
    bands: list[str]


@dataclasses.dataclass(frozen=True)
class PackedView:
    """The content of a page.

    Attributes:
      facts: what the script needs to know, as JSON has it.
      bands: the text of each band, [image][band].
    """

    facts: dict[str, Any]
    bands: list[list[str]]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yields the name of each band, such as "2-0", and its text."""
        for image, bands in enumerate(self.bands):
            for band, text in enumerate(bands):
                yield f"{image}-{band}", text


def aligned(picture: Radiance, encoded: Picture) -> Radiance:
    """Returns radiance with the factor that fits its scale to a photograph of it."""
    return dataclasses.replace(picture, factor=scales.align(picture.hdr, encoded))


def radiance_of(stages: Float[np.ndarray, "stages h w 3"]) -> list[Radiance]:
    """Returns the stages of a model with their names; the last is the answer."""
    *earlier, last = stages
    return [
        *(
            Radiance(f"stage {number}", stage, is_estimate=True)
            for number, stage in enumerate(earlier, 1)
        ),
        Radiance("reconstruction", last, is_estimate=True),
    ]


def notes_about(
    *, label: str, precision: str, response: str, alignment: str
) -> list[str]:
    """Returns sentences about a reconstruction; see the attributes of `Reconstructor`.

    Args:
      label: which model it is.
      precision: what it computes in.
      response: how it takes the photograph to be encoded.
      alignment: how the stages were brought to their scale; "" if the model has it.
    """
    notes = [
        f"The model is {label}, computed in {precision}, with the response {response}.",
        "1.0, or 0 stops, is the radiance that just clips the photograph.",
    ]
    if alignment:
        notes.append(f"The alignment of the stages is {alignment}.")
    return notes


def packed_view(
    encoded: Picture | None,
    radiance: Sequence[Radiance],
    *,
    title: str,
    notes: Sequence[str] = (),
    longest_side: int | None = DEFAULT_SIDE,
) -> PackedView:
    """Returns images, packed for a page.

    The page begins with the photograph on the left and the last estimate on the right;
    without a photograph, with the first and the second image.

    Args:
      encoded: the photograph; None for none.
      radiance: at least one image, all of one size.
      title: title of the page, as plain text.
      notes: sentences about the images, as plain text.
      longest_side: larger images are averaged down to it; None for no limit.

    Raises:
      UserError: the images differ in size.
    """
    full_size = check_sizes(encoded, radiance)
    side = longest_side or max(full_size)
    all_halves = [_halves(picture.hdr, side) for picture in radiance]
    height, width = all_halves[0].bits.shape[:2]
    estimates = [i for i, picture in enumerate(radiance) if picture.is_estimate]
    answer = estimates[-1] if estimates else None
    images = [] if encoded is None else [_photograph(encoded, side)]
    first = len(images)
    for index, (picture, halves) in enumerate(zip(radiance, all_halves, strict=True)):
        if answer is None or index == answer or not picture.is_estimate:
            images.append(_packed(picture, halves))
        else:
            bits = all_halves[answer].bits
            images.append(_packed(picture, halves, base=bits, base_at=first + answer))
    right = 1 if answer is None else first + answer
    facts = {
        "title": title,
        "notes": [
            *notes,
            *_averaging(full_size, (height, width)),
            *_changes(radiance, all_halves),
        ],
        "height": height,
        "width": width,
        "bandRows": packing.band_rows(width),
        "images": [image.facts for image in images],
        "left": 0,
        "right": min(right, len(images) - 1),
    }
    return PackedView(facts, [image.bands for image in images])


def check_sizes(
    encoded: Float[np.ndarray, "_ _ 3"] | None, radiance: Sequence[Radiance]
) -> tuple[int, int]:
    """Returns the height and the width that all images have.

    Raises:
      UserError: the images differ in size.
    """
    sizes = {picture.name: picture.hdr.shape[:2] for picture in radiance}
    if encoded is not None:
        sizes = {"the photograph": encoded.shape[:2], **sizes}
    (first, expected), *others = sizes.items()
    for name, size in others:
        if size != expected:
            raise UserError(
                f"{name} has {_text(size)} pixels and {first} {_text(expected)}; "
                "expected images of the same pixels; resize or crop one of them"
            )
    height, width = expected
    return height, width


def _text(size: tuple[int, ...]) -> str:
    return f"{size[1]} x {size[0]}"


def _halves(hdr: Float[np.ndarray, "_ _ 3"], side: int) -> Halves:
    # The largest values of float32 must not become infinite in a sum.
    return packing.to_halves(previews.shrink(hdr, side))


def _photograph(encoded: Float[np.ndarray, "_ _ 3"], side: int) -> PackedImage:
    """Returns codes of 8 bits, and a fourth channel that is 255 where they clip."""
    codes = np.rint(255 * previews.shrink(encoded, side)).astype(np.uint8)
    is_clipped = encoded.max(axis=2, keepdims=True) >= camera.CLIPPED_CODE
    clipped = is_clipped.astype(np.float32).repeat(3, axis=2)
    # Of the pixels that were averaged, one that is clipped suffices.
    mask = np.where(previews.shrink(clipped, side)[..., :1] > 0, 255, 0)
    samples = np.concatenate([codes, mask.astype(np.uint8)], axis=2)
    facts = {
        "name": "photograph",
        "kind": "photograph",
        "factor": 1.0,
        "base": None,
        "histogram": packing.histogram_of_codes(codes)._asdict(),
    }
    return PackedImage(facts, packing.pack(samples))


def _packed(
    picture: Radiance,
    halves: Halves,
    *,
    base: UInt16[np.ndarray, "h w 3"] | None = None,
    base_at: int | None = None,
) -> PackedImage:
    facts = {
        "name": picture.name,
        "kind": "radiance",
        "factor": picture.factor,
        "base": base_at,
        "histogram": packing.histogram_of_halves(halves.bits)._asdict(),
    }
    return PackedImage(facts, packing.pack(halves.bits, base=base))


def _averaging(full: tuple[int, int], shown: tuple[int, int]) -> list[str]:
    if full == shown:
        return []
    return [
        f"The images were averaged down from {_text(full)} to {_text(shown)} pixels; "
        "a pixel counts as clipped if one of its parts is."
    ]


def _changes(radiance: Sequence[Radiance], halves: Sequence[Halves]) -> list[str]:
    return [
        f"{picture.name}: {packed.changed} values were limited to the range of half "
        f"floats, 0 to {packing.LARGEST_HALF:.0f}."
        for picture, packed in zip(radiance, halves, strict=True)
        if packed.changed
    ]
