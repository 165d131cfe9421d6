"""Lines and rank correlations along a dimension."""

import numpy as np
import xarray as xr

from toymodels.analysis.labelled import in_ranges, lead, line, named, over_seeds, padded, rank_correlation


def test_a_line_and_ranks_leave_out_what_is_not_finite() -> None:
    x = xr.DataArray([[0.0, 1, 2, np.nan, 9], [0, 1, 2, 3, 4]], dims=("seed", "p"))
    y = (1 + 2 * x).where(x != 9)
    found = line(x, y, "p")
    np.testing.assert_allclose(found.slope, 2)
    np.testing.assert_allclose(found.intercept, 1)
    assert found.stop.values.tolist() == [2, 4]
    np.testing.assert_allclose(rank_correlation(x, -(y**3), "p"), -1)


def test_over_seeds_is_the_mean_and_range_whatever_the_order_of_dimensions() -> None:
    values = xr.DataArray([[1.0, np.nan], [3, 4]], dims=("seed", "p"))
    low, mean, high = over_seeds(values)
    assert (low.tolist(), mean.tolist(), high.tolist()) == ([1, 4], [2, 4], [3, 4])


def test_lists_are_padded_to_one_length_of_one_at_least() -> None:
    np.testing.assert_array_equal(padded([[1, 2], [], [3]]), [[1, 2], [np.nan, np.nan], [3, np.nan]])
    assert np.isnan(padded([[], []])).all()
    assert padded([[], []]).shape == (2, 1)
    np.testing.assert_array_equal(padded([[(1, 2)], []], 2), [[[1, 2]], [[np.nan, np.nan]]])


def test_a_lost_model_neither_has_a_name_nor_another() -> None:
    found = named(xr.DataArray(["square", "lost", "point"], dims="seed"), "square")
    np.testing.assert_array_equal(found, [1, np.nan, 0])


def test_ranges_include_both_ends_and_those_without_models_are_left_out() -> None:
    models = xr.Dataset({"loss": ("p", [1.0, 2, 3])}, {"p": [0.1, 0.2, 0.5]})
    found = list(in_ranges(models, {"low": (0, 0.2), "none": (0.3, 0.4), "high": (0.2, 0.5)}))
    assert [(name, text) for name, text, _ in found] == [("low", "p of 0 to 0.2"), ("high", "p of 0.2 to 0.5")]
    assert [inside.loss.values.tolist() for *_, inside in found] == [[1, 2], [2, 3]]


def test_the_lead_is_over_the_largest_other_and_unknown_where_one_is() -> None:
    shares = xr.DataArray([[0.5, 0.3, 0.2], [0.1, 0.9, np.nan]], {"count": [0, 1, 2]}, ("draw", "count"))
    np.testing.assert_allclose(lead(shares, count=0), [0.2, np.nan])
    np.testing.assert_allclose(lead(shares, count=1), [-0.2, np.nan])
