"""Results for other programs: all that was recorded as netCDF, a row a cell as CSV."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from toymodels import cli, lab


@pytest.fixture
def data(repelling: Path, monkeypatch: pytest.MonkeyPatch) -> xr.Dataset:
    monkeypatch.chdir(repelling)
    return lab.study("repelling.py").swept("flat").data


def test_netcdf_has_all_of_it(data: xr.Dataset) -> None:
    cli.main(["export", "repelling.py", "flat", "--out", "flat.nc"])
    with xr.open_dataset("flat.nc") as again:
        xr.testing.assert_equal(again.load(), data.load())


def test_a_row_of_csv_is_a_cell(data: xr.Dataset) -> None:
    cli.main(["export", "repelling.py", "flat", "--out", "flat.csv"])
    rows = pd.read_csv("flat.csv")
    assert len(rows) == data.status.size
    assert set(rows.status) <= {"ok", "unconverged", "diverged"}
    of = rows[(rows.power == 4.0) & (rows.seed == 3)].iloc[0]
    assert np.float32(of.objective) == data.objective.sel(power=4.0, seed=3).isel(step=-1).item()


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["flat", "--out", "flat.txt"], "ends in .nc or .csv"),
        (["steep", "--out", "x.nc"], "no such sweep; there are flat, deep"),
        (["flat", "seed=0:9", "--out", "x.nc"], "are not stored"),
        (["flat", "--out", "runs"], "a folder"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["export", "repelling.py", *words])
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not Path("x.nc").exists()
