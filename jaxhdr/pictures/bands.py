"""Bands of a sheet that show pictures: overview, region maps and estimates."""

import textwrap
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from jaxhdr.pictures import page, previews
from jaxhdr.pictures.inspection import Inspection, RegionMaps, Stage
from jaxhdr.pictures.page import GAP, HEADING, INNER, MARGIN, TITLE, Band, Place

_NAME_LINE: Final = 0.4
_NOTE_LINE: Final = 0.2
_NOTE_LENGTH: Final = 56  # characters
_LABEL_LINE: Final = 0.17
_MOST_REGIONS_IN_A_ROW: Final = 6
_ROW_NAME: Final = 0.28
_BAR: Final = 0.11
_BAR_SPACE: Final = 0.72
# The colours of changes span this percentile, so a few pixels, such as a sun, saturate.
# They span at least the limit in stops; else noise would be stretched to full colour.
_PERCENTILE: Final = 99.5
_SMALLEST_LIMIT: Final = 0.05


def overview(inspection: Inspection, *, title: str, notes: Sequence[str]) -> Band:
    """Returns the band with the photograph, the tone-mapped answer, and facts."""
    width = (INNER - 2 * GAP) / 3
    height = page.picture_height(inspection.encoded, width)
    answer = [stage for stage in inspection.stages if stage.name != "truth"][-1]
    lines = [*notes, *_facts(inspection)]
    wrapped = [part for line in lines for part in textwrap.wrap(line, _NOTE_LENGTH)]

    def draw(figure: Figure, top: float) -> None:
        page.write(figure, MARGIN, top, title, fontsize=15, fontweight="bold")
        place = Place(MARGIN, top + _NAME_LINE + TITLE, width, height)
        page.show(figure, place, inspection.encoded, title="photograph")
        place = place._replace(left=place.left + width + GAP)
        mapped = previews.tone_map(answer.hdr)
        page.show(figure, place, mapped, title=f"{answer.name}, tone-mapped")
        left = place.left + width + GAP + 0.1
        page.write(figure, left, place.top, "\n".join(wrapped), linespacing=1.6)

    below = max(height, _NOTE_LINE * len(wrapped))
    return Band(_NAME_LINE + TITLE + below + 0.3, draw)


def _facts(inspection: Inspection) -> list[str]:
    height, width = inspection.size
    facts = [
        f"photograph: {width} x {height} pixels; "
        f"{100 * inspection.clipped_share:.1f} % of them clip",
        "radiance: 1 (0 stops) just clips the photograph",
    ]
    if inspection.truth_factor is not None:
        facts.append(
            f"truth: multiplied by {inspection.truth_factor:.4g}, the median ratio of "
            "the linearised photograph to it on unclipped pixels"
        )
    return facts


def region_maps(regions: RegionMaps) -> Band:
    """Returns the band with the region maps and their shares and codes."""
    number = len(regions.maps)
    rows = -(-number // _MOST_REGIONS_IN_A_ROW)
    columns = -(-number // rows)
    width = (INNER - (columns - 1) * GAP) / columns
    height = page.picture_height(regions.maps[0], width)
    row_height = TITLE + height + 3 * _LABEL_LINE + 0.2

    def draw(figure: Figure, top: float) -> None:
        page.heading(
            figure,
            top,
            f"The {number} local region maps, brightest first",
            "Each channel is split by its own histogram. Below each map: its share of "
            "the pixels and its 8-bit codes, per channel. Each map is scaled to its "
            "largest value.",
        )
        for n in range(number):
            row, column = divmod(n, columns)
            left = MARGIN + column * (width + GAP)
            y = top + HEADING + row * row_height + TITLE
            _draw_region(figure, Place(left, y, width, height), regions, n)

    return Band(HEADING + rows * row_height + 0.1, draw)


def _draw_region(figure: Figure, place: Place, regions: RegionMaps, n: int) -> None:
    largest = regions.maps[n].max()
    shown = regions.maps[n] / (largest if largest > 0 else 1)
    name = {0: " (brightest)", len(regions.maps) - 1: " (darkest)"}.get(n, "")
    page.show(figure, place, shown, title=f"region {n + 1}{name}")
    for c, ink in enumerate(page.INKS):
        y = place.top + place.height + 0.06 + c * _LABEL_LINE
        label = _region_label(regions, n, c)
        page.write(figure, place.left, y, label, color=ink, fontsize=8.5)


def _region_label(regions: RegionMaps, n: int, channel: int) -> str:
    name, share = page.CHANNELS[channel], regions.shares[n, channel]
    if share == 0:
        return f"{name}: empty"
    low, high = (
        round(255 * float(bound[n, channel]))
        for bound in (regions.lowest, regions.highest)
    )
    return f"{name}: {100 * share:.1f} %, {low}\N{EN DASH}{high}"


def estimates(inspection: Inspection, *, stops: Sequence[float | int]) -> Band:
    """Returns the band with a row per estimate: its exposures and its change."""
    columns = len(stops) + 1
    width = (INNER - _ROW_NAME - _BAR_SPACE - (columns - 1) * GAP) / columns
    height = page.picture_height(inspection.encoded, width)
    row_height = TITLE + height + 0.1

    def draw(figure: Figure, top: float) -> None:
        page.heading(
            figure,
            top,
            "Estimates at several exposures, and what each step changed",
            "Exposures are relative to the photograph's; values brighter than the "
            "display clip. Right: change of luminance in stops, red is brighter, blue "
            "darker.",
        )
        for row, stage in enumerate(inspection.stages):
            y = top + HEADING + row * row_height + TITLE
            place = Place(MARGIN + _ROW_NAME, y, width, height)
            _draw_stage(figure, place, stage, stops=stops)

    return Band(HEADING + len(inspection.stages) * row_height, draw)


def _draw_stage(
    figure: Figure, place: Place, stage: Stage, *, stops: Sequence[float | int]
) -> None:
    middle = place.top + place.height / 2
    options = {"rotation": 90, "va": "center", "fontweight": "bold"}
    page.write(figure, MARGIN, middle, stage.name, **options)
    for exposure in stops:
        shown = previews.expose(stage.hdr, exposure)
        page.show(figure, place, shown, title=_exposure_label(exposure))
        place = place._replace(left=place.left + place.width + GAP)
    largest = float(np.percentile(np.abs(stage.change), _PERCENTILE))
    limit = max(_SMALLEST_LIMIT, largest)
    options = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    picture = page.show(figure, place, stage.change, title=stage.compared, **options)
    beside = place._replace(left=place.left + place.width + 0.07, width=_BAR)
    bar = page.axes(figure, beside)
    figure.colorbar(picture, cax=bar, extend="both", label="stops")


def _exposure_label(stops: float | int) -> str:
    if stops == 0:
        return "as photographed (0 EV)"
    return f"{stops:+g} EV".replace("-", "\N{MINUS SIGN}")
