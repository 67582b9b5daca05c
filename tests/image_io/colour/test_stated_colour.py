"""Files state their colours in many ways; each must reach sRGB, or be called HDR.

The expected codes of (200, 100, 50) are those of LittleCMS 2 for Display P3 (215, 93,
31) and Adobe RGB (227, 100, 42); `test_photos.py` has the profiles. That of linear
light is the formula of IEC 61966-2-1.
"""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxhdr import image_io
from jaxhdr.errors import UserError
from jaxhdr.image_io.colour import stated_colour, transfer
from tests.made_photos import (
    ADOBE,
    BT2020,
    GAMMA_22,
    HEIC,
    P3,
    SRGB,
    SRGB_CURVE,
    fixed,
    iccp,
    make_matrix_profile,
    make_profile,
    write_png16,
)

COLOUR = (200, 100, 50)
IN_P3, IN_ADOBE = (215, 93, 31), (227, 100, 42)
OF_LINEAR = tuple(
    round(255 * (1.055 * (code / 255) ** (1 / 2.4) - 0.055)) for code in COLOUR
)
ADOBE_CHRM = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SRGB_CHRM = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 1e5))


def chrm(*numbers: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(n * 1e5) for n in numbers))


def cicp(*numbers: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes(numbers)


def table(curve) -> bytes:
    codes = [round(65535 * curve(i / 1023)) for i in range(1024)]
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *codes)


def pq(code: float) -> float:
    return float(transfer.pq_decode(np.array([code]))[0]) / 10_000


def hlg(code: float) -> float:
    return (
        code**2 / 3
        if code <= 0.5
        else (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
    )


def with_tags(profile: bytes, **tags: bytes) -> bytes:
    """Returns the BT.2020 profile of a curve with more tags."""
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    all_tags = {
        n: b"XYZ \0\0\0\0" + fixed(*c) for n, c in zip(names, BT2020, strict=True)
    }
    all_tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), profile)
    return make_profile(b"RGB ", all_tags | {k.encode(): v for k, v in tags.items()})


PQ_PROFILE = with_tags(table(pq))
HLG_PROFILE = with_tags(table(hlg))
PROFILES = {
    "curve PQ": (PQ_PROFILE, "PQ"),
    "curve HLG": (HLG_PROFILE, "HLG"),
    "tag PQ": (with_tags(GAMMA_22, cicp=b"cicp\0\0\0\0\x09\x10\0\1"), "PQ"),
    "tag HLG": (with_tags(GAMMA_22, cicp=b"cicp\0\0\0\0\x09\x12\0\1"), "HLG"),
}
CHUNKS = {
    "cICP P3": ([cicp(12, 13, 0, 1)], IN_P3),
    "cICP before iCCP": (
        [cicp(12, 13, 0, 1), iccp(make_matrix_profile(SRGB, SRGB_CURVE))],
        IN_P3,
    ),
    "iCCP before gAMA": ([iccp(make_matrix_profile(P3, SRGB_CURVE)), gama(1.0)], IN_P3),
    "cICP linear": ([cicp(1, 8, 0, 1)], OF_LINEAR),
    "cICP of YCbCr": ([cicp(12, 13, 1, 1)], COLOUR),
    "cICP of unknown numbers": ([cicp(2, 2, 0, 1)], COLOUR),
    "gAMA linear": ([gama(1.0)], OF_LINEAR),
    "gAMA of sRGB": ([gama(0.45455)], COLOUR),
    "gAMA and cHRM of sRGB": ([gama(0.45455), chrm(*SRGB_CHRM)], COLOUR),
    "gAMA and cHRM of Adobe RGB": ([gama(256 / 563), chrm(*ADOBE_CHRM)], IN_ADOBE),
    "sRGB before gAMA": ([(b"sRGB", b"\0"), gama(1.0), chrm(*ADOBE_CHRM)], COLOUR),
    "gAMA 0": ([gama(0)], COLOUR),
    "cHRM 0": ([chrm(*[0.0] * 8)], COLOUR),
    "a damaged profile": ([(b"iCCP", b"x\0\0junk")], COLOUR),
    "a comment": ([(b"tEXt", b"Comment\0the chunk cICP\x09\x10\0\1 follows")], COLOUR),
}


def write_png(path, bits: int, *chunks: tuple[bytes, bytes]) -> None:
    codes = np.full((4, 5, 3), COLOUR)
    if bits == 16:
        write_png16(path, codes * 257, *chunks)
        return
    image = io.BytesIO()
    Image.fromarray(codes.astype(np.uint8)).save(image, "PNG")
    data, more = image.getvalue(), b""
    for name, body in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + body))
        more += struct.pack(">I", len(body)) + name + body + checksum
    path.write_bytes(data[:33] + more + data[33:])  # after IHDR


