"""Order of learning, and estimates setting by setting, on curves and matrices whose answers are known."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from toymodels.analysis.by_setting import by_setting
from toymodels.analysis.learned_order import half_times, leading_span, order_share, strengths
from toymodels.estimates import mean

seeds = st.integers(0, 2**20)


@given(seeds, st.floats(-3, 3))
def test_strengths_are_those_of_the_matrix_less_its_mean(seed: int, constant: float) -> None:
    """A constant added to all entries changes nothing."""
    rng = np.random.default_rng(seed)
    U, V = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    left, right = ortho_group.rvs(5, random_state=seed)[:2], ortho_group.rvs(4, random_state=seed)[:2]
    shifted = np.column_stack([U, constant * np.ones(5)]), np.column_stack([V, np.ones(4)])
    product = U @ V.T
    expected = [a @ (product - product.mean()) @ b for a, b in zip(left, right, strict=True)]
    found = strengths(
        xr.DataArray(shifted[0], dims=("row", "component")),
        xr.DataArray(shifted[1], dims=("column", "component")),
        xr.DataArray(left, dims=("target", "row")),
        xr.DataArray(right, dims=("target", "column")),
    )
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_half_times_are_interpolated_and_infinite_where_there_is_none() -> None:
    curves = xr.DataArray(
        [[0, 0.25, 0.75, 1], [0, 0, 0.1, 0.2], [0, 2, 2, 2]], {"snapshot": [0, 1, 2, 4]}, ("target", "snapshot")
    )
    whole = xr.DataArray([1.0, 1.0, 2.0], dims="target")
    np.testing.assert_allclose(half_times(curves, whole), [1.5, np.inf, 0.5])


@pytest.mark.parametrize(
    ("times", "share"),
    [([1, 2, 3], 1), ([3, 2, 1], 0), ([1, 3, 2], 2 / 3), ([1, np.inf, np.inf], 5 / 6), ([2, 2, 2], 0.5)],
)
def test_order_share(times: list[float], share: float) -> None:
    assert float(order_share(xr.DataArray(times, dims="target"))) == pytest.approx(share)


@given(seeds, st.floats(-3, 3))
def test_leading_spans_do_not_see_a_constant(seed: int, constant: float) -> None:
    A, B = (xr.DataArray(each, dims=("row", "column")) for each in np.random.default_rng(seed).normal(size=(2, 5, 4)))
    assert float(leading_span(A + constant, A, 2)) == pytest.approx(1)
    assert 0 <= float(leading_span(A, B, 2)) < 1
    assert np.isnan(float(leading_span(A.where(A.max() > A), A, 2)))


def test_settings_come_in_order_and_their_intervals_hold_together() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 50)) + 10 * np.arange(2)[:, None, None]
    data = xr.DataArray(values, {"a": [0, 1], "b": [0.1, 0.2, 0.3]}, ("a", "b", "seed"))
    found = list(by_setting(mean, data))
    assert [at for at, _ in found] == [{"a": a, "b": b} for a in (0, 1) for b in (0.1, 0.2, 0.3)]
    assert [one for _, one in found] == list(mean(data).estimates)
    (at, one), alone = *by_setting(mean, data.isel(a=0, b=0)), mean(data.isel(a=0, b=0))
    assert at == {}
    assert one == alone
    assert one.high - one.low < found[0][1].high - found[0][1].low
