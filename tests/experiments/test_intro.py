import numpy as np
import pytest
import xarray as xr

from experiments import intro
from tests.experiments.planted import fails, holds, undecided
from toymodels.experiment import Unfit
from toymodels.findings import Finding

P, SEEDS = [1.0, 0.2, 0.05], 8


def planted(**changes: xr.DataArray) -> xr.Dataset:
    """Two features when dense, four, then five in a pentagon; the first seed is the best."""
    everywhere = xr.DataArray(np.ones((3, SEEDS)), dims=("p", "seed"), coords={"p": P})
    by_p = {name: xr.DataArray(values, dims="p", coords={"p": P}) for name, values in NAMES.items()}
    return (
        xr.Dataset(
            {
                "loss": everywhere * np.linspace(1, 2, SEEDS),
                "over_linear": everywhere * 1e-5,
                "number": everywhere * xr.DataArray([2, 4, 5], dims="p"),
                "cosine": everywhere * 1e-3,
                "off_pentagon": everywhere * 5e-3,
                **{name: values.broadcast_like(everywhere) for name, values in by_p.items()},
            }
        )
        .assign(changes)
        .assign_attrs(n=5, m=2)
    )


def findings(models: xr.Dataset) -> list[Finding]:
    return [*intro.from_two_features_to_five(models), *intro.pentagon_when_sparse(models)]


NAMES = {"kept": ["1, 2", "1, 2, 3, 4", "1, 2, 3, 4, 5"], "geometry": ["2 points", "square", "pentagon"]}


def test_planted_results_hold() -> None:
    holds(findings(planted()))


@pytest.mark.parametrize(
    ("id", "name", "place", "value"),
    [
        ("kept-when-dense", "kept", 0, "1, 3"),
        ("orthogonal-when-dense", "cosine", 0, 0.02),
        ("linear-when-dense", "over_linear", 0, 0.01),
        ("number-kept", "number", 2, 2),
        ("geometry-when-sparse", "geometry", 2, "square"),
        ("pentagon-dimensionality", "off_pentagon", 2, 0.1),
    ],
)
def test_each_finding_fails_on_its_own(id: str, name: str, place: int, value: object) -> None:
    data = planted()
    changed = data[name].astype(object).copy()
    changed[place] = value
    kind = str if isinstance(value, str) else float
    fails(findings(data.assign({name: changed.astype(kind)})), id)


def test_a_lucky_best_decides_nothing() -> None:
    """The best of eight alone has the geometry: on other seeds another may be the best."""
    data = planted()
    geometry = data.geometry.astype(object).copy()
    geometry[2, 1:] = "square"
    undecided(findings(data.assign(geometry=geometry.astype(str))), "geometry-when-sparse")


def test_readings_of_known_models() -> None:
    pentagon = np.stack([np.cos(2 * np.pi * np.arange(5) / 5), np.sin(2 * np.pi * np.arange(5) / 5)], 1)
    assert intro._geometry(pentagon) == "pentagon"
    assert intro._kept(pentagon * [[1], [1], [0.1], [1], [1]]) == "1, 2, 4, 5"


def test_other_sizes_have_other_expectations_and_no_pentagon() -> None:
    """Of seven features in three dimensions the first three are kept when dense."""
    data = planted(kept=xr.DataArray(["1, 2, 3"] * 3, dims="p", coords={"p": P}).broadcast_like(planted().loss))
    other = data.assign_attrs(n=7, m=3)
    found = {each.id: each for each in intro.from_two_features_to_five(other)}
    assert found["kept-when-dense"].outcome == "holds"
    assert "the three most important" in str(found["kept-when-dense"].source)
    assert "1, 2, 3, 4, 5, 6, 7" in found["seeds-as-best-when-sparse"].what
    with pytest.raises(Unfit, match="five features in a plane"):
        list(intro.pentagon_when_sparse(other))
