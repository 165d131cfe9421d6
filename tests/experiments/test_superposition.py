import numpy as np
import pytest
import xarray as xr

from experiments import superposition as page
from tests.experiments.planted import fails, holds, undecided
from toymodels.analysis.lines import polytope_lines
from toymodels.theory import superposition as theory

X = np.array(page.SPARSITIES)
P = {"p": 1 / X}
M, SEEDS = 30, 8
JITTER = xr.DataArray(1 + 1e-3 * np.linspace(-1, 1, SEEDS), dims="seed", coords={"seed": range(SEEDS)})


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "RESAMPLES", 39)


def by_p(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), P, ("p",)) * JITTER


def shapes() -> xr.Dataset:
    """Tetrahedra, triangles, digons, then pentagons save most."""
    kinds, nowhere = list(page.SHAPES), np.nan
    by_kind = {
        "rank": [1, 1, 2, 3, 2],
        "start": [nowhere, 1.5, 1.25, 1.05, 4.5],
        "stop": [nowhere, 4.5, 1.5, 1.25, 30.0],
    }
    eigenvalue = (("kind", "p"), np.full((5, len(X)), 2.0))
    return xr.Dataset(
        {name: ("kind", row) for name, row in by_kind.items()} | {"eigenvalue": eigenvalue}, {"kind": kinds, **P}
    )


def filled(own: xr.Dataset) -> np.ndarray:
    """The number of factors of a kind where all dimensions are filled as predicted."""
    inside = (float(own.start) <= X) & (float(own.stop) >= X)
    return inside * (M / float(own["rank"]))


def falling(steps: dict[float, float]) -> np.ndarray:
    """D* with these values from these 1/p on."""
    known = sorted(steps.items())
    return np.array([[value for start, value in known if start <= x][-1] for x in X])


STICKY = {1: 1.0, 1.6: 0.5, 4.6: 0.36, 5.5: 0.32, 6.6: 0.28, 8: 0.25, 11: 0.2, 14: 0.17, 20: 0.15, 30: 0.1}


def models(**changes) -> xr.Dataset:
    known = shapes()
    counts = [by_p(filled(known.sel(kind=kind)) if kind != "point" else 0 * X) for kind in page.SHAPES]
    count = xr.concat([*counts, by_p(0 * X)], xr.DataArray(page.KINDS, dims="kind", name="kind"))
    count = count.assign_coords(kind=page.KINDS)
    one = by_p(1 + 0 * X)
    data = {
        "sticky": by_p(falling(STICKY)),
        "count": count,
        "eigenvalue": 2 * one.expand_dims(direction=M),
        "capacity": 0.998 * one,
        "localisation": 0.99 * one,
        "random_capacity": 0.7 * one,
        "random_localisation": 0.3 * one,
    }
    return xr.Dataset(data, attrs={"hidden": M}).assign(changes)


def counted(kind: str, values) -> xr.Dataset:
    data = models()
    changed = data["count"].copy()
    changed.loc[{"kind": kind}] = by_p(values).transpose(*changed.sel(kind=kind).dims)
    return data.assign(count=changed)


def tracked(**changes) -> xr.Dataset:
    sides = ["up to pairs", "beyond pairs"]
    slope = xr.DataArray(np.ones(2), {"side": sides}, ("side",)) * JITTER
    return xr.Dataset({"slope": slope, "ranks": 0.98 * JITTER}).assign(changes)


def attacks(last: float = 4.0) -> xr.Dataset:
    return xr.Dataset({name: by_p(np.linspace(1, last, len(X))) for name in ("crowding", "vulnerability", "increase")})


def excess(**observed: float) -> xr.Dataset:
    lines = list(polytope_lines())
    above = xr.DataArray([observed.get(name, 5.0) for name in lines], {"line": lines}, ("line",)) * JITTER
    return xr.Dataset({"observed": 3 + above, "expected": xr.full_like(above, 3.0)})


# ------------------------------------------------------------------------------------------------------------- findings


def test_planted_results_hold() -> None:
    holds(page.sticky_values(models(), shapes()))
    holds(page.digons(models(), shapes()))
    holds(page.predicted_phases(models(), shapes()))
    holds(page.dimensionalities(excess()))
    holds(page.vulnerability(attacks(), tracked()))
    holds(page.capacity_saturates(models()))


def straight() -> np.ndarray:
    """No shelf: near 1/2, but on the slope of its flanks."""
    return np.where(X < 1.6, 1, 0.55 - 0.11 * np.log(X / 1.6))


