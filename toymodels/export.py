"""A sweep's results as one file for other programs: netCDF with all of it, CSV with a row a cell."""

from pathlib import Path

import pandas as pd
import xarray as xr

from toymodels.files import appearing
from toymodels.results import STATUS

KINDS = (".nc", ".csv")


def check_kind(path: Path) -> None:
    """ValueError unless the name says what kind of file it is to be."""
    if path.suffix not in KINDS:
        raise ValueError(f"{path}: the file's name ends in {' or '.join(KINDS)}")


def table(data: xr.Dataset) -> pd.DataFrame:
    """A row a cell: its labels, what became of it, and each recorded number at the end of training."""
    last = data.isel(step=-1, drop=True)
    cells = data.status.dims
    numbers = last[[name for name, values in last.data_vars.items() if values.dims == cells]].load()
    words = xr.apply_ufunc(
        lambda codes: [STATUS[int(code)] for code in codes.ravel()], numbers.status.stack(cell=cells)
    )
    rows = numbers.to_dataframe(dim_order=list(cells)) if cells else numbers.expand_dims("run").to_dataframe()
    return rows.assign(status=words.values).reset_index()


def write(data: xr.Dataset, path: Path) -> int:
    """Write the file, in one act; returns its size in bytes. ValueError for names that netCDF has no letters for."""
    check_kind(path)
    if path.suffix == ".nc":
        try:
            content = bytes(data.load().to_netcdf(engine="scipy"))
        except (ValueError, UnicodeError) as error:
            raise ValueError(f"{path}: netCDF cannot hold these names ({error}); rename the axes") from error
    else:
        content = table(data).to_csv(index=False).encode()
    with appearing(path) as partial:
        partial.write_bytes(content)
    return len(content)
