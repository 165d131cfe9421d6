"""What has no say in results: settings of JAX, the time of day, what is trained beside a cell."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tests.cases import AUTOENCODER, PACKING, same
from tests.trust.sweeps import FACTORS, SMALL
from toymodels import Axis, Sweep, lab, open, sweep
from toymodels.files import HOST
from toymodels.results import DIVERGED

ROOT = Path(__file__).parent.parent.parent
SETTINGS = {
    "as they come": {},
    "double precision on": {"JAX_ENABLE_X64": "1"},
    "generator rbg": {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
    "generator unsafe_rbg": {"JAX_DEFAULT_PRNG_IMPL": "unsafe_rbg"},
    "keys not partitionable": {"JAX_THREEFRY_PARTITIONABLE": "0"},
    "seeds offset": {"JAX_RANDOM_SEED_OFFSET": "7"},
    "NaN checks": {"JAX_DEBUG_NANS": "1"},
    "infinity checks": {"JAX_DEBUG_INFS": "1"},
    "not compiled": {"JAX_DISABLE_JIT": "1"},
    "strict promotion of types": {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
    "no promotion of ranks": {"JAX_NUMPY_RANK_PROMOTION": "raise"},
    "coarse products": {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"},
    "old keys refused": {"JAX_LEGACY_PRNG_KEY": "error"},
    "three devices": {"JAX_NUM_CPU_DEVICES": "3"},
    "one thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "other hashes": {"PYTHONHASHSEED": "123"},
    "another language": {"LANG": "C", "LC_ALL": "C"},
}
BITS = """
import hashlib
from tests.cases import autoencoders, packings
from tests.trust.sweeps import FACTORS
from toymodels import sweep
total = hashlib.sha256()
for what in (packings(), autoencoders(), FACTORS):
    total.update(repr(what.digests).encode())
    data = sweep(what).load()
    for name in sorted(map(str, data.data_vars)):
        total.update(data[name].values.tobytes())
print(total.hexdigest())
"""


def bits(environment: dict[str, str]) -> str:
    """A hash of addresses and results of three small sweeps in a process with these settings, or what it says."""
    done = subprocess.run(
        [sys.executable, "-c", BITS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ".", **environment},
    )
    return done.stdout.strip() if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.splitlines()[-1]}"


# -------------------------------------------------------------------------------------------------------------- clocks
CLOCKS = {"1970": 0.0, "1979": 3e8, "2100": 4.1e9, "2200": 7.3e9}


def clocks(folder: Path) -> Iterator[bool]:
    """The clock is wrong or jumps, or files bear other times: the same bits, nothing made twice."""
    from tests.trust.disks import PAGE

    whole, addresses = sweep(SMALL).load(), SMALL.digests
    jumps = itertools.cycle([4e9, 0.0, 2e9, 1e9])
    for name, clock in {**CLOCKS, "jumps": None}.items():
        now = (lambda: next(jumps)) if clock is None else (lambda clock=clock: clock)
        with mock.patch("time.time", now):
            store = folder / name
            yield same(sweep(SMALL, store).load(), whole) and sweep(SMALL, store).sizes == whole.sizes
            study = lab.run(PAGE, runs=store / "runs", figures=store / "figures")
            study.verdicts(), list(study.write_figures())
    kept = folder / "1970"
    for when in (0, 4.1e9):
        for path in kept.rglob("*"):
            os.utime(path, (when, when))
        again = lab.study(PAGE, runs=kept / "runs", figures=kept / "figures")
        before = {path: path.stat().st_ino for path in kept.rglob("*") if path.is_file()}
        found = again.train().verdicts(), list(again.write_figures())
        yield found[1] == [] and same(open(kept).load(), whole) and Sweep(SMALL.base, SMALL.axes).digests == addresses
        yield all(path.stat().st_ino == number for path, number in before.items() if "views" not in path.parts)
    yield _living_stay(folder)


def _living_stay(folder: Path) -> bool:
    """Whether partial files are told by their writers, whatever their times."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    files = {pid: folder / f".x.json.{HOST}.{pid}.0.partial" for pid in (dead.pid, os.getpid())}
    for (_, path), when in zip(files.items(), (4.1e9, 0), strict=True):
        path.touch()
        os.utime(path, (when, when))
    from toymodels.files import write_text

    write_text(folder / "y.json", "{}")
    left = files[os.getpid()].exists() and not files[dead.pid].exists()
    files[os.getpid()].unlink()
    return left


# ---------------------------------------------------------------------------------------------------------- neighbours
NEIGHBOURS = (PACKING, AUTOENCODER, FACTORS.base)


def neighbours() -> Iterator[bool]:
    """One cell diverges: those beside it have the bits that they have beside a tame one."""
    for run in NEIGHBOURS:
        rates = {"tame": (0.02, 0.015), "wild": (0.02, 3e38)}
        tame, wild = (
            sweep(Sweep(run, [Axis("lr", "optimizer.lr", values), Axis("seed", "seed", range(2))])).load()
            for values in rates.values()
        )
        lost = (wild.status.isel(lr=1) == DIVERGED).all() and (tame.status != DIVERGED).all()
        yield bool(lost) and same(wild.isel(lr=0), tame.isel(lr=0))