@pytest.mark.parametrize(
    ("key", "D"),
    [
        ("sticky-start[level=1]", falling(STICKY | {1: 1.2, 1.45: 1.0})),
        ("sticky-stop[level=1]", falling(STICKY | {1.2: 0.8})),
        ("sticky-start[level=0.5]", falling(STICKY | {1.6: 0.8, 1.8: 0.75, 2: 0.7, 2.25: 0.5})),
        ("sticky-stop[level=0.5]", falling({**STICKY, 4.6: 0.5, 5.5: 0.5, 6.6: 0.5, 8: 0.5})),
        ("sticky-stop[level=0.5]", falling({**STICKY, 3.1: 0.4, 3.5: 0.38, 4: 0.37})),
        ("shelf-slope", straight()),
    ],
)
def test_each_end_of_each_range_fails_on_its_own(key: str, D: np.ndarray) -> None:
    found = list(page.sticky_values(models(sticky=by_p(D)), shapes()))
    only = [each for each in found if each.id != "shelf-slope"] if "sticky" in key else found
    fails(only, key)


def test_a_range_whose_end_differs_between_seeds_is_undecided() -> None:
    data = by_p(falling(STICKY))
    late = (data.p < 1 / 1.5) & (data.p > 1 / 2.4) & (data.seed % 2 == 0)
    undecided(page.sticky_values(models(sticky=data.where(~late, 0.8)), shapes()), "sticky-start[level=0.5]")


@pytest.mark.parametrize(
    ("key", "low", "high", "value"),
    [("digons-start", 1.5, 2.4, 0), ("digons-stop", 3, 4.5, 0), ("digons-amid", 2.4, 2.6, 0.8)],
)
def test_each_finding_about_digons_fails_on_its_own(key: str, low: float, high: float, value: float) -> None:
    whole = filled(shapes().sel(kind="digon"))
    data = counted("digon", np.where((low < X) & (high > X), value * whole, whole))
    fails(page.digons(data, shapes()), key)


def test_digons_of_another_size_fail() -> None:
    fails(page.digons(models(eigenvalue=2.2 * models().eigenvalue), shapes()), "eigenvalues-of-digons")


@pytest.mark.parametrize("kind", ["digon", "triangle", "tetrahedron", "pentagon"])
def test_a_predicted_phase_that_is_not_found_fails(kind: str) -> None:
    fails(page.predicted_phases(counted(kind, 0 * X), shapes()), f"phase[shape={kind}]")


@pytest.mark.parametrize("line", list(polytope_lines()))
def test_lines_with_fewer_factors_than_nearby_fail(line: str) -> None:
    fails(page.dimensionalities(excess(**{line: -1.0})), f"factors-at-line[polytope={line}]")


@pytest.mark.parametrize("side", ["up to pairs", "beyond pairs"])
@pytest.mark.parametrize("slope", [0.33, 1.4])
def test_slopes_below_and_above_one_fail(side: str, slope: float) -> None:
    other = tracked().slope
    found = page.vulnerability(attacks(), tracked(slope=other.where(other.side != side, slope)))
    fails(found, f"vulnerability-slope[range={side}]")


def test_what_does_not_track_or_rise_or_saturate_fails() -> None:
    fails(page.vulnerability(attacks(), tracked(ranks=0.8 * JITTER)), "vulnerability-ranks")
    fails(page.vulnerability(attacks(2.5), tracked()), "vulnerability-rise")
    one = by_p(1 + 0 * X)
    fails(page.capacity_saturates(models(capacity=one.where(one.p < 1, 0.9))), "capacity")
    fails(page.capacity_saturates(models(localisation=0.9 * one)), "localisation")


# ------------------------------------------------------------------------------------------------------------- readings


def test_digons_are_predicted_between_simplices_and_pentagons() -> None:
    known = page.shapes()
    assert list(dict.fromkeys(known.best.values.tolist())) == ["tetrahedron", "triangle", "digon", "pentagon"]
    np.testing.assert_allclose(known.saving.sel(kind="point"), 1, atol=1e-4)  # a feature of its own loses nothing
    stop = float(known.stop.sel(kind="digon"))
    assert stop == float(known.start.sel(kind="pentagon"))
    # Two independent optima there: one pair in one dimension, and five features in two, of which a square drops one.
    square_and_dropped = 2 * float(theory.two_features(1 / stop, 1.0).antipodal.loss) + float(
        theory.feature_variance(1 / stop)
    )
    pentagon = float(theory.best_scaled(page.SHAPES["pentagon"], 1 / stop).loss)
    assert pentagon == pytest.approx(square_and_dropped, rel=0.01)


def test_lines_are_fitted_up_to_the_end_of_pairs_and_beyond() -> None:
    x = by_p(X)
    vulnerability = xr.where(1 / x.p <= 4.5, x, 4.5 + (x - 4.5) / 3).where(x.seed > 0)
    found = page.tracking(xr.Dataset({"crowding": x, "vulnerability": vulnerability}), shapes())
    np.testing.assert_allclose(found.slope.sel(side="up to pairs")[1:], 1)
    np.testing.assert_allclose(found.slope.sel(side="beyond pairs")[1:], 1 / 3)
    np.testing.assert_allclose(found.intercept.sel(side="up to pairs")[1:], 0, atol=1e-9)
    np.testing.assert_allclose(found.ranks[1:], 1)
    assert np.isnan(found.slope[:, 0]).all()
