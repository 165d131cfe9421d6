"""Absolute value: findings on planted results, readings of networks that compute |x| exactly or as well as can be."""

import numpy as np
import pytest
import xarray as xr

from experiments import absolute_value as page
from tests.experiments.planted import fails, holds, undecided
from toymodels import Axis, Run, Sweep
from toymodels.experiment import Swept
from toymodels.optimizers import Adam

P, K = [1.0, 0.3, 0.1, 0.001], 16
ONES = xr.DataArray(np.ones((len(P), K)), {"p": P, "seed": range(8, 8 + K)}, ("p", "seed"))
SPREAD = xr.DataArray(np.linspace(-1, 1, K), dims="seed")


def by_p(*values: float) -> xr.DataArray:
    return ONES * xr.DataArray(list(values), dims="p")


def small(**changes: xr.DataArray) -> xr.Dataset:
    names = xr.where(ONES == 1, page.PAIRS, "")
    return xr.Dataset({"loss": ONES * 1e-6 * (2 + SPREAD), "neurons": names}, attrs={"n": 3, "m": 6}).assign(changes)


def big(**changes: xr.DataArray) -> xr.Dataset:
    single = by_p(1, 1, 0.8, 0)
    return xr.Dataset(
        {
            "ratio": by_p(1, 1, 0.9, 0.7) + 0.01 * SPREAD,
            "crossing": 0.2 + 0.1 * SPREAD,
            "single": xr.concat([single, 0 * single], xr.Variable("weights", ["input", "output"])),
            "exchanged": by_p(np.nan, np.nan, 0.3, 0.7) + 0.1 * SPREAD,
        },
        attrs={"n": 100, "m": 40},
    ).assign(changes)


def of_inputs(*values: float) -> xr.DataArray:
    return big().single.where(big().weights != "input", by_p(*values))


def first(count: int, inside: float, rest: float) -> xr.DataArray:
    """One number for the first seeds, another for the others."""
    return xr.DataArray(np.where(np.arange(K) < count, inside, rest), dims="seed")


def at(p: float, values: xr.DataArray | float) -> xr.DataArray:
    """The planted ratios with others at one p."""
    return big().ratio.where(ONES.p != p, values)


def test_planted_results_hold() -> None:
    holds(page.the_small_model_is_exact(small()))
    holds(page.the_big_model_beats_the_baseline(big()))
    holds(page.sparse_features_share_neurons(big()))


def test_the_small_model() -> None:
    for p in P[:3]:
        fails(
            page.the_small_model_is_exact(small(loss=small().loss.where(ONES.p != p, 0.01 + SPREAD / 1e3))),
            "small-loss",
        )
        neurons = small().neurons.where(ONES.p != p, "other")
        fails(page.the_small_model_is_exact(small(neurons=neurons)), f"small-neurons[p={p:g}]")


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"ratio": at(1.0, first(5, 1.0, 1.3))}, ["dense-mean[p=1]"]),
        ({"ratio": at(0.3, first(5, 1.0, 1.3))}, ["dense-mean[p=0.3]"]),
        ({"ratio": at(0.3, first(5, 0.96, 1.0))}, ["dense-best"]),
        ({"ratio": at(0.3, 0.9)}, ["dense-best", "dense-mean[p=0.3]"]),
        ({"ratio": at(0.1, first(5, 0.9, 1.4))}, ["sparse-mean[p=0.1]"]),
        ({"ratio": at(0.001, 1.1)}, ["sparse-mean[p=0.001]"]),
        ({"crossing": first(2, 0.2, np.nan)}, ["seeds-that-cross"]),
        ({"crossing": first(2, 0.004, 0.006)}, ["crossing"]),
    ],
)
def test_the_big_model(changes: dict[str, xr.DataArray], keys: list[str]) -> None:
    fails(page.the_big_model_beats_the_baseline(big(**changes)), *keys)


