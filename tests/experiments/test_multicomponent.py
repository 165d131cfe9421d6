"""Findings of the multicomponent page on planted readings: each holds, and each fails on its own."""

import numpy as np
import xarray as xr

from experiments import multicomponent as page
from tests.experiments.planted import changed, fails, holds, spread, undecided
from toymodels import Axis, Run, Sweep
from toymodels.experiment import Swept
from toymodels.laws import Geometric
from toymodels.optimizers import Momentum
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.natural_steps import target_matrix
from toymodels.results import DIVERGED
from toymodels.theory.multicomponent import rank_one_flow

SEEDS, SCALES, OPTIMIZERS = 32, [1e-4, 1e-3], ["SGD", "momentum", "Adam", "AdamW"]
rng = np.random.default_rng(0)


def stairs() -> tuple[xr.Dataset, xr.Dataset]:
    mean = (("component", "scale"), np.array([[8, 6], [17, 12], [34, 25], [70, 51]], float))
    time = mean[1][..., None] * (1 + spread(4, 2))
    dims, coords = ("component", "scale", "seed"), {"scale": SCALES, "stage": range(5)}
    escapes = xr.Dataset(
        {
            "time": (dims, time),
            "mean": mean,
            "stage_error": (("scale", "seed", "stage"), 0.001 * rng.normal(size=(2, SEEDS, 5))),
        },
        coords,
    )
    return escapes, xr.Dataset(
        {"complete": (("ratio", "scale", "seed"), np.ones((3, 2, SEEDS)))}, coords | {"ratio": [0.5, 0.7, 0.9]}
    )


def one_component() -> tuple[xr.Dataset, xr.Dataset]:
    lr = np.array([1e-3, 5e-4, 2.5e-4])
    worst = xr.DataArray(lr[:, None] * (1 + spread(1, size=0.1)), dims=("lr", "seed"), coords={"lr": lr})
    mean = xr.DataArray(
        [[7.0, 5.0], [7.0, 4.5]], dims=("ratio", "scale"), coords={"ratio": [0.5, 0.9], "scale": SCALES}
    )
    time = mean * xr.DataArray(1 + spread(2, 2), dims=("ratio", "scale", "seed"))
    return xr.Dataset({"worst": worst}), xr.Dataset({"time": time, "mean": mean, "p": xr.full_like(mean, 0.4)})


def bumps(more: float = 1.0) -> xr.Dataset:
    dims, coords = (
        ("optimizer", "ratio", "scale", "seed"),
        {"optimizer": OPTIMIZERS, "ratio": [0.5, 0.8], "scale": SCALES},
    )
    count = xr.DataArray(1 + spread(4, 2, 2, size=0.3), dims=dims, coords=coords)
    return xr.Dataset({"bumps": count + more * (count.optimizer == "Adam")})


def test_the_staircase() -> None:
    escapes, whole = stairs()
    holds(page.the_staircase(escapes, whole))
    for scale in SCALES:
        for shift in (0.05, -0.05):
            level = {"scale": scale, "stage": 2}
            high = changed(escapes, "stage_error", lambda error, shift=shift: error + shift, **level)
            fails(page.the_staircase(high, whole), f"plateau-levels[scale={scale:g}]")
        for factor in (0.8, 1.2):
            late = changed(escapes, "time", lambda time, factor=factor: factor * time, scale=scale)
            fails(page.the_staircase(late, whole), f"component-escapes[scale={scale:g}]")
    few = escapes.isel(seed=slice(3))
    undecided(page.the_staircase(few, whole), "plateau-levels[scale=0.001]")


def test_the_flow_and_the_law() -> None:
    flow, law = one_component()
    holds(page.flow_and_law(flow, law))
    fails(page.flow_and_law(10 * flow, law), "on-the-flow")
    for factor in (0.5, 2):
        fails(
            page.flow_and_law(changed(flow, "worst", lambda worst, f=factor: f * worst, lr=1e-3), law),
            "error-per-doubling",
        )
        fails(page.flow_and_law(flow, law.assign(time=(0.5 + 0.35 * factor) * law.time)), "mean-escape")
    fails(page.flow_and_law(flow, changed(law, "p", lambda p: 1e-3 + 0 * p, ratio=0.5, scale=1e-4)), "law-of-escape")
    holds(page.flow_and_law(flow, changed(law, "p", lambda p: 4e-3 + 0 * p, ratio=0.5, scale=1e-4)))