def code_of(path) -> np.ndarray:
    return image_io.read_encoded(path)[2, 2] * 255


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("chunks", "expected"), CHUNKS.values(), ids=CHUNKS)
@pytest.mark.filterwarnings("ignore:.*ignored")
def test_the_chunks_of_a_png_count_in_their_order(tmp_path, bits, chunks, expected):
    write_png(tmp_path / "x.png", bits, *chunks)
    np.testing.assert_allclose(code_of(tmp_path / "x.png"), expected, atol=1.1)


def test_narrow_range_is_widened(tmp_path):
    write_png16(
        tmp_path / "x.png", np.array([[[16] * 3, [235] * 3]]) * 257, cicp(1, 13, 0, 0)
    )
    encoded = image_io.read_encoded(tmp_path / "x.png")
    np.testing.assert_allclose(encoded[0], [[0] * 3, [1] * 3], atol=1e-5)


@pytest.mark.parametrize("bits", [8, 16])
def test_pq_is_found_behind_long_chunks(tmp_path, bits):
    text = (b"tEXt", b"XML:com.adobe.xmp\0" + b"x" * 70_000)
    write_png(tmp_path / "x.png", bits, text, cicp(9, 16, 0, 1))
    with pytest.raises(UserError, match=r"already HDR \(PQ encoded\); read it with"):
        image_io.read_encoded(tmp_path / "x.png")


