"""Readings: Datasets that are slow to compute, kept under the address of all that they were made from.

The address of a result covers the code that makes it - the function and everything of this project and of its own file
that it refers to -, the addresses of what it is made from, and the versions of the libraries that compute. So a
reading, a figure or a table of findings is current exactly if its address is.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from toymodels import sources
from toymodels.files import appearing
from toymodels.sweep import Sweep

VERSIONS = {name: importlib.metadata.version(name) for name in ("jax", "numpy", "scipy", "xarray", "matplotlib")}


def address(function: Callable[..., Any], made_from: Mapping[str, str]) -> str:
    """The address of what a function returns, given the addresses of its arguments."""
    return hashed([sources.code(function), dict(sorted(made_from.items())), VERSIONS])


def sweep_address(sweep: Sweep, contents: Iterable[str] = ()) -> str:
    """The address of a sweep's results: its labels, its cells, and what the batches that hold them contain."""
    return hashed([{axis.name: axis.labels for axis in sweep.axes}, sweep.asked, sorted(contents)])


def hashed(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:32]


# ---------------------------------------------------------------------------------------------------------------- files


def keep(path: Path, data: xr.Dataset) -> None:
    """Write a reading, in one act, as a netCDF file that plain xarray opens too."""
    with appearing(path) as partial:
        data.to_netcdf(partial, engine="scipy")


def kept(path: Path) -> xr.Dataset | None:
    """A reading that was kept; None if there is none, or its file is damaged."""
    if not path.exists():
        return None
    try:
        with xr.open_dataset(path, engine="scipy") as data:
            return data.load()
    except Exception:  # whatever a damaged file raises: the reading is computed again
        return None
