"""Which layer of an OpenEXR file is read, and luminance with chroma."""

import resource
import struct

import numpy as np
import OpenImageIO as oiio
import pytest

from jaxhdr import image_io
from jaxhdr.errors import UserError

_SHAPE = (6, 8)


def write_parts(path, *parts, **attributes) -> None:
    """Writes parts, each (name, {channel: value}) with an optional type and view.

    The value of a channel is constant. Attributes are for the header of every part.
    """
    specs = []
    for name, channels, *rest in parts:
        dtype, view = [*rest, "float", ""][:2] if rest else ("float", "")
        spec = oiio.ImageSpec(_SHAPE[1], _SHAPE[0], len(channels), dtype)
        spec.channelnames = tuple(channels)
        if name:
            spec.attribute("oiio:subimagename", name)
        if view:
            spec.attribute("view", view)
        for key, value in attributes.items():
            if isinstance(value, tuple):
                kind = oiio.TypeDesc(f"string[{len(value)}]")
                spec.attribute(key, kind, value)
            else:
                spec.attribute(key, value)
        specs.append(spec)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), specs) if len(specs) > 1 else (
        output.open(str(path), specs[0])
    )  # fmt: skip
    for number, (_, channels, *_) in enumerate(parts):
        if number:
            assert output.open(str(path), specs[number], "AppendSubimage")
        pixels = np.broadcast_to(
            np.array(list(channels.values()), np.float32), (*_SHAPE, len(channels))
        )
        if str(specs[number].format) == "uint":
            pixels = pixels.astype(np.uint32)
        assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    assert output.close()


def colour(value: float, *, prefix: str = "", names: str = "RGB") -> dict[str, float]:
    """Returns three channels with the values v, 2 v and 3 v."""
    return {prefix + name: (i + 1) * value for i, name in enumerate(names)}


def read_value(path, **options) -> float:
    hdr = image_io.read_hdr(path, **options)
    expected = np.broadcast_to(
        hdr[0, 0, 0] * np.array([1, 2, 3], np.float32), hdr.shape
    )
    np.testing.assert_array_equal(hdr, expected)
    return float(hdr[0, 0, 0])


_CRYPTO = colour(9, prefix="ViewLayer.CryptoObject00.", names="rgb")
_CRYPTO_KEYS = {"cryptomatte/61ae2ee/name": "uMesh"}


@pytest.mark.parametrize(
    "parts",
    [
        # Upper case is colour, also where both cases occur, in every order.
        [("", {**colour(9, names="rgb"), **colour(2)})],
        [("", {**colour(2), **colour(9, prefix="albedo.")})],
        [("", {**_CRYPTO, **colour(2)})],
        [("", {**_CRYPTO, **colour(2, prefix="ViewLayer.Combined.")})],
        [("", {**colour(9, prefix="ViewLayer.Combined."),
               **colour(2, prefix="Composite.Combined.")})],
        # A finished picture beside other layers.
        [
            ("", {**colour(9, prefix="Layer.DiffCol."),
                  **colour(2, prefix="Layer.Combined."),
                  "Layer.Depth.Z": 5.0, "Layer.Normal.X": 1.0, "Layer.Normal.Y": 1.0,
                  "Layer.Normal.Z": 1.0})
        ],
        [("", {**colour(9, prefix="albedo."), **colour(2, prefix="rgba.")})],
        [("", {**colour(9, prefix="albedo."), **colour(2, prefix="RGBA.")})],
        [("", {**colour(9, prefix="albedo."), **colour(2, prefix="beauty.")})],
        # Several parts.
        [("CryptoObject00", colour(9, names="rgb")), ("beauty", colour(2))],
        [("CryptoObject00", colour(9)), ("picture", colour(2))],
        [("uMesh00", colour(9)), ("picture", colour(2))],
        [("objectId", colour(9)), ("picture", colour(2))],
        [("albedo", colour(9, prefix="albedo.")), ("beauty", colour(2))],
        [("albedo", colour(9, prefix="albedo.")), ("x", colour(2))],
        [("N", colour(9)), ("albedo", colour(8)), ("C", colour(2))],
        [("N", colour(9)), ("Layer.Combined", colour(2)), ("depth", {"Z": 1.0})],
        [("small", colour(9, names="rgb")), ("x", colour(2))],
        [("grey", {"Y": 9.0}), ("x", colour(2))],
        [("ids", colour(9), "uint"), ("x", colour(2))],
        # Stereo.
        [("rgba.left", colour(2), "float", "left"),
         ("rgba.right", colour(9), "float", "right")],
        [("a", colour(2), "float", "right"), ("b", colour(9), "float", "left")],
        [("", {**colour(2, prefix="left."), **colour(9, prefix="right.")})],
    ],
)  # fmt: skip
def test_the_picture_is_chosen_among_all_parts(tmp_path, parts):
    write_parts(tmp_path / "x.exr", *parts, **_CRYPTO_KEYS)
    assert read_value(tmp_path / "x.exr") == 2


