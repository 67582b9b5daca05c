"""Protocols: how an estimate and the truth are prepared before they are compared.

Two scores are comparable only if they have the same protocol. Images are linear BT.709
radiance. Everything is computed once per image, in float64, with NumPy.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxhdr.errors import UserError
from jaxhdr.imaging import color
from jaxhdr.metrics.display import Display
from jaxhdr.options import ALIGNMENTS

__all__ = ["Protocol", "aligned", "correct_response"]

Image = Float[np.ndarray, "h w 3"]

_DARKEST = 0.005  # cd/m^2
# The authors scale u' and v' so that both are about as large as the PQ codes.
_CHROMA_SCALE = 410 / 255
_RIDGE = 0.01
# ITU-R BT.709: linear RGB to XYZ, white point D65.
_TO_XYZ = np.array(
    [
        [0.4123908, 0.3575843, 0.1804808],
        [0.2126390, 0.7151687, 0.0721923],
        [0.0193308, 0.1191948, 0.9505322],
    ]
)
_DISPLAY = Display()


class Prepared(NamedTuple):
    """An estimate and the truth, ready to be scored.

    Attributes:
      test: the estimate.
      reference: the truth.
      stops: log2 of the factor that the alignment gave the estimate relative to the
        truth; NaN if it did more than multiply.
    """

    test: Image
    reference: Image
    stops: float


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How images are prepared before they are scored.

    Attributes:
      alignment: one of `ALIGNMENTS`, which sets the scale of the estimate; see
        `aligned`.
      response_correction: whether `correct_response` is applied after the alignment.
      display: the display on which metrics of absolute light see both images.
    """

    alignment: str = "none"
    response_correction: bool = False
    display: Display = _DISPLAY

    def __post_init__(self):
        _check_name(self.alignment)

    @property
    def shown_by(self) -> Display:
        """The display on which metrics of absolute light see the images."""
        if self.alignment == "paper_range":  # the aligned images are in cd/m^2
            return dataclasses.replace(self.display, white=1.0)
        return self.display

    def prepare(
        self,
        test: Image,
        reference: Image,
        *,
        clipped: Bool[np.ndarray, "h w 1"] | None = None,
    ) -> Prepared:
        """Returns the images in the form in which they are scored.

        Args:
          test: the estimate.
          reference: the truth.
          clipped: the mask of clipped pixels, which alignment `median` leaves out.

        Raises:
          UserError: an image cannot be aligned.
        """
        test, reference, stops = _aligned(test, reference, self.alignment, clipped)
        if self.response_correction:
            display = self.shown_by
            shown = (
                np.clip(np.asarray(image, float) * display.white, 0, display.peak)
                for image in (test, reference)
            )
            test = correct_response(*shown) / display.white
        return Prepared(test, reference, stops)

    def describe(self) -> dict[str, Any]:
        """Returns the protocol in the form in which a report stores it."""
        return {
            "alignment": self.alignment,
            "response_correction": self.response_correction,
            "display": dataclasses.asdict(self.shown_by),
        }


def aligned(
    test: Image,
    reference: Image,
    *,
    alignment: str,
    clipped: Bool[np.ndarray, "h w 1"] | None = None,
) -> tuple[Image, Image]:
    """Returns the estimate and the truth on the scale on which they are compared.

    - `none`: both images are returned unchanged.
    - `median`: the estimate is multiplied by the median ratio of truth to estimate,
      over the channels of pixels that are neither clipped in the photograph nor black.
    - `mean_half`: each image is divided by twice its mean (Oh et al. 2021, section
      3.1).
    - `paper_range`: each image is mapped linearly so that its 0.1 % smallest values end
      at 1 and its 0.1 % largest values begin at 999, then clipped at 0 (Liu et al.
      2020, "Single-Image HDR Reconstruction", by the authors' own description). The
      results are in cd/m^2.

    Args:
      test: the estimate.
      reference: the truth.
      alignment: name of the alignment, one of `ALIGNMENTS`.
      clipped: the mask of clipped pixels for `median`; by default, no pixel is clipped.

    Raises:
      UserError: the name is unknown, or an image cannot be aligned because it is black
        or has a single value.
    """
    _check_name(alignment)
    prepared = _aligned(test, reference, alignment, clipped)
    return prepared.test, prepared.reference


def _check_name(alignment: str) -> None:
    if alignment not in ALIGNMENTS:
        raise UserError(
            f"alignment is {alignment!r}; expected one of {list(ALIGNMENTS)}"
        )


