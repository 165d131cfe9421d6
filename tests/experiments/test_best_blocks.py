"""Best numbers of blocks: findings on planted losses, and packings that are read as themselves."""

import numpy as np
import pytest
import xarray as xr

from experiments import best_blocks as page
from tests.experiments.planted import fails, holds, outcomes
from toymodels.experiment import Swept
from toymodels.overrides import replaced
from toymodels.results import OK
from toymodels.theory.johnson_lindenstrauss import jl_constant, jl_switch
from toymodels.theory.packing_losses import orthonormal_copies_loss

N, D, SEEDS = 24, 6, 8
BLOCKS, POWERS = [1, 2, 6], [1.2, 1.95, 2.05, 3.0, 3.7, 3.8, 4.0]
SWITCH = jl_switch(N, D)


def planted(switch: float, between: tuple[float, ...] = (), n: int = N) -> xr.Dataset:
    """d blocks are best up to `switch` and one above it, two at the powers `between`; blocks of one kind."""
    totals = np.array([[[2, 3, 1] if q < switch else [1, 3, 2] for q in POWERS]])[0].T.astype(float)
    totals[1, [q in between for q in POWERS]] = 0.5
    loss = np.full((3, len(POWERS), SEEDS, 6), np.nan)
    kind = np.full((3, 6), -1)
    for place, k in enumerate(BLOCKS):
        loss[place, ..., :k] = totals[place, :, None, None] / k
        kind[place, :k] = 0
    coords = {"blocks": BLOCKS, "power": POWERS, "seed": range(SEEDS)}
    data = {"loss": (("blocks", "power", "seed", "block"), loss), "kind": (("blocks", "block"), kind)}
    return xr.Dataset(data, coords, {"n": n, "d": D, "signed": 0})


def test_the_estimated_switch_holds_where_it_is_and_fails_elsewhere() -> None:
    right, early = planted(SWITCH), planted(2)
    assert 3.7 < SWITCH < 3.8
    holds(page.best_numbers(right, right, right))
    fails(page.best_numbers(right, early, right), "switch-as-estimated[loss=even, remainder]")
    holds(page.at_two(early))
    fails(page.at_two(right), "switch-at-two")


def test_a_number_between_fails() -> None:
    right = planted(SWITCH)
    mixed = planted(SWITCH, between=(3.0,))
    found = outcomes(page.best_numbers(right, right, mixed))
    assert found["nothing-between[loss=signed]"] == "fails"
    assert found["nothing-between[loss=even]"] == "holds"


@pytest.mark.parametrize(
    ("scale", "outcome"), [(1.0, "fails"), (jl_constant(10_000, 2500) / jl_constant(24, 6), "holds")]
)
def test_a_constant_that_carries_over_holds(scale: float, outcome: str) -> None:
    """One block at the Welch bound has the constant of its own size, which is not that of ten thousand vectors."""
    data = planted(2)
    welch = N * (N - 1) * (scale * (N - D) / (D * (N - 1))) ** (data.power / 2)
    data["loss"] = data.loss.where(data.blocks > 1, welch)
    found = outcomes(page.estimate_fitted(data))
    assert found["fit-carries-over[n=10000]"] == outcome


def test_axes_are_read_as_the_best_of_six_blocks_and_are_drawn() -> None:
    sweep = replaced({"even": page.even}, {"blocks": [1, 6], "power": [1.5, 3.0], "seed": range(2)})["even"]
    V = np.broadcast_to(np.repeat(np.eye(6), 4, axis=0), (2, 2, 2, 1, 24, 6))
    axes = ("blocks", "power", "seed")
    data = {
        "V": ((*axes, "snapshot", "feature", "dimension"), V),
        "status": (axes, np.full((2, 2, 2), OK)),
    }
    swept = Swept(sweep, xr.Dataset(data, {axis.name: axis.labels for axis in sweep.axes}))
    found = page.whole_copies(swept)
    np.testing.assert_allclose(found.loss.sum("block"), orthonormal_copies_loss(24, 6))
    assert set(page.best_blocks(page.least_totals(found, 1)).values.ravel()) == {6}
    assert len(page.loss_by_blocks(found, found, found).axes) == 3
