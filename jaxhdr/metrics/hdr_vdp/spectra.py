"""The share of a display's light that the eye's cones and rods absorb.

The numbers are tables that come with the visibility metrics; `tables/README.md` gives
their sources. Everything is computed once, in float64, without JAX.
"""

import functools
import importlib.resources

import numpy as np
from jaxtyping import Float64
from scipy.interpolate import PchipInterpolator

__all__ = ["D65", "load_table", "photoreceptor_response", "resampled"]

WAVELENGTHS = np.linspace(360.0, 780.0, 420)  # nm, as the metrics sample them
D65 = "d65"  # the spectrum of images that have luminance only


@functools.cache
def load_table(name: str) -> Float64[np.ndarray, "rows columns"]:
    """Returns a packaged table; `name` is the file's name without `.csv`."""
    file = (
        importlib.resources.files("jaxhdr.metrics.hdr_vdp") / "tables" / f"{name}.csv"
    )
    with file.open(encoding="ascii") as lines:
        return np.loadtxt(lines, delimiter=",", ndmin=2)


def resampled(name: str) -> Float64[np.ndarray, "wavelengths spectra"]:
    """Returns the spectra of a table at `WAVELENGTHS`, and zero outside the table.

    The interpolation is monotone and cubic (PCHIP).
    """
    table = load_table(name)
    curve = PchipInterpolator(table[:, 0], table[:, 1:], extrapolate=False)
    return np.nan_to_num(curve(WAVELENGTHS), nan=0.0)


def photoreceptor_response(
    emission: Float64[np.ndarray, "wavelengths primaries"],
) -> Float64[np.ndarray, "primaries 4"]:
    """Returns the responses of the L, M, S cones and of the rods to unit primaries."""
    cones = resampled("log_cone_smith_pokorny_1975")
    cones = 10 ** np.where(cones == 0, cones.min(), cones)
    receptors = np.concatenate([cones, resampled("cie_scotopic_lum")], axis=1)
    products = emission[:, :, None] * receptors[:, None]
    return np.trapezoid(products, WAVELENGTHS, axis=0)