def test_one_lucky_seed_and_scattered_ones_decide_nothing() -> None:
    undecided(page.the_big_model_beats_the_baseline(big(ratio=at(0.1, first(8, 0.8, 1.1)))), "sparse-mean[p=0.1]")
    undecided(page.the_big_model_beats_the_baseline(big(ratio=at(0.3, first(1, 0.96, 1.0)))), "dense-best")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"single": of_inputs(0.8, 0.8, 0.7, 0)}, "single-dense"),
        ({"single": of_inputs(1, 1, 0.8, 0.3)}, "single-sparse"),
        ({"single": of_inputs(0.91, 1, 0.8, 0)}, "single-falls"),
        ({"exchanged": by_p(np.nan, np.nan, 0.2, 0.3)}, "asymmetric-motif"),
    ],
)
def test_shared_neurons(changes: dict[str, xr.DataArray], key: str) -> None:
    fails(page.sparse_features_share_neurons(big(**changes)), key)


def test_the_motif_is_judged_where_every_model_may_have_it() -> None:
    exchanged = by_p(np.nan, np.nan, 0.2, 0.3).where(ONES.p != 0.3, first(1, 1, np.nan))
    fails(page.sparse_features_share_neurons(big(exchanged=exchanged)), "asymmetric-motif")


def test_seeds_that_have_lost_a_model_neither_cross_nor_fail_to() -> None:
    """Ten of sixteen do, and none of the others can be judged."""
    crossing = first(10, 0.2, np.nan)
    holds(page.the_big_model_beats_the_baseline(big(crossing=crossing, ratio=big().ratio.where(crossing > 0))))
    undecided(page.the_big_model_beats_the_baseline(big(crossing=crossing)), "seeds-that-cross")


def test_lost_seeds_of_the_small_model_are_not_inexact_ones() -> None:
    data = small(loss=small().loss.where(ONES.seed > 8))
    shares = {each.id: each.measured for each in page.the_small_model_is_exact(data)}
    for id in ("small-exact", "small-exact-neurons"):
        assert [(each.value, each.count) for each in shares[id].estimates] == [(1, K - 1)] * len(P)


def swept(n: int, m: int, encoder: np.ndarray, b: np.ndarray) -> Swept:
    """Models at p = .1, one a seed, with output weights |encoder|."""
    sweep = Sweep(
        Run(page._problem(n, m, 1.0), Adam(), steps=1),
        [Axis("p", "problem.data.p", [0.1]), Axis("seed", "seed", range(len(encoder)))],
    )
    cells = {"encoder": encoder, "W": np.abs(encoder)}
    data = {name: (("p", "seed", "snapshot", "feature", "hidden"), each[None, :, None]) for name, each in cells.items()}
    data |= {
        "b": (("p", "seed", "snapshot", "feature"), b[None, :, None]),
        "status": (("p", "seed"), np.zeros((1, len(b)))),
    }
    return Swept(sweep, xr.Dataset(data, {"p": [0.1], "seed": range(len(encoder))}))


def test_networks_that_are_exact_and_that_are_the_baseline() -> None:
    pairs = np.repeat(np.eye(3), 2, 1) * np.tile([1.0, -1.0], 3)
    found = page.small_models(swept(3, 6, np.array([pairs, 0 * pairs]), np.array([[0.0] * 3, [0.05] * 3])))
    np.testing.assert_allclose(found.loss[0], [0, 1], rtol=0.02, atol=1e-9)
    assert found.neurons.values.tolist() == [[page.PAIRS, "other"]]

    naive, mixed = pairs[:, :4].copy(), pairs[:, :4].copy()
    mixed[1, 0] = 0.5
    found = page.big_models(swept(3, 4, np.array([naive, mixed]), np.array([[0, 0, 0.05]] * 2)))
    assert found.attrs == {"n": 3, "m": 4}
    assert found.ratio[0, 0] == pytest.approx(1, rel=0.02)
    np.testing.assert_allclose(found.single, [[[1, 0.75]], [[1, 0.75]]])
    np.testing.assert_allclose(found.exchanged, [[np.nan, 0]])
