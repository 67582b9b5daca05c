"""What a metric is: its score, its unit, and the light that it expects."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhdr.errors import UserError
from jaxhdr.metrics.display import Display
from jaxhdr.metrics.precision import in_float32

__all__ = ["ABSOLUTE", "LDR_WHITE", "RELATIVE", "Metric"]

Pixels = Literal["all", "clipped", "clipped_in_all_channels", "unclipped"]
RELATIVE, LDR_WHITE, ABSOLUTE = "relative", "ldr_white", "cd/m^2"
_DISPLAY = Display()
_COUNTED: dict[str, Callable[[Array], Array]] = {
    "clipped": lambda clipped: jnp.any(clipped, axis=-1, keepdims=True),
    "clipped_in_all_channels": lambda clipped: jnp.all(clipped, -1, keepdims=True),
    "unclipped": lambda clipped: ~jnp.any(clipped, axis=-1, keepdims=True),
}


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric, which is one column of a report.

    Attributes:
      name: the metric's key in `METRICS` and in reports.
      unit: "dB", "stops" or "JOD"; "" for a ratio or a scale without a unit.
      higher_is_better: the direction of the score.
      input_unit: `RELATIVE`, `LDR_WHITE` or `ABSOLUTE`, the unit of the images that
        `fn` takes.
      reference: the metric's source, and how `fn` prepares the images.
      fn: function of test and reference that returns the scores.
      pixels: the pixels that the metric counts.
      is_angular: whether `fn` takes `pixels_per_degree`.
      map_fn: function of test and reference that returns a score for each pixel.
    """

    name: str
    unit: str
    higher_is_better: bool
    input_unit: str
    reference: str
    fn: Callable[..., Float[Array, "*batch"]]
    pixels: Pixels = "all"
    is_angular: bool = False
    map_fn: Callable[..., Float[Array, "*batch h w"]] | None = None

    @in_float32
    def score(
        self,
        test: Float[Array, "*batch h w 3"],
        reference: Float[Array, "*batch h w 3"],
        *,
        clipped: Bool[Array, "*batch h w _"] | None = None,
        display: Display = _DISPLAY,
    ) -> Float[Array, "*batch"]:
        """Returns one score per image, over the pixels that this metric counts.

        Args:
          test: the estimate, linear BT.709 radiance.
          reference: the truth, in the same scale.
          clipped: the mask of clipped values, which `camera.clipped_values` computes
            from the LDR image, or of clipped pixels, with one channel; metrics of all
            pixels do not need it.
          display: the display on which metrics of absolute light see both images.

        Raises:
          UserError: this metric needs `clipped`, and it is missing.
        """
        shown = self._shown(test, reference, display)
        if self.pixels == "all":
            return self.fn(*shown, **self._angle(display))
        if clipped is None:
            raise UserError(
                f"{self.name} needs the mask of clipped pixels: pass it as `clipped`"
            )
        return self.fn(*shown, mask=_COUNTED[self.pixels](clipped))

    @in_float32
    def draw(
        self,
        test: Float[Array, "*batch h w 3"],
        reference: Float[Array, "*batch h w 3"],
        *,
        display: Display = _DISPLAY,
    ) -> Float[Array, "*batch h w"]:
        """Returns the metric's map, with values in [0, 1] for each pixel.

        Args:
          test: the estimate, linear BT.709 radiance.
          reference: the truth, in the same scale.
          display: the display on which metrics of absolute light see both images.

        Raises:
          UserError: this metric has no map.
        """
        if self.map_fn is None:
            raise UserError(
                f"{self.name} has no map; choose hdr_vdp2_p_det, which has one"
            )
        shown = self._shown(test, reference, display)
        return self.map_fn(*shown, **self._angle(display))

    def _shown(self, test: Array, reference: Array, display: Display):
        if self.input_unit == ABSOLUTE:
            return display.emitted(test), display.emitted(reference)
        return test, reference

    def _angle(self, display: Display) -> dict[str, float]:
        if self.is_angular:
            return {"pixels_per_degree": display.pixels_per_degree}
        return {}
