"""What the store and the trainer survive: faults tried, survived and lost, and results under JAX's settings.

    python -m tests.trust [--flips N] [--kills N] [--out docs/trust.md]

Each fault is a function that yields, attempt by attempt, whether nothing was lost or silently changed. The default
tests run a handful of attempts of each, the slow ones more.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from tests.cases import PACKING, packings, same
from tests.tables import publish
from toymodels import Axis, StoreError, Sweep, config, index, open, sweep
from toymodels.batches import StoredBatch
from toymodels.store import Pool

ROOT = Path(__file__).parent.parent


class Fault(NamedTuple):
    """A fault, and how often it was tried and survived."""

    name: str
    tried: int
    survived: int
    lost: int


# ---------------------------------------------------------------------------------------------------------------- bytes
def flips(folder: Path, count: int, seed: int = 0) -> Iterator[bool]:
    """One bit of a batch, labels or index file is turned: the same data, or the one sentence."""
    sweep(SMALL, folder / "store")
    whole = open(folder / "store").load()
    batch, labels = next(folder.rglob("*.zarr.zip")), next(folder.rglob("sweep.json"))
    told = batch.with_name(index.FILE)
    chance = random.Random(seed)
    for file, share, with_index in ((batch, 0.5, False), (labels, 0.2, False), (batch, 0.15, True), (told, 0.15, True)):
        if with_index and not told.exists():
            index.write(batch.parent, {batch.name: StoredBatch(batch).told}, index.files(batch.parent))
        content = file.read_bytes()
        bits = range(8 * len(content))
        for bit in chance.sample(bits, min(int(count * share), len(bits))):
            file.write_bytes(_turned(content, bit))
            yield _same_or_refused(folder / "store", whole)
            for aside in folder.rglob("*.damaged"):
                aside.unlink()
            file.write_bytes(content)


def _turned(content: bytes, bit: int) -> bytes:
    place, inside = divmod(bit, 8)
    return content[:place] + bytes([content[place] ^ 1 << inside]) + content[place + 1 :]


def truncations(folder: Path, count: int, seed: int = 0) -> Iterator[bool]:
    """A batch file ends too early: the one sentence, and the same sweep trains its cells again, to the same bits."""
    whole = sweep(SMALL, folder / "store").load()
    batch = next(folder.rglob("*.zarr.zip"))
    content, chance = batch.read_bytes(), random.Random(seed)
    for _ in range(count):
        batch.write_bytes(content[: chance.randrange(len(content))])
        try:
            open(folder / "store").load()
            yield False
        except StoreError:
            yield same(sweep(SMALL, folder / "store").load(), whole) and same(open(folder / "store").load(), whole)


def _same_or_refused(store: Path, whole: xr.Dataset) -> bool:
    try:
        found = open(store).load()
    except StoreError:
        return True
    return same(found, whole) and found.coords.equals(whole.coords)


# ---------------------------------------------------------------------------------------------------------------- kills
SMALL = packings(seeds=range(3))
SCRIPT = """
import sys
from toymodels.cli import _stopping
with _stopping():
    from tests.trust import MANY
    from toymodels import sweep
    print("ready", flush=True)
    sweep(MANY, sys.argv[1])
