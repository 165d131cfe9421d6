"""A fresh environment in an empty folder: install, list, run, report. `python -m tests.fresh --out FILE` tells it."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAD = """# Install

Two ways. In a checkout, `make sweep` makes `.venv` and installs the locked versions. Into an environment of your own:

```sh
pip install '.[report]'          # in a checkout, or with the path of one
pip install '.[report,reference]'  # and scikit-learn, for the pages that compare methods
```

JAX for a GPU is installed beside it, as [JAX says](https://docs.jax.dev/en/latest/installation.html); nothing else
changes.

## What to expect

A new environment in an empty folder, as `python -m tests.fresh` ran it; long answers are cut. At tiny scale models are
hardly trained, so findings fail.

```text
"""
COMMANDS = [
    "python -m venv env",
    "env/bin/pip install --quiet '{root}[report]'",
    "env/bin/toymodels list",
    "env/bin/toymodels claims A1",
    "env/bin/toymodels run intro --scale tiny",
    "env/bin/toymodels report intro --scale tiny",
    "env/bin/toymodels animate intro arrows --scale tiny --out training.gif",
    "env/bin/toymodels export intro arrows --scale tiny --out arrows.csv",
    "ls",
]
MOST = 12
"""Lines of an answer that are told."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    told = HEAD
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            told += answer(command, Path(folder))
    told += "```\n"
    print(told)
    if out:
        out.write_text(told)


def answer(command: str, folder: Path) -> str:
    """The command, what it said, and how long it took. CalledProcessError if it failed."""
    real = command.format(root=str(ROOT)).replace("python -m venv", f"{sys.executable} -m venv")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PIP_INDEX_URL", "LANG")}
    begin = time.perf_counter()
    done = subprocess.run(
        real,
        shell=True,
        cwd=folder,
        env={**kept, "COLUMNS": "100", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        done.check_returncode()
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]
    cut = [*lines[:MOST], *([f"... ({len(lines) - MOST} more lines)"] if len(lines) > MOST else [])]
    seconds = f"  # {time.perf_counter() - begin:.0f} s"
    return "\n".join([f"$ {command.format(root='path/to/toymodels')}{seconds}", *cut, ""])


if __name__ == "__main__":
    main()
