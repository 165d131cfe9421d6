"""Sparse autoencoders: coders by their definitions, invariances, streams, and a dictionary that is learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels import Adam, Axis, Record, Run, Sparse, Sweep, sweep
from toymodels.analysis.recovery import mmcs
from toymodels.config import replace
from toymodels.engine.loop import make_keys
from toymodels.observations import Embedded, Normal
from toymodels.problems.dictionary import (
    BatchTopK,
    Dictionary,
    JumpRelu,
    ReluL1,
    TopK,
    kth_largest,
    planted,
    unit,
)
from toymodels.theory.random_dictionaries import expected_best

DATA = Embedded(Sparse(8, 0.3), 4)
CODERS = {"relu": ReluL1(0.1), "topk": TopK(2), "jump": JumpRelu(0.1)}
largest = jax.jit(kth_largest)


def started(problem: Dictionary) -> dict[str, jax.Array]:
    """Parameters away from the start, where biases are zero and encoder and decoder agree."""
    params = problem.init(jax.random.key(0))
    leaves, treedef = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return jax.tree.unflatten(
        treedef, [leaf + 0.3 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    )


@settings(max_examples=30)
@given(st.integers(0, 2**31 - 1), st.integers(1, 22), st.floats(0, 1))
def test_the_kth_largest_is_that_of_a_sort(seed: int, k: int, zeros: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=(20, 3)) * 10.0 ** rng.integers(-20, 20) * (rng.uniform(size=(20, 3)) > zeros)
    values = rng.choice(values, 20).astype(np.float32)  # some of them are equal
    expected = np.sort(values, axis=0)[::-1][k - 1] if k <= 20 else np.zeros(3)
    np.testing.assert_array_equal(largest(values, k), expected)


@pytest.mark.parametrize("k", [3, 12])
def test_the_kth_largest_in_double_precision(k: int) -> None:
    with jax.enable_x64(True):
        values = np.random.default_rng(0).exponential(size=17)
        assert kth_largest(jnp.asarray(values), k) == np.sort(values)[-k]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", CODERS)
def test_objective_is_error_and_penalty(name: str, tied: bool) -> None:
    """By numpy, from the definition; lengths of decoder rows do not count."""
    problem = Dictionary(DATA, CODERS[name], 6, tied)
    params, h = started(problem), np.asarray(DATA.sample(jax.random.key(2), 5), float)
    p = {key: np.asarray(value, float) for key, value in params.items()}
    decoder = p["decoder"] / np.linalg.norm(p["decoder"], axis=1, keepdims=True)
    pre = (h - p["b_dec"]) @ (decoder if tied else p["encoder"]).T + p["b_enc"]
    codes, cost = np.maximum(pre, 0), np.zeros(5)
    if name == "relu":
        cost = 0.1 * codes.sum(1)
    elif name == "topk":
        codes = np.where(codes >= np.sort(codes, axis=1)[:, [-2]], codes, 0)
    else:
        codes = np.where(pre > np.exp(p["log_threshold"]), pre, 0)
        cost = 0.1 * (codes > 0).sum(1)
    error = ((h - codes @ decoder - p["b_dec"]) ** 2).sum(1)
    found = jax.vmap(problem.objective, (None, 0))(params, jnp.asarray(h, float))
    np.testing.assert_allclose(found, error + cost, rtol=1e-5)
    told = jax.vmap(problem.metrics, (None, 0))(params, jnp.asarray(h, float))
    np.testing.assert_allclose(told["squared_error"], error, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(told["active"], (codes > 0).sum(1))
    longer = params | {"decoder": params["decoder"] * 3.0}
    np.testing.assert_allclose(jax.vmap(problem.objective, (None, 0))(longer, jnp.asarray(h, float)), found, rtol=1e-5)


def test_the_thresholds_of_jump_relu_learn_by_the_ramp_alone() -> None:
    """Within half a bandwidth: d code / d theta = -theta / bandwidth, d step / d theta = -1 / bandwidth."""
    coder = JumpRelu(0.3, 0.05, 0.1)
    pre, params = jnp.asarray([0.0, 0.06, 0.2]), coder.init(3)

    def loss(params):
        codes, cost = coder(pre, params)
        return jnp.sum(codes) + cost

    slope = jax.grad(loss)(params)["log_threshold"]  # d theta / d log theta = theta
    each = -(0.05 / 0.1 + 0.3 / 0.1) * 0.05
    np.testing.assert_allclose(slope, [each, each, 0], rtol=1e-5, atol=1e-7)  # 0 is exactly half a bandwidth away
    assert jax.grad(lambda pre: coder(pre, params)[0].sum())(pre).tolist() == [0, 1, 1]


def test_batch_top_k_keeps_k_a_row_on_average() -> None:
    problem = Dictionary(DATA, BatchTopK(1.5), 6, rows=4)
    params, h = started(problem), problem.sample(jax.random.key(2), 3)
    assert h.shape == (3, 4, 4)
    codes = jnp.stack([problem.encode(params, each)[0] for each in h])
    assert (jnp.sum(codes > 0, axis=(1, 2)) == 6).all()
    one = Dictionary(DATA, TopK(6), 6)  # a row by itself, all codes kept: the rows of an example are observations
    same = Dictionary(DATA, BatchTopK(6), 6, rows=4)
    each = jnp.mean(jnp.stack([one.objective(params, row) for row in h[0].T]))
    np.testing.assert_allclose(same.objective(params, h[0]), each, rtol=1e-5)
    with pytest.raises(ValueError, match="several rows"):
        Dictionary(DATA, BatchTopK(2), 6)


def test_prefixes_add_the_errors_of_smaller_dictionaries() -> None:
    problem = Dictionary(DATA, ReluL1(0.0), 6, prefixes=(2, 4))
    params, h = started(problem), DATA.sample(jax.random.key(2), 1)[0]
    cut = {name: {key: v[:k] if key != "b_dec" else v for key, v in params.items()} for name, k in (("2", 2), ("4", 4))}
    parts = [Dictionary(DATA, ReluL1(0.0), int(k)).objective(params_, h) for k, params_ in cut.items()]
    whole = Dictionary(DATA, ReluL1(0.0), 6).objective(params, h)
    np.testing.assert_allclose(problem.objective(params, h), whole + sum(parts), rtol=1e-5)
    with pytest.raises(ValueError, match="prefixes"):
        Dictionary(DATA, ReluL1(), 6, prefixes=(6,))


def test_truth_and_start_come_from_other_streams() -> None:
    """With one seed for both, a dictionary that starts at the truth would recover it before it has learned anything."""
    starts = []
    for seed in range(12):
        data = Embedded(Sparse(32, 0.1), 16, seed)
        row = make_keys(np.asarray([seed]), np.asarray([0])).init[0]
        starts.append(mmcs(data.directions(), Dictionary(data, TopK(2), 32).init(row)["decoder"]))
    assert np.mean(starts) == pytest.approx(expected_best(32, 16), abs=0.01)
    found = {}
    for seed in range(3):
        streams = make_keys(np.asarray([seed]), np.asarray([0]))
        for name, key in (*zip(streams._fields, streams, strict=True), ("plain", jax.random.key(seed)[None])):
            found[seed, name] = np.asarray(jax.random.normal(key[0], (32, 16)))
        truth = np.asarray(Embedded(Sparse(32, 0.1), 16, seed).directions())
        for drawn in found.values():
            assert abs(np.corrcoef(truth.ravel(), drawn.ravel())[0, 1]) < 0.2


def test_a_small_dictionary_is_learned() -> None:
    """Four features in four dimensions, a sweep over penalty and seed in one program, the truth of each its own."""
    data = Embedded(Sparse(4, 0.2), 4)
    base = Run(Dictionary(data, ReluL1(), 6), Adam(1e-2), steps=600, batch=64, record=Record(3, 2, examples=256))
    found = sweep(
        Sweep(base, [Axis("penalty", "problem.coder.penalty", [0.05, 0.1]), Axis("seed", "seed", [0, 1])], planted)
    )
    assert found.objective.isel(step=-1).max() < 0.5 * found.objective.isel(step=0).min()
    for seed in (0, 1):
        truth = replace(data, {"seed": seed}).directions()
        for cell in found.decoder.isel(snapshot=-1).sel(seed=seed).values:
            assert mmcs(truth, cell, signed=True) > 0.95
    assert (found.active.isel(step=-1).diff("penalty") < 0).all()


def test_settings_that_make_no_sense_are_refused() -> None:
    for make, said in (
        (lambda: Dictionary(DATA, ReluL1(), 0), "at least 1"),
        (lambda: ReluL1(-1.0), "not negative"),
        (lambda: TopK(0), "k=0"),
        (lambda: JumpRelu(bandwidth=0.0), "above 0"),
    ):
        with pytest.raises(ValueError, match=said):
            make()
    assert unit(jnp.zeros((2, 3))).tolist() == [[0] * 3] * 2
    assert Dictionary(Normal(3), TopK(1), 2).prepare().data == Normal(3)
