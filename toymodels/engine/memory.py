"""Whether what is planned can fit into this machine: refused in a sentence before anything is compiled or written."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from toymodels import config as configs
from toymodels.engine.plan import Plan, result_bytes
from toymodels.engine.work import work
from toymodels.files import StoreError, nearest

COPIES = 4
"""Arrays of the largest size that a step holds at the least; five were measured with a batch of four million."""
TRACED = 64
"""Bytes that a size takes for each of its features while a program is traced: a few tables in double precision."""


def main_memory() -> int:
    """Bytes of main memory that this process may use."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:  # less for a container
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return total


def memory() -> int:
    """Bytes that the cells of one accelerator may use, or of all devices together where these are CPU cores."""
    stats = jax.local_devices()[0].memory_stats() if jax.local_devices()[0].platform != "cpu" else None
    return int((stats or {}).get("bytes_limit") or main_memory())


def check_room(todo: Plan, folder: Path | None = None) -> None:
    """ValueError unless every batch fits into memory; StoreError unless all results fit onto the disk of `folder`."""
    for group in todo.groups:
        if group.batches:
            run, shape, room = group.batches[0][0][0], group.shape, memory()
            together = shape.width * (shape.devices if jax.local_devices()[0].platform == "cpu" else 1)
            needed = together * (4 * COPIES * work(run).largest + result_bytes(run))
            if needed > room:
                what = f"{type(run.problem).__name__} with a batch of {run.batch}"
                raise ValueError(
                    f"{what}: a step of the {together} models that are trained together takes {needed / 1e9:.3g} GB of "
                    f"memory or more, and there are {room / 1e9:.3g} GB; make sizes or batch smaller"
                )
    if folder is not None:
        free = shutil.disk_usage(nearest(folder)).free
        if todo.bytes > free:
            raise StoreError(
                f"{folder}: {todo.bytes / 1e9:.3g} GB of results, and {free / 1e9:.3g} GB are free on this disk"
            )


def check_sizes(value: Any) -> None:
    """ValueError for a size of which tables alone, one number a feature, would fill the memory."""
    for name, size in _sizes(value):
        if size * TRACED > main_memory():
            raise ValueError(f"{name}={size}: more than this machine's memory holds")


def _sizes(value: Any) -> Iterator[tuple[str, int]]:
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        if configs.is_config(own):
            yield from _sizes(own)
        elif field.metadata.get("static") and type(own) is int and field.name != "steps":
            yield field.name, own
