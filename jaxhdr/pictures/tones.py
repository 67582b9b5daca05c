"""Band of a sheet that relates encoded values to radiance (Oh et al. 2021, Fig. 7).

Radiance is in stops relative to the photograph's white. The estimated S-curve is shown
if there is one.
"""

from typing import Final

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxhdr.imaging import color
from jaxhdr.pictures import page
from jaxhdr.pictures.inspection import DARKEST, Inspection, ResponseCurve, ToneCurve
from jaxhdr.pictures.page import HEADING, INNER, MARGIN, TITLE, Band, Place

_HEIGHT: Final = 3.2
_AXIS: Final = 0.62
_GAP: Final = 0.25
# Colour, and diameter in points. The truth is drawn first and larger, so that it stays
# visible behind the answer.
_TRUTH_DOTS: Final = ("#7db8e8", 4.5)
_ANSWER_DOTS: Final = ("#e8752a", 1.8)
_LEGEND_DOT: Final = 9


def relation(inspection: Inspection) -> Band:
    """Returns the band with one diagram per channel."""
    width = (INNER - _AXIS - 2 * _GAP) / 3
    explanation = "Dots: a sample of the pixels. Dotted line: the photograph "
    explanation += "linearised as sRGB."
    if inspection.curve is not None:
        explanation += " Solid line: the estimated S-curve."
    if inspection.response is not None:
        explanation += " Dashed line: the estimated camera response."

    def draw(figure: Figure, top: float) -> None:
        name = "Encoded value to radiance, channel by channel"
        page.heading(figure, top, name, explanation)
        for c in range(3):
            left = MARGIN + _AXIS + c * (width + _GAP)
            place = Place(left, top + HEADING + TITLE, width, _HEIGHT)
            _draw_channel(page.axes(figure, place), inspection, c)

    return Band(HEADING + TITLE + _HEIGHT + _AXIS + 0.15, draw)


def _draw_channel(axes: Axes, inspection: Inspection, channel: int) -> None:
    name = page.CHANNELS[channel]
    axes.set_title(name, color=page.INKS[channel], fontweight="bold", pad=3)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    _draw_samples(axes, inspection, channel)
    codes = np.linspace(0, 1, 256, dtype=np.float32)[1:]
    linear = np.log2(np.asarray(color.srgb_decode(jnp.asarray(codes))))
    axes.plot(codes, linear, ":", color="#222222", linewidth=1.1, label="sRGB")
    if inspection.response is not None:
        _draw_response(axes, inspection.response)
    if inspection.curve is not None:
        _draw_curve(axes, inspection.curve, channel)
    legend = axes.legend(loc="lower right", framealpha=0.9, fontsize=8.5)
    for handle in legend.get_lines():
        if handle.get_marker() == ".":
            handle.set(markersize=_LEGEND_DOT, alpha=1)
    axes.set(xlim=(-0.03, 1.03), ylim=_stops_range(inspection))
    axes.set_xlabel(f"encoded {name} of the photograph (code / 255)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelleft=channel == 0)
    if channel == 0:
        axes.set_ylabel("radiance (stops over the photograph's white)")


def _stops_range(inspection: Inspection) -> tuple[float, float]:
    """Returns a range from the darkest code to the brightest dot of any channel."""
    top = max(samples.stops.max() for _, samples in inspection.samples)
    if inspection.curve is not None:
        top = max(top, inspection.curve.stops.max())
    bottom, top = float(np.log2(DARKEST)), max(float(top), 0.0)
    return bottom - 0.3, top + 0.04 * (top - bottom)


def _draw_samples(axes: Axes, inspection: Inspection, channel: int) -> None:
    for name, samples in inspection.samples:
        ink, diameter = _TRUTH_DOTS if name == "truth" else _ANSWER_DOTS
        axes.plot(
            samples.values[:, channel],
            samples.stops[:, channel],
            linestyle="none",
            marker=".",
            markersize=diameter,
            markeredgewidth=0,
            alpha=0.5,
            color=ink,
            rasterized=True,  # otherwise a PDF would store every dot
            label=name,
        )


def _draw_response(axes: Axes, response: ResponseCurve) -> None:
    seen = slice(1, None)  # black has no logarithm
    line = (response.values[seen], response.stops[seen])
    axes.plot(*line, color="white", linewidth=3.0)
    axes.plot(*line, "--", color="#222222", linewidth=1.4, label="estimated response")


def _draw_curve(axes: Axes, curve: ToneCurve, channel: int) -> None:
    label = (
        f"S-curve: L\N{PRIME}max {curve.maximum:.3g}, "
        f"{page.CHANNELS[channel][0].upper()}white {curve.white[channel]:.3g}"
    )
    seen = slice(1, None)  # black has no logarithm
    line = (curve.values[seen], curve.stops[seen, channel])
    axes.plot(*line, color="white", linewidth=3.2)
    axes.plot(*line, color=page.INKS[channel], linewidth=1.6, label=label)
