"""The display that metrics of absolute light look at."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr import options
from jaxhdr.errors import UserError


@dataclasses.dataclass(frozen=True)
class Display:
    """An ideal display: linear between black and peak, without light of the room.

    Attributes:
      white: cd/m^2 of radiance 1.0, in scale `ldr_white` the photograph's white.
      peak: cd/m^2 of the brightest pixel it can show.
      black: cd/m^2 of the darkest one.
      pixels_per_degree: of the visual angle of the viewer.
    """

    white: float = options.WHITE_NITS
    peak: float = options.PEAK_NITS
    black: float = options.BLACK_NITS
    pixels_per_degree: float = options.PIXELS_PER_DEGREE

    def __post_init__(self):
        if not 0 < self.black < self.peak:
            raise UserError(
                f"a display with black {self.black} and peak {self.peak} cd/m^2; both "
                "must be above 0, and the peak above black"
            )
        if self.white <= 0 or self.pixels_per_degree <= 0:
            raise UserError(
                f"a display with white {self.white} cd/m^2 and "
                f"{self.pixels_per_degree} pixels per degree; both must be above 0"
            )

    def emitted(self, radiance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Returns the light in cd/m^2 that the display emits for radiance."""
        return jnp.clip(radiance * self.white, self.black, self.peak)
