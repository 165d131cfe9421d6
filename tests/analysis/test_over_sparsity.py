"""Curves over 1/p whose ends, shelves and rises are planted."""

import numpy as np
import pytest
import xarray as xr

from toymodels.analysis.over_sparsity import end_of_lead, end_of_level, last_over_first, shelf

X = np.geomspace(1, 16, 41)


def curves(values) -> xr.DataArray:
    """Two seeds around these values, and one that is lost."""
    return xr.DataArray(np.multiply.outer(values, [0.9, 1.1, np.nan]), {"p": 1 / X}, ("p", "seed"))


def test_ends_of_a_shelf_and_its_contrast() -> None:
    """D* falls as 1/x, rests at 1/2 from x = 2 to 8, and falls again."""
    found = curves(np.where(X < 2, 1 / X, np.where(X < 8, 0.5, 4 / X)))
    # 1/x is within a tenth of 1/2 from 1/.55, 4/x up to 4/.45; straight between points in ln x.
    assert end_of_level(found, 0.5, 0) == pytest.approx(1 / 0.55, rel=0.01)
    assert end_of_level(found, 0.5, 1) == pytest.approx(4 / 0.45, rel=0.01)
    flat = shelf(found)
    assert flat.found
    assert flat.contrast < 0.1
    assert np.exp([flat.start, flat.stop]) == pytest.approx([2, 8], rel=0.1)
    assert not shelf(found, level=0.9).found


def test_a_lead_ends_on_either_side_of_its_largest() -> None:
    hill = curves(4 - abs(np.log2(X) - 2))
    assert end_of_lead(hill, 3, -1) == pytest.approx(2)
    assert end_of_lead(hill, 3, 1) == pytest.approx(8)
    assert np.isnan(end_of_lead(hill, 1, 1))


def test_last_over_first_is_of_whichever_seeds_have_each() -> None:
    values = curves(X)
    assert last_over_first(values) == pytest.approx(16)
    assert last_over_first(values.where((values.p < 1) | (values.seed > 0))) == pytest.approx(16 / 1.1)
