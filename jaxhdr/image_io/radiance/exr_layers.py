"""Chooses which channels of an OpenEXR file are its picture.

A file may hold several parts, and a part several layers, whose name stands before the
last dot of a channel (`ViewLayer.Combined.R`). Names are case-sensitive: `R, G, B` are
colour, while Cryptomatte stores ids as `r, g, b`. All parts are seen before one layer
is chosen.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from jaxhdr.errors import UserError
from jaxhdr.image_io import formats

_COLOUR: Final = {
    "rgb": ("R", "G", "B"),
    "luminance_chroma": ("Y", "RY", "BY"),
    "grey": ("Y", "Y", "Y"),
    "lower": ("r", "g", "b"),
}
"""Channels that make a layer, those that go before others first."""
_BEAUTY: Final = frozenset(
    {"beauty", "c", "color", "colour", "combined", "rgb", "rgba"}
)
"""Last words of the names that renderers give to the finished picture."""
_IDS: Final = re.compile(
    r"(?i:crypto)|[a-z]I[Dd]s?\d*$"
    r"|(?i:(?:^|[._ -]|object|material|asset|instance|mesh|primitive)ids?\d*$)"
)
_USUAL_VIEWS: Final = ("left", "right")
_MOST_NAMES: Final = 60  # in a message


class Part(NamedTuple):
    """What the header says of one part."""

    name: str
    view: str
    """View of a stereo file; "" if the part names none."""
    channels: tuple[str, ...]
    types: tuple[str, ...]
    """Type of each channel: half, float or uint."""
    is_deep: bool
    id_names: tuple[str, ...]
    """Names of the Cryptomatte layers that the header lists."""
    views: tuple[str, ...]
    """Views of a stereo file with one part, the default one first."""


class Layer(NamedTuple):
    """Channels that make a picture."""

    part: int
    name: str
    """Name before the channels; else that of the part; "" if neither has one."""
    is_plain: bool
    """Whether no name stands before the channels."""
    view: str
    kind: str
    """What the channels are: rgb, luminance_chroma, grey or lower (r, g, b)."""
    channels: tuple[int, int, int]
    """Positions of the channels in the part."""


def choose_layer(
    path: str | os.PathLike, parts: Sequence[Part], name: str | None
) -> Layer:
    """Returns the layer that is the picture.

    Plain `R, G, B` go first, then a layer whose name says that it is the finished
    picture, then the only layer. Ids, integers and deep pixels are never chosen.

    Args:
      path: the file, named in errors.
      parts: what its header says.
      name: name of the layer that the user wants; None for the picture.

    Raises:
      UserError: no layer is a picture, several are, or there is none of that name.
    """
    layers = find_layers(parts)
    if not layers:
        raise UserError(f"cannot read {path}: {_why_none(parts)}")
    if name is not None:
        return _named(path, layers, name)
    for group in _ranked(layers):
        found = _of_default_view(group, parts)
        for is_better in (_is_beauty, _is_composite):
            if len(found) > 1:
                found = [layer for layer in found if is_better(layer)] or found
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"cannot read {path}: it holds several layers "
                f"({_names(found)}), expected one; choose one with layer=NAME, or "
                "--layer NAME of jaxhdr compare and inspect"
            )
    raise AssertionError("every layer has a rank")


def find_layers(parts: Sequence[Part]) -> list[Layer]:
    """Returns the layers that may be pictures, in the order of the file."""
    return [
        layer
        for part, layer in _coloured(parts)
        if not (part.is_deep or _holds_ids(part, layer))
    ]


def _coloured(parts: Sequence[Part]) -> Iterator[tuple[Part, Layer]]:
    """Yields the layers whose channels have names of colours, and their parts."""
    for number, part in enumerate(parts):
        positions: dict[str, dict[str, int]] = {}
        for index, channel in enumerate(part.channels):
            prefix, _, letter = channel.rpartition(".")
            positions.setdefault(prefix, {})[letter] = index
        for prefix, letters in positions.items():
            if found := _colour_of(letters):
                name, view = prefix or part.name, _view_of(part, prefix)
                yield part, Layer(number, name, not prefix, view, *found)


def _colour_of(letters: dict[str, int]) -> tuple[str, tuple[int, int, int]] | None:
    for kind, names in _COLOUR.items():
        # X, Y, Z are a position or a direction.
        if set(names) <= letters.keys() and not (kind == "grey" and "X" in letters):
            first, second, third = (letters[name] for name in names)
            return kind, (first, second, third)
    return None


def _holds_ids(part: Part, layer: Layer) -> bool:
    if any(part.types[channel] == "uint" for channel in layer.channels):
        return True
    # Cryptomatte stores its ids in r, g, b of layers that are numbered from 00.
    listed = layer.name.rstrip("0123456789") in part.id_names
    is_lower = bool(part.id_names) and layer.kind == "lower"
    return listed or is_lower or _IDS.search(layer.name) is not None


def _view_of(part: Part, prefix: str) -> str:
    last = prefix.rpartition(".")[2]
    if last in (*part.views, *_USUAL_VIEWS):
        return last
    return part.view or (part.views[0] if part.views else "")


def _ranked(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    rgb = [layer for layer in layers if layer.kind == "rgb"]
    plain = [layer for layer in layers if layer.is_plain]
    yield [layer for layer in rgb if layer.is_plain]
    yield [layer for layer in plain if layer.kind == "luminance_chroma"]
    yield [layer for layer in rgb if _is_beauty(layer)]
    yield [layer for layer in plain if layer.kind == "grey"]
    yield rgb
    yield plain
    yield list(layers)


def _is_beauty(layer: Layer) -> bool:
    views = {layer.view.lower(), *_USUAL_VIEWS}
    words = re.split(r"[._ ]", layer.name.lower())
    named = [word for word in words if word not in views]
    return bool(named) and named[-1] in _BEAUTY


def _is_composite(layer: Layer) -> bool:
    """Returns whether a layer is what Blender's compositor made of the others."""
    return layer.name.lower().startswith("composite.")


