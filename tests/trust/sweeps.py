"""Sweeps that the faults are tried on."""

from pathlib import Path

import xarray as xr

from tests.cases import PACKING, packings, same
from toymodels import Axis, StoreError, Sweep, config, open
from toymodels.store import Pool

SMALL = packings(seeds=range(3))
MORE = packings(seeds=range(5))
MANY = Sweep(config.replace(PACKING, {"steps": 200}), packings(seeds=range(120)).axes)
"""Four batches of one program."""


def factors() -> Sweep:
    from toymodels.optimizers import Momentum
    from toymodels.problems.factorize import Components, Factorize
    from toymodels.problems.natural_steps import in_natural_units
    from toymodels.train import Record, Run

    run = Run(Factorize(Components(4, 4, rank=2), components=2), Momentum(0.1), steps=40, record=Record(4, 2))
    return Sweep(run, [Axis("scale", "problem.scale", (1e-2, 1e-1)), Axis("seed", "seed", range(3))], in_natural_units)


FACTORS = factors()


def same_or_refused(store: Path, whole: xr.Dataset) -> bool:
    """Whether a store opens with these data, or is refused in one sentence."""
    try:
        found = open(store).load()
    except StoreError as error:
        return "\n" not in str(error)
    return same(found, whole) and found.coords.equals(whole.coords)


def cells(store: Path) -> dict[Path, bytes]:
    """All that is stored of cells, by path."""
    return {path: path.read_bytes() for path in (store / "cells").rglob("*") if path.is_file()}


def partial_files(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.partial"))


def kept_is_right(store: Path, reference: xr.Dataset) -> bool:
    """Whether every cell of MANY that is there has its bits, and no batch is damaged."""
    if not (store / "views" / "sweep.json").exists():
        return not list(store.rglob("*.zarr.zip"))
    found = open(store).load()
    kept = found.status >= 0
    if kept.any() and not all(
        found[name].where(kept).equals(reference[name].where(kept)) for name in reference.data_vars if name != "status"
    ):
        return False
    pool = Pool(store)
    pool.cells(MANY.groups)
    return not pool.damaged
