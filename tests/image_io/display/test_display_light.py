"""The numbers of PQ and HLG, from the standards and from an independent program.

The codes of `PQ` and `HLG` were computed by colour-science 0.4.7
(`eotf_inverse_ST2084` and `eotf_inverse_BT2100_HLG(..., L_W=1000)`).
"""

import numpy as np
import pytest

from jaxhdr.image_io.colour import transfer
from jaxhdr.image_io.display import display_light

PQ = {
    0.0: 0.000000731,
    0.005: 0.015076399,
    0.1: 0.0623368657,
    1.0: 0.1499457321,
    10.0: 0.2996990924,
    100.0: 0.5080784215,
    203.0: 0.580688881,
    1000.0: 0.7518270962,
    4000.0: 0.9025723933,
    10_000.0: 1.0,
}
HLG = {
    (203.0, 203.0, 203.0): (0.7498773646,) * 3,
    (1000.0, 1000.0, 1000.0): (1.0, 1.0, 1.0),
    (100.0, 50.0, 20.0): (0.6468549543, 0.4887171089, 0.3090918391),
    (1.0, 2.0, 3.0): (0.0927590612, 0.1311811223, 0.1606634068),
    (0.0, 0.0, 0.0): (0.0, 0.0, 0.0),
}


def encode(hdr, name="pq", white_nits=203.0, bits=16):
    hdr = np.asarray(hdr, np.float32).reshape(1, -1, 3)
    return display_light.encode(
        "x.png", hdr, transfer_name=name, white_nits=white_nits, bits=bits
    )


def test_the_codes_of_pq_are_those_of_another_program():
    codes = transfer.pq_encode(np.array(list(PQ)))
    np.testing.assert_allclose(codes, list(PQ.values()), atol=1e-9)
    back = transfer.pq_decode(codes)
    np.testing.assert_allclose(back, list(PQ), rtol=1e-9, atol=1e-9)


def test_the_codes_of_hlg_are_those_of_another_program():
    light = np.array(list(HLG))
    codes = transfer.hlg_encode(transfer.hlg_scene(light))
    np.testing.assert_allclose(codes, list(HLG.values()), atol=1e-8)
    np.testing.assert_allclose(transfer.hlg_decode(codes), light, atol=1e-4)


# ITU-R BT.2408-7, table 1: diffuse white is 58 % of PQ and 75 % of HLG.
@pytest.mark.parametrize(("name", "share"), [("pq", 0.58), ("hlg", 0.75)])
def test_white_is_where_the_report_puts_it(name, share):
    codes = encode([1, 1, 1], name).codes
    np.testing.assert_allclose(codes / 65535, share, atol=0.002)


@pytest.mark.parametrize("name", ["pq", "hlg"])
def test_codes_of_ten_bits_fill_the_range(name):
    codes = encode([[0, 0, 0], [9e5, 9e5, 9e5]], name, bits=10).codes
    assert codes.dtype == np.uint16
    assert codes.tolist() == [[[0] * 3, [1023] * 3]]


@pytest.mark.slow
def test_a_large_image_is_encoded_as_a_small_one():
    rng = np.random.default_rng(0)
    hdr = rng.lognormal(0, 1, (400, 1500, 3)).astype(np.float32)
    whole = display_light.encode(
        "x.png", hdr, transfer_name="pq", white_nits=203.0, bits=16
    )
    for row in (0, 173, 174, 175, 399):
        np.testing.assert_array_equal(whole.codes[row], encode(hdr[row]).codes[0])
    parts = [encode(row).content for row in hdr]
    assert whole.content.max_cll == max(part.max_cll for part in parts)
    assert whole.content.max_fall == pytest.approx(np.mean([p.max_fall for p in parts]))


def test_primaries_are_those_of_bt2020():
    # ITU-R BT.2087-0: BT.709's red in BT.2020 is (0.6274, 0.0691, 0.0164).
    codes = encode([1, 0, 0]).codes[0, 0] / 65535
    light = transfer.pq_decode(codes) / 203
    np.testing.assert_allclose(light, [0.6274, 0.0691, 0.0164], atol=2e-4)


@pytest.mark.parametrize(
    ("name", "brighter"), [("pq", "10,000 cd/m"), ("hlg", "1,000 cd/m")]
)
def test_what_is_brighter_than_the_format_is_clipped_and_said(caplog, name, brighter):
    hdr = [[1, 1, 1], [60, 60, 60], [1, 900, 1]]
    encoded = encode(hdr, name)
    assert encoded.codes[0, 1].tolist() == [65535] * 3
    assert "x.png: 2 of 3 pixels are brighter than " + brighter in caplog.text
    caplog.clear()
    encode([[1, 1, 1], [3, 3, 3]], name)
    assert not caplog.text


def test_light_levels_are_those_of_cta_861():
    # MaxCLL is the largest channel of all pixels, MaxFALL the mean over the pixels of
    # the largest channel of each (CTA-861.3-A, annex P).
    grey = [[1, 1, 1], [4, 4, 4], [0, 0, 0], [0.5, 0.5, 0.5]]
    encoded = encode(grey, white_nits=100.0)
    assert encoded.content.max_cll == pytest.approx(400, rel=1e-6)
    assert encoded.content.max_fall == pytest.approx(550 / 4, rel=1e-6)
    clipped = encode([[1e6, 1e6, 1e6], [0, 0, 0]])
    assert clipped.content.max_cll == 10_000
    assert clipped.content.max_fall == 5000
    red = encode([1, 0, 0], white_nits=100.0).content
    assert red.max_cll == pytest.approx(62.74, abs=0.01)
