"""Writes small photographs with gain maps, without any library for gain maps.

The layouts are those of Google's "Ultra HDR Image Format v1.1", of CIPA DC-007 (the
index of pictures), of ISO 21496-1, annex C, and of ISO/IEC 23008-12 (the boxes).
"""

import base64
import io
import struct

import numpy as np
from PIL import Image

from jaxhdr.image_io.containers import boxes

ISO_NAME = b"urn:iso:std:iso:ts:21496:-1\0"
APPLE_TYPE = "urn:com:apple:photo:2020:aux:hdrgainmap"
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_RDF = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
    '22-rdf-syntax-ns#">{}</rdf:RDF></x:xmpmeta>'
)
_HDRGM = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
_GOOGLE = "http://ns.google.com/photos/1.0/container/"

# Made with pillow-heif 1.8.1 (x265). The base has 128 x 64 pixels: red is twice the
# column, green is four times the row, and blue is 60. The gain map has 64 x 64 pixels:
# 40 in the left half, 140 at the upper right, and 255 at the lower right.
HEIC_BASE = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAA"
    "AAAAAAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABegABAAAAAAAAA7kAAAAjaWluZgAAAAAAAQAAABVp"
    "bmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAA"
    "AAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAA"
    "AwAeoBAgQWW6kkprm4CGgwIAAAMAMgAAAwACEGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAU"
    "aXNwZQAAAAAAAACAAAAAQAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAA8FtZGF0"
    "AAADtSgBrwY46iPIm7MrxeuNdDyosAqUVWvDM4GcDJ3c7c0thxx1Lgum/ZLmA4lHygurLAafwT7f2RbgFgOf"
    "A27ucShZX3B2V////QsbLByUGu1VHLyU67EelPp3ug8Eik/qYM+3Zf9UAZ+ezdt7TOsl1RRjDd+QG9sFQ4yX"
    "f/95m/pxqICteaFxYfz1GvStoVCndCrLaGmph7jPOTZPQmOQNqycdJnzC4tzE/61eKY/VF7P/SwdPeBZ2zIr"
    "SyHkKyUBaBVzjrrd1AJ56HRFuPmSrWChVecMGHHoyANevE5GP7BHOqKt422GVxE2KIOv/f62HIRDOkrshlMg"
    "keVu1n9jPdCVSEH2zjumcHPzolAOm5De8SMmhmB+5qnVAFOn9eYTLZroVHYZNNAUg8sWLPNTPOtgdkZUWbfJ"
    "eigcTTV3QXQq8Mtw+gm3YWW1HIWhnY1/1/szgvWjJyC1d7T8/NY+3ZCkqfXA+nGaLgBd7+vVfq/8G/9/8h2l"
    "9buGjpdEomfZgmlm1vCFPaUlhzxt62JshBdZjcy3tzss01ZohPACKsOH+JrshAJQTiPNmMmzDJMIoOj8H56b"
    "/guHiT/Gf5Gf8NxaGy3ocacyqyf4aiFdMsQ41HrfeqakswM9im1/2mT9C+ubag6+YLkWoqr9b47SMpchO5pS"
    "liCYWoPSbD9UE+PVqb1bcqCKoNkHSQH2aMeRB2mRLZ/wcKrV3YJMn8L9ULxi7qCAIjSZA3qGPigZEvQ1X4Lv"
    "vNg+sxQNfLhsNOSSwi3tupMdKMWW3fNP+VCN1jjf/HZN3M9sYNvZlw8fIxyDZ4q56D9c/hj9IBYz3CqxvC+v"
    "nOx1bNmBF9B7o6WAAkR14uUuU/REL6Bhqyj7YugaIug7Kp8rVAL+dJsBwHWjNXDYnasEfvHr8Y1i5v7tKTP7"
    "lk9/U3r/8h+qO3Qtx7Xo7ITJhRBzGjLNqTuWYDt3275p/ynUTvogHgXn8m/dqh+xpcSMZ6Kbyv76uGjZUaCV"
    "umsz07mT3SRqVPdqWCb1oKIUTv/JQ4su3v7PXEJRqDdx05ePdhuYheqbwCfKkz47JK0sWxbEyWchH+NUbnph"
    "qkUwIV14lXVnqnZjlF/HOpXs+pqDhc8xZIUyHOdMW/OOT8BX69XVQJDn7Mdsy3pwNWFMZtHXyTGr5jMkvvPe"
    "YupBqu79qKM3YFbXlJUTk9nFxnW6Y2lWC8Th4o5ou/LyvjccZ4yK/6WiK4p1pgTWo951jE6lAuozRRUfdIBk"
    "NsMNVX6Yd4A="
)
HEIC_GAIN = base64.b64decode(
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAU5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAA"
    "AAAAAAAAAAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABcgABAAAAAAAAABwAAAAjaWluZgAAAAAAAQAAABVp"
    "bmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAAzmlwcnAAAACvaXBjbwAAAHJodmNDAQQIAAAAn/gA"
    "AAAAHvAA/Pz4+AAADwNgAAEAF0ABDAH//wQIAAADAJ/4AAADAAAeugJAYQABACZCAQEECAAAAwCf+AAAAwAA"
    "HsCCBBZbqSSmubAgAAADAyAAAAMAIWIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAA"
    "AAAAAABAAAAAQAAAAA5waXhpAAAAAAEIAAAAF2lwbWEAAAAAAAAAAQABBIECAwQAAAAkbWRhdAAAABgoAa4M"
    "cHUF8L/rFxFLq/yigkMuKv70pTg="
)