def _aligned(
    test: Image,
    reference: Image,
    alignment: str,
    clipped: Bool[np.ndarray, "h w 1"] | None,
) -> Prepared:
    if alignment == "none":
        return Prepared(test, reference, 0.0)
    test, reference = np.asarray(test, float), np.asarray(reference, float)
    if alignment == "paper_range":
        return Prepared(_paper_range(test), _paper_range(reference), np.nan)
    if alignment == "median":
        factors = _median_ratio(test, reference, clipped), 1.0
    else:
        factors = _to_mean_half(test), _to_mean_half(reference)
    stops = float(np.log2(factors[0] / factors[1]))
    return Prepared(test * factors[0], reference * factors[1], stops)


def _median_ratio(
    test: Image, reference: Image, clipped: Bool[np.ndarray, "h w 1"] | None
) -> float:
    counted = (test > 0) & (reference > 0)
    if clipped is not None:
        counted &= ~np.asarray(clipped)
    if not counted.any():
        raise UserError(
            "the images have no pixel to align by: no pixel is unclipped in the "
            "photograph and above 0 in both images; use alignment none"
        )
    return float(np.median(reference[counted] / test[counted]))


def _to_mean_half(image: Image) -> float:
    mean = image.mean()
    if mean <= 0:
        raise UserError(
            f"an image has mean {mean:g}; alignment mean_half needs a mean above 0: "
            "use alignment none"
        )
    return float(0.5 / mean)


def _paper_range(image: Image) -> Image:
    count = max(round(0.001 * image.size), 1)
    values = np.partition(image.ravel(), (count - 1, image.size - count))
    low, high = values[count - 1], values[image.size - count]
    if high <= low:
        raise UserError(
            f"an image has the single value {low:g}; alignment paper_range needs "
            "different values: use alignment none"
        )
    return np.maximum((image - low) * (998 / (high - low)) + 1, 0)


def correct_response(test: Image, reference: Image) -> Image:
    """Returns the estimate mapped by the smooth curve that brings it nearest the truth.

    Hanji, Mantiuk, Eilertsen, Hajisharif and Unger (2022), "Comparison of single image
    HDR reconstruction methods: the caveats of quality assessment". One photograph does
    not determine the camera's response, and an error in it would dominate the score. A
    cubic maps the PQ codes of luminance. Polynomials of third degree, fitted by ridge
    regression towards the identity, map u' and v'.

    The correction also repairs wrong tones that are the method's own fault, so report
    scores with and without it.

    Args:
      test: the estimate, in cd/m^2.
      reference: the truth, in cd/m^2.
    """
    test, reference = (
        np.clip(np.asarray(x, float), _DARKEST, color.PQ_PEAK)
        for x in (test, reference)
    )
    luminance, chroma = _split(test)
    true_luminance, true_chroma = _split(reference)
    codes = np.vander(color.pq_code(luminance), 4)
    solution, *_ = np.linalg.lstsq(codes, color.pq_code(true_luminance), rcond=None)
    luminance = color.pq_light(np.clip(codes @ solution, 0, 1))
    features = _features(chroma)
    identity = np.eye(features.shape[1])[:, 1:3]  # the columns u and v
    weight = _RIDGE * len(features) / features.shape[1]
    left = features.T @ features + weight * np.eye(features.shape[1])
    right = features.T @ true_chroma + weight * identity
    chroma = features @ np.linalg.solve(left, right)
    corrected = _joined(np.asarray(luminance), chroma).reshape(test.shape)
    return np.clip(corrected, _DARKEST, color.PQ_PEAK)


def _features(chroma: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 8"]:
    u, v = chroma.T
    return np.stack([np.ones_like(u), u, v, u**2, v**2, u * v, u**3, v**3], axis=1)


def _split(
    light: Image,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 2"]]:
    """Returns luminance, and u' and v' (CIE 1976) on the authors' scale."""
    x, y, z = (light.reshape(-1, 3) @ _TO_XYZ.T).T
    total = x + 15 * y + 3 * z
    return y, _CHROMA_SCALE * np.stack([4 * x / total, 9 * y / total], axis=1)


def _joined(
    luminance: Float[np.ndarray, " n"], chroma: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "n 3"]:
    u, v = chroma.T / _CHROMA_SCALE
    v = np.maximum(v, 1e-4)
    x = luminance * 9 * u / (4 * v)
    z = luminance * (12 - 3 * u - 20 * v) / (4 * v)
    return np.stack([x, luminance, z], axis=1) @ np.linalg.inv(_TO_XYZ).T