def test_the_first_view_of_a_stereo_file_is_the_default(tmp_path):
    channels = {**colour(9, prefix="left."), **colour(2)}
    write_parts(tmp_path / "x.exr", ("", channels), multiView=("right", "left"))
    assert read_value(tmp_path / "x.exr") == 2
    assert read_value(tmp_path / "x.exr", layer="left") == 9


@pytest.mark.parametrize(
    ("names", "picked"),
    [
        ({"r": 1.0, "g": 2.0, "b": 3.0}, (1, 2, 3)),
        ({"Y": 4.0}, (4, 4, 4)),
        ({"Y": 4.0, "A": 1.0, "Z": 7.0}, (4, 4, 4)),
        ({"Y": 4.0, "r": 9.0, "g": 9.0, "b": 9.0}, (4, 4, 4)),
        ({"light.Y": 4.0}, (4, 4, 4)),
        ({"light.r": 1.0, "light.g": 2.0, "light.b": 3.0}, (1, 2, 3)),
    ],
)
def test_grey_and_lower_case_are_read_if_there_is_nothing_else(tmp_path, names, picked):
    write_parts(tmp_path / "x.exr", ("", names))
    expected = np.broadcast_to(np.array(picked, np.float32), (*_SHAPE, 3))
    np.testing.assert_array_equal(image_io.read_hdr(tmp_path / "x.exr"), expected)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("", _CRYPTO)], "hold ids or unsigned integers"),
        ([("", colour(300)), ], None),
        ([("", colour(300), "uint")], "hold ids or unsigned integers"),
        ([("uMesh", colour(9))], "hold ids"),
        ([("x", colour(9, names="rgb"))], "hold ids"),
        ([("", colour(9, prefix="a.objectId."))], "hold ids"),
        ([("", {"Normal.X": 1.0, "Normal.Y": 1.0, "Normal.Z": 1.0})], "channels are"),
        ([("", {**colour(1, prefix="key."), **colour(2, prefix="fill.")})],
         r"several layers \(fill, key\), .* layer=NAME, or --layer NAME"),
        ([("N", colour(1)), ("albedo", colour(2))], r"several layers \(N, albedo\)"),
        ([("", {**colour(1, prefix="A.Combined."), **colour(2, prefix="B.Combined.")})],
         r"several layers \(A\.Combined, B\.Combined\)"),
    ],
)  # fmt: skip
def test_what_is_not_one_picture_is_refused_in_words(tmp_path, parts, message):
    path = tmp_path / "x.exr"
    write_parts(path, *parts, **_CRYPTO_KEYS)
    if message is None:
        assert read_value(path) == 300
        return
    with pytest.raises(UserError, match=message) as error:
        image_io.read_hdr(path)
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize(
    ("layer", "value"),
    [
        ("Layer.Diffuse", 3),
        ("layer.diffuse", 3),
        ("Diffuse", 3),
        ("gloss", 4),
        ("GLOSS", 4),
        ("Layer.Combined", 2),
    ],
)
def test_a_layer_is_read_by_its_name_or_that_of_its_part(tmp_path, layer, value):
    first = {
        **colour(2, prefix="Layer.Combined."),
        **colour(3, prefix="Layer.Diffuse."),
        **_CRYPTO,
    }
    write_parts(tmp_path / "x.exr", ("first", first), ("gloss", colour(4)))
    assert read_value(tmp_path / "x.exr", layer=layer) == value


def test_the_names_of_layers_are_listed(tmp_path):
    channels = {**colour(1), **colour(2, prefix="fill."), **_CRYPTO, "depth.Z": 1.0}
    write_parts(tmp_path / "x.exr", ("", channels))
    assert image_io.layer_names(tmp_path / "x.exr") == ["", "fill"]
    np.save(tmp_path / "x.npy", np.ones((2, 2, 3), np.float32))
    assert image_io.layer_names(tmp_path / "x.npy") == [""]


@pytest.mark.parametrize("layer", ["specular", "", "ViewLayer.CryptoObject00", "R"])
def test_an_unknown_layer_is_refused_with_the_list(tmp_path, layer):
    channels = {**colour(1, prefix="key."), **colour(2, prefix="fill."), **_CRYPTO}
    write_parts(tmp_path / "x.exr", ("", channels))
    with pytest.raises(UserError, match=f"'{layer}'; expected one of fill, key$"):
        image_io.read_hdr(tmp_path / "x.exr", layer=layer)


