"""Features by importance: findings on planted readings, and a dictionary that is the truth, read as itself."""

import numpy as np
import pytest
import xarray as xr

from experiments import feature_frequency as page
from tests.experiments.planted import changed, fails, holds
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK

CODERS, UNEVEN, SEEDS, FEATURES, STEPS = list(page.CODERS), list(page.UNEVEN), 8, 16, [0, 100, 1000]


def planted() -> xr.Dataset:
    """Feature i is the i-th to be learned, half of them before the end, with errors that grow."""
    rank = np.arange(FEATURES)
    noise = 1e-4 * np.random.default_rng(0).normal(size=(2, 2, SEEDS, 1))
    end = 0.99 - 0.01 * rank - 0.3 * (rank >= 8) + noise
    dims = ("coder", "uneven", "seed", "feature")
    best = np.stack([0 * end + 0.5, np.where(rank < 4, end, 0.5), end], axis=3)
    learned = np.where(rank < 4, 100.0, np.where(rank < 8, 1000.0, np.inf)) + 0 * end
    coords = {"coder": CODERS, "uneven": UNEVEN, "seed": range(SEEDS), "snapshot": STEPS}
    data = {"best": ((*dims[:3], "snapshot", "feature"), best), "own": (dims, end), "learned": (dims, learned)}
    return xr.Dataset(data | {"share": (dims, 0.5**rank + 0 * end)}, coords, {"left_out": ""})


def test_planted_features_hold() -> None:
    holds(page.important_features_come_first(planted()))


@pytest.mark.parametrize(("name", "ids"), [("learned", ["learned-first"]), ("best", ["error-grows", "recovered-more"])])
def test_each_finding_fails_where_the_order_is_turned(name: str, ids: list[str]) -> None:
    """At one coder and kind only: the others still hold."""
    at = {"coder": CODERS[1], "uneven": UNEVEN[0]}
    turned = changed(planted(), name, lambda values: values.isel(feature=slice(None, None, -1)).values, **at)
    keys = [f"{id}[coder={CODERS[1]},uneven={UNEVEN[0]}]" for id in ids]
    fails(page.important_features_come_first(turned), *keys)


def test_seeds_that_diverged_are_no_failure() -> None:
    lost = planted()
    keep = lost.seed > 0
    holds(page.important_features_come_first(lost.assign({name: lost[name].where(keep) for name in ("best", "own")})))


def test_the_truth_is_read_as_learned_from_the_start_and_drawn() -> None:
    sweep = replaced({"dictionaries": page.experiment.sweeps["dictionaries"]}, {"seed": [0, 1]})["dictionaries"]
    decoder = np.zeros((*sweep.shape, 2, 48, 16))
    for place, run in zip(np.ndindex(*sweep.shape), sweep.runs(), strict=True):
        decoder[place][1, :32] = run.problem.data.directions()
    dims = [axis.name for axis in sweep.axes]
    data = {
        "decoder": ((*dims, "snapshot", "latent", "dimension"), decoder),
        "status": (dims, np.full(sweep.shape, OK)),
    }
    coords = {axis.name: axis.labels for axis in sweep.axes} | {"snapshot": [0, 2000]}
    found = page.features(Swept(sweep, xr.Dataset(data, coords)))
    np.testing.assert_allclose(found.best.isel(snapshot=1), 1, atol=1e-6)
    np.testing.assert_allclose(found.own, 1, atol=1e-6)
    assert (found.learned == 2000).all()
    np.testing.assert_allclose(found.share.sum("feature"), 1)
    assert (found.share.diff("feature") < 0).all()
    assert len(page.learned_by_importance(found).axes) == 4
