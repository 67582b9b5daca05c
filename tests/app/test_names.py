import urllib.parse

import pytest

from jaxhdr.app.names import content_disposition, download_name, shown_name

HOSTILE = {
    "../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "/": "photograph",
    "..": "photograph",
    "": "photograph",
    "\0": "photograph",
    "a\0b.jpg": "ab.jpg",
    "a\r\nSet-Cookie: x.jpg": "aSet-Cookie: x.jpg",
    "photo\u202egpj.exe": "photogpj.exe",  # would read backwards
    "\ud800.jpg": "jpg",
    " .hidden.jpg ": "hidden.jpg",
    "straße 日本.heic": "straße 日本.heic",
    '"quoted".jpg': '"quoted".jpg',
}


@pytest.mark.parametrize("given", HOSTILE, ids=ascii)
def test_a_shown_name_is_the_last_part_without_what_cannot_be_seen(given):
    assert shown_name(given) == HOSTILE[given]


def test_a_long_name_keeps_its_suffix():
    assert shown_name("a" * 5000 + ".heic") == "a" * 95 + ".heic"
    assert len(shown_name("." + "b" * 5000)) == 100


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.jpg", "photo.exr"),
        ("photo", "photo.exr"),
        ("CON.jpg", "_CON.exr"),
        ("lpt1.tar.jpg", "_lpt1.tar.exr"),
        ('a"b;c<d>.jpg', "a_b_c_d_.exr"),
        ("100%.jpg", "100_.exr"),
        (".jpg", "jpg.exr"),
        ("photograph", "photograph.exr"),
    ],
)
def test_a_download_has_a_name_that_every_system_takes(name, expected):
    assert download_name(shown_name(name), ".exr") == expected


@pytest.mark.parametrize("given", [*HOSTILE, "\U0001f600" * 300, "e\u0301" * 90])
def test_the_header_is_one_line_of_ascii_that_says_the_name(given):
    name = download_name(shown_name(given), " pq.avif")
    header = content_disposition(name)
    assert header.isascii() and header.isprintable()
    plain, encoded = header.removeprefix("attachment; filename=").split("; filename*=")
    assert plain[0] == plain[-1] == '"' and not set(plain[1:-1]) & set('"\\%')
    assert urllib.parse.unquote(encoded.removeprefix("UTF-8''")) == name
    assert len(name.encode()) <= 255 and not set(name) & set('/\\:*?"<>|')
