"""Estimates against known coefficients: findings on planted ones; the models' zeros; the figure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from experiments import learning_coefficients as page
from tests.experiments.planted import changed, fails, holds, spread

SEEDS, STEPS = 32, np.array([0, 10, 100, 1000, 10_000])


def table(along: str, names: list[str], known: np.ndarray) -> xr.Dataset:
    estimate = known[:, None] * (1 + spread(len(names)))
    each = {"estimate": estimate, "r_hat": np.ones_like(estimate), "acceptance": 0.6 + 0 * estimate}
    coords = {along: names, "seed": range(SEEDS)}
    return xr.Dataset({name: ((along, "seed"), values) for name, values in each.items()}, coords).assign(
        known=(along, known)
    )


def calibrated() -> xr.Dataset:
    models = page.models()
    known = np.array([each.coefficient.value for each in models.values()])
    several = np.array([each.coefficient.multiplicity for each in models.values()])
    data = table("model", list(models), np.where(several > 1, 0.85, 1) * known)
    return data.assign(
        known=("model", known),
        multiplicity=("model", several),
        expected=("model", np.where(several > 1, 0.85 * known, np.nan)),
        parameters=("model", [len(each.point) for each in models.values()]),
    )


def polygons() -> xr.Dataset:
    return table("polygon", list(page.POLYGONS), np.array([page._coefficient(name) for name in page.POLYGONS]))


def unadjusted() -> xr.Dataset:
    return table("model", ["tied"], np.array([2.75])).assign(known=2.75)


def course() -> xr.Dataset:
    loss = np.array([0.25, 0.2, 0.12, 0.07, 0.062]) + 0 * spread(1).T
    estimate = 9 - page.COURSE[0] * (loss - 0.062) + spread(len(STEPS), size=0.05).T
    names = np.where(np.arange(SEEDS) % 2, "hexagon", "pentagon, 1 dropped")
    each = {
        "loss": (("seed", "snapshot"), loss),
        "estimate": (("seed", "snapshot"), estimate),
        "below": (("seed", "snapshot"), np.where(STEPS < 100, 1.0, 0) + 0 * loss),
        "D": (("seed", "snapshot", "feature"), 0.4 * loss[..., None] * np.arange(1, 7)),
        "name": ("seed", names),
        "end": ("seed", 8.5 * (1 + spread(1)[0])),
        "end_below": ("seed", np.zeros(SEEDS)),
        "known": ("seed", np.full(SEEDS, 8.5)),
    }
    return xr.Dataset(each, {"seed": range(SEEDS), "snapshot": STEPS})


def test_planted_estimates_hold() -> None:
    holds(page.known_are_met(calibrated()))
    holds(page.chains_agree(calibrated(), polygons(), unadjusted()))
    holds(page.polygons_are_met(polygons()))
    holds(page.along_training(course()))


def test_estimates_a_fifth_off_fail_where_they_are() -> None:
    off = changed(calibrated(), "estimate", lambda x: 1.2 * x, model="tied, 4-2-4, rank 1")
    fails(page.known_are_met(off), "known-met[model=tied, 4-2-4, rank 1]")
    off = changed(calibrated(), "estimate", lambda x: x / 0.85, model="w1^2 w2^2")
    fails(page.known_are_met(off), "multiplicity-lowers[model=w1^2 w2^2]", "expectation-met[model=w1^2 w2^2]")
    off = changed(polygons(), "estimate", lambda x: 9 / 7 * x, polygon="pentagon, 1 silent")  # half of all parameters
    fails(page.polygons_are_met(off), "polygon-met[polygon=pentagon, 1 silent]")


def test_chains_apart_fail() -> None:
    apart = polygons().assign(r_hat=polygons().r_hat + 1)
    fails(page.chains_agree(calibrated(), apart, unadjusted()), "chains-mix[of=polygons]")
    rough = unadjusted().assign(estimate=1.3 * unadjusted().estimate)
    fails(page.chains_agree(calibrated(), polygons(), rough), "sgld-met")


def test_courses_that_are_otherwise_fail() -> None:
    data = course()
    falls = data.assign(estimate=-9 + page.COURSE[0] * data.loss)  # and begins positive
    fails(page.along_training(falls), "rises-as-loss-falls", "rise-is-the-fall", "negative-at-first")
    twice = data.assign(estimate=2 * data.estimate)
    fails(page.along_training(twice), "rise-is-the-fall")
    fails(page.along_training(data.assign(end=1.2 * data.end)), "ends-at-known")


def test_the_points_of_the_models_are_zeros_and_no_more_than_half_of_the_parameters_count() -> None:
    for name, each in page.models().items():
        assert float(each.loss(jnp.asarray(each.point))) == 0, name
        assert float(each.loss(jnp.asarray(each.point) + 0.1)) > 0, name
        assert each.coefficient.value <= len(each.point) / 2, name


def test_a_minibatch_has_the_mean_of_the_tied_model() -> None:
    w = np.random.default_rng(0).normal(size=8)
    exact = float(page._tied(4, 2, 1, jnp.asarray(w)))
    assert float(page._tied_batch(4, 2, 1, 200_000, jnp.asarray(w), jax.random.key(0))) == pytest.approx(
        exact, rel=0.02
    )


def test_the_loss_of_flat_weights_is_that_of_the_toy() -> None:
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(6, 2)), rng.normal(size=6)
    flat = jnp.asarray(np.concatenate([W.ravel(), b]))
    found = float(jax.jit(page.polygon_loss)(flat))
    assert found == pytest.approx(float(page.one_sparse_loss(W, b)), rel=1e-5)


def test_drawn() -> None:
    axes = page.coefficients(calibrated(), polygons(), course()).axes
    assert len(axes) == 4
    assert len(axes[0].get_yticklabels()) == len(page.models()) + len(page.POLYGONS)