def test_a_name_that_two_layers_have_is_refused(tmp_path):
    channels = {**colour(1, prefix="A.Combined."), **colour(2, prefix="B.Combined.")}
    write_parts(tmp_path / "x.exr", ("", channels))
    with pytest.raises(UserError, match=r"several layers .* A\.Combined, B\.Combined$"):
        image_io.read_hdr(tmp_path / "x.exr", layer="Combined")


@pytest.mark.parametrize("suffix", ["hdr", "npy", "pfm", "tif"])
def test_a_layer_of_another_format_is_refused(tmp_path, suffix):
    image_io.write_hdr(tmp_path / f"x.{suffix}", np.ones((2, 3, 3), np.float32))
    with pytest.raises(UserError, match=r"only OpenEXR has layers; leave it out$"):
        image_io.read_hdr(tmp_path / f"x.{suffix}", layer="diffuse")


def test_layers_of_many_channels_keep_their_pixels(tmp_path):
    """Only the channels of the layer are read, wherever they stand."""
    rng = np.random.default_rng(5)
    names = [f"{layer}.{c}" for layer in ("a", "b", "Combined", "z") for c in "RGBAZ"]
    pixels = rng.random((*_SHAPE, len(names)), np.float32)
    spec = oiio.ImageSpec(_SHAPE[1], _SHAPE[0], len(names), "float")
    spec.channelnames = names
    output = oiio.ImageOutput.create(str(tmp_path / "x.exr"))
    assert output.open(str(tmp_path / "x.exr"), spec) and output.write_image(pixels)
    assert output.close()
    at = names.index("Combined.R")
    np.testing.assert_array_equal(
        image_io.read_hdr(tmp_path / "x.exr"), pixels[..., at : at + 3]
    )


@pytest.mark.parametrize("level_mode", ["", "mipmap"])
def test_tiles_and_mipmaps_are_read_at_full_size(tmp_path, level_mode):
    pixels = np.random.default_rng(6).random((64, 48, 3), np.float32)
    spec = oiio.ImageSpec(48, 64, 3, "float")
    spec.channelnames = ("R", "G", "B")
    spec.tile_width = spec.tile_height = 32
    path = str(tmp_path / "x.exr")
    output = oiio.ImageOutput.create(path)
    if level_mode:
        spec.attribute("textureformat", "Plain Texture")
        spec.attribute("openexr:levelmode", 1)
    assert output.open(path, spec) and output.write_image(pixels)
    if level_mode:
        small = oiio.ImageSpec(24, 32, 3, "float")
        small.channelnames, small.tile_width, small.tile_height = (
            spec.channelnames,
            32,
            32,
        )
        assert output.open(path, small, "AppendMIPLevel")
        assert output.write_image(np.ascontiguousarray(pixels[::2, ::2]))
    assert output.close()
    np.testing.assert_array_equal(image_io.read_hdr(path), pixels)


def test_deep_pixels_are_refused_in_words(tmp_path):
    path = str(tmp_path / "x.exr")
    spec = oiio.ImageSpec(4, 3, 5, "float")
    spec.channelnames, spec.deep = ("R", "G", "B", "A", "Z"), True
    data = oiio.DeepData()
    data.init(12, 5, [oiio.TypeDesc("float")] * 5, spec.channelnames)
    for pixel in range(12):
        data.set_samples(pixel, 1)
    output = oiio.ImageOutput.create(path)
    assert output.open(path, spec) and output.write_deep_image(data)
    assert output.close()
    with pytest.raises(UserError, match=r"deep pixels are not supported; flatten it$"):
        image_io.read_hdr(path)


@pytest.mark.parametrize("names", [("dataWindow", "displayWindow"), ("displayWindow",)])
def test_few_bytes_for_many_pixels_take_no_memory(tmp_path, names):
    write_parts(tmp_path / "x.exr", ("", colour(1)))
    data = bytearray((tmp_path / "x.exr").read_bytes())
    for name in names:
        # Behind the name: the type and the size of the attribute.
        start = data.index(name.encode() + b"\0box2i\0") + len(name) + 11
        data[start : start + 16] = struct.pack("<4i", 0, 0, 29999, 15999)
    (tmp_path / "x.exr").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"damaged|30000 x 16000"):
        image_io.read_hdr(tmp_path / "x.exr")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100e3  # kB


# CIE XYZ as primaries; its first and third have no luminance.
_XYZ = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3)


