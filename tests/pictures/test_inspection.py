import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxhdr.errors import UserError
from jaxhdr.imaging import color, regions, scurve
from jaxhdr.inference import Details
from jaxhdr.models.front import FrontContext
from jaxhdr.models.sparam import Context
from jaxhdr.pictures import inspection, sheet

CURVE = scurve.Curve(jnp.array(3.6), jnp.array([22.0, 8.0, 1.0]))


def photograph(*shape: int, seed: int = 0) -> np.ndarray:
    codes = np.random.default_rng(seed).integers(0, 256, (*shape, 3))
    return codes.astype(np.float32) / 255


def linearised(encoded: np.ndarray) -> np.ndarray:
    return np.asarray(color.srgb_decode(jnp.asarray(encoded)))


def details(encoded: np.ndarray, *, num_regions: int = 5, factor=1.0) -> Details:
    """A model whose stages are its curve, and its curve with 1.0 a stop brighter."""
    pseudo = np.asarray(scurve.expand(jnp.asarray(encoded), CURVE)) * np.float32(factor)
    edges = regions.histogram_edges(jnp.asarray(encoded)[None], num_regions=num_regions)
    context = Context(scurve.Curve(CURVE.maximum[None], CURVE.white[None]), edges)
    stages = np.stack([pseudo, np.where(encoded == 1, 2 * pseudo, pseudo)])
    return Details(encoded, stages, context, np.array([factor, 1], np.float32))


def without_context(encoded: np.ndarray, *stages: np.ndarray) -> Details:
    return Details(encoded, np.stack(stages), None, np.ones(len(stages), np.float32))


HOSTILE = {
    "black": np.zeros((6, 7, 3), np.float32),
    "all clipped": np.ones((6, 7, 3), np.float32),
    "one pixel": photograph(1, 1),
    "a line": photograph(1, 300),
    "two values": np.round(photograph(9, 9)),
}


