"""Draws an inspection on one sheet, as PNG, PDF or SVG.

Only this package imports matplotlib. It uses matplotlib's objects, not `pyplot`, so a
call leaves no state except matplotlib's own caches.
"""

import os
import pathlib
import warnings
from collections.abc import Sequence
from typing import Final

import matplotlib.style
from matplotlib.figure import Figure

from jaxhdr.atomic import atomic_path
from jaxhdr.pictures import bands, page, previews, tones
from jaxhdr.pictures.inspection import Inspection

DOTS_PER_INCH: Final = 160

# These settings replace the user's matplotlib settings.
_STYLE: Final = ["default", {"font.size": 9, "axes.titlesize": 9}]


def write_sheet(
    path: str | os.PathLike,
    inspection: Inspection,
    *,
    stops: Sequence[float | int] = previews.SHEET_STOPS,
    title: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Writes a sheet atomically; the suffix is .png, .pdf or .svg.

    Args:
      path: the file; it is replaced if it exists.
      inspection: content of the sheet.
      stops: exposures of the estimates, in stops.
      title: plain text at the top.
      notes: lines of plain text beside the photograph.

    Raises:
      UserError: the file cannot be written.
    """
    with matplotlib.style.context(_STYLE), warnings.catch_warnings():
        # The font may lack the script of a file name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = _draw(inspection, stops=stops, title=title, notes=notes)
        with atomic_path(path) as temporary:
            suffix = pathlib.Path(path).suffix.lower().removeprefix(".")
            figure.savefig(temporary, format=suffix, dpi=DOTS_PER_INCH)


def _draw(
    inspection: Inspection,
    *,
    stops: Sequence[float | int],
    title: str,
    notes: Sequence[str],
) -> Figure:
    shown = [bands.overview(inspection, title=title, notes=notes)]
    if inspection.regions is not None:
        shown.append(bands.region_maps(inspection.regions))
    shown += [tones.relation(inspection), bands.estimates(inspection, stops=stops)]
    height = 2 * page.MARGIN + sum(band.height for band in shown)
    figure = Figure(figsize=(page.WIDTH, height))
    top = page.MARGIN
    for band in shown:
        band.draw(figure, top)
        top += band.height
    return figure
