"""Findings on learning from noise, on planted readings: each holds, and each fails on its own."""

import numpy as np
import pytest
import xarray as xr

from experiments import noisy_factorisation as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels.problems.natural_steps import growth_rate

AT = {"noise": [0.0, 1.0], "ratio": [0.25, 0.5], "scale": [1e-3, 1e-2]}
CORNER, NAMED = {"noise": 1.0, "ratio": 0.5, "scale": 1e-2}, "noise=1,ratio=0.5,scale=0.01"


def planted(value: float, size: float) -> xr.DataArray:
    return xr.DataArray(value + spread(2, 2, 2, size=size), AT, (*AT, "seed"))


def both() -> tuple[xr.Dataset, xr.Dataset]:
    common = {"number": planted(2, 0.05), "escape": planted(10, 0.1), "bumps": planted(1.5, 0.1)}
    common |= {"span": planted(0.99, 0.001), "between": planted(1, 0.001)}
    shrink = xr.DataArray([1.0, 0.5], {"noise": AT["noise"]}, ("noise",))
    strength = xr.concat([planted(1, 0.005) * shrink] * 2, "target").transpose(*AT, "target", "seed")
    inputs = xr.Dataset({**common, "strength": strength, "shrink": shrink})
    return xr.Dataset({**common, "over": planted(1, 0.01)}), inputs


@pytest.mark.parametrize("on", ["target", "inputs"])
@pytest.mark.parametrize(
    ("name", "change", "id"),
    [
        ("number", lambda old: old + 1, "plateaus-stay"),
        ("number", lambda old: old - 1, "plateaus-stay"),
        ("escape", lambda old: 1.3 * old, "escape-stays"),
        ("bumps", lambda old: old + 1, "bumps-stay"),
        ("span", lambda old: old - 0.2, "span-stays"),
    ],
)
def test_the_path(on, name, change, id) -> None:
    holds(page.noise_leaves_the_path(*both()))
    found = dict(zip(("target", "inputs"), both(), strict=True))
    found[on] = changed(found[on], name, change, **CORNER)
    fails(page.noise_leaves_the_path(*found.values()), f"{id}[on={on},{NAMED}]")


def test_floors_and_shrinkage() -> None:
    entries, inputs = both()
    holds(page.floors_and_shrinkage(entries, inputs))
    high = changed(entries, "over", lambda over: 1.4 * over, **CORNER)
    fails(page.floors_and_shrinkage(high, inputs), f"floor[{NAMED}]")
    for factor in (0.9, 1.1):
        other = changed(inputs, "strength", lambda old, f=factor: f * old, target=1, **CORNER)
        fails(page.floors_and_shrinkage(entries, other), f"shrinks[{NAMED},component=2]")


def test_noise_is_in_units_of_what_is_clean() -> None:
    """Steps do not depend on the noise; noise on entries is relative to theirs, on inputs to theirs."""
    clean, noisy = (page.sweeps["inputs"].cell(noise=noise, ratio=0.5, scale=1e-3, seed=1) for noise in (0, 0.5))
    assert clean.optimizer.lr == noisy.optimizer.lr
    problem = clean.problem
    rate = growth_rate(problem.target, problem.loss, problem.data.clean)
    assert noisy.optimizer.lr == pytest.approx(0.02 / rate)
    x = np.asarray(noisy.problem.data.second_moment() - clean.problem.data.second_moment())
    np.testing.assert_allclose(np.diagonal(x), 0.5**2 * page.MOMENT, rtol=1e-5)
    entries = page.sweeps["entries"].cell(noise=4, ratio=0.5, scale=1e-3, seed=1)
    assert entries.problem.noise == pytest.approx(4 / 16)
