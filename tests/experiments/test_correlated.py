"""Correlated features: known arrangements are read, and each finding holds and fails on planted results."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from experiments import correlated
from tests.experiments.planted import fails, holds, undecided

P, SEEDS, RIVALS = [0.02, 0.05, 0.1], 16, 8
COORDS = {"p": P, "seed": range(SEEDS)}


def grid(**by_kind: object) -> xr.DataArray:
    """One value a kind, or one a kind and seed."""
    values = [np.broadcast_to(np.asarray(value), (len(P), SEEDS)) for value in by_kind.values()]
    return xr.DataArray(np.stack(values), dims=("kind", "p", "seed"), coords=COORDS | {"kind": list(by_kind)})


def pairs(**changes: xr.DataArray) -> xr.Dataset:
    """All seeds as preferred, and no control; the first seeds are the best."""
    loss = 0.1 * np.linspace(1, 2, SEEDS)
    lie = grid(independent="otherwise", correlated="orthogonal", anticorrelated="antipodal")
    return xr.Dataset({"lie": lie, "loss": grid(independent=loss, correlated=loss, anticorrelated=loss)}).assign(
        changes
    )


def rivals(loss: float = 1.0) -> xr.Dataset:
    coords = {"kind": ["correlated", "anticorrelated"], "seed": range(RIVALS)}
    lie = np.repeat([["antipodal"], ["orthogonal"]], RIVALS, 1)
    losses = np.broadcast_to(loss * np.linspace(1, 1.1, RIVALS), (2, RIVALS))
    return xr.Dataset({"lie": (("kind", "seed"), lie), "loss": (("kind", "seed"), losses)}, coords)


def with_lie(data: xr.Dataset, kind: str, lie: str, seeds: slice = slice(None)) -> xr.Dataset:
    changed = data.lie.astype(object).copy()
    changed.loc[{"kind": kind, "seed": data.seed[seeds]}] = lie
    return data.assign(lie=changed.astype(str))


def test_pairs_as_planted_hold() -> None:
    holds(correlated.pairs_arrange_themselves(pairs(), rivals()))


@pytest.mark.parametrize(("kind", "lie"), [("correlated", "orthogonal"), ("anticorrelated", "antipodal")])
def test_each_finding_on_pairs_fails_on_its_own(kind: str, lie: str) -> None:
    find, at = correlated.pairs_arrange_themselves, f"[kind={kind}]"
    fails(find(with_lie(pairs(), kind, "otherwise", slice(0, 5)), rivals()), "best-pairs" + at)
    low = rivals()
    low["loss"] = low.loss.where(low.kind != kind, 1e-3)
    fails(find(pairs(), low), "loss-over-rival" + at)
    fails(find(with_lie(pairs(), "independent", lie), rivals()), "seeds-over-control" + at)


def test_what_no_seed_and_no_start_shows_decides_nothing() -> None:
    nowhere = with_lie(with_lie(rivals(), "correlated", "otherwise"), "anticorrelated", "otherwise")
    keys = [f"loss-over-rival[kind={kind}]" for kind in correlated.PREFERRED]
    undecided(correlated.pairs_arrange_themselves(pairs(), nowhere), *keys)


def test_lost_models_are_left_out() -> None:
    data = pairs(loss=pairs().loss.where(pairs().seed != 3))
    found = {each.key: each.measured for each in correlated.pairs_arrange_themselves(data, rivals())}
    assert [each.count for each in found["seeds[kind=correlated]"].estimates] == [SEEDS - 1] * 2
    assert found["seeds-over-control[kind=correlated]"].count == SEEDS - 1


def test_a_few_seeds_more_than_in_the_control_are_undecided() -> None:
    few = with_lie(pairs(), "anticorrelated", "otherwise", slice(2, None))
    undecided(correlated.pairs_arrange_themselves(few, rivals()), "seeds-over-control[kind=anticorrelated]")


def triples(**changes: xr.DataArray) -> xr.Dataset:
    """Correlated pairs side by side; a hexagon in four seeds of independent features, at twice the loss."""
    hexagon = np.arange(SEEDS) % 4 == 0
    data = {
        "lie": grid(independent="otherwise", correlated="side by side"),
        "angle": grid(independent=120.0, correlated=60 + np.arange(SEEDS) / 10),
        "loss": grid(independent=1 + 1.0 * hexagon, correlated=np.linspace(1, 2, SEEDS)),
        "hexagon": grid(independent=hexagon, correlated=False),
    }
    return xr.Dataset(data).assign(changes)


def test_each_finding_on_three_pairs_fails_on_its_own() -> None:
    find, few = correlated.three_pairs, triples().hexagon
    holds(find(triples()))
    fails(find(triples(angle=triples().angle + 40)), "side-by-side")
    fails(find(with_lie(triples(), "independent", "side by side")), "side-by-side-over-control")
    fails(find(triples(hexagon=~few, loss=xr.where(few, 1.0, 2.0))), "hexagon-seeds")
    fails(find(triples(loss=xr.where(few, 0.5, 1.0))), "hexagon-loss")
    undecided(find(triples(hexagon=few & False)), "hexagon-loss")


def test_bases_hold_and_fail() -> None:
    def planted(ratio: float) -> xr.Dataset:
        spread = np.linspace(0.9, 1.1, SEEDS)
        return xr.Dataset({"ratio": grid(independent=spread, correlated=ratio * spread)})

    holds(correlated.bases_are_local(planted(0.01)))
    fails(correlated.bases_are_local(planted(0.5)), "local-bases")
    undecided(correlated.bases_are_local(planted(0.1)), "local-bases")


# ------------------------------------------------------------------------------------------------------------- readings


def swept(**by_kind: np.ndarray) -> SimpleNamespace:
    """Models by kind, one or some a kind, with b = 0."""
    models = np.stack([np.reshape(W, (-1, *W.shape[-2:])) for W in by_kind.values()])
    W = xr.DataArray(models, {"kind": list(by_kind)}, ("kind", "seed", "feature", "hidden"))
    final = {"W": W, "b": 0 * W.isel(hidden=0)}
    return SimpleNamespace(final=lambda name="W", unconverged=False: final[name])


def test_the_exact_loss_of_each_arrangement_of_two_pairs() -> None:
    """Opposite features of unit length interfere where both are on, by E min(x, y)^2 = 1 / 6 each."""
    p, starts = correlated.SHOWN, correlated.STARTS
    for name, of_sets, of_members in (("orthogonal", 4, 0), ("antipodal", 0, 4)):
        found = correlated.rival_geometry(swept(**dict.fromkeys(correlated.PREFERRED, starts[name]))).isel(seed=0)
        assert set(found.lie.values) == {name}
        np.testing.assert_allclose(found.loss.sel(kind="correlated"), (of_sets * p**2 + of_members * p) / 6, rtol=1e-6)
        np.testing.assert_allclose(found.loss.sel(kind="anticorrelated"), of_sets * p**2 / 6, rtol=1e-6, atol=1e-20)
        np.testing.assert_allclose(found.angle, {"orthogonal": 90, "antipodal": 180}[name], atol=1e-5)


def test_a_hexagon_of_six_features() -> None:
    angle = np.pi / 3 * np.array([3, 0, 5, 1, 4, 2])
    hexagon = np.stack([np.cos(angle), np.sin(angle)], 1)
    found = correlated.triple_geometry(swept(independent=np.stack([hexagon, hexagon * [1, 2], np.nan * hexagon])))
    np.testing.assert_array_equal(found.hexagon.squeeze(), [1, 0, np.nan])


def test_interference_of_two_sets() -> None:
    found = correlated.interference(swept(any=np.vstack([np.eye(2), np.eye(2)]))).isel(kind=0, seed=0)
    np.testing.assert_array_equal(found.same, [True, False, False, False, False, True])
    np.testing.assert_array_equal(found.cosine, [0, 1, 0, 0, 1, 0])
