"""Wall time to a solution, not to a step: until a model's loss is within 1 % of the best that is known for it.

`python -m benchmarks.solution [--seeds N]` writes docs/benchmarks_solution.md. PyTorch trains as the notebook of Elhage
et al. 2022 does, at a constant rate. Ours trains once in the same way, and once at a rate that falls to zero within the
run, in runs of several lengths. Clocks count steps alone, those of all models of a set together.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from benchmarks.contenders import TorchInstances
from benchmarks.diagram import densities, diagram, exact, ratios
from benchmarks.report import machine
from benchmarks.workloads import Autoencoders
from toymodels import Adam, Record, Run, Sweep, config, sweep, use_cores
from toymodels.arrays import Array, Float
from toymodels.data import Sparse
from toymodels.engine.plan import Group
from toymodels.executors import Events
from toymodels.models import Tied
from toymodels.optimizers import Cosine
from toymodels.problems.population import Population

WITHIN = 1.01
PEAK, WARMUP = 4e-3, 0.05
"""Of the falling rate: four times the constant one, and the part of the run in which it rises."""
UNSEEN = 16_384
"""Examples that losses are evaluated on, the same for all."""


@dataclass(frozen=True)
class Set:
    """Autoencoders of several densities, a model each, and the numbers of steps at which they are compared."""

    models: Autoencoders
    lengths: Sequence[int]


SETS = {
    "n=200 m=20": Set(Autoencoders(200, 20, 4, 6400, densest=0.3), (400, 800, 1600, 3200, 6400)),
    "n=400 m=30": Set(Autoencoders(400, 30, 4, 3200, densest=0.3), (400, 800, 1600, 3200)),
}
FURTHER = 2
"""So many times as long is the run that, with all others, says what is the best that is known."""


class Course(NamedTuple):
    """How the models of a set come down."""

    seconds: np.ndarray
    """(lengths,): from the start."""
    losses: np.ndarray
    """(lengths, models)"""

    def arrival(self, best: np.ndarray) -> np.ndarray:
        """(models,): seconds until each stays within 1 % of the best; infinite where it does not get there."""
        stays = np.logical_and.accumulate((self.losses <= WITHIN * best)[::-1])[::-1]
        return np.where(stays.any(0), self.seconds[stays.argmax(0)], np.inf)


@jax.jit
def losses(W: Float[Array, "models n m"], b: Float[Array, "models n"], p: Float[Array, " models"]) -> Array:
    """Mean squared error, on examples that nobody has trained on."""

    def one(W: Array, b: Array, p: Array, key: Array) -> Array:
        on_key, value_key = jax.random.split(key)
        shape = UNSEEN, W.shape[0]
        x = jnp.where(jax.random.uniform(on_key, shape) < p, jax.random.uniform(value_key, shape), 0.0)
        return jnp.mean(jnp.sum((x - jax.nn.relu(x @ W @ W.T + b)) ** 2, -1))

    return jax.lax.map(lambda own: one(*own), (W, b, p, jax.random.split(jax.random.key(99), len(p))))


def evaluated(models: Autoencoders, W: Any, b: Any) -> np.ndarray:
    return np.asarray(losses(np.asarray(W), np.asarray(b), models.probabilities().astype(np.float32)))


class Clock(Events):
    """Seconds of training alone."""

    seconds = 0.0

    def committed(self, group: Group, seconds: Mapping[str, float]) -> None:
        self.seconds += seconds["train"]


def trained(what: Sweep, **changes: Any) -> tuple[xr.Dataset, float]:
    """A sweep with these fields changed, and the seconds that its steps took."""
    paths = {name.replace("__", "."): value for name, value in changes.items()}
    clock = Clock()
    return sweep(replace(what, base=config.replace(what.base, paths)), events=clock), clock.seconds


# ------------------------------------------------------------------------------------------------------------ the sets


def falling(of: Set, seed: int, lengths: Sequence[int] = ()) -> Course:
    """Ours at a rate that falls to zero: a run of each length."""
    found, times = [], []
    for steps in lengths or of.lengths:
        data, seconds = trained(of.models.sweep(), steps=steps, seed=seed, optimizer__lr=Cosine(PEAK, WARMUP))
        found.append(evaluated(of.models, data.W.isel(snapshot=-1), data.b.isel(snapshot=-1)))
        times.append(seconds)
    return Course(np.asarray(times), np.asarray(found))


def constant(of: Set, seed: int) -> Course:
    """Ours at a constant rate: one run, and what it was on its way."""
    record = Record(*[of.lengths[-1] // of.lengths[0] + 1] * 2, linear=True)
    data, seconds = trained(of.models.sweep(), steps=of.lengths[-1], seed=seed, record=record)
    at = [data.sel(snapshot=steps) for steps in of.lengths]
    part = np.asarray(of.lengths) / of.lengths[-1]
    return Course(seconds * part, np.asarray([evaluated(of.models, each.W, each.b) for each in at]))


def in_torch(of: Set, seed: int) -> Course:
    """PyTorch at a constant rate; its clock stops while losses are evaluated."""
    peer = TorchInstances(of.models, seed)
    found, times, done = [], [], 0
    for steps in of.lengths:
        start = time.perf_counter()
        peer.train(steps - done)
        times.append(time.perf_counter() - start)
        weights, done = peer.weights(), steps
        found.append(evaluated(of.models, weights["W"], weights["b"]))
    return Course(np.cumsum(times), np.asarray(found))


TORCH, OURS = "PyTorch, constant rate", "toymodels, constant rate"
CONTENDERS: dict[str, Callable[[Set, int], Course]] = {
    "toymodels, falling rate": falling,
    OURS: constant,
    TORCH: in_torch,
}


# --------------------------------------------------------------------------------------------------- the phase diagram


GRID, RESTARTS, RATE = 10, 10, 0.03
EXACT, SAMPLED = (50, 100, 200, 400, 800), (100, 200, 400, 800)
"""Steps of Adam at which the best of the restarts is compared with the exact optimum."""
SHARES = (0.5, 0.9, 0.99)


class Phases(NamedTuple):
    seconds: np.ndarray
    """(lengths,)"""
    reached: np.ndarray
    """(lengths,): share of the cells of the grid whose best restart is within 1 % of the exact optimum."""

    def until(self, share: float) -> float:
        there = self.reached >= share
        return float(self.seconds[there.argmax()]) if there.any() else np.inf


def reached(W: np.ndarray, b: np.ndarray) -> float:
    """Of W (p, ratio, restarts, 2, 1)."""
    losses, best = exact(W, b)
    return float(np.mean(losses.min(-1) <= WITHIN * best))


def phases_here() -> Phases:
    """Ours, by the exact loss, at a rate that falls: a run of each length."""
    base = Run(Population(Sparse(2, 0.1), Tied(1)), Adam(Cosine(RATE, WARMUP)), record=Record(1, 1))
    what, found, times = diagram(base, (GRID, GRID, RESTARTS)), [], []
    for steps in EXACT:
        data, seconds = trained(what, steps=steps)
        found.append(reached(data.W.isel(snapshot=-1).values, data.b.isel(snapshot=-1).values))
        times.append(seconds)
    return Phases(np.asarray(times), np.asarray(found))


def phases_in_torch(rate: float) -> Phases:
    """PyTorch on batches of 1024 examples, all models as an axis."""
    import torch

    generator = torch.Generator().manual_seed(0)
    shape = GRID, GRID, RESTARTS
    p, ratio, _ = np.meshgrid(densities(GRID), ratios(GRID), range(RESTARTS), indexing="ij")
    on, weight = torch.tensor(p.reshape(-1, 1)).float(), torch.tensor(np.stack([0 * ratio + 1, ratio], -1)).float()
    weight = weight.reshape(-1, 2)
    W = torch.nn.Parameter(torch.randn(p.size, 2, 1, generator=generator) * np.sqrt(2 / 3))
    b = torch.nn.Parameter(torch.zeros(p.size, 2))
    optimizer, found, times, done = torch.optim.Adam([W, b], lr=rate), [], [], 0
    for steps in SAMPLED:
        start = time.perf_counter()
        for _ in range(steps - done):
            drawn = torch.rand(2, 1024, p.size, 2, generator=generator)
            x = torch.where(drawn[0] < on, drawn[1], torch.zeros(()))
            out = torch.relu(torch.einsum("bim,inm->bin", torch.einsum("bin,inm->bim", x, W), W) + b)
            loss = (weight * (x - out) ** 2).sum((1, 2)).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        times.append(time.perf_counter() - start)
        done = steps
        found.append(reached(W.detach().numpy().reshape(*shape, 2, 1), b.detach().numpy().reshape(*shape, 2)))
    return Phases(np.cumsum(times), np.asarray(found))


# ----------------------------------------------------------------------------------------------------------------- page


def set_rows(of: Set, courses: Mapping[str, Sequence[Course]], further: Sequence[Course]) -> Iterator[list[str]]:
    """density, best loss, and for each contender the median time over seeds with its range."""
    everything = [each.losses for own in (*courses.values(), further) for each in own]
    best = np.concatenate(everything).min(0)
    times = {label: np.asarray([each.arrival(best) for each in own]) for label, own in courses.items()}
    for model, p in enumerate(of.models.probabilities()):
        told = [_range(own[:, model], of, courses[label]) for label, own in times.items()]
        yield [f"{p:.2g}", f"{best[model]:.4g}", *told]


def _range(seconds: np.ndarray, of: Set, courses: Sequence[Course]) -> str:
    if np.isinf(seconds).all():
        return f"more than {min(each.seconds[-1] for each in courses):.0f} s"
    middle, least, most = (
        f"{s:.1f} s" if np.isfinite(s) else f"not in {of.lengths[-1]} steps" for s in _three(seconds)
    )
    return f"{middle} ({least} to {most})"


def _three(seconds: np.ndarray) -> tuple[float, float, float]:
    """Median, of an even number the greater one, least and greatest."""
    ordered = np.sort(seconds)
    return ordered[len(ordered) // 2], ordered[0], ordered[-1]


def agreement(courses: Mapping[str, Sequence[Course]]) -> str:
    """How far the mean final losses of the same training here and in PyTorch are apart, and how far seeds are."""
    last = {label: np.asarray([each.losses[-1] for each in courses[label]]) for label in (OURS, TORCH)}
    means = {label: values.mean(0) for label, values in last.items()}
    apart = np.abs(means[OURS] / means[TORCH] - 1).max()
    spread = max(np.ptp(values / values.mean(0), axis=0).max() for values in last.values())
    return f"their mean final losses differ by {apart:.2%} at most, those of seeds among each other by {spread:.2%}"


def page(
    courses: Mapping[str, Mapping[str, Sequence[Course]]],
    further: Mapping[str, Sequence[Course]],
    phases: Mapping[str, Phases],
) -> Iterator[str]:
    import torch

    version = torch.__version__.split("+")[0]
    seeds = len(next(iter(further.values())))
    yield "# Time to a solution\n"
    yield (
        "Made by `python -m benchmarks.solution`: seconds until a model's loss, on "
        f"{UNSEEN:,} examples that nobody trains on, is within 1 % of the best known, and stays there. Tied ReLU "
        f"autoencoders, batch 1024, AdamW; PyTorch as in the notebook of Elhage et al. 2022, rate .001, instances as "
        "an axis. Ours once in the same way, with draws that all models share, and once at a rate that rises to "
        f"{PEAK:g} within {WARMUP:.0%} of the run and falls to zero (`Cosine`), in runs of several lengths: the "
        "time is that of the first one that is long enough. Clocks count the steps of all models of a set, not "
        f"compilation. Median over {seeds} seeds (of two the later), with their range. The best known loss is the "
        f"least of all these runs and one {FURTHER} times as long. Measured on {machine()}, PyTorch {version}.\n"
    )
    for name, of in SETS.items():
        lengths = ", ".join(map(str, of.lengths))
        yield f"## {name}\n"
        yield f"{of.models.instances} models, compared after {lengths} steps; {agreement(courses[name])}.\n"
        yield "| p | best loss | " + " | ".join(courses[name]) + " |"
        yield "|" + "---|" * (2 + len(courses[name]))
        yield from ("| " + " | ".join(row) + " |" for row in set_rows(of, courses[name], further[name]))
        yield ""
    yield "## Phase diagram\n"
    yield (
        f"n = 2, m = 1; {GRID} densities x {GRID} importances x {RESTARTS} restarts, Adam. Seconds until the best "
        f"restart is within 1 % of the exact optimum in so many of the cells. Ours by the exact loss and a falling "
        f"rate, peak {RATE:g}; PyTorch by batches of 1024 examples. At most {max(*EXACT, *SAMPLED)} steps.\n"
    )
    yield "| | " + " | ".join(f"{share:.0%}" for share in SHARES) + " | at the end |"
    yield "|---|" + "---|" * (len(SHARES) + 1)
    for label, each in phases.items():
        until = [each.until(share) for share in SHARES]
        times = [f"{s:.1f} s" if np.isfinite(s) else f"more than {each.seconds[-1]:.0f} s" for s in until]
        yield f"| {label} | " + " | ".join(times) + f" | {each.reached[-1]:.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solution", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each (default 2)")
    args = parser.parse_args()
    if not importlib.util.find_spec("torch"):
        parser.error("PyTorch is what is compared with: pip install torch==2.13.0")
    if args.seeds < 1:
        parser.error(f"--seeds {args.seeds}: at least 1")
    use_cores()
    courses: dict[str, dict[str, list[Course]]] = {}
    further = {}
    for name, of in SETS.items():
        courses[name] = {label: [train(of, k) for k in range(args.seeds)] for label, train in CONTENDERS.items()}
        further[name] = [falling(of, seed, [FURTHER * of.lengths[-1]]) for seed in range(args.seeds)]
    phases = {"toymodels, exact loss": phases_here()}
    phases |= {f"PyTorch, rate {rate:g}": phases_in_torch(rate) for rate in (RATE, RATE / 3)}
    Path("docs/benchmarks_solution.md").write_text("\n".join(page(courses, further, phases)) + "\n")


if __name__ == "__main__":
    main()
