"""Time a training step of many toy models here and in the designs one finds elsewhere, in alternating repeats.

`python -m benchmarks [--repeats N] [--only WORD]` writes docs/benchmarks.md and figures/benchmarks/. Machines drift, so
only the ratios within one repeat mean something: each repeat times every contender once, and the spread is over
repeats. Compilation is outside the timings, and shown apart; memory is that of a process of its own.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks import figures, report, sweeps
from benchmarks.contenders import OURS, contenders, products_alone
from benchmarks.report import FLOOR, WHOLE, Timing
from benchmarks.workloads import WORKLOADS, Workload
from toymodels.engine.devices import peak_memory, use_cores
from toymodels.engine.programs import compile_seconds

SECONDS = 0.7
"""How long a timing of a peer takes, at least one step."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="timings of each contender (default 5)")
    parser.add_argument("--only", metavar="WORD", default="", help="workloads with this in their name; writes nothing")
    parser.add_argument("--memory", nargs=2, metavar=("WORKLOAD", "CONTENDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error(f"--repeats {args.repeats}: at least 1")
    use_cores()
    if args.memory:
        print(_memory_here(*args.memory))
        return
    chosen = {name: workload for name, workload in WORKLOADS.items() if args.only in name}
    if not chosen:
        parser.error(f"--only {args.only}: no such workload; there are {', '.join(WORKLOADS)}")
    console = Console(width=150)
    timings: dict[str, dict[str, Timing]] = {}
    for name, workload in chosen.items():
        timings[name] = _time(name, workload, args.repeats)
        console.print(report.table({name: timings[name]}))
    if args.only:
        return
    phases, growth = sweeps.phase_diagram(), sweeps.growth()
    console.print(report.phases_text(phases))
    folder = Path("figures/benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    figures.speed(timings, folder / "speed.png")
    figures.growth(growth, folder / "growth.png")
    Path("docs/benchmarks.md").write_text(report.page(timings, phases, growth, args.repeats))


def _time(name: str, workload: Workload, repeats: int) -> dict[str, Timing]:
    built: dict[str, tuple[Callable[[int], float | None], int, float]] = {}
    for label, make in {**contenders(), FLOOR: products_alone}.items():
        start, before = time.perf_counter(), compile_seconds()
        train = make(workload)
        train(workload.steps if label == OURS else 2)
        once = time.perf_counter() - start
        compiling = compile_seconds() - before if label == OURS else once
        steps = workload.steps if label == OURS else _steps(train, workload.steps)
        built[label] = (train, steps, compiling)
    seconds: dict[str, list[float]] = {label: [] for label in (OURS, WHOLE, *built)}
    for _ in range(repeats):
        for label, (train, steps, _) in built.items():
            start = time.perf_counter()
            training = train(steps)
            whole = time.perf_counter() - start
            each = (whole if training is None else training) / steps
            seconds[label].append(each * (workload.instances if label.endswith("one model at a time") else 1))
            if training is not None:
                seconds[WHOLE].append(whole / steps)
    memory = {label: _memory(name, label) for label in built if label != FLOOR}
    compiling = {label: each for label, (_, _, each) in built.items()}
    return {label: Timing(np.asarray(each), compiling.get(label), memory.get(label)) for label, each in seconds.items()}


def _steps(train: Callable[[int], float | None], most: int) -> int:
    start = time.perf_counter()
    train(2)
    return int(np.clip(2 * SECONDS / (time.perf_counter() - start), 1, most))


def _memory(name: str, label: str) -> float:
    """Bytes that a fresh process holds at most while it trains, beyond its imports."""
    command = [sys.executable, "-m", "benchmarks", "--memory", name, label]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _memory_here(name: str, label: str) -> int:
    import jax.numpy as jnp

    if label.startswith("PyTorch"):
        import torch

        torch.zeros(1)
    jnp.zeros(1).block_until_ready()
    before = peak_memory()
    workload = WORKLOADS[name]
    contenders()[label](workload)(workload.steps if label == OURS else 2)
    return peak_memory() - before


if __name__ == "__main__":
    main()
