"""Inverse dimension: findings on planted power laws, readings of rows that are known."""

import numpy as np
import pytest
import xarray as xr

from experiments import inverse_dimension as page
from tests.experiments.planted import fails, holds, undecided

M, POWERS, DECAYS, SEEDS, N = [5, 8, 13, 21, 34], [0.5, 1.0, 2.0], [-1.0, 0.0, 1.0], 8, 256
JUDGED = {"m": 21}
"""Of neighbouring widths, only 13 and 21 are judged; 21 is in no other pair that is."""


def models() -> xr.Dataset:
    """Losses that fall with the published exponents and the overlaps with them; at the largest decay few are kept."""
    cells = xr.DataArray(
        np.ones((len(M), len(POWERS), len(DECAYS), SEEDS)),
        dims=("m", "power", "decay", "seed"),
        coords={"m": M, "power": POWERS, "decay": DECAYS},
    )
    strong = cells / cells.m ** xr.DataArray([1.0, 1.0, 1.3], dims="power")
    weak = cells.decay == 1
    loss = strong.where(~weak, cells / cells.m ** (cells.power - 1))
    fraction = xr.where(weak, 0.1, cells)
    dropped, variance = loss.where(weak, 0), cells.isel(m=0, decay=0, seed=0, drop=True)
    values = {"loss": loss, "overlap": strong, "fraction": fraction, "dropped": dropped}
    found = {name: array.transpose("m", "power", "decay", "seed") for name, array in values.items()}
    return xr.Dataset({**found, "variance": variance}, attrs={"n": N})


def random_rows(exponent: float = 1.0, power: float = 1.0) -> xr.Dataset:
    """Losses that fall as 1/m, at all but one law, and are below 1 from m = 13 on."""
    slopes = xr.DataArray(
        [exponent if each == power else 1.0 for each in POWERS], dims="power", coords={"power": POWERS}
    )
    m = xr.DataArray(M, dims="m", coords={"m": M})
    loss = (12 / m) ** slopes + 0 * xr.DataArray(np.zeros(8), dims="draw")
    return xr.Dataset({"loss": loss.transpose("draw", "power", "m")})


def scaled(name: str, factor: float, **where: float) -> xr.Dataset:
    data = models()
    values = data[name].copy()
    values.loc[where] = factor * values.loc[where]
    return data.assign({name: values})


def test_planted_results_hold() -> None:
    holds(page.exponents_of_the_loss(models(), random_rows()))
    holds(page.strong_and_weak_superposition(models()))


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("slope", [-0.3, 0.3])
def test_other_exponents_fail(power: float, slope: float) -> None:
    where = {"power": power, "decay": -1.0, **JUDGED}
    both = scaled("loss", (21 / 13) ** slope, **where)
    both = both.assign(overlap=scaled("overlap", (21 / 13) ** slope, **where).overlap)
    fails(page.exponents_of_the_loss(both, random_rows()), f"trained[power={power:g}]")
    overlaps = scaled("overlap", (21 / 13) ** slope, **where)
    fails(page.exponents_of_the_loss(overlaps, random_rows()), f"as-overlaps[power={power:g}]")


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("exponent", [0.7, 1.3])
def test_random_rows_with_other_exponents_fail(power: float, exponent: float) -> None:
    fails(page.exponents_of_the_loss(models(), random_rows(exponent, power)), f"random[power={power:g}]")


@pytest.mark.parametrize("m", [5, 8, 34])
def test_widths_that_are_not_judged(m: int) -> None:
    """Random rows store nothing in 5 and 8 dimensions; 256 features in 34 are not ten a dimension."""
    holds(page.exponents_of_the_loss(scaled("loss", 2.0, m=m), random_rows()))


def test_seeds_that_disagree_decide_nothing() -> None:
    data, spread = models(), xr.DataArray(np.linspace(-1, 1, SEEDS), dims="seed")
    loss = data.loss * np.exp(0.3 * spread * ((data.m == 21) & (data.power == 1)))
    undecided(page.exponents_of_the_loss(data.assign(loss=loss), random_rows()), "trained[power=1]")


