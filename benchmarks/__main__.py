"""Time a training step of many toy models here, and in the two designs one finds elsewhere, in alternating repeats.

`python -m benchmarks [--repeats N]`. Machines drift, so only the ratios within one run mean something: each repeat
times every contender once, and the spread is over repeats. Compilation is outside the timings, and shown apart.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchmarks import contenders

WORKLOADS = {
    "n=5, m=2, 10 instances": contenders.Workload(5, 2, 10, 300),
    "n=5, m=2, 1000 instances": contenders.Workload(5, 2, 1000, 30),
    "n=200, m=20, 20 instances": contenders.Workload(200, 20, 20, 20),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="timings of each contender (default 5)")
    repeats = parser.parse_args().repeats
    table = Table("workload", "contender", "ms a step", "times ours (range)", "compile", box=None, header_style="bold")
    for name, workload in WORKLOADS.items():
        built = {label: _compiled(make, workload) for label, make in contenders.all_contenders().items()}
        times: dict[str, list[float]] = {label: [] for label in built}
        for _ in range(repeats):
            for label, (step, _) in built.items():
                start = time.perf_counter()
                step()
                times[label].append((time.perf_counter() - start) / workload.steps * 1e3)
        for label, (_, seconds) in built.items():
            ratios = sorted(other / own for other, own in zip(times[label], times["toymodels"], strict=True))
            spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
            table.add_row(name, label, f"{statistics.median(times[label]):.3g}", spread, f"{seconds:.1f} s")
    Console().print(table)


def _compiled(make: Callable[[contenders.Workload], Callable[[], None]], workload: contenders.Workload) -> tuple:
    start = time.perf_counter()
    step = make(workload)
    step()
    return step, time.perf_counter() - start


if __name__ == "__main__":
    main()
