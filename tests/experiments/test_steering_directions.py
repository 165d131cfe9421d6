"""Directions of most change: findings where they hold and where each fails, and readings on maps that are known."""

import numpy as np
import pytest
import xarray as xr

from experiments import steering_directions as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels.analysis import steering as analysis
from toymodels.analysis.recovery import unit

SEEDS = 32
VALUES = {
    page.ASCENT: 0.95,
    page.ASCENT_INPUTS: 0.125,
    page.ASCENT_OUTPUTS: 0.95,
    page.ITERATION: 0.9,
    page.ITERATION_BOTH: 0.7,
    page.JACOBIAN: 0.0,
}


def found() -> xr.Dataset:
    coords = {"setting": list(page.SETTINGS), "seed": range(SEEDS), "by": list(page.METHODS)}
    shape = (len(page.SETTINGS), SEEDS, len(page.METHODS))
    noise = spread(1, size=1e-3, seeds=SEEDS).T
    table = {name: np.zeros(shape) + noise for name in page.SCORES}
    table["found"] += list(VALUES.values())
    table["matched"] += 0.7
    table["inputs"] += 0.15
    table["outputs"] += np.array([0.15, 0.15, 0.9, 1.0, 0.15])[:, None, None]
    table["condition"] += 3
    table["outputs_condition"] += np.inf
    moving = [page.METHODS.index(each) for each in (page.ITERATION, page.ITERATION_BOTH)]
    table["moved"][..., moving[1]] += 0.5
    whole = xr.Dataset({name: (tuple(coords), each) for name, each in table.items()}, coords)
    truth = {"silent": 0.0, "reads": 0.15, "limit": 0.88}
    whole = whole.assign({name: (("setting", "seed"), np.full(shape[:2], each)) for name, each in truth.items()})
    whole = whole.assign(writes=whole.outputs.isel(by=0, drop=True))
    agreement = np.full((shape[0], SEEDS // 2, shape[2]), 0.9) + noise[: SEEDS // 2]
    agreement[..., moving[1]] -= 0.3
    return whole.assign(agreement=(("setting", "pair", "by"), agreement)).copy(deep=True)


def by_radius() -> xr.Dataset:
    shares = np.linspace(0, 0.9, len(page.RADII))
    each = np.broadcast_to(shares[:, None, None], (len(page.RADII), SEEDS, 3)) + spread(1, size=1e-3, seeds=SEEDS).T
    coords = {"radius": list(page.RADII), "seed": range(SEEDS), "by": [page.ASCENT, page.ITERATION, page.JACOBIAN]}
    return xr.Dataset({"found": (tuple(coords), each)}, coords)


def departure() -> xr.Dataset:
    coords = {"cosine": list(page.COSINES), "writes": list(page.WRITES), "ratio": list(page.RATIOS)}
    radius = {(c, w): page.theory.departure_radius(c, w) for c in page.COSINES for w in page.WRITES}
    exact = np.array(
        [
            [[page.theory.best_angle(r * radius[c, w], c, w) for r in page.RATIOS] for w in page.WRITES]
            for c in page.COSINES
        ]
    )
    angle = exact[..., None] + 1e-4 * spread(1, seeds=SEEDS)
    whole = xr.Dataset({"angle": ((*coords, "seed"), angle), "exact": (tuple(coords), exact)}, coords)
    left = np.ones((*exact.shape[:2], SEEDS)) + 1e-3 * spread(1, seeds=SEEDS)
    return whole.assign(left_at=(("cosine", "writes", "seed"), left))


def published() -> xr.Dataset:
    steps = np.arange(1, page.STEPS + 1)
    mmcs = np.stack([np.minimum(0.99, 0.1 * steps), np.minimum(0.85, 0.1 * steps)])
    noise = spread(1, size=1e-3, seeds=SEEDS)[0]
    coords = {"start": ["random", "Jacobian"], "step": steps, "seed": range(SEEDS)}
    table = {"mmcs": mmcs[..., None] + abs(noise), "rays": mmcs[..., None] + noise}
    table["sharp"] = np.full((2, len(steps), SEEDS), 0.25) + noise
    return xr.Dataset({name: (tuple(coords), each) for name, each in table.items()}, coords)


def test_planted_readings_hold() -> None:
    holds(page.finite_steps_find_what_the_jacobian_misses(found(), by_radius()))
    holds(page.orthogonal_search_misses_correlated_reads(found()))
    holds(page.multiplicity_is_that_of_the_map(found()))
    holds(page.orthogonal_outputs_are_less_stable(found()))
    holds(page.the_best_direction_leaves_at_an_exact_radius(departure()))
    holds(page.the_published_trial(published()))


@pytest.mark.parametrize(
    ("method", "value", "key"),
    [
        (page.ASCENT, 0.2, "finite-steps-find"),
        (page.ITERATION, 0.2, "finite-steps-find"),
        (page.JACOBIAN, 0.6, "jacobian-misses"),
    ],
)
def test_methods_that_find_too_little_or_too_much_fail(method: str, value: float, key: str) -> None:
    data = changed(found(), "found", lambda _: value, by=method, setting="random")
    key = f"{key}[method={method},setting=random]"
    fails(page.finite_steps_find_what_the_jacobian_misses(data, by_radius()), key)


def test_small_steps_that_find_all_fail() -> None:
    data = changed(by_radius(), "found", lambda _: 1.0, by=page.ASCENT, radius=page.RADII[0])
    keys = (f"small-steps-miss[method={page.ASCENT}]", f"grows-with-radius[method={page.ASCENT}]")
    fails(page.finite_steps_find_what_the_jacobian_misses(found(), data), *keys)


def test_an_orthogonal_search_that_finds_all_fails() -> None:
    here = {"by": page.ASCENT_INPUTS, "setting": "correlated reads"}
    data = changed(changed(found(), "found", lambda _: 1.0, **here), "matched", lambda _: 0.95, **here)
    keys = ("orthogonal-search-misses", "orthogonal-limit", "free-search-finds-more")
    fails(page.orthogonal_search_misses_correlated_reads(data), *keys)


def test_directions_more_alike_than_planted_fail() -> None:
    data = changed(found(), "inputs", lambda _: 0.8, by=page.ASCENT, setting="shared writes")
    keys = ("as-alike-as-planted[setting=shared writes,side=inputs]", "outputs-more-alike")
    fails(page.multiplicity_is_that_of_the_map(data), *keys)


def test_orthogonal_outputs_that_are_as_stable_fail() -> None:
    here = {"by": page.ITERATION_BOTH, "setting": "one write"}
    data = changed(changed(found(), "agreement", lambda values: values + 0.3, **here), "moved", lambda _: 0.0, **here)
    fails(
        page.orthogonal_outputs_are_less_stable(data),
        "outputs-agree-less[setting=one write]",
        "outputs-rest-less[setting=one write]",
    )


def test_another_radius_fails() -> None:
    data = changed(departure(), "left_at", lambda values: values + 0.02, cosine=0.5, writes=0.0)
    fails(page.the_best_direction_leaves_at_an_exact_radius(data), "departure[writes=0]")
    data = changed(departure(), "angle", lambda values: values + 0.1, cosine=0.5, writes=1.0, ratio=1.1)
    fails(page.the_best_direction_leaves_at_an_exact_radius(data), "best-angle[writes=1,ratio=1.1]")


def test_another_trial_fails() -> None:
    fails(page.the_published_trial(changed(published(), "mmcs", lambda _: 0.9, start="random")), "published-random")
    late = changed(published(), "mmcs", lambda _: 0.95, start="Jacobian", step=10)
    fails(page.the_published_trial(late), "published-jacobian")
    fails(
        page.the_published_trial(changed(published(), "sharp", lambda _: 0.6, start="Jacobian")), "published-together"
    )


def test_published_starts_are_candidates_in_the_span() -> None:
    """As many as the trial has, of unit length; both starts improve."""
    rng = np.random.default_rng(0)
    reads, writes = (unit(rng.normal(size=(page.UNITS, page.DIMENSIONS))) for _ in range(2))
    map = analysis.ReadWrite(reads, writes, analysis.EXPONENTIAL)
    spans = analysis.in_spans(map)
    for V in page._published_starts(map, spans, rng):
        assert len(V) == page.STEPS
        assert V[0].shape == (page.DIRECTIONS, page.UNITS)
        np.testing.assert_allclose(np.linalg.norm(V[-1], axis=1), 1)
        first, last = (page.best_cosines(spans.map.reads, each).mean() for each in (V[0], V[-1]))
        assert last > first + 0.2


def test_pairs_share_a_map_and_radii_are_exact() -> None:
    sweep = page.experiment.sweeps["directions"]
    runs = [sweep.cell(setting="random", constraint="free", seed=seed) for seed in (0, 1, 2)]
    assert [run.problem.map.seed for run in runs] == [0, 0, 1]
    run = page.experiment.sweeps["departures"].cell(cosine=0.5, writes=1.0, ratio=1.1, seed=3)
    assert run.problem.radius == pytest.approx(1.1 * np.sqrt(3) / 0.5)
    assert run.problem.map.seed == 3


def test_drawn() -> None:
    assert len(page.methods_by_setting(found(), by_radius()).axes) == 2
    assert len(page.departure_from_halfway(departure()).axes) == len(page.WRITES)
    assert len(page.published_trial(published()).axes) == 2
