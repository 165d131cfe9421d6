"""What a user waits for, by the clock: commands in a fresh clone, first and again, and the most memory they hold.

`python -m benchmarks.waits [--folder DIR]` writes docs/benchmarks_waits.md. The clone is of the last commit; nothing is
installed in it and no program compiled, and packages come from where pip gets them. Each is a process of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.growth import sized, storing
from benchmarks.report import machine

CELLS = 100_000
OWN = ("JAX_COMPILATION_CACHE_DIR", "PYTHONPATH", "VIRTUAL_ENV", "MPLBACKEND")
"""Settings of this process that a fresh shell would not have."""
OPEN = "import toymodels; toymodels.open('large')"


class Wait(NamedTuple):
    what: str
    seconds: float
    memory: int
    """Bytes that the command's largest process has held at once."""


def measured(what: str, command: list[str], folder: Path) -> Wait:
    """A command, run to its end in a folder; RuntimeError if it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in OWN}
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        most = 0
        while process.poll() is None:
            most = max([most, *_held(process.pid)])
            time.sleep(0.05)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    print(f"{what}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return Wait(what, seconds, most)


def _held(pid: int) -> Iterator[int]:
    try:
        for process in (whole := psutil.Process(pid), *whole.children(recursive=True)):
            yield process.memory_info().rss
    except psutil.Error:  # one has ended meanwhile
        return


def waits(root: Path, clone: Path) -> Iterator[Wait]:
    """Each wait in turn: what comes first, its clone as it was cloned."""
    subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
    toymodels, python = str(clone / ".venv/bin/toymodels"), str(clone / ".venv/bin/python")
    yield measured("set-up: `make setup`", ["make", "setup"], clone)
    yield measured("`toymodels --help`, first", [toymodels, "--help"], clone)
    yield measured("`toymodels --help`", [toymodels, "--help"], clone)
    yield measured("`toymodels list`, first", [toymodels, "list"], clone)
    yield measured("`toymodels list`", [toymodels, "list"], clone)
    yield measured("`make sweep EXPERIMENT=intro`, nothing compiled", ["make", "sweep", "EXPERIMENT=intro"], clone)
    shutil.rmtree(clone / "runs")
    yield measured("the same, programs compiled, nothing stored", ["make", "sweep", "EXPERIMENT=intro"], clone)
    yield measured("the same, all stored", ["make", "sweep", "EXPERIMENT=intro"], clone)
    shutil.rmtree(clone / "runs")
    shutil.rmtree(clone / ".cache")
    yield measured("`make sweep`, nothing compiled", ["make", "sweep"], clone)
    shutil.rmtree(clone / "runs")
    yield measured("the same, programs compiled, nothing stored", ["make", "sweep"], clone)
    yield measured("the same, all stored", ["make", "sweep"], clone)
    storing(sized(CELLS), clone / "large")
    yield measured(f"`toymodels.open` of {CELLS:,} cells, first", [python, "-c", OPEN], clone)
    yield measured(f"`toymodels.open` of {CELLS:,} cells", [python, "-c", OPEN], clone)


def page(found: list[Wait]) -> Iterator[str]:
    yield "# What one waits for\n"
    yield (
        "Made by `python -m benchmarks.waits`: seconds by the clock in a fresh clone, from the start of a command to "
        "its end, and the most that the largest of its processes held. `make sweep` in a clone without `.venv` takes "
        "the set-up too: the sum of both rows.\n\n"
        f"Measured on {machine()}.\n"
    )
    yield "| wait | seconds | MiB |"
    yield "|---|---:|---:|"
    for each in found:
        yield f"| {each.what} | {each.seconds:.1f} | {each.memory / 2**20:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waits", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to clone to (default: a temporary folder)")
    args = parser.parse_args()
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        found = list(waits(root, Path(folder) / "clone"))
    (root / "docs/benchmarks_waits.md").write_text("\n".join(page(found)) + "\n")


if __name__ == "__main__":
    main()
