"""The tables of docs/trust.md."""

import argparse
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests import fuzz, trust
from tests.tables import publish
from tests.trust import bytes, disks, executors, processes, settings

KIB = 1024
ROOMS = tuple(KIB * size for size in (0, 8, 16, 24, 32, 64, 96, 128))


class Fault(NamedTuple):
    """A fault, and how often it was tried and survived."""

    name: str
    tried: int
    survived: int
    lost: int


def faults(flipped: int, killed: int) -> Iterator[Fault]:
    """Every fault in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        disk = disks.kind(Path(folder))
    tries: dict[str, Callable[[Path], Iterator[bool]]] = {
        "a bit turned, batch, labels or index": lambda folder: bytes.flips(folder, flipped),
        "a bit turned in every part of a batch": lambda folder: bytes.regions(folder, flipped // 40),
        "a batch cut short": lambda folder: bytes.truncations(folder, max(killed // 4, 4)),
        "a batch replaced: empty, a folder, another's, doubled, swapped, strays": bytes.exchanges,
        "labels of another sweep": bytes.other_labels,
        "readings or findings turned, cut short, doubled": lambda folder: bytes.numbers(folder, flipped // 4),
        "SIGKILL": lambda folder: processes.kills(folder, killed, signal.SIGKILL),
        "SIGTERM": lambda folder: processes.kills(folder, killed // 8, signal.SIGTERM, 1),
        "SIGHUP": lambda folder: processes.kills(folder, killed // 8, signal.SIGHUP, 2),
        "SIGINT": lambda folder: processes.kills(folder, killed // 8, signal.SIGINT, 3),
        "two writers": lambda folder: processes.writers(folder, 3, 2),
        "four writers": lambda folder: processes.writers(folder, 2, 4),
        "four writers, one of them killed": lambda folder: processes.writers(folder, 8, 4, killed=1),
        "a compiled program that JAX keeps turned or cut short": lambda folder: processes.programs(folder, 16),
        f"a full disk ({disk}): cells": lambda folder: disks.full(folder, ROOMS),
        f"a full disk ({disk}): labels, cells, readings, findings, figures": lambda folder: disks.full_page(
            folder, ROOMS[:5]
        ),
        "a pool, or its cells, removed, moved or unmounted while a sweep runs": disks.vanished,
        "a disk that cannot be written, from the start or from some instant on": disks.read_only,
        "a folder or file that may not be read": lambda folder: disks.closed(),
        "a folder that cannot be written": lambda folder: disks.in_the_way(folder, 4),
        "a rename that fails, before or after its work": disks.renames,
        "a clock in 1970, 2100 or jumping, files of such times": settings.clocks,
        "a cell that diverges beside others": lambda folder: settings.neighbours(),
    }
    for name, attempt in tries.items():
        with tempfile.TemporaryDirectory() as folder:
            found = list(attempt(Path(folder)))
            if name == "SIGKILL":
                found += list(processes.resumed(Path(folder)))
        yield Fault(name, len(found), sum(found), len(found) - sum(found))


def report(flipped: int, killed: int, drawn: int) -> Iterator[str]:
    yield "# Trust\n"
    yield "`make trust` makes these tables. *Survived*: the data are the same, or one sentence says what is wrong;"
    yield "after a kill what was stored is whole, and the same sweep goes on from there to the same bits.\n"
    yield "| fault | tried | survived | lost |\n|---|---|---|---|"
    for each in faults(flipped, killed):
        yield f"| {each.name} | {each.tried:,} | {each.survived:,} | {each.lost:,} |"
    yield "\n| setting | results |\n|---|---|"
    reference = ""
    for name, environment in settings.SETTINGS.items():
        found = settings.bits(environment)
        reference = reference or found
        given = ", ".join(f"`{key}={value}`" for key, value in environment.items())
        yield f"| {name} {given} | {'same bits' if found == reference else found} |"
    yield "\n| trained by | results |\n|---|---|\n| one process | same bits |"
    with tempfile.TemporaryDirectory() as folder:
        for way, equal in executors.ways(Path(folder)):
            yield f"| {way} | {'same bits' if equal else 'OTHER BITS'} |"
    yield "\n## The command line\n"
    yield "Command lines drawn from a grammar over the fields of all experiments, at tiny scale. What is valid exits"
    yield "with 0, and its configs are the same when they are written and read back; all else exits with 2 and says"
    yield "one line. *Wrong*: another exit code, a traceback, a second line, a file, a config that changed.\n"
    yield from fuzz.table(fuzz.rows(drawn))


def main() -> None:
    parser = argparse.ArgumentParser(description=(trust.__doc__ or "").partition("\n")[0])
    parser.add_argument("--flips", type=int, default=12_000)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--draws", type=int, default=1_140)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    publish(report(arguments.flips, arguments.kills, arguments.draws), arguments.out)


if __name__ == "__main__":
    main()
