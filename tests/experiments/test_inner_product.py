"""Findings on a loss without self-interaction, on planted readings and on descent by hand."""

import numpy as np
import pytest
import xarray as xr

from experiments import inner_product as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels.experiment import Swept

AT = {"optimizer": ["SGD", "Adam"], "ratio": [0.3, 0.8], "scale": [1e-3, 0.1]}


def parts() -> xr.Dataset:
    coords = {"loss": list(page.LOSSES), **AT, "snapshot": [0, 1, 2]}
    dims = ("loss", *AT, "snapshot", "seed")
    wrong = xr.DataArray(1 + spread(2, 2, 2, 2, 3, size=0.001), coords, dims)
    wrong = wrong * xr.where(wrong.loss == "squared error", 0.1**wrong.snapshot, 1.0)
    found = xr.Dataset({"wrong": wrong, "exact": wrong.sel(loss="squared error", optimizer="SGD", drop=True)})
    one = 1 + spread(2, 2, 2, 2, 3, 2, size=0.001).clip(max=0)
    found["cosine"] = ((*dims[:-1], "target", "seed"), one)
    return found.assign(rate=(("ratio", "scale", "target", "seed"), 1 + spread(2, 2, 2, size=0.001)))


def test_what_stays() -> None:
    holds(page.wrong_components_stay(parts()))
    at = {"optimizer": "Adam", "ratio": 0.8, "scale": 0.1}
    named = "[optimizer=Adam,ratio=0.8,scale=0.1]"
    for factor in (0.5, 2):
        grown = changed(parts(), "wrong", lambda wrong, f=factor: f * wrong, loss="inner product", **at)
        fails(page.wrong_components_stay(grown), f"wrong-stays{named}")
    kept = changed(parts(), "wrong", lambda wrong: 0 * wrong + 1, loss="squared error", **at)
    fails(page.wrong_components_stay(kept), f"wrong-decays{named}")
    askew = changed(parts(), "cosine", lambda cosine: 0.8 * cosine, loss="inner product", **at)
    fails(page.wrong_components_stay(askew), f"right-is-learned{named}")


def test_rates() -> None:
    holds(page.exact_rates(parts()))
    off = changed(parts(), "exact", lambda exact: exact + 0.1, ratio=0.3, scale=0.1)
    fails(page.exact_rates(off), "as-the-flow[ratio=0.3,scale=0.1]")
    for factor in (0.9, 1.1):
        fast = changed(parts(), "rate", lambda rate, f=factor: f * rate, ratio=0.3, scale=0.1)
        fails(page.exact_rates(fast), *(f"growth-rate[ratio=0.3,scale=0.1,component={k}]" for k in (1, 2)))


def test_descent_by_hand_has_the_rates_and_keeps_the_rest() -> None:
    """In double precision, by numpy, from the page's own targets: rates to rounding, what is orthogonal for ever."""
    sweep = page.experiment.at("tiny")["one"]
    sweep = type(sweep)(
        sweep.base, [axis for axis in sweep.axes if axis.name != "seed"] + [sweep.axes[-1]], sweep.derive
    )
    axes = {axis.name: axis.labels for axis in sweep.axes}
    steps = np.array([0, 50, 100, 150, 200])
    shape = tuple(len(labels) for labels in axes.values())
    U, V = (np.empty((*shape, len(steps), 8, 1)) for _ in range(2))
    for place, run in zip(np.ndindex(*shape), sweep.runs(), strict=True):
        A, rng = np.asarray(run.problem.target.matrix(), float), np.random.default_rng(place[-1])
        u, v = run.problem.scale * rng.normal(size=(2, 8))
        squared = axes["loss"][place[0]] == "squared error"
        for step in range(201):
            if step in steps:
                U[(*place, list(steps).index(step))], V[(*place, list(steps).index(step))] = u[:, None], v[:, None]
            residual = A - squared * np.outer(u, v)
            u, v = u + run.optimizer.lr * residual @ v, v + run.optimizer.lr * residual.T @ u
    dims = (*axes, "snapshot", "row", "component")
    data = xr.Dataset({"U": (dims, U), "V": ((*dims[:-2], "column", "component"), V)}, {**axes, "snapshot": steps})
    found = page.parts(Swept(sweep, data.assign(status=(tuple(axes), np.zeros(shape, int)))))
    inner = found.wrong.sel(loss="inner product")
    np.testing.assert_allclose(inner, 1, atol=2e-4)  # float32 targets are orthonormal to 1e-7, times the growth
    np.testing.assert_allclose(found.rate, 1, atol=2e-3)
    off = abs(found.wrong.sel(loss="squared error", optimizer="SGD") - found.exact)
    assert float(off.max()) == pytest.approx(0, abs=0.05)