def jpeg(pixels, *, mode: str | None = None, **options) -> bytes:
    """A JPEG of a uint8 array, as exact as JPEG can be."""
    stream = io.BytesIO()
    image = Image.fromarray(np.asarray(pixels, np.uint8), mode)
    image.save(stream, "JPEG", **{"quality": 100, "subsampling": 0, **options})
    return stream.getvalue()


def gain_xmp(**fields) -> bytes:
    """XMP of a gain map; a sequence of three numbers becomes an `rdf:Seq`."""
    fields = {"Version": "1.0", **fields}
    flat = {key: value for key, value in fields.items() if not isinstance(value, list)}
    attributes = " ".join(f'hdrgm:{key}="{value}"' for key, value in flat.items())
    lists = "".join(
        f"<hdrgm:{key}><rdf:Seq>"
        + "".join(f"<rdf:li>{number}</rdf:li>" for number in value)
        + f"</rdf:Seq></hdrgm:{key}>"
        for key, value in fields.items()
        if isinstance(value, list)
    )
    return _RDF.format(
        f"<rdf:Description {_HDRGM} {attributes}>{lists}</rdf:Description>"
    ).encode()


def primary_xmp(gain_length: int | None) -> bytes:
    """XMP of an Ultra HDR base, with the length of the gain map in its container."""
    items = ""
    if gain_length is not None:
        items = (
            "<Container:Directory><rdf:Seq>"
            '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" '
            'Item:Mime="image/jpeg"/></rdf:li>'
            '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" '
            f'Item:Mime="image/jpeg" Item:Length="{gain_length}"/></rdf:li>'
            "</rdf:Seq></Container:Directory>"
        )
    return _RDF.format(
        f'<rdf:Description {_HDRGM} xmlns:Container="{_GOOGLE}" '
        f'xmlns:Item="{_GOOGLE}item/" hdrgm:Version="1.0">{items}</rdf:Description>'
    ).encode()


def apple_xmp(*, headroom: float | None = None) -> bytes:
    """XMP of the picture in which Apple's JPEG files keep the gain map."""
    stated = ""
    if headroom is not None:
        stated = (
            f"<HDRGainMap:HDRGainMapHeadroom>{headroom}</HDRGainMap:HDRGainMapHeadroom>"
        )
    return _RDF.format(
        '<rdf:Description rdf:about="" '
        'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/" '
        'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/">'
        f"<apdi:AuxiliaryImageType>{APPLE_TYPE}</apdi:AuxiliaryImageType>"
        f"<HDRGainMap:HDRGainMapVersion>65536</HDRGainMap:HDRGainMapVersion>{stated}"
        "</rdf:Description>"
    ).encode()


def apple_exif(maker33: float, maker48: float, *, orientation: int = 1) -> bytes:
    """EXIF with Apple's MakerNote: an IFD of two signed rational numbers."""
    entries = b""
    for index, tag in enumerate((33, 48)):
        entries += struct.pack(">HHII", tag, 10, 1, 14 + 2 + 24 + 4 + 8 * index)
    values = b"".join(
        struct.pack(">ii", round(value * 10**6), 10**6) for value in (maker33, maker48)
    )
    note = b"Apple iOS\0\0\1MM" + struct.pack(">H", 2) + entries + b"\0\0\0\0" + values
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x927C] = note
    return exif.tobytes()


def iso_metadata(
    *,
    minimum=(0.0,),
    maximum=(2.0,),
    gamma=(1.0,),
    base_offset=(1 / 64,),
    alternate_offset=(1 / 64,),
    headrooms: tuple[float, float] = (0.0, 2.0),
) -> bytes:
    """The binary metadata of ISO 21496-1, annex C.2, for one or three channels."""
    flags = 0xC0 if len(minimum) == 3 else 0x40
    data = struct.pack(">HHB", 0, 0, flags)
    data += b"".join(_fraction(number, signed=False) for number in headrooms)
    for index in range(len(minimum)):
        for values, signed in (
            (minimum, True),
            (maximum, True),
            (gamma, False),
            (base_offset, True),
            (alternate_offset, True),
        ):
            data += _fraction(values[index % len(values)], signed=signed)
    return data


