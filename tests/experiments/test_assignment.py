"""Findings on who ends where, on planted readings: each holds, and each fails on its own."""

import numpy as np
import pytest
import xarray as xr

from experiments import assignment as page
from tests.experiments.planted import changed, fails, holds, outcomes
from toymodels.experiment import Swept

AT = {"ratio": [0.3, 0.8], "scale": [1e-3, 0.1]}
SEEDS = 256


def ends() -> xr.Dataset:
    """Every rule right, but the pairs of growing overlaps for three starts in four at the first ratio and start."""
    right = xr.DataArray(np.ones((3, 2, 2, SEEDS)), {"rule": list(page.RULES), **AT}, ("rule", *AT, "seed"))
    one = right.isel(rule=0, drop=True)
    end = xr.concat([xr.concat([one, 0 * one], "target"), xr.concat([0 * one, one], "target")], "component")
    return xr.Dataset({"right": right, "end": end, "predicted": end, "vector": one, "shuffled": one / 2})


@pytest.mark.parametrize("by", ["cosines", "overlaps"])
def test_the_closest_decides(by: str) -> None:
    found = outcomes(page.the_start_decides(ends()))
    assert {key for key, outcome in found.items() if outcome != "holds"} == {"three-quarters"}
    at = {"rule": by, "ratio": 0.8, "scale": 0.1}
    half = changed(ends(), "right", lambda right: right * (np.arange(SEEDS) % 4 > 1), **at)
    assert outcomes(page.the_start_decides(half))[f"closest-decides[by={by},ratio=0.8,scale=0.1]"] == "fails"
    none = outcomes(page.the_start_decides(changed(ends(), "right", lambda right: 0 * right, **at)))
    assert none[f"better-than-chance[by={by},ratio=0.8,scale=0.1]"] == "fails"


def test_the_rule_of_theory() -> None:
    at = {"ratio": 0.8, "scale": 0.1}
    lost = outcomes(page.the_start_decides(changed(ends(), "right", lambda right: 0 * right, rule="first", **at)))
    assert lost["first-component-decides[ratio=0.8,scale=0.1]"] == "fails"
    corner = {"rule": "overlaps", "ratio": 0.3, "scale": 1e-3}
    three = changed(ends(), "right", lambda right: right * (np.arange(SEEDS) % 4 > 0), **corner)
    assert outcomes(page.the_start_decides(three))["three-quarters"] == "holds"


def test_the_limit() -> None:
    holds(page.the_end_is_exact(ends()))
    off = changed(ends(), "predicted", lambda old: old + 0.1, ratio=0.8, scale=0.1)
    fails(page.the_end_is_exact(off), "limit-of-small-starts[ratio=0.8,scale=0.1]")


def test_a_run_at_the_answer_is_read_as_such() -> None:
    """Learned vectors along the target's from start to end: every rule is right; exchanged at the end, none is."""
    sweep = page.experiment.at("tiny")["runs"]
    own = page.targets(sweep.base.problem, range(8))
    axes = {axis.name: axis.labels for axis in sweep.axes}
    shape = tuple(len(labels) for labels in axes.values())
    for order, expected in (([0, 1], 1), ([1, 0], 0)):
        data = xr.Dataset(coords={**axes, "snapshot": [0, 1]})
        for name, side, dim in (("U", own.left, "row"), ("V", own.right, "column")):
            start, end = side.values, side.values[:, order]
            both = np.stack([start, end], 1).swapaxes(-1, -2) * np.array([1.0, 0.9])
            data[name] = ((*axes, "snapshot", dim, "component"), np.broadcast_to(both, (*shape, *both.shape[1:])))
        found = page.ends(Swept(sweep, data.assign(status=(tuple(axes), np.zeros(shape, int)))))
        assert (found.right == expected).all()
        assert (found.vector == expected).all()
        assert float(abs(found.end - found.predicted).max()) == pytest.approx(1 - expected, abs=1e-5)
