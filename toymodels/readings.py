"""Readings: Datasets that are slow to compute, kept under the address of all that they were made from.

The address of a result covers the code that makes it - the function and everything of this project and of its own file
that it refers to -, the addresses of what it is made from, and the versions of the libraries that compute. So a
reading, a figure or a table of findings is current exactly if its address is.
"""

import hashlib
import importlib.metadata
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from toymodels import sources
from toymodels.files import appearing
from toymodels.results import batch_status
from toymodels.sweep import Sweep

VERSIONS = {name: importlib.metadata.version(name) for name in ("jax", "numpy", "scipy", "xarray", "matplotlib")}


def address(function: Callable[..., Any], made_from: Mapping[str, str]) -> str:
    """The address of what a function returns, given the addresses of its arguments."""
    return hashed([sources.code(function), dict(sorted(made_from.items())), VERSIONS])


def sweep_address(sweep: Sweep, contents: Iterable[str] = ()) -> str:
    """The address of a sweep's results: its labels, its cells, what the batches that hold them contain, and the rule by
    which these are called converged."""
    return hashed([{axis.name: axis.labels for axis in sweep.axes}, sweep.asked, sorted(contents), _rule()])


@cache
def _rule() -> str:
    return sources.code(batch_status)


def hashed(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:32]


# ---------------------------------------------------------------------------------------------------------------- files


NONE = b"0" * 64
CHECKSUM = re.compile(rb"(checksum\0\0\0\x02\0\0\0\x47sha256:)([0-9a-f]{64})")
"""The attribute as it lies in a netCDF file: its name, the type of letters, their number, 71."""


def keep(path: Path, data: xr.Dataset) -> None:
    """Write a reading, in one act, as a netCDF file that plain xarray opens too.

    Its attribute `checksum` is of the whole file, in which itself counts as zeros.
    """
    content = bytes(data.assign_attrs(checksum=f"sha256:{NONE.decode()}").to_netcdf(engine="scipy"))
    with appearing(path) as partial:
        partial.write_bytes(_with_sum(content, _sum(content)))


def kept(path: Path) -> xr.Dataset | None:
    """A reading that was kept; None if there is none, or its file is not as it was written."""
    try:
        content = path.read_bytes()
        found = CHECKSUM.search(content)
        if found is None or found[2] != _sum(_with_sum(content, NONE)):
            return None
        with xr.open_dataset(io.BytesIO(content), engine="scipy") as data:
            data.load()
        del data.attrs["checksum"]
        return data
    except Exception:  # whatever a damaged file raises: the reading is computed again
        return None


def _sum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _with_sum(content: bytes, written: bytes) -> bytes:
    return CHECKSUM.sub(rb"\g<1>" + written, content, count=1)
