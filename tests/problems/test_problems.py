"""What every problem promises, and what each of them is."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.config import replace, stack
from toymodels.data import (
    Anticorrelated,
    Constant,
    Correlated,
    Difference,
    Exponential,
    Noisy,
    OneSparse,
    Sparse,
    Uniform,
)
from toymodels.laws import Geometric, PowerLaw
from toymodels.losses import (
    BinaryCrossEntropy,
    HalfSquaredError,
    InnerProduct,
    PowerError,
    SoftmaxCrossEntropy,
    SquaredError,
)
from toymodels.models import Absolute, Gelu, Identity, Placed, Relu, Tied, TimesExp, Untied
from toymodels.normalisers import LayerNorm, RmsNorm
from toymodels.observations import Clusters, Cube, Embedded, GaussianCopy, Normal, Sampled
from toymodels.optimizers import Adam, AdamW, Momentum, Sgd
from toymodels.problems.annealed import Annealed
from toymodels.problems.attention import Attending, Attention, Leaning, LearnedPattern, Lookup
from toymodels.problems.blocks import Blocks
from toymodels.problems.decoder import Decoder, Projection, Reproject, falling
from toymodels.problems.dictionary import BatchTopK, Dictionary, JumpRelu, ReluL1, TopK
from toymodels.problems.factorize import Components, Factorize, Gaussian, Given
from toymodels.problems.grouped import Grouped
from toymodels.problems.noisy_factorize import NoisyFactorize
from toymodels.problems.packing import Packing
from toymodels.problems.population import Population
from toymodels.problems.quadratic import Quadratic
from toymodels.problems.steering import Equiangular, OrthogonalInputs, OrthogonalOutputs, Planted, Rectified, Steering
from toymodels.problems.supervised import Supervised
from toymodels.theory.noisy_factorisation import noisy_loss

TARGET = Components(5, 4, 3, Geometric(0.5, 2.0), seed=3)
PROBLEMS = {
    "tied": Supervised(Sparse(5, 0.2), Tied(2)),
    "linear": Supervised(Sparse(5, Geometric(0.5)), Tied(2, output=Identity()), SquaredError(Geometric(0.9))),
    "untied": Supervised(Correlated(2, 2, 0.3), Untied(3), PowerError(4.0)),
    "hidden relu": Supervised(Anticorrelated(2, 2, 0.3), Untied(3, Relu()), PowerError(1.0)),
    "noisy": Supervised(Noisy(OneSparse(4), 0.1), Tied(1), SquaredError((1.0, 2.0, 0.0, 1.0))),
    "cross-entropy": Supervised(Sparse(5, 0.2), Tied(2, output=Identity()), BinaryCrossEntropy()),
    "half squared": Factorize(TARGET, 3),
    "softmax": Factorize(TARGET, 3, 2, SoftmaxCrossEntropy()),
    "inner product": Factorize(TARGET, 3, 2, InnerProduct()),
    "power": Factorize(Gaussian(5, 4, 2), 3, 2, PowerError(3.0)),
    "power one": Factorize(Given(np.eye(3)), 3, 1, PowerError(1.0)),
    "regression": Factorize(TARGET, 3, 2, data=Sparse(4, 0.3)),
    "noisy target": NoisyFactorize(TARGET, 3, noise=0.5),
    "noisy inputs": NoisyFactorize(TARGET, 3, 2, data=Noisy(Sparse(4, 0.3), 0.2), noise=0.5),
    "packing": Packing(6, 3, 2.5),
    "signed packing": Packing(6, 3, 1.0, signed=True),
    "blocks": Blocks(6, 3, 2, 2.5),
    "grouped": Grouped(6, 3, 2, 1.5, penalty=10.0),
    "population": Population(Sparse(3, 0.2), Tied(2), SquaredError(Geometric(0.5))),
    "quadratic": Quadratic(5, 2, 4.0, Geometric(0.7)),
    "one at a time": Population(OneSparse(5), Tied(2)),
    "placed": Population(Sparse(3, 0.2), Placed(Tied(2), np.eye(3, 2), np.zeros(3), 0.1)),
    "absolute": Supervised(Sparse(5, 0.3, Uniform(-1.0)), Untied(4, Relu(), Relu()), target=Absolute()),
    "annealed": Annealed(Supervised(Sparse(5, 1.0), Tied(2)), Supervised(Sparse(5, 0.1), Tied(2)), 4),
    "annealed matrix": Annealed(Packing(6, 3, 2.0), Packing(6, 3, 4.0), 3),
    "decoder": Decoder(Sparse(5, 0.2), Projection(3), 4, l1=0.1, bias=-0.1),
    "noisy decoder": Decoder(Sparse(5, falling(5, 0.2)), Projection(5), 3, Gelu(), normaliser=LayerNorm(), noise=0.1),
    "reprojection": Decoder(Sparse(5, 0.2), Projection(3), 4, TimesExp(), Reproject(2), RmsNorm()),
    "sizes": Decoder(Difference(Sparse(5, 0.1)), Projection(3), 4, target=Absolute()),
    "sparse autoencoder": Dictionary(Embedded(Sparse(5, 0.2), 3), ReluL1(0.1), 4),
    "tied topk": Dictionary(Clusters(3, 3), TopK(2), 4, tied=True),
    "batch topk": Dictionary(GaussianCopy(Cube(3)), BatchTopK(1.5), 4, rows=3),
    "nested jump relu": Dictionary(Sampled(Normal(3), 5, 9), JumpRelu(), 4, prefixes=(2,)),
    "steering": Steering(Planted(3, 5), 4),
    "orthogonal steering": Steering(Planted(3, 5, Rectified(0.1), Equiangular(0.5)), 4, 2.0, OrthogonalInputs()),
    "steering to orthogonal outputs": Steering(Planted(3, 5), 4, 2.0, OrthogonalOutputs()),
    "leaning heads": Attention(Sparse(5, 0.2), 2, 2, Leaning(0.7), loss=SquaredError(Geometric(0.9))),
    "given pattern": Attention(Sparse(4, 0.3), 1, 2, Attending([[0.5, 0.3, 0.2]]), Relu(), PowerError(3.0)),
    "learned pattern": Attention(Sparse(4, 0.3), 3, 1, LearnedPattern(3), bias=0.1),
    "lookup": Lookup(Sparse(4, 0.3, Uniform(-1.0)), 3, 2, 4, 2, 3, PowerLaw(1.0), Geometric(0.8)),
    "zero target": Factorize(Given(np.zeros((2, 3))), 2, loss=InnerProduct()),
}
OPTIMIZERS = [Sgd(0.05), Momentum(0.01), Adam(0.01), AdamW(0.01)]
each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def mean_objective(problem: Any, params: Any, examples: Any) -> jax.Array:
    if examples is None:
        return problem.objective(params, None)
    return jax.vmap(problem.objective, (None, 0))(params, examples).mean()


def sample(problem: Any, seed: int, batch: int) -> Any:
    return problem.sample(jax.random.key(seed), batch) if hasattr(problem, "sample") else None


@jax.jit
def value_and_slope(problem: Any, params: Any, examples: Any) -> Any:
    return jax.value_and_grad(mean_objective, 1)(problem, params, examples)


@each_problem
def test_start_objective_and_gradient_are_finite(problem: Any) -> None:
    """At the start, at zero parameters, and without a NaN on the way; `dims` names the axes of all parameters."""
    with jax.debug_nans(True):
        params = problem.init(jax.random.key(0))
        examples = sample(problem, 1, 16)
        for at in (params, jax.tree.map(jnp.zeros_like, params)):
            value, slope = value_and_slope(problem, at, examples)
            assert value.shape == ()
            assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((value, slope)))
            assert jax.tree.map(jnp.shape, slope) == jax.tree.map(jnp.shape, params)
    assert set(params) <= set(problem.dims)
    assert all(leaf.ndim == len(problem.dims[name]) for name, leaf in params.items())


@each_problem
def test_preparing_changes_nothing(problem: Any) -> None:
    if not hasattr(problem, "prepare"):
        return
    params, examples = problem.init(jax.random.key(0)), sample(problem, 1, 8)
    for one, other in zip(
        jax.tree.leaves(value_and_slope(problem, params, examples)),
        jax.tree.leaves(value_and_slope(problem.prepare(), params, examples)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, problem.prepare().init(jax.random.key(0)), params)
    if hasattr(problem, "done"):
        assert bool(problem.done(params)) == bool(problem.prepare().done(params))


@pytest.mark.parametrize("target", [TARGET, Gaussian(5, 4, 2), Given(np.ones((5, 4)))])
def test_preparing_maps_over_cells(target: Any) -> None:
    """Under vmap, as in a sweep, each cell gets the target of its own seed."""
    cells = [Factorize(target, 2, scale=scale) for scale in (0.1, 0.2)]
    if not isinstance(target, Given):
        cells = [replace(cell, {"target.seed": seed}) for seed, cell in enumerate(cells)]
    matrices = jax.jit(jax.vmap(lambda problem: problem.prepare().target.matrix()))(stack(cells))
    for cell, A in zip(cells, matrices, strict=True):
        np.testing.assert_allclose(A, cell.target.matrix(), atol=1e-6)


# --------------------------------------------------------------------------------------------------------- factorize


@settings(max_examples=25)
@given(
    st.sampled_from(["equal", "geometric", "power", "given"]),
    st.integers(1, 4),
    st.floats(0.1, 5),
    st.floats(0.1, 1),
    st.integers(0, 2**31 - 1),
)
def test_components_have_the_spectrum_asked_for(kind: str, rank: int, first: float, ratio: float, seed: int) -> None:
    """Singular values by scipy; the vectors are orthonormal, and A their sum. float32 QR is right to about 1e-6."""
    spectrum, values = {
        "equal": (first, np.full(4, first)),
        "geometric": (Geometric(ratio, first), first * ratio ** np.arange(4)),
        "power": (PowerLaw(2 * ratio, first), first * np.arange(1.0, 5) ** (-2 * ratio)),
        "given": ((first, 2 * first, 0.0, first * ratio), np.array([first, 2 * first, 0, first * ratio])),
    }[kind]
    target = Components(6, 4, rank, spectrum, seed)
    values = np.where(np.arange(4) < rank, values, 0)
    left, right = (np.asarray(vectors, float) for vectors in target.vectors())
    A = np.asarray(target.matrix(), float)
    np.testing.assert_allclose(target.singular_values(), values, rtol=1e-5)
    np.testing.assert_allclose(scipy.linalg.svdvals(A), np.sort(values)[::-1], atol=1e-5 * first)
    np.testing.assert_allclose(left @ left.T, np.eye(4), atol=3e-6)
    np.testing.assert_allclose(right @ right.T, np.eye(4), atol=3e-6)
    np.testing.assert_allclose(A, (left.T * values) @ right, atol=1e-5 * first)


def test_gaussian_targets() -> None:
    """Rank as asked; entries have variance rank / (n m), to five standard errors over 400 targets."""
    targets = [Gaussian(6, 4, 2, seed) for seed in range(400)]
    A = np.asarray(jax.jit(jax.vmap(lambda target: target.matrix()))(stack(targets)), float)
    assert {np.linalg.matrix_rank(each, tol=1e-5) for each in A} == {2}
    squares = (A**2).sum(axis=(1, 2))
    assert abs(squares.mean() - 2) <= 5 * squares.std() / np.sqrt(400)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
@pytest.mark.parametrize("name", ["softmax", "power", "regression", "inner product"])
def test_components_beyond_the_rank_stay_exactly_zero(name: str, optimizer: Any) -> None:
    problem = PROBLEMS[name].prepare()
    transform = optimizer.transform(20)

    @jax.jit
    def step(params: Any, moments: Any, examples: Any) -> Any:
        slope = jax.grad(mean_objective, 1)(problem, params, examples)
        updates, moments = transform.update(slope, moments, params)
        return optax.apply_updates(params, updates), moments

    params = start = problem.init(jax.random.key(0))
    moments = transform.init(params)
    for seed in range(20):
        params, moments = step(params, moments, sample(problem, seed, 8))
    for side in "UV":
        assert (params[side][:, 2:] == 0).all()
        assert (params[side][:, :2] != start[side][:, :2]).any()


@given(st.floats(0.1, 3), st.floats(0, 2))
def test_inner_product_is_done_where_the_norms_meet(size: float, ratio: float) -> None:
    """|Ã| >= |A|; other losses never are."""
    A = size * np.eye(3)
    problem = Factorize(Given(A), 3, loss=InnerProduct())
    params = {"U": jnp.asarray(ratio * A, jnp.float32), "V": jnp.eye(3)}
    if abs(ratio - 1) > 1e-5:
        assert bool(problem.done(params)) == (ratio > 1)
    assert not bool(replace(problem, {"loss": HalfSquaredError()}).done(params))


BATCH = 30_000


@settings(max_examples=20)
@given(
    st.sampled_from([Sparse(4, (0.9, 0.5, 0.3, 0.1)), Correlated(2, 2, 0.4), Anticorrelated(2, 2, 0.4)]),
    arrays(np.float32, (5, 2), elements=st.floats(-1, 1, width=32)),
    arrays(np.float32, (4, 2), elements=st.floats(-1, 1, width=32)),
    st.integers(0, 2**31 - 1),
)
def test_regression_is_factorization_of_the_target_times_the_root_moment(
    data: Any, U: np.ndarray, V: np.ndarray, seed: int
) -> None:
    """E 1/2 |(A - Ã) x|² = 1/2 |(A - Ã) M^(1/2)|², M = E[x xᵀ], to five standard errors."""
    problem = Factorize(TARGET, 2, data=data)
    params = {"U": jnp.asarray(U), "V": jnp.asarray(V)}
    values = np.asarray(objectives(problem, params, sample(problem, seed, BATCH)), float)
    root = scipy.linalg.sqrtm(np.asarray(data.second_moment(), float)).real
    error = (np.asarray(TARGET.matrix(), float) - U.astype(float) @ V.T) @ root
    assert abs(values.mean() - (error**2).sum() / 2) <= 5 * values.std() / np.sqrt(BATCH) + 1e-5


@pytest.mark.parametrize("name", ["noisy target", "noisy inputs"])
def test_noise_has_the_expected_gradient_and_loss(name: str) -> None:
    """Of 1/2 |A - Ã|² and noise² n m / 2, or of E|A x - Ã (x + xi)|² / 2 and noise² n / 2, to five standard errors."""
    problem, params = PROBLEMS[name], Factorize(TARGET, 3, scale=0.5).init(jax.random.key(1))
    examples = problem.sample(jax.random.key(2), BATCH)
    U, V, A = (np.asarray(each, float) for each in (params["U"], params["V"], TARGET.matrix()))
    values = np.asarray(objectives(problem, params, examples), float)
    if problem.data is None:
        loss, downhill = np.sum((A - U @ V.T) ** 2) / 2 + 0.5**2 * A.size / 2, A - U @ V.T
    else:
        clean = np.asarray(problem.data.clean.second_moment(), float)
        loss = noisy_loss(A, U, V, clean, 0.2**2) / 2 + 0.5**2 * len(A) / 2
        downhill = (A - U @ V.T) @ clean - 0.2**2 * U @ V.T
    assert abs(values.mean() - loss) <= 5 * values.std() / np.sqrt(BATCH)
    slopes = np.asarray(jax.vmap(jax.grad(problem.objective), (None, 0))(params, examples)["U"], float)
    off = slopes.mean(0) + downhill @ V
    assert (abs(off) <= 6 * slopes.std(0) / np.sqrt(BATCH)).all()
    assert float(problem.metrics(params, None)["squared_error"]) == pytest.approx(
        np.sum((A - U @ V.T) ** 2) / 2, rel=1e-4
    )


def test_without_noise_it_is_the_factorisation_itself() -> None:
    params, key = Factorize(TARGET, 3).init(jax.random.key(3)), jax.random.key(4)
    for data in (None, Sparse(4, 0.3)):
        plain, quiet = Factorize(TARGET, 3, data=data), NoisyFactorize(TARGET, 3, data=data)
        one = jax.tree.map(lambda leaf: leaf[0], quiet.sample(key, 2))
        assert float(quiet.objective(params, one)) == float(plain.objective(params, None if data is None else one[0]))
        np.testing.assert_array_equal(quiet.init(key)["U"], plain.init(key)["U"])


@jax.jit
def objectives(problem: Any, params: Any, examples: Any) -> jax.Array:
    return jax.vmap(problem.objective, (None, 0))(params, examples)


@given(arrays(np.float32, (2, 2), elements=st.floats(-1, 1, width=32)), st.integers(0, 99))
def test_mixing_components_changes_nothing(mix: np.ndarray, seed: int) -> None:
    """Ã = U Vᵀ = (U G) (V G^-T)ᵀ for every invertible G: the gauge."""
    G = mix + 3 * np.eye(2, dtype=np.float32)
    params = jax.tree.map(np.asarray, Factorize(TARGET, 2, scale=1.0).init(jax.random.key(seed)))
    mixed = {"U": params["U"] @ G, "V": params["V"] @ np.linalg.inv(G).T}
    for loss in (HalfSquaredError(), SoftmaxCrossEntropy(), InnerProduct(), PowerError(3.0)):
        problem = Factorize(TARGET, 2, loss=loss)
        one, other = (float(value_and_slope(problem, at, None)[0]) for at in (params, mixed))
        assert abs(one - other) <= 1e-4 * (1 + abs(one))


def test_metrics_compare_losses() -> None:
    problem = Factorize(Given(np.eye(3)), 1, loss=InnerProduct())
    params = {"U": jnp.ones((3, 1)), "V": jnp.ones((3, 1))}
    assert float(problem.metrics(params, None)["squared_error"]) == 3  # six off-diagonal ones, halved


def test_binary_cross_entropy_needs_targets_that_are_probabilities() -> None:
    assert np.isfinite(Factorize(Given(np.eye(2)), 1, loss=BinaryCrossEntropy()).objective(_zeros(), None))
    for make in (
        lambda: Factorize(Given(2 * np.eye(2)), 1, loss=BinaryCrossEntropy()),
        lambda: Factorize(Given(np.eye(2)), 1, loss=BinaryCrossEntropy(), data=Sparse(2)),
        lambda: Supervised(Sparse(2, 0.1, Exponential()), Tied(1), BinaryCrossEntropy()),
        lambda: Supervised(Sparse(2, 0.1, Uniform(-1, 1)), Tied(1), BinaryCrossEntropy()),
        lambda: Supervised(Noisy(Sparse(2, 0.1, Constant(1.1)), 0.1), Tied(1), BinaryCrossEntropy()),
    ):
        with pytest.raises(ValueError, match=r"cross-entropy takes targets in \[0, 1\]"):
            make()


def _zeros() -> dict[str, jax.Array]:
    return {"U": jnp.zeros((2, 1)), "V": jnp.zeros((2, 1))}


# -------------------------------------------------------------------------------------------------------- supervised


@given(st.floats(0.05, 1), st.floats(0, 1), st.integers(0, 999))
def test_supervised_by_hand(p: float, scale: float, seed: int) -> None:
    """Observed in, clean compared: I · (clean - relu(W Wᵀ observed + b))²."""
    problem = Supervised(Noisy(Sparse(4, p), scale), Tied(2, bias=0.1), SquaredError((1.0, 2.0, 0.5, 0.0)))
    params = problem.init(jax.random.key(seed))
    observed, clean = examples = problem.sample(jax.random.key(seed + 1), 8)
    W = np.asarray(params["W"], float)
    predicted = np.maximum(np.asarray(observed, float) @ W @ W.T + 0.1, 0)
    expected = ((np.asarray(clean, float) - predicted) ** 2) @ [1, 2, 0.5, 0]
    np.testing.assert_allclose(objectives(problem, params, examples), expected, rtol=1e-4, atol=1e-6)
    one = jax.tree.map(lambda leaf: leaf[0], examples)
    got = problem.metrics(params, one)["squared_error"]
    np.testing.assert_allclose(got, ((clean[0] - predicted[0]) ** 2).sum(), rtol=1e-4, atol=1e-6)


# ----------------------------------------------------------------------------------------------------------- packing


@given(
    arrays(np.float32, (6, 3), elements=st.floats(-1, 1, width=32)),
    st.floats(1, 5),
    st.booleans(),
    st.floats(1e-3, 1e3),
)
def test_packing_sees_directions_only(V: np.ndarray, power: float, signed: bool, scale: float) -> None:
    """Rescaled and rotated, rows give the same loss, which numpy gives too."""
    V = V + 2 * np.eye(6, 3, dtype=np.float32) + 0.1
    norms = np.linalg.norm(V, axis=1, keepdims=True)
    if norms.min() < 0.1:
        return
    problem = Packing(6, 3, power, signed)
    turn = scipy.linalg.qr(V[:3].astype(float) + np.eye(3))[0].astype(np.float32)
    values = [float(value_and_slope(problem, {"V": rows}, None)[0]) for rows in (V, V * np.float32(scale), V @ turn)]
    c = (V.astype(float) / norms) @ (V.astype(float) / norms).T - np.eye(6)
    expected = np.sum((np.maximum(c, 0) if signed else np.abs(c))[~np.eye(6, dtype=bool)] ** power)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)
