"""Sparse autoencoders over width x penalty x seed: one program a width here, a loop over models in PyTorch.

`python -m benchmarks.dictionaries [--repeats N]` writes docs/benchmarks_dictionaries.md. Both draw the same features,
embed them in the same way, and take the same steps of Adam on the same loss; the loop is timed on a few models and
counted for all. Machines drift: repeats alternate, and only ratios within one of them mean something.
"""

import argparse
import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contenders import trainer
from benchmarks.report import machine
from toymodels import Adam, Axis, Dictionary, Embedded, Record, ReluL1, Run, Sparse, Sweep, use_cores
from toymodels.engine.devices import available_cores
from toymodels.problems.dictionary import planted

N, D, P, LR = 128, 64, 0.03, 1e-3
WIDTHS, PENALTIES, SEEDS = (128, 256), np.geomspace(0.02, 0.3, 8), range(20)
BATCHES, STEPS, MODELS, LOOP_STEPS = (32, 128), 2000, 2, 100
"""Examples of a step; steps of ours; models that the loop is timed on, and for how many steps of each."""


class Timing(NamedTuple):
    """Milliseconds of one step of one model, one a repeat."""

    steps: np.ndarray
    """Ours, training alone, which is what the loop does ..."""
    whole: np.ndarray
    """... and with the measurement of what is still to gain, at the end of each model."""
    loop: np.ndarray


def sweep(width: int, batch: int) -> Sweep:
    problem = Dictionary(Embedded(Sparse(N, P), D), ReluL1(), width)
    base = Run(problem, Adam(LR), steps=STEPS, batch=batch, record=Record(1, 1, examples=batch))
    return Sweep(base, [Axis("penalty", "problem.coder.penalty", PENALTIES), Axis("seed", "seed", SEEDS)], planted)


class Torch:
    """One sparse autoencoder in PyTorch: ReLU + L1, decoder rows at unit length, untied, as ours."""

    def __init__(self, width: int, batch: int, penalty: float, seed: int) -> None:
        import torch

        self.generator = torch.Generator().manual_seed(seed)
        self.batch, self.penalty = batch, penalty
        self.truth = torch.nn.functional.normalize(torch.randn(N, D, generator=self.generator), dim=1)
        decoder = torch.nn.functional.normalize(torch.randn(width, D, generator=self.generator), dim=1)
        start = {"decoder": decoder, "encoder": decoder.clone(), "b_enc": torch.zeros(width), "b_dec": torch.zeros(D)}
        self.params = {name: torch.nn.Parameter(values) for name, values in start.items()}
        self.optimizer = torch.optim.Adam(self.params.values(), lr=LR)

    def loss(self) -> Any:
        import torch

        u = torch.rand(self.batch, N, generator=self.generator)
        h = torch.where(u < P, u / P, torch.zeros(())) @ self.truth
        params = self.params
        codes = torch.relu((h - params["b_dec"]) @ params["encoder"].T + params["b_enc"])
        left = h - codes @ torch.nn.functional.normalize(params["decoder"], dim=1) - params["b_dec"]
        return ((left**2).sum(1) + self.penalty * codes.sum(1)).mean()

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss().backward()
            self.optimizer.step()


def measure(width: int, batch: int, repeats: int) -> Timing:
    train, count = trainer(sweep(width, batch)), len(PENALTIES) * len(SEEDS)
    models = [Torch(width, batch, float(PENALTIES[k]), k) for k in range(MODELS)]
    train(1)  # compiles
    for model in models:
        model.train(5)
    times: list[tuple[float, float, float]] = []
    for _ in range(repeats):
        times.append((*train(), min(_loop(models, threads) for threads in {1, available_cores()})))
    milliseconds = 1e3 * np.asarray(times) / [STEPS * count, STEPS * count, LOOP_STEPS * MODELS]
    return Timing(*milliseconds.T)


def _loop(models: list[Torch], threads: int) -> float:
    """Seconds that a loop over these models takes on so many threads."""
    import torch

    torch.set_num_threads(threads)
    start = time.perf_counter()
    for model in models:
        model.train(LOOP_STEPS)
    return time.perf_counter() - start


def page(timings: dict[tuple[int, int], Timing], repeats: int) -> Iterator[str]:
    import torch

    widths, count = ", ".join(map(str, WIDTHS)), len(WIDTHS) * len(PENALTIES) * len(SEEDS)
    yield "# Sparse autoencoders\n"
    yield (
        f"Made by `python -m benchmarks.dictionaries`: {count} autoencoders, ReLU + L1, untied, d = {D}, {N} planted "
        f"features with p = {P:g}; widths {widths}, {len(PENALTIES)} penalties, {len(SEEDS)} "
        f"seeds, one compiled program a width. Beside it a loop over the models in PyTorch {torch.__version__}, "
        f"eager, timed on {MODELS} of them for {LOOP_STEPS} steps, on one thread and on all cores: the faster counts. "
        f"Medians of {repeats} alternating repeats, with the range of the ratio. "
        f"Ours trains {STEPS} steps; compilation is not counted. The first ratio is of training alone, as in the loop; "
        f"the second counts what only ours does besides: to measure, at the end, what a model has still to gain. "
        f"Measured on {machine()}.\n"
    )
    yield "| width | batch | ours, ms a model and step | with the end | loop, ms | times its throughput | with end |"
    yield "|---|---|---|---|---|---|---|"
    for (width, batch), each in timings.items():
        times = " | ".join(f"{np.median(one):.3g}" for one in each)
        yield f"| {width} | {batch} | {times} | {_spread(each.loop / each.steps)} | {_spread(each.loop / each.whole)} |"


def _spread(ratio: np.ndarray) -> str:
    return f"{np.median(ratio):.3g} ({ratio.min():.3g} to {ratio.max():.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dictionaries", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="timings of each (default 3)")
    args = parser.parse_args()
    if not importlib.util.find_spec("torch"):
        parser.error("PyTorch is what is compared with: pip install -e .[bench]")
    use_cores()
    timings = {(width, batch): measure(width, batch, args.repeats) for width in WIDTHS for batch in BATCHES}
    text = "\n".join(page(timings, args.repeats)) + "\n"
    Path("docs/benchmarks_dictionaries.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
