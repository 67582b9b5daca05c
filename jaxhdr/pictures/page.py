"""Places text and pictures on a sheet; lengths are in inches from the top left."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH: Final = 12.0
MARGIN: Final = 0.35
INNER: Final = WIDTH - 2 * MARGIN
GAP: Final = 0.16
HEADING: Final = 0.5
"""Height of a heading with its explanation."""
TITLE: Final = 0.24
"""Height of a picture's title."""
INKS: Final = ("#b3261e", "#1b7a3d", "#1f4fb0")
CHANNELS: Final = ("red", "green", "blue")

_MUTED: Final = "#5c5c5c"
# Range of the height of a picture divided by its width.
_FLATTEST, _TALLEST = 0.15, 1.5


class Place(NamedTuple):
    """A rectangle on the sheet, in inches."""

    left: float
    top: float
    width: float
    height: float


class Band(NamedTuple):
    """A part of the sheet with its full width; `draw(figure, top)` draws it."""

    height: float
    draw: Callable[[Figure, float], None]


def axes(figure: Figure, place: Place) -> Axes:
    """Returns new axes at a place."""
    width, height = figure.get_size_inches()
    bottom = height - place.top - place.height
    return figure.add_axes(
        (
            place.left / width,
            bottom / height,
            place.width / width,
            place.height / height,
        )
    )


def write(figure: Figure, left: float, top: float, text: str, **options: Any) -> None:
    """Writes plain text below and to the right of a point."""
    width, height = figure.get_size_inches()
    options = {"va": "top", "parse_math": False} | options
    figure.text(left / width, 1 - top / height, text, **options)


def heading(figure: Figure, top: float, name: str, explanation: str) -> None:
    """Writes the name of a band, and an explanation below it."""
    write(figure, MARGIN, top, name, fontsize=12, fontweight="bold")
    write(figure, MARGIN, top + 0.23, explanation, color=_MUTED)


def show(
    figure: Figure, place: Place, image: np.ndarray, *, title: str, **options: Any
) -> Any:
    """Returns the drawn picture with its title, as large as fits into the place."""
    frame = axes(figure, place)
    frame.set_title(title, pad=3, parse_math=False)
    frame.set_axis_off()
    return frame.imshow(image, **options)


def picture_height(image: Float[np.ndarray, "_ _ 3"], width: float) -> float:
    """Returns the height of a place of this width for pictures shaped like `image`."""
    return width * float(np.clip(image.shape[0] / image.shape[1], _FLATTEST, _TALLEST))
