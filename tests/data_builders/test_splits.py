import pytest

from data_builders.shared.splits import split_by_series
from jaxhdr.errors import UserError


def test_splits_hold_when_files_are_added():
    names = [f"series{number}_x.exr" for number in range(200)]
    before = split_by_series(names[:100], share=0.15, seed=4)
    after = split_by_series(names, share=0.15, seed=4)
    assert set(before["validation"]) <= set(after["validation"])
    assert 10 <= len(after["validation"]) <= 50


def test_two_series_make_two_splits_and_one_is_refused():
    for seed in range(20):
        splits = split_by_series(["a_1.exr", "b_1.exr"], share=0.15, seed=seed)
        assert all(splits.values())
    with pytest.raises(UserError, match="one series, 'img'"):
        split_by_series(["IMG_1.exr", "IMG_2.exr"], share=0.15, seed=0)