@pytest.mark.parametrize(("profile", "name"), PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("kind", ["png8", "png16", "jpg", "tif8", "tif16", "webp"])
def test_a_profile_says_pq_and_hlg(tmp_path, kind, profile, name):
    path = tmp_path / f"x.{kind.rstrip('0123456789')}"
    codes = np.full((8, 8, 3), COLOUR, np.uint8)
    if kind == "png16":
        write_png(path, 16, iccp(profile))
    elif kind == "tif16":
        tags = [(34675, "B", len(profile), profile, True)]
        deep = codes.astype(np.uint16) * 257
        tifffile.imwrite(path, deep, photometric="rgb", extratags=tags)
    else:
        Image.fromarray(codes).save(path, icc_profile=profile)
    with pytest.raises(UserError, match=rf"already HDR \({name} encoded\)"):
        image_io.read_encoded(path)
    assert image_io.read_hdr(path).shape[2] == 3


def test_profiles_of_ordinary_displays_are_not_hdr():
    for gamma in (1.0, 1.8, 2.2, 2.4, 2.6, 3.0):
        curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
        assert not stated_colour.of_profile(make_matrix_profile(ADOBE, curve)).is_hdr


@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
def test_exif_of_a_camera_says_adobe_rgb(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    path = tmp_path / f"x.{suffix}"
    image = Image.new("RGB", (16, 16), COLOUR)
    image.save(path, exif=exif, quality=100, subsampling=0, lossless=True)
    np.testing.assert_allclose(code_of(path), IN_ADOBE, atol=2)
    profile = make_matrix_profile(SRGB, SRGB_CURVE)  # a profile counts before EXIF
    image.save(
        path, exif=exif, quality=100, subsampling=0, lossless=True, icc_profile=profile
    )
    np.testing.assert_allclose(code_of(path), COLOUR, atol=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exif_of_a_tiff_says_adobe_rgb(tmp_path, dtype):
    path = tmp_path / "x.tif"
    codes = np.full((4, 5, 3), COLOUR) * (257 if dtype == np.uint16 else 1)
    at = 0
    for _ in range(2):  # the directory goes to the end of the file
        tag = (65000, "I", 1, at, True)  # tifffile writes no tag of EXIF
        tifffile.imwrite(path, codes.astype(dtype), photometric="rgb", extratags=[tag])
        at = path.stat().st_size
    directory = struct.pack(
        "<HHHIIHHIII", 2, 0xA001, 3, 1, 65535, 0xA005, 4, 1, at + 30, 0
    )
    interoperability = struct.pack("<HHHI4sI", 1, 1, 2, 4, b"R03\0", 0)
    tags = path.read_bytes().replace(b"\xe8\xfd\4\0", struct.pack("<HH", 34665, 4))
    path.write_bytes(tags + directory + interoperability)
    np.testing.assert_allclose(code_of(path), IN_ADOBE, atol=1.1)


def test_an_avif_states_its_primaries(tmp_path):
    image = Image.new("RGB", (16, 16), COLOUR)
    image.save(tmp_path / "x.avif", quality=100, subsampling="4:4:4")
    data = (tmp_path / "x.avif").read_bytes()
    (tmp_path / "x.avif").write_bytes(data.replace(b"colrnclx\0\1", b"colrnclx\0\x0c"))
    np.testing.assert_allclose(code_of(tmp_path / "x.avif"), IN_P3, atol=2)


def test_a_heic_states_its_primaries(tmp_path):
    (tmp_path / "x.heic").write_bytes(HEIC)
    plain = np.rint(image_io.read_encoded(tmp_path / "x.heic") * 255)
    (tmp_path / "x.heic").write_bytes(HEIC.replace(b"colrnclx\0\1", b"colrnclx\0\x0c"))
    profile = make_matrix_profile(P3, SRGB_CURVE)
    Image.fromarray(plain.astype(np.uint8)).save(
        tmp_path / "x.png", icc_profile=profile
    )
    np.testing.assert_allclose(
        image_io.read_encoded(tmp_path / "x.heic"),
        image_io.read_encoded(tmp_path / "x.png"),
        atol=0.006,
    )


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", [b"zTXt", b"iCCP", b"iTXt", b"tEXt"])
@pytest.mark.filterwarnings("ignore:.*ignored")
def test_long_text_and_profiles_are_no_damage(tmp_path, bits, name):
    long = bytes(3_000_000)
    body = {
        b"zTXt": b"workflow\0\0" + zlib.compress(long),
        b"iTXt": b"workflow\0\1\0\0\0" + zlib.compress(long),
        b"tEXt": b"workflow\0" + b"x" * len(long),
        b"iCCP": iccp(make_matrix_profile(P3, SRGB_CURVE) + long)[1],
    }[name]
    write_png(tmp_path / "x.png", bits, (name, body))
    expected = IN_P3 if name == b"iCCP" else COLOUR
    np.testing.assert_allclose(code_of(tmp_path / "x.png"), expected, atol=1.1)


def test_a_twelve_bit_jpeg_is_not_called_damaged(tmp_path):
    image = io.BytesIO()
    Image.new("RGB", (16, 16), COLOUR).save(image, "JPEG")
    data = bytearray(image.getvalue())
    data[data.index(b"\xff\xc0") + 4] = 12  # the precision in the frame header
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(UserError, match=r"not supported .*12-bit"):
        image_io.read_encoded(tmp_path / "x.jpg")


# ITU-R BT.2408-7, table 1: diffuse white, 203 cd/m^2, is 58 % of PQ and 75 % of HLG.
WHITES = {"PQ": (16, 0.58069), "HLG": (18, 0.75)}


@pytest.mark.parametrize(("number", "code"), WHITES.values(), ids=WHITES)
def test_diffuse_white_of_pq_and_hlg_is_one(tmp_path, number, code):
    codes = np.full((2, 2, 3), round(code * 65535))
    write_png16(tmp_path / "x.png", codes, cicp(9, number, 0, 1))
    np.testing.assert_allclose(image_io.read_hdr(tmp_path / "x.png"), 1, rtol=2e-3)


def test_the_peak_of_pq_and_hlg(tmp_path):
    for number, peak in ((16, 10_000), (18, 1000)):
        write_png16(
            tmp_path / "x.png", np.full((2, 2, 1), 65535), cicp(9, number, 0, 1)
        )
        hdr = image_io.read_hdr(tmp_path / "x.png")
        np.testing.assert_allclose(hdr, peak / 203, rtol=1e-4)


def test_pq_primaries_become_bt709(tmp_path):
    # ITU-R BT.2087-0: BT.2020 of BT.709's red is (0.6274, 0.0691, 0.0164).
    light = np.array([0.6274, 0.0691, 0.0164]) * 203 / 10_000
    power = light ** (2610 / 16384)
    codes = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (
        2523 / 32
    )
    write_png16(
        tmp_path / "x.png", np.rint(codes * 65535)[None, None], cicp(9, 16, 0, 1)
    )
    np.testing.assert_allclose(
        image_io.read_hdr(tmp_path / "x.png")[0, 0], [1, 0, 0], atol=2e-3
    )


@pytest.mark.parametrize("has_imagecodecs", [True, False])
def test_an_avif_of_ten_bits_is_read_as_radiance(
    tmp_path, monkeypatch, caplog, has_imagecodecs
):
    imagecodecs = pytest.importorskip("imagecodecs")
    codes = np.full((16, 16, 3), round(0.58069 * 1023), np.uint16)
    data = imagecodecs.avif_encode(
        codes, level=100, bitspersample=10, primaries=9, transfer=16, matrix=9
    )
    (tmp_path / "x.avif").write_bytes(data)
    if not has_imagecodecs:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    hdr = image_io.read_hdr(tmp_path / "x.avif")
    np.testing.assert_allclose(hdr, 1, rtol=0.01 if has_imagecodecs else 0.04)
    assert ("jaxhdr[avif]" in caplog.text) == (not has_imagecodecs)


def test_jpeg_xl_is_a_photograph_or_radiance(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    codes = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    codes[2, 2] = COLOUR
    path = tmp_path / "x.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(codes, lossless=True))
    np.testing.assert_allclose(code_of(path), COLOUR, atol=0.1)
    with pytest.raises(UserError, match="it is a jxl photograph"):
        image_io.read_hdr(path)
    hdr = 8 * np.random.default_rng(0).random((16, 16, 3), np.float32)
    path.write_bytes(imagecodecs.jpegxl_encode(hdr, lossless=True))
    np.testing.assert_allclose(image_io.read_hdr(path), hdr)
    with pytest.raises(UserError, match="already linear HDR"):
        image_io.read_encoded(path)
