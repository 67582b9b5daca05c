"""The display on which metrics of absolute light see the images."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhdr import options
from jaxhdr.errors import UserError, check_number
from jaxhdr.metrics.precision import in_float32


@dataclasses.dataclass(frozen=True)
class Display:
    """An ideal display in a dark room: linear between black and peak.

    Attributes:
      white: luminance in cd/m^2 of radiance 1.0, which in scale `ldr_white` is the
        photograph's white.
      peak: luminance in cd/m^2 of the brightest pixel that the display can show.
      black: luminance in cd/m^2 of the darkest pixel that the display can show.
      pixels_per_degree: pixels per degree of the viewer's visual angle.
    """

    white: float = options.WHITE_NITS
    peak: float = options.PEAK_NITS
    black: float = options.BLACK_NITS
    pixels_per_degree: float = options.PIXELS_PER_DEGREE

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check_number(field.name, getattr(self, field.name), above=0)
        if self.black >= self.peak:
            raise UserError(
                f"the display has black {self.black} and peak {self.peak} cd/m^2; "
                "give a peak above black"
            )

    @in_float32
    def emitted(self, radiance: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Returns the light in cd/m^2 that the display emits for radiance."""
        return jnp.clip(radiance * self.white, self.black, self.peak)
