"""Timings in words: tables for the terminal and for docs/benchmarks.md."""

import platform
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from rich.table import Table

from benchmarks.contenders import OURS
from benchmarks.sweeps import GRID, RESTARTS, STEPS, Growth, Phases
from toymodels.engine.devices import available_cores

FLOOR = "matrix products alone"
WHOLE = f"{OURS}, and what is still to gain"


class Timing(NamedTuple):
    seconds: np.ndarray
    """Of one step of all instances, one a repeat."""
    compiling: float | None
    """Seconds; for peers of the whole first call."""
    memory: float | None
    """Bytes beyond the imports."""


def ratios(timings: Mapping[str, Timing], label: str) -> np.ndarray:
    """How many times as long as ours, repeat by repeat."""
    return timings[label].seconds / timings[OURS].seconds


def rows(timings: Mapping[str, Mapping[str, Timing]]) -> list[list[str]]:
    """workload, contender, milliseconds a step, times ours with its range, first call, memory."""
    found = []
    for name, each in timings.items():
        for label, timing in each.items():
            ratio = ratios(each, label)
            spread = f"{np.median(ratio):.2g} ({ratio.min():.2g} to {ratio.max():.2g})"
            memory = "" if timing.memory is None else f"{timing.memory / 2**20:.0f} MiB"
            milliseconds = f"{np.median(timing.seconds) * 1e3:.3g}"
            compiling = "" if timing.compiling is None else f"{timing.compiling:.1f} s"
            found.append([name, label, milliseconds, spread, compiling, memory])
    return found


HEAD = ("workload", "contender", "ms a step", "times ours (range)", "compile", "memory")


def table(timings: Mapping[str, Mapping[str, Timing]]) -> Table:
    made = Table(*HEAD, box=None, header_style="bold")
    for row in rows(timings):
        made.add_row(*row)
    return made


def phases_text(phases: Phases) -> str:
    exact, sampled = (phases.excess[route] for route in ("exact", "sampled"))
    return (
        f"{phases.models:,} models (n = 2, m = 1; {GRID} densities x {GRID} importances x {RESTARTS} restarts), "
        f"{STEPS} steps of Adam: {phases.seconds['exact']:.0f} s by the exact population loss, "
        f"{phases.seconds['sampled']:.0f} s by batches of 1024 drawn examples, compilation and planning included. "
        f"Best of {RESTARTS} above the exact optimum, median and 99th percentile over the grid: "
        f"{np.median(exact):.1e} and {np.quantile(exact, 0.99):.1e} (exact), "
        f"{np.median(sampled):.1e} and {np.quantile(sampled, 0.99):.1e} (sampled). "
        f"Recorded exact losses agree with float64 within {phases.gap:.1e}."
    )


def growth_text(growth: Growth) -> str:
    slope = np.polyfit(np.log(growth.cells[2:]), np.log(growth.by_cells[2:]), 1)[0]
    by_steps = np.polyfit(np.log(growth.steps[1:]), np.log(growth.by_steps[1:]), 1)[0]
    return (
        f"Training time grows as cells^{slope:.2f} from {growth.cells[2]} to {growth.cells[-1]:,} cells and as "
        f"steps^{by_steps:.2f} from {growth.steps[1]} to {growth.steps[-1]:,} steps (n = 5, m = 2, batch 1024). "
        f"The whole benchmark run, with all contenders in one process, held {growth.memory / 2**20:.0f} MiB at most."
    )


def page(timings: Mapping[str, Mapping[str, Timing]], phases: Phases, growth: Growth, repeats: int) -> str:
    """docs/benchmarks.md."""
    lines = [
        "# Timings",
        "",
        "Made by `make bench` (with PyTorch where it is installed: `pip install torch==2.13.0`). One run, contenders "
        f"in alternation, {repeats} repeats: ratios are medians over repeats, with their range. *ms a step* is a step "
        "of all instances; ours counts everything but compilation (initialisation, a last evaluation, the host), and "
        "in its second row the descent at the end, too, which measures what is still to gain: no peer has one, and it "
        "costs a run of 300 steps a large part of its training, one of 3000 a sixth or less. "
        "*One model at a time* is timed on one model and counted for all. *Matrix products alone* are those of a "
        "dense step in the same shapes, on the same devices, as the matrix library does them: a floor where they are "
        "large. *Compile* is the first call for peers. *Memory* is the peak of a fresh process beyond its imports.",
        "",
        f"Measured on {machine()}{_torch()}.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + "---|" * len(HEAD),
        *("| " + " | ".join(row) + " |" for row in rows(timings)),
        "",
        "![speed](../figures/benchmarks/speed.png)",
        "",
        "## Phase diagram",
        "",
        phases_text(phases),
        "",
        "## Growth",
        "",
        growth_text(growth),
        "",
        "![growth](../figures/benchmarks/growth.png)",
        "",
    ]
    return "\n".join(lines)


def machine() -> str:
    """What it was measured on."""
    versions = f"Python {platform.python_version()}, JAX {jax.__version__}"
    return f"{available_cores()} cores of {_processor()}, {versions}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _torch() -> str:
    try:
        import torch
    except ImportError:
        return ""
    return f", PyTorch {torch.__version__.split('+')[0]}"
