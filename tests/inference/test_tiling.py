import pytest

from jaxhdr.errors import UserError
from jaxhdr.inference.tiling import tile_layout


@pytest.mark.parametrize("halo", [0, 1, 29, 104])
@pytest.mark.parametrize("extra", [1, 7, 64, 300])
def test_tiles_cover_every_pixel_once_with_halo_or_border_around(halo, extra):
    tile = 2 * halo + extra
    lengths = {
        1,
        tile - 1 or 1,
        tile,
        tile + 1,
        tile + halo + 1,
        2 * tile,
        5 * tile + 3,
    }
    for length in lengths:
        spans = tile_layout(length, tile, halo)
        kept = [i for s in spans for i in range(s.keep_start, s.keep_stop)]
        assert kept == list(range(length))
        assert len({s.stop - s.start for s in spans}) == 1
        for span in spans:
            assert span.stop - span.start <= tile
            assert 0 <= span.start <= span.keep_start < span.keep_stop <= span.stop
            assert span.stop <= length
            assert span.start == 0 or span.keep_start - span.start >= halo
            assert span.stop == length or span.stop - span.keep_stop >= halo


def test_tiles_are_no_larger_than_their_number_needs():
    # Two tiles of 768 would compute 1536 pixels of the 1208 needed.
    spans = tile_layout(1000, 768, 104)
    assert len(spans) == 2
    assert spans[0].stop == 640


def test_the_number_of_tile_shapes_is_bounded():
    sizes = {tile_layout(n, 768, 104)[0].stop for n in range(769, 6000)}
    assert len(sizes) <= 768 // 64


@pytest.mark.parametrize("halo", [0, 29])
def test_a_tile_that_would_keep_nothing_is_refused(halo):
    with pytest.raises(UserError, match=f"tile is {2 * halo}; .* than {2 * halo} "):
        tile_layout(100, 2 * halo, halo)
