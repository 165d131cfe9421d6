"""Orthogonal pairs: findings on planted counts, and restarts that are read as themselves."""

import numpy as np
import xarray as xr

from experiments import orthogonal_sets as page
from tests.experiments.planted import fails, holds, outcomes
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK
from toymodels.theory.orthogonal_pairs import max_orthogonal_pairs


def lines(found: float = 36.0) -> xr.Dataset:
    n, d = [13, 14], [3, 4]
    table = np.array([[36.0, np.nan], [86.0, 110.0]])
    data = {name: (("d", "n"), table.copy()) for name in ("found", "product", "sets", "most")}
    planted = xr.Dataset(data, {"d": d, "n": n})
    planted["found"][0, 0] = found
    return planted


def test_the_published_rule_holds_and_the_bound_is_met() -> None:
    found = outcomes(page.the_published_rule())
    assert set(found.values()) == {"holds"}
    assert len(found) == 3


def test_a_search_that_finds_more_fails_and_one_that_finds_less_is_not_able() -> None:
    holds(page.lines_that_are_not_parallel(lines()))
    fails(page.lines_that_are_not_parallel(lines(48)), "none-better[parallel vectors=none,d=3]")
    fails(page.lines_that_are_not_parallel(lines(30)), "search-is-able[parallel vectors=none,d=3]")
    assert len(page.pairs_of_lines(lines(48)).axes) == 2


def test_copies_of_axes_have_the_most_pairs_and_more_than_theory_allows_fails() -> None:
    sweep = replaced({"packed": page.packed}, {"power": [1.0, 2.5], "seed": range(2)})["packed"]
    V = np.broadcast_to(np.repeat(np.eye(6), 3, axis=0), (2, 2, 1, 18, 6))
    data = {
        "V": (("power", "seed", "snapshot", "feature", "dimension"), V),
        "status": (("power", "seed"), np.full((2, 2), OK)),
    }
    found = page.trained(Swept(sweep, xr.Dataset(data, {axis.name: axis.labels for axis in sweep.axes})))
    assert (found.pairs == max_orthogonal_pairs(18, 6)).all()
    holds(page.trained_packings(found))
    fails(page.trained_packings(found.assign(pairs=found.pairs + 2)), "trained-bounded")