def _of_default_view(layers: list[Layer], parts: Sequence[Part]) -> list[Layer]:
    """Returns the layers of the default view of a stereo file; all, if it has none."""
    named = [view for part in parts for view in (*part.views, part.view) if view]
    for view in (*named[:1], *_USUAL_VIEWS):
        found = [layer for layer in layers if layer.view == view]
        if found:
            return found
    return layers


def _named(path: str | os.PathLike, layers: list[Layer], name: str) -> Layer:
    wanted = name.lower()
    for matches in (
        [layer for layer in layers if layer.name == name],
        [layer for layer in layers if layer.name.lower() == wanted],
        [layer for layer in layers if layer.name.lower().endswith("." + wanted)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            break
    what = "several layers match" if matches else "no layer has"
    raise UserError(
        f"cannot read {path}: {what} the name {name!r}; expected one of "
        f"{_names(layers)}"
    )


def _names(layers: Sequence[Layer]) -> str:
    return listed([layer.name or "a layer without a name" for layer in layers])


def listed(names: Sequence[str]) -> str:
    """Returns names for a sentence; of many, the first."""
    rest = len(names) - _MOST_NAMES
    more = f" and {rest} more" if rest > 0 else ""
    return formats.printable(", ".join(names[:_MOST_NAMES])) + more


def _why_none(parts: Sequence[Part]) -> str:
    if all(part.is_deep for part in parts):
        return "deep pixels are not supported; flatten it"
    channels = [channel for part in parts for channel in part.channels]
    if any(_coloured(parts)):
        return (
            f"its channels {listed(channels)} hold ids or unsigned integers; "
            "expected floating-point radiance"
        )
    return f"its channels are {listed(channels)}; expected R, G, B or Y"