def test_rows_that_are_lost_fail() -> None:
    fails(page.strong_and_weak_superposition(scaled("fraction", 0.98, m=8, power=1.0, decay=-1.0)), "all-represented")


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_losses_that_dropped_features_do_not_explain_fail(power: float, factor: float) -> None:
    data = scaled("dropped", factor, power=power)
    fails(page.strong_and_weak_superposition(data), f"loss-of-dropped[power={power:g}]")


@pytest.mark.parametrize("change", [-0.5, 0.5])
def test_another_exponent_under_weak_superposition_fails(change: float) -> None:
    data = models()
    factor = (data.m**change).where((data.power == 2) & (data.decay == 1), 1)
    data = data.assign(loss=data.loss * factor, dropped=data.dropped * factor)
    fails(page.strong_and_weak_superposition(data), "exponent-when-weak[power=2]")


def test_many_features_under_decay_fail() -> None:
    fails(page.strong_and_weak_superposition(scaled("fraction", 3.0, m=5, power=1.0, decay=1.0)), "few-represented")


class Known:
    """Four features in two and three dimensions: two long rows, alike in the second seed."""

    sweep = page.Sweep(
        page.replace(page.decays.base, {"problem.data.n": 4}),
        [page.Axis("power", "problem.data.p.exponent", [1.0])],
        page.published,
    )

    def __init__(self) -> None:
        W = np.full((2, 1, 2, 4, 3), np.nan)
        W[0, ..., :2], W[1] = 0.1, 0.1
        W[..., 0, :] *= 0
        W[..., 1, :] *= 0
        W[..., 0, 0], W[..., 0, 1, 1], W[..., 1, 1, 0] = 1, 1, 1
        coords = {"m": [2, 3], "power": [1.0]}
        self.W = xr.DataArray(W, dims=("m", "power", "seed", "feature", "hidden"), coords=coords)
        status = xr.DataArray(np.array([[[0, 0]], [[0, 1]]]), dims=("m", "power", "seed"))
        objective = xr.DataArray(np.full((2, 1, 2, 1), 0.25), dims=("m", "power", "seed", "step"))
        self.data = xr.Dataset({"objective": objective, "status": status}, coords=coords)

    def final(self) -> xr.DataArray:
        return self.W.where(self.data.status == 0)


def test_readings_of_known_rows() -> None:
    found = page.models(Known())
    assert found.fraction.values[:, 0].tolist()[0] == [0.5, 0.5]
    assert np.isnan([found[name][1, 0, 1] for name in ("loss", "fraction", "overlap", "dropped")]).all()
    np.testing.assert_allclose(found.overlap[0, 0], [0, 1], atol=1e-12)
    variance = [4 * p / 3 - p**2 for p in (0.48, 0.24, 0.16, 0.12)]
    np.testing.assert_allclose(found.variance, [sum(variance)], rtol=1e-6)
    np.testing.assert_allclose(found.dropped[0, 0], [sum(variance[2:])] * 2, rtol=1e-6)


def test_one_feature_is_on_at_a_time_and_rows_start_with_length_one() -> None:
    run = page.decays.cell(m=5, power=1.0, decay=0.0, seed=0)
    assert np.asarray(run.problem.data.marginals(), float).sum() == pytest.approx(1, rel=1e-5)
    assert run.problem.model.scale**2 * 2 / (256 + 5) == pytest.approx(1 / 5)


def test_random_rows_of_few_widths() -> None:
    """Each draw has its own rows and examples; all cost less than an output of zeros, E|x|² = 4/3."""
    loss = page.random_rows(Known()).loss
    assert dict(loss.sizes) == {"draw": 24, "power": 1, "m": 2}
    assert loss.std("draw").min() > 0
    assert 0 < loss.min() < loss.max() < 4 / 3
