"""Is a cell that is called converged at the bottom of its valley? Trained cells against optima found another way.

    python -m tests.convergence [--out docs/convergence.md]

The optimum of each cell is found from where its training ended by SciPy's BFGS in double precision - for models trained
on draws, on the exact expectation of their loss.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr
from scipy.optimize import minimize

from tests.tables import publish
from toymodels import Axis, Record, Run, Sweep, config, sweep
from toymodels.analysis.convergence import converged
from toymodels.data import Sparse
from toymodels.engine.remaining import flat, unflat
from toymodels.models import Tied
from toymodels.optimizers import Adam, Cosine, Sgd
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.packing import Packing
from toymodels.problems.population import Population
from toymodels.problems.quadratic import Quadratic
from toymodels.problems.supervised import Supervised

FIRST_SEED = 100
"""Seeds below were used to choose the limits of a descent and the margin."""
FAR, NEAR = 0.01, 1e-4
"""A cell this far above its optimum should not be called converged, one this near not unconverged."""


class Case(NamedTuple):
    """Runs of one problem; `exact` gives the problem whose loss is their expected one."""

    name: str
    run: Run
    axis: Axis
    steps: tuple[int, ...]
    exact: Callable[[Any], Any] = lambda problem: problem


def cases() -> list[Case]:
    record = Record(40, 2)
    packing = Run(Packing(6, 3), Adam(Cosine(0.03)), record=record)
    quadratic = Run(Quadratic(6, 3, scale=1e-3), Sgd(2e-3), record=record)
    factors = Run(
        Factorize(Components(8, 8, rank=4, spectrum=(4.0, 3.0, 2.0, 1.0)), components=3, scale=1e-3),
        Sgd(1e-2),
        record=record,
    )
    model = Run(Supervised(Sparse(5, 0.1), Tied(2)), Adam(3e-3), record=record)
    p = Axis("value", "problem.data.p", (0.02, 0.1, 0.4))

    def population(problem: Any) -> Population:
        return Population(problem.data, problem.model)

    return [
        Case("packing", packing, Axis("value", "problem.power", (3.0, 8.0, 40.0)), (100, 1000, 4000)),
        Case("quadratic", quadratic, Axis("value", "problem.kurtosis", (3.0, 9.0)), (300, 1000, 4000)),
        Case("factorization", factors, Axis("value", "problem.scale", (1e-3, 1e-1)), (300, 1000, 4000)),
        Case("autoencoder, Adam", model, p, (300, 2000, 8000), population),
        Case(
            "autoencoder, cosine", config.replace(model, {"optimizer": Adam(Cosine(0.01))}), p, (300, 2000), population
        ),
    ]


class Judged(NamedTuple):
    """Cells: what they were called, what their curves alone say, and how far above their optimum they are."""

    ok: np.ndarray
    by_curve: np.ndarray
    excess: np.ndarray
    """Loss over the optimum, less 1."""


def judged(case: Case, steps: int, seeds: int) -> Judged:
    what = Sweep(
        config.replace(case.run, {"steps": steps}),
        [case.axis, Axis("seed", "seed", range(FIRST_SEED, FIRST_SEED + seeds))],
    )
    data = sweep(what).load()
    excess = [
        _excess(case.exact(run.problem), data.isel(value=i // seeds, seed=i % seeds))
        for i, run in enumerate(what.runs())
    ]
    curves = data.objective.transpose("value", "seed", "step").values.reshape(len(excess), -1)
    return Judged(data.status.values.ravel() == 0, np.asarray(converged(data.step.values, curves)), np.array(excess))


_gradients: dict[Any, Any] = {}


def _excess(problem: Any, cell: xr.Dataset) -> float:
    with jax.enable_x64(True):
        like = {name: np.asarray(cell[name].isel(snapshot=-1), np.float64) for name in problem.dims if name in cell}
        key = jax.tree.structure(problem)
        if key not in _gradients:
            _gradients[key] = jax.jit(
                jax.value_and_grad(lambda x, like, problem: problem.objective(unflat(x, like), None))
            )
        x = flat({name: values[None] for name, values in like.items()})[0]
        start = float(_gradients[key](x, like, problem)[0])

        def scaled(x: np.ndarray) -> tuple[float, np.ndarray]:
            loss, slope = _gradients[key](x, like, problem)
            return float(np.log(loss)), np.asarray(slope, np.float64) / float(loss)

        best = minimize(scaled, x, jac=True, method="BFGS", options={"maxiter": 4000, "gtol": 1e-9})
        return start / float(np.exp(best.fun)) - 1


def rows(seeds: int) -> Iterator[str]:
    yield "| cells | number | converged | more than 1 % above | unconverged | less than .01 % above |"
    yield "|---|---|---|---|---|---|"
    every: list[Judged] = []
    for case in cases():
        found = [judged(case, steps, seeds) for steps in case.steps]
        every += found
        yield _row(f"{case.name}, {' to '.join(map(str, case.steps[:: len(case.steps) - 1]))} steps", found)
    yield _row("**all**", every)
    yield _row("all, by the curve alone", [each._replace(ok=each.by_curve) for each in every])


def _row(name: str, found: list[Judged]) -> str:
    ok, excess = (np.concatenate([getattr(each, field) for each in found]) for field in ("ok", "excess"))
    far, near = (ok & (excess > FAR)).sum(), (~ok & (excess < NEAR)).sum()
    shares = [f"{part} ({100 * part / max(whole, 1):.1f} %)" for part, whole in ((far, ok.sum()), (near, (~ok).sum()))]
    return f"| {name} | {len(ok)} | {ok.sum()} | {shares[0]} | {(~ok).sum()} | {shares[1]} |"


def report(seeds: int) -> Iterator[str]:
    yield "# Convergence\n"
    yield "`python -m tests.convergence --out docs/convergence.md` makes this table: trained cells, what they are"
    yield "called, and how far above the optimum of their valley they are. That optimum is found by BFGS in double"
    yield "precision from where training ended, on the exact (expected) loss."
    yield f"Seeds {FIRST_SEED} to {FIRST_SEED + seeds - 1}: the rule was made on others.\n"
    yield from rows(seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    publish(report(arguments.seeds), arguments.out)


if __name__ == "__main__":
    main()
