"""Signals at random instants, from the first line of the program to its end: one sentence, or all is done."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toymodels.stopping import SIGNALS, unheard

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "toymodels", "run", "intro", "--scale", "tiny", "--dry-run"]


def start(folder: Path) -> subprocess.Popen[str]:
    """The command. Signals that come before its first line, while Python itself starts, are held back until then."""
    with unheard(*SIGNALS):
        return subprocess.Popen(
            COMMAND,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def stopped(folder: Path, count: int, seed: int) -> Iterator[str]:
    """What became of so many processes that a signal was sent to: "stopped", "done", or what went wrong."""
    chance, begin = random.Random(seed), time.perf_counter()
    with start(folder) as process:
        process.communicate()
    whole = time.perf_counter() - begin
    for _ in range(count):
        how = chance.choice(SIGNALS)
        with start(folder) as process:
            time.sleep(chance.uniform(0, 1.1 * whole))
            process.send_signal(how)
            out, err = process.communicate()
        if process.returncode == 128 + how and err.count("\n") == 1 and f"stopped by {how.name}" in err:
            yield "stopped"
        else:
            yield "done" if (process.returncode, err) == (0, "") and "to do:" in out else f"{process.returncode}: {err}"


@pytest.mark.parametrize("count", [2, pytest.param(40, marks=pytest.mark.long)])
def test_a_signal_at_any_instant_is_one_sentence(tmp_path: Path, count: int) -> None:
    found = list(stopped(tmp_path, count, seed=count))
    assert set(found) <= {"stopped", "done"}
    assert "stopped" in found
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under `nohup`."""
    code = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from toymodels.stopping import stopping
with stopping():
    os.kill(os.getpid(), signal.SIGHUP)
    print("goes on")
os.kill(os.getpid(), signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "goes on\n"
    assert "KeyboardInterrupt" in done.stderr  # what was heard before is heard again