def test_the_primaries_of_cie_xyz_are_usable(tmp_path):
    spec = oiio.ImageSpec(3, 2, 3, "float")
    spec.channelnames = ("R", "G", "B")
    spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), _XYZ)
    path = str(tmp_path / "x.exr")
    output = oiio.ImageOutput.create(path)
    pixels = np.empty((2, 3, 3), np.float32)
    pixels[:] = 0.4, 0.5, 0.2
    pixels[0, 0] = 1
    assert output.open(path, spec) and output.write_image(pixels) and output.close()
    hdr = image_io.read_hdr(path)
    np.testing.assert_allclose(hdr[0, 0], 1, atol=2e-3)  # white stays white
    # By the published matrices: Bradford from E to D65 (Lindbloom),
    # (0.9531874 -0.0265906 0.0238731) (-0.0382467 1.0288406 0.0094060)
    # (0.0026068 -0.0030332 1.0892565), then XYZ to BT.709 (IEC 61966-2-1),
    # (3.2406 -1.5372 -0.4986) (-0.9689 1.8758 0.0415) (0.0557 -0.2040 1.0570).
    adapted = (
        np.array(
            [
                [0.9531874, -0.0265906, 0.0238731],
                [-0.0382467, 1.0288406, 0.0094060],
                [0.0026068, -0.0030332, 1.0892565],
            ]
        )
        @ pixels[1, 1]
    )
    matrix = [
        [3.2406, -1.5372, -0.4986],
        [-0.9689, 1.8758, 0.0415],
        [0.0557, -0.2040, 1.0570],
    ]
    np.testing.assert_allclose(hdr[1, 1], matrix @ adapted, atol=2e-3)


