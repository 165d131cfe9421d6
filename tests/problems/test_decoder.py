"""The decoder: its projections, streams, objective by hand, and a training that reaches its twin in theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels.config import replace, stack
from toymodels.data import Sparse
from toymodels.engine.loop import make_keys
from toymodels.laws import per_feature
from toymodels.normalisers import RmsNorm
from toymodels.optimizers import Adam, BiasDecay, Cosine
from toymodels.problems.decoder import INPUT, OUTPUT, Decoder, Directions, Projection, Reproject, falling
from toymodels.sweep import Axis, Sweep, sweep
from toymodels.theory.noisy_unit import best_units
from toymodels.train import Record, Run

BASE = Decoder(Sparse(6, 0.2), Projection(4), 5, target=Reproject(3), noise=0.1)
directions = jax.jit(lambda projection: projection.directions(6))


@settings(max_examples=10)
@given(st.integers(0, 2**31 - 1))
def test_features_have_unit_directions_that_fill_all_dimensions_alike(seed: int) -> None:
    """Rows of length 1; before they were scaled, orthonormal columns: undone by the row lengths, they are again."""
    F = np.asarray(directions(Projection(4, seed)), float)
    np.testing.assert_allclose(np.linalg.norm(F, axis=1), 1, atol=1e-5)
    square = np.asarray(Projection(6, seed).directions(6), float)
    np.testing.assert_allclose(square @ square.T, np.eye(6), atol=1e-5)
    # The lengths that make the columns orthonormal: a linear equation for their squares.
    products = np.einsum("ni,nj->ijn", F, F).reshape(16, 6)
    squares = np.linalg.lstsq(products, np.eye(4).ravel(), rcond=None)[0]
    assert np.allclose(products @ squares, np.eye(4).ravel(), atol=1e-4)
    assert (squares > -1e-4).all()


def test_projections_and_starts_come_from_disjoint_streams() -> None:
    """Of one seed: no key, no bits and no numbers of a projection are those of a start, of data or of the target."""
    seed = jnp.arange(3)
    keys = jax.tree.leaves(jax.tree.map(jax.random.key_data, make_keys(seed, 0 * seed)))
    own = [jax.random.fold_in(jax.random.key(0), stream) for stream in (INPUT, OUTPUT)]
    every = np.concatenate([*(np.asarray(each) for each in keys), *(jax.random.key_data(key)[None] for key in own)])
    assert len(np.unique(every, axis=0)) == len(every)
    for s in range(5):
        F, Q = (np.asarray(each(6, s).directions(6)) for each in (Projection, Reproject))
        params = Decoder(Sparse(6), Projection(6, s), 6).init(make_keys(jnp.asarray([s]), jnp.asarray([0])).init[0])
        for one, other in ((F, Q), (F, np.asarray(params["encoder"])), (F, np.asarray(params["W"]))):
            cosine = (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other)
            assert abs(cosine) < 0.6  # of 36 numbers: 3.6 standard deviations


def test_preparing_maps_over_cells_with_their_own_projections() -> None:
    cells = [replace(BASE, {"projection.seed": seed, "target.seed": seed + 7}) for seed in range(3)]
    prepared = jax.jit(jax.vmap(lambda problem: problem.prepare()))(stack(cells))
    for place, cell in enumerate(cells):
        np.testing.assert_allclose(prepared.projection.rows[place], cell.projection.directions(6), atol=1e-6)
        np.testing.assert_allclose(prepared.target.rows[place], cell.target.directions(6), atol=1e-6)


values = jax.jit(lambda problem, *at: (problem.objective(*at), problem.metrics(*at)))


start = jax.jit(lambda problem, key: (problem.init(key), problem.sample(jax.random.fold_in(key, 1), 1)))


@settings(max_examples=10)
@given(st.integers(0, 99), st.floats(0, 1), st.floats(0, 2), st.booleans())
def test_the_objective_by_hand(seed: int, noise: float, l1: float, normed: bool) -> None:
    problem = replace(BASE, {"noise": noise, "l1": l1, "normaliser": RmsNorm() if normed else BASE.normaliser})
    params, examples = start(problem, jax.random.key(seed))
    x, z = (each[0] for each in examples)
    F, Q = (np.asarray(each.directions(6), float) for each in (problem.projection, problem.target))
    h = np.asarray(x, float) @ F + noise * np.asarray(z)
    h = h / np.sqrt((h**2).mean() + 1e-5) if normed else h
    active = np.maximum(h @ np.asarray(params["encoder"]) + np.asarray(params["b"]), 0)
    error = np.asarray(x, float) @ Q - np.asarray(params["W"]) @ active
    expected = (error**2).sum() + l1 * active.sum()
    found, metrics = values(problem, params, (x, z))
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert float(metrics["squared_error"]) == pytest.approx((error**2).sum(), rel=1e-4)


def test_cells_that_differ_in_noise_or_bias_share_their_draws() -> None:
    key = jax.random.key(3)
    for one, other in zip(BASE.sample(key, 4), replace(BASE, {"noise": 0.5}).sample(key, 4), strict=True):
        np.testing.assert_array_equal(one, other)
    low = replace(BASE, {"bias": -1.0}).init(key)
    np.testing.assert_allclose(low["b"], BASE.init(key)["b"] - 1, atol=1e-6)
    np.testing.assert_array_equal(low["encoder"], BASE.init(key)["encoder"])
    assert abs(np.asarray(BASE.init(key)["encoder"])).max() <= 0.5  # 1/sqrt(4)


def test_falling_probabilities_have_the_sum_asked_for() -> None:
    values = np.asarray(per_feature(falling(40, 0.01), 40), float)
    assert values.sum() == pytest.approx(0.4, rel=1e-4)
    np.testing.assert_allclose(values / values[0], np.arange(1, 41) ** -1.1, rtol=1e-4)


def test_bad_settings_are_one_sentence() -> None:
    for make in (
        lambda: replace(BASE, {"k": 0}),
        lambda: replace(BASE, {"noise": -0.1}),
        lambda: replace(BASE, {"projection.m": 7}),
        lambda: Projection(0),
        lambda: Projection(2, -1),
        lambda: falling(4, 0.9),
    ):
        with pytest.raises(ValueError, match="="):
            make()
    with pytest.raises(ValueError, match="rows of shape"):
        replace(BASE, {"projection": Directions(np.eye(3))})


def test_the_bias_decays_in_the_first_half_alone() -> None:
    """Without a gradient b falls by 1 - lr decay a step, and nothing else moves; without decay it is Adam."""
    params = {"b": jnp.ones(3), "W": jnp.ones(2)}

    def after(optimizer, gradient: float, steps: int = 10) -> dict[str, np.ndarray]:
        transform, found = optimizer.transform(steps), params
        state = transform.init(found)
        for _ in range(steps):
            change, state = transform.update(jax.tree.map(lambda leaf: gradient + 0 * leaf, found), state, found)
            found = jax.tree.map(jnp.add, found, change)
        return jax.tree.map(np.asarray, found)

    np.testing.assert_allclose(after(BiasDecay(0.1, 0.5), 0.0)["b"], 0.95**5, rtol=1e-5)
    np.testing.assert_array_equal(after(BiasDecay(0.1, 0.5), 0.0)["W"], 1)
    np.testing.assert_allclose(after(BiasDecay(0.1, 0.0), 0.3)["b"], after(Adam(0.1), 0.3)["b"], rtol=1e-6)
    with pytest.raises(ValueError, match="decay=-1"):
        BiasDecay(0.1, -1.0)


@pytest.mark.slow
def test_training_reaches_the_best_units() -> None:
    """N = m = k = 4, noise .05 and .2: of 24 starts the best has the exact threshold, within 2 %, and loss."""
    base = Run(
        Decoder(Sparse(4, 0.125), Projection(4), 4, noise=0.1),
        Adam(Cosine(1e-2)),
        steps=3000,
        batch=256,
        record=Record(4, 2, examples=60_000),
    )
    axes = [Axis("noise", "problem.noise", [0.05, 0.2]), Axis("seed", "seed", range(24))]
    data = sweep(Sweep(base, axes, lambda run: replace(run, {"problem.projection.seed": run.seed})))
    for noise in (0.05, 0.2):
        cell = data.sel(noise=noise).isel(step=-1, snapshot=-1)
        cell = cell.isel(seed=int(cell.squared_error.argmin("seed")))
        length = np.linalg.norm(cell.encoder, axis=0)
        known = best_units(0.125, noise, 4)
        assert float((-cell.b / length).mean()) == pytest.approx(known.threshold, rel=0.02)
        assert float(cell.squared_error) / 4 == pytest.approx(known.loss, rel=0.04)  # 60,000 examples: 1 %