def test_bumps() -> None:
    holds(page.bumps_under_adam(bumps(), bumps()))
    one = changed(bumps(), "bumps", lambda count: count - 2, optimizer="Adam", ratio=0.8, scale=1e-3)
    fails(page.bumps_under_adam(one, bumps()), "more-bumps-everywhere[snapshots=even]")
    fails(page.bumps_under_adam(bumps(), one), "more-bumps-everywhere[snapshots=logarithmic]")
    both = [f"more-bumps-{where}[snapshots=even]" for where in ("everywhere", "somewhere")]
    fails(page.bumps_under_adam(bumps(-1.0), bumps()), *both)
    undecided(page.bumps_under_adam(bumps(0.0), bumps()), *both)


def test_pairs_of_seeds_decide_what_the_means_do_not() -> None:
    """Runs differ far more between seeds than between optimizers."""
    noisy = bumps(0.0)
    noisy["bumps"] = noisy.bumps + xr.DataArray(spread(1, size=5)[0], dims="seed") + 0.5 * (noisy.optimizer == "Adam")
    holds(page.bumps_under_adam(noisy, noisy))


def test_descents_are_more_seeds_of_cells_of_the_levels() -> None:
    cell = {"ratio": 0.5, "scale": 1e-3, "seed": 7}
    assert page.sweeps["descents"].cell(**cell) == page.sweeps["levels"].cell(**cell)


def one_cell(data: dict[str, tuple[tuple[str, ...], np.ndarray]], run: Run, axes: list[Axis]) -> Swept:
    """A sweep that is trained, made by hand."""
    sweep = Sweep(run, axes)
    status = (tuple(sweep_axis.name for sweep_axis in axes), np.zeros(sweep.shape, int))
    return Swept(sweep, xr.Dataset({**data, "status": status}, {axis.name: axis.labels for axis in axes}))


def test_the_deviation_of_the_flow_from_itself_is_nothing() -> None:
    """Losses of the flow itself, sampled at two step sizes; a run that diverges has no deviation."""
    problem = Factorize(Components(4, 4, 4, Geometric(0.5)), scale=0.1)
    A, start = target_matrix(problem.target), np.random.default_rng(1).normal(scale=0.1, size=(2, 2, 4))
    steps, lrs = np.arange(0, 400, 10), [0.02, 0.01]
    loss = np.array([[rank_one_flow(A, *each, steps * lr).loss for each in start] for lr in lrs])
    each_lr = np.broadcast_to(start, (2, *start.shape))
    weights = {
        name: (("lr", "seed", "snapshot", dim, "component"), each_lr[:, :, side, None, :, None])
        for side, (name, dim) in enumerate((("U", "row"), ("V", "column")))
    }
    axes = [Axis("lr", "optimizer.lr", lrs), Axis("seed", "seed", range(2))]
    flow = one_cell(weights | {"objective": (("lr", "seed", "step"), loss)}, Run(problem, Momentum(decay=0)), axes)
    data = flow.data.assign_coords(step=steps)
    found = page.deviations(Swept(flow.sweep, data))
    assert float(found.worst.max()) < 1e-12
    assert np.isfinite(found.exact.sel(lr=0.01)).all()
    assert np.isnan(found.exact.sel(lr=0.02).values[:, 20:]).all()
    lost = data.assign(status=xr.where((data.lr == 0.02) & (data.seed == 1), DIVERGED, data.status))
    worst = page.deviations(Swept(flow.sweep, lost)).worst
    assert np.isnan(worst).sum() == np.isnan(worst.sel(lr=0.02, seed=1)) == 1
