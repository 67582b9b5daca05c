"""ColorVideoVDP of still images, computed by its authors' own package.

Mantiuk, Hanji, Ashraf, Asano and Chapiro (2024), "ColorVideoVDP: A visual difference
predictor for image, video and display distortions". The package is `cvvdp`, which uses
PyTorch. JAX calls it on the host, so the score works under jit and vmap but has no
gradient.
"""

import functools
import importlib
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhdr.errors import UserError, check_number
from jaxhdr.metrics.precision import in_float32

# The display that `Display` describes: linear light up to PQ's peak, in a dark room.
_PEAK = 10_000.0
_CONTRAST = 2e6


def check_installed() -> None:
    """Checks that the package `cvvdp` is installed.

    Raises:
      UserError: the package is not installed.
    """
    if importlib.util.find_spec("pycvvdp") is None:
        raise UserError(
            "cvvdp_jod needs the package cvvdp, which is not installed: run "
            "pip install 'jaxhdr[cvvdp]', or choose other metrics"
        )


@in_float32
def color_video_vdp(
    test: Float[Array, "*batch h w 3"],
    reference: Float[Array, "*batch h w 3"],
    *,
    pixels_per_degree: float,
) -> Float[Array, "*batch"]:
    """Returns the quality in JOD: 10 for equal images, less for worse ones.

    Args:
      test: the estimate in cd/m^2; light above 10,000 is shown as 10,000.
      reference: the truth in cd/m^2.
      pixels_per_degree: pixels per degree of visual angle.

    Raises:
      UserError: the package is not installed, an image does not hold floats, or
        `pixels_per_degree` is not above 0.
    """
    check_installed()
    check_number("pixels_per_degree", pixels_per_degree, above=0)
    return jax.pure_callback(
        functools.partial(_judge, pixels_per_degree=pixels_per_degree),
        jax.ShapeDtypeStruct(test.shape[:-3], jnp.float32),
        test,
        reference,
        vmap_method="broadcast_all",
    )


def _judge(test: Array, reference: Array, *, pixels_per_degree: float) -> np.ndarray:
    pairs = [np.asarray(image, np.float32) for image in (test, reference)]
    batch, size = pairs[0].shape[:-3], pairs[0].shape[-3:]
    judge = _create(size[:2], pixels_per_degree)
    scores = [
        float(judge.predict(*pair, dim_order="HWC")[0])
        for pair in zip(*(x.reshape(-1, *size) for x in pairs), strict=True)
    ]
    return np.array(scores, np.float32).reshape(batch)


@functools.lru_cache(maxsize=4)
def _create(size: tuple[int, int], pixels_per_degree: float):
    pycvvdp = importlib.import_module("pycvvdp")  # imports PyTorch, so only when needed
    height, width = size
    return pycvvdp.cvvdp(
        display_photometry=pycvvdp.vvdp_display_photo_eotf(
            _PEAK,
            contrast=_CONTRAST,
            source_colorspace="BT.709-linear",
            EOTF="linear",
            E_ambient=0,
        ),
        display_geometry=pycvvdp.vvdp_display_geometry(
            [width, height], ppd=pixels_per_degree
        ),
        quiet=True,
    )