"""
MANY = Sweep(config.replace(PACKING, {"steps": 3000}), packings(seeds=range(120)).axes)


def kills(folder: Path, count: int, how: signal.Signals, seed: int = 0) -> Iterator[bool]:
    """A process that trains is ended at a random instant: what it had stored is whole, nothing else is left."""
    reference, chance = sweep(MANY).load(), random.Random(seed)
    store = folder / "store"
    for attempt in range(count):
        if attempt % 4 == 0:
            shutil.rmtree(store, ignore_errors=True)
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(store)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": "."},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 1.5))
        process.send_signal(how)
        said = process.communicate()[1].decode()
        ended = process.returncode == 0 or (
            process.returncode == -how
            if how == signal.SIGKILL
            else process.returncode == 128 + how and said.count("\n") == 1 and "goes on" in said
        )
        yield ended and _kept_is_right(store, reference)


def _kept_is_right(store: Path, reference: xr.Dataset) -> bool:
    if not (store / "views" / "sweep.json").exists():
        return True
    found = open(store).load()
    kept = found.status >= 0
    if not kept.any():
        return not Pool(store).damaged
    right = all(found[name].where(kept).equals(reference[name].where(kept)) for name in ("objective", "V"))
    return right and not Pool(store).damaged


def resumed(folder: Path, count: int) -> Iterator[bool]:
    """After the kills the same sweep ends with the bits of one that was not killed, and no partial file is left."""
    for _ in range(count):
        whole = same(sweep(MANY, folder / "store").load(), sweep(MANY).load())
        yield whole and not list(folder.rglob(".*.partial"))


def writers(folder: Path, count: int, together: int) -> Iterator[bool]:
    """Several processes train one sweep on one pool at the same time."""
    reference = sweep(MANY).load()
    for attempt in range(count):
        store = folder / f"store{together}-{attempt}"
        command = [sys.executable, "-c", SCRIPT, str(store)]
        environment = {**os.environ, "PYTHONPATH": "."}
        running = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment) for _ in range(together)
        ]
        codes = [each.wait() for each in running]
        yield not any(codes) and same(open(store).load(), reference)
        shutil.rmtree(store)


def no_room(folder: Path, count: int) -> Iterator[bool]:
    """The folder of the cells, or of the labels, cannot be written: one sentence, and all cells are as they were."""
    for attempt in range(count):
        store, moved = folder / f"store{attempt}", folder / f"away{attempt}"
        sweep(SMALL, store)
        before = _cells(store)
        blocked = store / ("cells", "views")[attempt % 2]
        blocked.rename(moved)
        blocked.write_text("a file is in the way")
        try:
            sweep(MORE, store)
            refused = False
        except StoreError as error:
            refused = "\n" not in str(error)
        blocked.unlink()
        moved.rename(blocked)
        yield refused and _cells(store) == before


def _cells(store: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (store / "cells").rglob("*") if path.is_file()}


MORE = packings(seeds=range(5))

# ------------------------------------------------------------------------------------------------------------- settings
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
from tests.trust import FACTORS
from toymodels import sweep
total = hashlib.sha256()
for what in (packings(), autoencoders(), FACTORS):
    total.update(repr(what.digests).encode())
    data = sweep(what).load()
    for name in sorted(map(str, data.data_vars)):
        total.update(data[name].values.tobytes())
print(total.hexdigest())
"""


def factors() -> Sweep:
    from toymodels.optimizers import Momentum
    from toymodels.problems.factorize import Components, Factorize
    from toymodels.problems.natural_steps import in_natural_units
    from toymodels.train import Record, Run

    run = Run(Factorize(Components(4, 4, rank=2), components=2), Momentum(0.1), steps=40, record=Record(4, 2))
    return Sweep(run, [Axis("scale", "problem.scale", (1e-2, 1e-1)), Axis("seed", "seed", range(3))], in_natural_units)


FACTORS = factors()


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


# --------------------------------------------------------------------------------------------------------------- tables
def faults(flipped: int, killed: int) -> Iterator[Fault]:
    """Every fault in a folder of its own."""
    tries: dict[str, Callable[[Path], Iterator[bool]]] = {
        "a bit turned, batch, labels or index": lambda folder: flips(folder, flipped),
        "a batch cut short": lambda folder: truncations(folder, max(killed // 4, 4)),
        "SIGKILL": lambda folder: kills(folder, killed, signal.SIGKILL),
        "SIGTERM": lambda folder: kills(folder, killed // 3, signal.SIGTERM, 1),
        "SIGHUP": lambda folder: kills(folder, killed // 3, signal.SIGHUP, 2),
        "SIGINT": lambda folder: kills(folder, killed // 3, signal.SIGINT, 3),
        "two writers": lambda folder: writers(folder, 3, 2),
        "four writers": lambda folder: writers(folder, 2, 4),
        "a folder that cannot be written": lambda folder: no_room(folder, 4),
    }
    for name, attempt in tries.items():
        with tempfile.TemporaryDirectory() as folder:
            found = list(attempt(Path(folder)))
            if name == "SIGKILL":
                found += list(resumed(Path(folder), 1))
        yield Fault(name, len(found), sum(found), len(found) - sum(found))


def report(flipped: int, killed: int) -> Iterator[str]:
    yield "# Trust\n"
    yield "`make trust` makes these tables. *Survived*: the data are the same, or one sentence says what is wrong;"
    yield "after a kill what was stored is whole, and the same sweep goes on from there to the same bits.\n"
    yield "| fault | tried | survived | lost |\n|---|---|---|---|"
    for each in faults(flipped, killed):
        yield f"| {each.name} | {each.tried:,} | {each.survived:,} | {each.lost:,} |"
    yield "\n| setting | results |\n|---|---|"
    reference = ""
    for name, environment in SETTINGS.items():
        found = bits(environment)
        reference = reference or found
        given = ", ".join(f"`{key}={value}`" for key, value in environment.items())
        yield f"| {name} {given} | {'same bits' if found == reference else found} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--flips", type=int, default=12_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    publish(report(arguments.flips, arguments.kills), arguments.out)


if __name__ == "__main__":
    main()
