import numpy as np
import pytest
import xarray as xr

from experiments import energy_levels as page
from tests.experiments.planted import fails, holds, undecided
from toymodels.experiment import Swept

SEEDS = 16
NOISE = xr.DataArray(0.01 * np.linspace(-1, 1, SEEDS), dims="seed")


def planted(**changes) -> xr.Dataset:
    """Four features at D = 1/2 and two that are dropped; one late jump a seed, where nearly all of the loss falls."""
    D = np.tile([0.5, 0.5, 0.5, 0.5, 0, 0], (SEEDS, 3, 1))
    data = {
        "D": (("seed", "snapshot", "feature"), D),
        "kept": (("seed", "feature"), D[:, -1] > 0),
        "digons_alone": ("seed", np.ones(SEEDS)),
        "jumps": ("seed", np.ones(SEEDS, int)),
        "own": 0.9 + NOISE,
        "others": 0.1 + NOISE / 2,
        "time": 0.05 + NOISE,
    }
    return xr.Dataset(data, attrs={"since": 100.0, "reach": 20.0}).assign(changes)


def test_planted_results_hold() -> None:
    holds(page.ends_in_digons(planted()))
    holds(page.jumps_are_late_too(planted()))
    holds(page.loss_falls_at_jumps(planted(), planted()))
    assert len(list(page.between_levels(planted()))) == 2


def test_features_between_levels_fail_and_dropped_ones_are_no_successes() -> None:
    data = planted()
    fails(page.ends_in_digons(planted(D=data.D.where(data.feature > 0, 0.4))), "ends-in-digons")
    fails(page.ends_in_digons(planted(kept=data.kept | True)), "ends-in-digons")


def test_lost_seeds_are_left_out_and_are_no_failures() -> None:
    data, lost = planted(), xr.DataArray(np.arange(SEEDS) == 3, dims="seed")
    data = data.assign({name: data[name].astype(float).where(~lost) for name in ("D", "kept", "digons_alone", "jumps")})
    for finding in (*page.ends_in_digons(data), *page.jumps_are_late_too(data)):
        assert finding.measured.count == SEEDS - 1
        assert finding.measured.value == pytest.approx(2 / 3 if finding.id == "features-kept" else 1)


def test_one_jump_of_one_seed_is_not_enough() -> None:
    jumps = planted().jumps
    fails(page.jumps_are_late_too(planted(jumps=jumps.where(jumps.seed == 3, 0))), "late-jumps")
    undecided(page.jumps_are_late_too(planted(jumps=jumps.where(jumps.seed % 2 == 1, 0))), "late-jumps")


@pytest.mark.parametrize("name", ["equal, late", "decaying"])
def test_a_loss_that_falls_as_much_at_others_jumps_is_no_success(name: str) -> None:
    for others, outcome in ((1.2, fails), (0.9, undecided)):
        changed = planted(others=others + NOISE / 2)
        pair = (changed, planted()) if name == "equal, late" else (planted(), changed)
        outcome(page.loss_falls_at_jumps(*pair), f"fall-at-jumps[importances={name}]")


def swept(jump: int) -> Swept:
    """Two seeds of three features in a plane: an antipode of the first feature arrives, and the loss falls."""
    steps = np.arange(0, 400, 4)
    W = np.zeros((2, len(steps), 3, 2))
    W[:, :, 0, 0], W[:, :, 1, 1] = 1, 1
    loss = np.ones((2, len(steps)))
    for seed, step in enumerate((jump, jump + 100)):
        W[seed, steps >= step, 2, 0] = -1
        loss[seed] -= steps >= step
    data = xr.Dataset(
        {"W": (("seed", "snapshot", "feature", "hidden"), W), "objective": (("seed", "step"), loss)},
        {"seed": [0, 1], "snapshot": steps, "step": steps},
    )
    return Swept(page.levels, data)


def test_a_planted_jump_is_found_where_the_loss_falls() -> None:
    found = page.late_course(swept(120))
    assert found.jumps.values.tolist() == [2, 2]  # of the feature that arrives, and of its antipode
    assert found.jump.sel(what="feature").values.tolist() == [[0, 2], [0, 2]]
    np.testing.assert_allclose(found.moment.values[:, 0], [120, 220], atol=4)
    np.testing.assert_array_equal(found.own, 1)
    np.testing.assert_array_equal(found.others, 0)
    assert found.kept.all()
    assert found.D.isel(snapshot=-1, seed=0).values.tolist() == [0.5, 1, 0.5]
    assert not found.digons_alone.any()


def test_early_jumps_are_not_late_and_rows_without_any_are_filled() -> None:
    found = page.late_course(swept(-60))  # before step 0 in one seed, within the first eighth in the other
    assert found.jumps.values.tolist() == [0, 0]
    assert np.isnan(found.jump).all()
    assert page.course(swept(-60)).jumps.values.tolist() == [0, 2]
