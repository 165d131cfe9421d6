"""Findings of the multicomponent page on planted readings: each holds, and each fails on its own."""

import numpy as np
import pytest
import xarray as xr

from experiments import multicomponent as page
from tests.experiments.planted import fails, holds, undecided
from toymodels.overrides import replaced
from toymodels.plan import plan

SEEDS, SCALES, OPTIMIZERS = 32, [1e-4, 1e-3], ["SGD", "momentum", "Adam", "AdamW"]
rng = np.random.default_rng(0)


def spread(*shape: int, size: float = 0.01) -> np.ndarray:
    """Noise of mean 0 over seeds, the last axis."""
    noise = size * rng.normal(size=(*shape, SEEDS))
    return noise - noise.mean(-1, keepdims=True)


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
        {"complete": (("ratio", "scale", "seed"), np.ones((3, 2, SEEDS), bool))}, coords | {"ratio": [0.5, 0.7, 0.9]}
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


def losses() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    ranks = xr.Dataset(
        coords={"loss": ["squared", "l4"], "optimizer": OPTIMIZERS, "target_rank": [1, 2], "rank": [1, 2]}
    )
    ranks["least"] = (("target_rank", "rank"), np.array([[0, 0], [0.4, 0]]))
    ranks["reached"] = ranks.least + xr.DataArray(
        1e-4 + spread(2, 4, 2, 2, size=1e-5), dims=("loss", "optimizer", "target_rank", "rank", "seed")
    )
    ranks["late"] = ranks.reached > 1
    return ranks, regression([0.1, 1.0], OPTIMIZERS, 2000), regression([1.0], OPTIMIZERS[:2], 16_000)


def regression(p: list[float], optimizers: list[str], steps: int) -> xr.Dataset:
    found = xr.Dataset(coords={"p": p, "optimizer": optimizers, "rank": [1, 2]}, attrs={"steps": steps})
    found["least"] = (("p", "rank", "seed"), 0.3 + spread(len(p), 2))
    found["reached"] = found.least + xr.DataArray(
        1e-3 + spread(len(optimizers), len(p), 2, size=1e-4), dims=("optimizer", "p", "rank", "seed")
    )
    found["late"] = found.reached > 0.9
    found["expected"] = (("p", "seed"), 100 + spread(len(p), size=10))
    return found.assign(measured=found.expected * xr.DataArray(1 + spread(len(p)), dims=("p", "seed")))


def changed(data: xr.Dataset, name: str, change, **labels) -> xr.Dataset:
    """A Dataset with one variable changed at these labels."""
    values = data[name].copy(deep=True)
    values.loc[labels] = change(values.loc[labels])
    return data.assign({name: values})


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


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optima(optimizer: str) -> None:
    ranks, sparse, dense = losses()
    holds(page.optima(ranks, sparse, dense))
    far = changed(ranks, "reached", lambda error: error + 0.05, loss="squared", optimizer=optimizer, rank=2)
    fails(page.optima(far, sparse, dense), f"eckart-young[optimizer={optimizer}]")
    for p, name in ((0.1, "sparse"), (1.0, "dense")):
        far = changed(sparse, "reached", lambda reached: reached + 0.05, optimizer=optimizer, p=p, rank=2)
        fails(page.optima(ranks, far, dense), f"regression-on-{name}-inputs[optimizer={optimizer},steps=2000]")
    if optimizer in dense.optimizer:
        far = changed(dense, "reached", lambda reached: reached + 0.05, optimizer=optimizer, rank=1)
        fails(page.optima(ranks, sparse, far), f"regression-on-dense-inputs[optimizer={optimizer},steps=16000]")
    for factor in (0.8, 1.2):
        fails(
            page.optima(ranks, changed(sparse, "measured", lambda time, f=factor: f * time, p=0.1), dense),
            "half-drop-of-sgd",
        )


def test_runs_that_still_fall_are_counted() -> None:
    ranks, sparse, dense = losses()
    found = {each.key: each for each in page.optima(ranks, sparse, dense.assign(late=dense.reached > 0))}
    assert found["regression-on-dense-inputs[optimizer=SGD,steps=16000]"].note == "64 of 64 runs were still falling"
    assert not found["eckart-young[optimizer=SGD]"].note


def test_one_program_serves_each_loss_class_and_optimizer_family() -> None:
    """4 classes of loss (one for both powers) x 2 families; regression x 2."""
    few = replaced(page.experiment.at("tiny"), {"seed": [0], "rank": [1], "target_rank": [1]})
    assert plan(few["ranks"].runs()).programs == 8
    assert plan(few["sparse"].runs()).programs == 2


def test_descents_are_more_seeds_of_cells_of_the_levels() -> None:
    cell = {"ratio": 0.5, "scale": 1e-3, "seed": 7}
    assert page.sweeps["descents"].cell(**cell) == page.sweeps["levels"].cell(**cell)