def write_luminance_chroma(path, rgb, *, step=2, names=("BY", "RY", "Y"), xy=None):
    """Writes an uncompressed scan-line file by hand (OpenEXR, "File Layout")."""
    height, width, _ = rgb.shape
    weights = np.array([0.2126, 0.7152, 0.0722]) if xy is None else xy[1]
    luminance = rgb @ weights
    chroma = (rgb / luminance[..., None] - 1)[::step, ::step]

    def attribute(name, kind, data):
        return b"%s\0%s\0" % (name, kind) + struct.pack("<i", len(data)) + data

    channels = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", 1, 0, *(2 * [s]))
        for name, s in zip(names, (step, step, 1), strict=True)
    )
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    head = b"\x76\x2f\x31\x01\2\0\0\0" + attribute(
        b"channels", b"chlist", channels + b"\0"
    )
    if xy is not None:
        head += attribute(
            b"chromaticities", b"chromaticities", struct.pack("<8f", *xy[0])
        )
    head += attribute(b"compression", b"compression", b"\0")
    head += attribute(b"dataWindow", b"box2i", box)
    head += attribute(b"displayWindow", b"box2i", box)
    head += attribute(b"lineOrder", b"lineOrder", b"\0")
    head += attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1))
    head += attribute(b"screenWindowCenter", b"v2f", bytes(8))
    head += attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1)) + b"\0"
    lines = []
    for y in range(height):
        row = luminance[y].astype("<f2").tobytes()
        if y % step == 0:
            blue, red = chroma[y // step, :, 2], chroma[y // step, :, 0]
            row = blue.astype("<f2").tobytes() + red.astype("<f2").tobytes() + row
        lines.append(struct.pack("<2i", y, len(row)) + row)
    starts = np.cumsum([len(head) + 8 * height, *map(len, lines)])[:-1]
    path.write_bytes(head + struct.pack(f"<{height}Q", *starts) + b"".join(lines))


def _scene(height, width):
    """A smooth wall, and a lamp whose edges lie between pixels of chroma."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    wall = np.stack([1 + x / 50, 1 + y / 50, np.full_like(x, 0.7)], axis=2)
    wall[7:21, 11:30] = 40.0, 20.0, 4.0
    return wall


@pytest.mark.parametrize("size", [(32, 48), (2, 2)])
def test_luminance_and_halved_chroma_are_read_without_ringing(tmp_path, size):
    rgb = _scene(*size)
    write_luminance_chroma(tmp_path / "x.exr", rgb)
    hdr = image_io.read_hdr(tmp_path / "x.exr")
    assert hdr.shape == (*size, 3)
    error = np.abs(hdr / rgb - 1)
    assert np.percentile(error, 98) < 0.02 and error.max() < 0.1
    with pytest.raises(UserError, match=r"layer 'x' of .* leave the layer out"):
        image_io.read_hdr(tmp_path / "x.exr", layer="x")
    assert image_io.read_metadata(tmp_path / "x.exr") == {}


def test_full_chroma_and_other_primaries_are_read(tmp_path):
    rgb = _scene(8, 12)
    write_luminance_chroma(tmp_path / "x.exr", rgb, step=1)
    np.testing.assert_allclose(image_io.read_hdr(tmp_path / "x.exr"), rgb, rtol=4e-3)
    # BT.2020 (ITU-R BT.2020-2, table 3 and the weights of table 4).
    bt2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    grey_card = np.full((6, 8, 3), 0.18)
    grey_card[..., 0] = 0.3
    weights = np.array([0.2627, 0.6780, 0.0593])
    write_luminance_chroma(tmp_path / "y.exr", grey_card, xy=(bt2020, weights))
    # The first column of the inverse matrix of ITU-R BT.2087-0.
    expected = 0.18 + 0.12 * np.array([1.6605, -0.1246, -0.0182])
    np.testing.assert_allclose(
        image_io.read_hdr(tmp_path / "y.exr")[2, 3], expected, rtol=5e-3
    )


def test_a_star_on_a_black_sky_is_read(tmp_path):
    rgb = np.zeros((8, 8, 3))
    rgb[3, 5] = 2.0, 1.0, 0.5
    with np.errstate(invalid="ignore"):
        write_luminance_chroma(tmp_path / "x.exr", np.maximum(rgb, 0))
    data = (tmp_path / "x.exr").read_bytes()
    nan = np.float16(-np.nan).tobytes()
    (tmp_path / "x.exr").write_bytes(data.replace(nan, bytes(2)))
    hdr = image_io.read_hdr(tmp_path / "x.exr")
    np.testing.assert_allclose(
        hdr[3, 5] @ [0.2126, 0.7152, 0.0722],
        rgb[3, 5] @ [0.2126, 0.7152, 0.0722],
        rtol=1e-2,
    )
    assert hdr.sum() == pytest.approx(hdr[3, 5].sum())


def test_a_damaged_list_of_channels_is_one_short_sentence(tmp_path):
    write_luminance_chroma(tmp_path / "x.exr", _scene(32, 48))
    data = bytearray((tmp_path / "x.exr").read_bytes())
    at = data.index(b"chlist\0") + 7
    data[at : at + 4] = struct.pack("<I", 2**31 - 1)
    (tmp_path / "x.exr").write_bytes(data)
    with pytest.raises(UserError, match="damaged") as error:
        image_io.read_hdr(tmp_path / "x.exr")
    assert len(str(error.value)) < 500 and str(error.value).isprintable()


def test_many_layers_are_named_in_one_short_sentence(tmp_path):
    channels = {}
    for number in range(300):
        channels |= colour(1, prefix=f"light{number:03}.")
    write_parts(tmp_path / "x.exr", ("", channels))
    with pytest.raises(UserError, match="light059 and 240 more"):
        image_io.read_hdr(tmp_path / "x.exr")


def test_other_subsampled_channels_are_refused_in_words(tmp_path):
    rgb = _scene(8, 12)
    write_luminance_chroma(tmp_path / "x.exr", rgb, names=("B", "G", "R"))
    with pytest.raises(UserError, match="subsampled") as error:
        image_io.read_hdr(tmp_path / "x.exr")
    assert "damaged" not in str(error.value)
    write_luminance_chroma(tmp_path / "x.exr", rgb)
    data = (tmp_path / "x.exr").read_bytes()
    (tmp_path / "x.exr").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged or truncated"):
        image_io.read_hdr(tmp_path / "x.exr")


@pytest.mark.parametrize(
    ("name", "is_picture"),
    [("RenderID", False), ("mesh_id", False), ("id", False), ("objectId01", False),
     ("CRYPTO", False), ("grid", True), ("solid", True), ("liquid2", True)],
)  # fmt: skip
def test_names_of_ids_are_told_from_words_that_end_alike(tmp_path, name, is_picture):
    write_parts(tmp_path / "x.exr", ("", colour(2, prefix=f"{name}.")))
    assert image_io.layer_names(tmp_path / "x.exr") == ([name] if is_picture else [])


def test_a_channel_of_integers_beside_colour_is_no_hindrance(tmp_path):
    spec = oiio.ImageSpec(_SHAPE[1], _SHAPE[0], 4, "float")
    spec.channelnames = ("R", "G", "B", "objectId")
    spec.channelformats = ("half", "half", "half", "uint")
    pixels = np.full((*_SHAPE, 4), 0.5, np.float32)
    path = str(tmp_path / "x.exr")
    output = oiio.ImageOutput.create(path)
    assert output.open(path, spec) and output.write_image(pixels) and output.close()
    assert (image_io.read_hdr(path) == 0.5).all()