def _fraction(number: float, *, signed: bool) -> bytes:
    return struct.pack(">iI" if signed else ">II", round(number * 10**6), 10**6)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def gain_jpeg(gain: bytes, *, xmp: bytes | None = None, iso: bytes | None = None):
    """The JPEG of a gain map with its metadata."""
    added = b"" if xmp is None else segment(0xE1, _XMP_NAME + xmp)
    added += b"" if iso is None else segment(0xE2, ISO_NAME + iso)
    return gain[:2] + added + gain[2:]


def joined_jpegs(
    base: bytes,
    *others: bytes,
    xmp: bytes | None = None,
    has_index: bool = True,
    shift: int = 0,
    tail: bytes = b"",
) -> bytes:
    """A JPEG with further pictures behind it.

    Args:
      base: the first picture.
      others: the pictures that follow.
      xmp: XMP of the first picture.
      has_index: whether to write the index of pictures (MPF).
      shift: error of the offsets in the index.
      tail: bytes behind the last picture.
    """
    added = b"" if xmp is None else segment(0xE1, _XMP_NAME + xmp)
    if has_index:
        length = 4 + 4 + 8 + 2 + 3 * 12 + 4 + 16 * (len(others) + 1)
        start = 2 + len(added) + 8  # of the header, to which offsets are relative
        sizes = [len(base) + len(added) + length, *map(len, others)]
        entries = struct.pack(">IIIHH", 0x20030000, sizes[0], 0, 0, 0)
        at = sizes[0]
        for size in sizes[1:]:
            entries += struct.pack(">IIIHH", 0, size, at - start + shift, 0, 0)
            at += size
        index = struct.pack(">2sHIH", b"MM", 42, 8, 3)
        index += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
        index += struct.pack(">HHII", 0xB001, 4, 1, len(sizes))
        index += struct.pack(">HHII", 0xB002, 7, len(entries), 8 + 2 + 36 + 4)
        index += b"\0\0\0\0" + entries
        added += segment(0xE2, b"MPF\0" + index)
    return base[:2] + added + base[2:] + b"".join(others) + tail


def ultra_hdr(base: bytes, gain: bytes, *, iso: bytes | None = None, **fields) -> bytes:
    """An Ultra HDR JPEG; `fields` are those of `gain_xmp`, none for ISO only."""
    stored = gain_jpeg(gain, xmp=gain_xmp(**fields) if fields else None, iso=iso)
    return joined_jpegs(base, stored, xmp=primary_xmp(len(stored)))


def coded_item(stored: bytes, path) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """Type, properties and data of the image in an AVIF or HEIC file."""
    path.write_bytes(stored)
    items = boxes.read_items(path)
    return (
        items.types[items.primary],
        items.properties[items.primary],
        boxes.item_data(path, items, items.primary),
    )


def items_file(
    brand: bytes,
    items: list[tuple[bytes, list[tuple[bytes, bytes]], bytes]],
    references: list[tuple[bytes, int, list[int]]],
) -> bytes:
    """A HEIF or AVIF file of items, numbered from 1; the first is the photograph.

    Args:
      brand: the major brand, such as b"avif".
      items: type, properties and data of each.
      references: type, source and targets of each.
    """
    listed, associations, entries = [], b"", b""
    for number, (kind, properties, _) in enumerate(items, 1):
        places = b""
        for one in properties:
            listed.append(one)
            # A decoder must know how an image is coded and turned.
            essential = 0x80 if one[0] in (b"av1C", b"hvcC", b"irot", b"imir") else 0
            places += bytes([len(listed) | essential])
        associations += struct.pack(">HB", number, len(places)) + places
        media = b"application/rdf+xml\0" if kind == b"mime" else b""
        entry = struct.pack(">IHH4sB", 2 << 24, number, 0, kind, 0) + media
        entries += _box(b"infe", entry)
    found = b"".join(
        _box(name, struct.pack(f">HH{len(to)}H", source, len(to), *to))
        for name, source, to in references
    )
    handler = _box(b"hdlr", b"\0" * 8 + b"pict" + b"\0" * 13)
    container = _box(b"ipco", b"".join(_box(*one) for one in listed))
    map_of_items = _box(b"ipma", struct.pack(">II", 0, len(items)) + associations)
    head = _box(b"ftyp", brand + b"\0\0\0\0" + brand + b"mif1miaf")

    def meta(start: int) -> bytes:
        extents = b""
        for number, (_, _, data) in enumerate(items, 1):
            extents += struct.pack(">HHHII", number, 0, 1, start, len(data))
            start += len(data)
        parts = [
            handler,
            _box(b"pitm", struct.pack(">IH", 0, 1)),
            _box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, len(items)) + extents),
            _box(b"iinf", struct.pack(">IH", 0, len(items)) + entries),
            _box(b"iref", b"\0" * 4 + found),
            _box(b"iprp", container + map_of_items),
        ]
        return _box(b"meta", b"\0" * 4 + b"".join(parts))

    place = len(head) + len(meta(0)) + 8
    return head + meta(place) + _box(b"mdat", b"".join(data for _, _, data in items))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content