@pytest.mark.slow
@pytest.mark.parametrize("encoded", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("num_regions", [1, 5])
def test_the_regions_share_all_pixels_and_all_values(encoded, num_regions):
    found = inspection.inspect(details(encoded, num_regions=num_regions)).regions
    assert found is not None
    assert len(found.maps) == num_regions
    np.testing.assert_allclose(found.shares.sum(axis=0), 1, rtol=1e-12)
    np.testing.assert_allclose(found.maps.sum(axis=0), encoded, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(found.lowest), found.shares == 0)


def test_ranges_of_values_fall_from_region_to_region_and_do_not_overlap():
    found = inspection.inspect(details(photograph(40, 50))).regions
    assert found is not None
    assert (found.shares > 0.15).all() and (found.shares < 0.25).all()
    assert (found.lowest <= found.highest).all()
    assert (found.highest[1:] < found.lowest[:-1]).all()
    np.testing.assert_array_equal(found.highest[0], photograph(40, 50).max((0, 1)))


def test_the_curve_ends_at_its_maximum_and_follows_the_pseudo_hdr():
    encoded = photograph(20, 20)
    shown = inspection.inspect(details(encoded, factor=0.25))
    curve = shown.curve
    assert curve is not None
    # The maximum 3.6 of the model, aligned by 0.25.
    np.testing.assert_allclose(2 ** curve.stops[-1], 0.9, rtol=1e-6)
    assert curve.maximum == pytest.approx(0.9)
    np.testing.assert_array_equal(curve.white, CURVE.white)
    codes = np.round(255 * encoded).astype(int)
    on_curve = np.take_along_axis(curve.stops, codes.reshape(-1, 3), axis=0)
    expected = details(encoded, factor=0.25).stages[0].reshape(-1, 3)
    np.testing.assert_allclose(2**on_curve, expected, rtol=1e-5, atol=1e-7)


def test_curve_values_are_those_of_the_papers_figure_4():
    # Eq. 6 in double precision with L'max 3.6 and a white of 22.
    curve = inspection.tone_curve(CURVE, num_values=11)
    np.testing.assert_allclose(
        2 ** curve.stops[[5, 9, 10], 0], [0.163, 1.269, 3.6], atol=5e-4
    )


def test_a_curve_of_linear_values_is_drawn_over_encoded_ones():
    identity = scurve.Curve(jnp.ones(()), jnp.ones(3))
    curve = inspection.tone_curve(identity, front=FrontContext(), num_values=3)
    # IEC 61966-2-1: ((0.5 + 0.055) / 1.055)^2.4 = 0.2140.
    np.testing.assert_allclose(2 ** curve.stops[1:, 0], [0.2140, 1.0], atol=1e-4)


def test_an_estimated_response_is_drawn_and_bends_the_s_curve():
    encoded = photograph(20, 20)
    front = FrontContext(jnp.full((1, 14), 2.0))
    fhdr = without_context(encoded, linearised(encoded))._replace(context=front)
    shown = inspection.inspect(fhdr)
    assert shown.curve is None and shown.response is not None
    # Twice the stops of sRGB decoding, at every code.
    stops = np.log2(linearised(shown.response.values[1:]))
    np.testing.assert_allclose(shown.response.stops[1:], 2 * stops, atol=1e-3)
    assert inspection.inspect(details(encoded)).response is None

    identity = scurve.Curve(jnp.ones(()), jnp.ones(3))
    curve = inspection.tone_curve(identity, front=front)
    np.testing.assert_allclose(curve.stops[1:, 0], 2 * stops, atol=1e-3)


def test_changes_are_signed_stops_between_neighbouring_stages():
    encoded = np.full((8, 9, 3), 0.5, np.float32)
    first = linearised(encoded) * np.float32(4)
    second = first.copy()
    second[:4] /= 2
    shown = inspection.inspect(without_context(encoded, first, second)).stages
    assert [s.compared for s in shown] == [
        "iteration 1 vs linearised photograph",
        "iteration 2 vs iteration 1",
    ]
    np.testing.assert_allclose(shown[0].change, 2, atol=1e-6)
    np.testing.assert_allclose(shown[1].change[:4], -1, atol=1e-6)
    np.testing.assert_array_equal(shown[1].change[4:], 0)


def test_below_the_darkest_code_nothing_changes():
    darker = [np.full((2, 2, 3), v, np.float32) for v in (0, 1e-9, 3e-4)]
    for before in darker:
        for after in darker:
            assert not inspection.change_in_stops(before, after).any()
    code_1 = linearised(np.full((1, 1, 3), 1 / 255, np.float32))
    np.testing.assert_allclose(inspection.DARKEST, code_1[0, 0, 0], rtol=1e-6)


def test_a_truth_of_any_scale_is_brought_to_that_of_the_photograph():
    encoded = photograph(30, 30)
    truth = linearised(encoded)
    shown = inspection.inspect(
        without_context(encoded, truth * np.float32(0.5)), truth=truth * np.float32(179)
    )
    assert shown.truth_factor == pytest.approx(1 / 179, rel=1e-5)
    assert shown.stages[-1].name == "truth"
    bright = shown.stages[-1].hdr.min(axis=-1) > 0.01
    np.testing.assert_allclose(shown.stages[-1].change[bright], -1, atol=1e-4)
    assert [name for name, _ in shown.samples] == ["truth", "iteration 1"]


def test_a_truth_of_another_size_is_refused():
    encoded = photograph(4, 5)
    with pytest.raises(UserError, match="4 x 5 pixels and the photograph 5 x 4"):
        inspection.inspect(without_context(encoded, encoded), truth=photograph(5, 4))


def test_samples_are_pixels_and_the_same_ones_of_every_image():
    encoded = photograph(50, 60)
    hdr = 2 * encoded
    values, stops = inspection.tone_samples(encoded, hdr, limit=500)
    assert values.shape == (500, 3)
    np.testing.assert_allclose(2**stops, 2 * values, rtol=1e-5)
    again = inspection.tone_samples(encoded, encoded, limit=500)
    np.testing.assert_array_equal(again.values, values)
    assert len(inspection.tone_samples(encoded, hdr).values) == 3000


def test_large_photographs_are_measured_whole_and_shown_small():
    encoded = np.zeros((20, 2000, 3), np.float32)
    encoded[:, :500] = 1
    shown = inspection.inspect(without_context(encoded, encoded))
    assert shown.encoded.shape[1] < 1000 and shown.size == (20, 2000)
    assert shown.clipped_share == 0.25


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("encoded", HOSTILE.values(), ids=HOSTILE)
def test_hostile_photographs_are_drawn(tmp_path, encoded):
    shown = inspection.inspect(details(encoded), truth=encoded)
    sheet.write_sheet(tmp_path / "sheet.svg", shown, title="$\\frac{$ 写真")
    assert (tmp_path / "sheet.svg").stat().st_size > 10_000


@pytest.mark.slow
def test_a_sheet_is_as_high_as_what_it_shows(tmp_path):
    encoded = photograph(20, 30)
    shown = inspection.inspect(details(encoded, num_regions=7), truth=encoded)
    sheet.write_sheet(tmp_path / "all.png", shown, notes=["model: a"])
    few = inspection.inspect(without_context(encoded, encoded))
    sheet.write_sheet(tmp_path / "few.png", few, stops=[0, 1, 2, 3])
    all_of_it, less = (Image.open(tmp_path / f"{n}.png") for n in ("all", "few"))
    assert all_of_it.width == less.width == 12 * sheet.DOTS_PER_INCH
    assert 1000 < less.height < all_of_it.height - 1000 < 4000
    for drawn in (all_of_it, less):
        ink = np.asarray(drawn.convert("L")) < 250
        # Every band of the page holds something, and the margins nothing.
        assert all(band.mean() > 0.02 for band in np.array_split(ink, 8))
        assert not ink[:, :20].any() and not ink[:, -10:].any()


def test_pdfs_are_written_too(tmp_path):
    encoded = photograph(10, 10)
    shown = inspection.inspect(without_context(encoded, encoded))
    sheet.write_sheet(tmp_path / "sheet.PDF", shown)
    assert (tmp_path / "sheet.PDF").read_bytes().startswith(b"%PDF")
