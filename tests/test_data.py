"""Samples have the marginals and moments that a distribution states, to what that many samples can tell."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from toymodels.data import (
    Anticorrelated,
    Constant,
    Correlated,
    Difference,
    Exponential,
    Noisy,
    OneSparse,
    Paired,
    Sparse,
    Uniform,
    _midpoint,
    covariance,
    observe,
)
from toymodels.laws import Geometric, PowerLaw

BATCH = 20_000
NATS = 20.0
"""Every bound below fails with probability e^-NATS or less for one number."""

few = jax.jit(lambda data, key: data.sample(key, 64))
draw = jax.jit(lambda data, key: data.sample(key, BATCH))
moments = jax.jit(lambda data: (data.marginals(), data.mean(), data.second_moment()))
draw_and_state = jax.jit(lambda data, key: (observe(data, key, BATCH), moments(data)))

probabilities = st.floats(0.003, 1)
seeds = st.integers(0, 2**31 - 1)


def laws_of_p(kind: str, p: float, q: float) -> Any:
    """The four ways to say the probabilities of four features."""
    return {
        "one": p,
        "geometric": Geometric(q, p),
        "power": PowerLaw(3 * q, p),
        "each": (p, q, p * q, 1.0),
    }[kind]


def value_law(kind: str, a: float, b: float) -> Any:
    return {"uniform": Uniform(-a, b), "constant": Constant(a - b), "exponential": Exponential(b)}[kind]


def means_agree(samples: np.ndarray, expected: Any, bound: float) -> None:
    """Empirical Bernstein (Maurer & Pontil 2009): |mean - E| <= s sqrt(2 L / N) + 7 bound L / (3 (N - 1)), L = ln(2/δ).

    `bound` is the range of the samples; the last term is the rounding of a float32 sum and of the stated moment.
    """
    samples = samples.astype(float)
    allowed = samples.std(axis=0) * np.sqrt(2 * NATS / BATCH) + 7 * bound * NATS / (3 * (BATCH - 1)) + 1e-5 * bound
    assert (np.abs(samples.mean(axis=0) - np.asarray(expected)) <= allowed).all()


def states_its_moments(data: Any, seed: int) -> None:
    (observed, clean), (on_probability, mean, second) = jax.tree.map(
        np.asarray, draw_and_state(data, jax.random.key(seed))
    )
    range_ = max(np.abs(observed).max(), 1e-6)
    means_agree(clean != 0, on_probability, 1)
    means_agree(observed, mean, range_)
    means_agree(observed[:, :, None] * observed[:, None, :], second, 2 * range_**2)


@settings(max_examples=60)
@given(
    st.sampled_from(["one", "geometric", "power", "each"]),
    st.sampled_from(["uniform", "constant", "exponential"]),
    probabilities,
    st.floats(0.2, 1),
    st.floats(0, 2),
    st.floats(2.1, 4),
    seeds,
)
def test_sparse_moments(kind: str, values: str, p: float, q: float, a: float, b: float, seed: int) -> None:
    states_its_moments(Sparse(4, laws_of_p(kind, p, q), value_law(values, a, b)), seed)


@given(st.sampled_from(["uniform", "constant"]), st.floats(0, 2), st.floats(2.1, 4), seeds)
def test_one_sparse_moments(values: str, a: float, b: float, seed: int) -> None:
    data = OneSparse(4, value_law(values, a, b))
    states_its_moments(data, seed)
    assert (np.count_nonzero(draw(data, jax.random.key(seed)), axis=1) == 1).all()


@given(probabilities, st.floats(0, 2), st.floats(2.1, 4), seeds)
def test_correlated_sets_are_on_together(p: float, a: float, b: float, seed: int) -> None:
    data = Correlated(2, 3, p, Uniform(-a, b))
    states_its_moments(data, seed)
    on = np.asarray(draw(data, jax.random.key(seed))).reshape(BATCH, 2, 3) != 0
    assert (on.all(axis=2) == on.any(axis=2)).all()


@given(st.floats(0.003, 1 / 3), st.floats(0, 2), st.floats(2.1, 4), seeds)
def test_of_anticorrelated_sets_at_most_one_is_on(p: float, a: float, b: float, seed: int) -> None:
    """p is a member's, up to p = 1 / size, where exactly one is on; `of_set` takes the set's."""
    data = Anticorrelated(2, 3, p, Uniform(-a, b))
    states_its_moments(data, seed)
    on = np.asarray(draw(data, jax.random.key(seed))).reshape(BATCH, 2, 3) != 0
    assert on.sum(axis=2).max() <= 1
    assert Anticorrelated.of_set(2, 3, 3 * p if 3 * p <= 1 else 1.0).p == pytest.approx(p)


@given(probabilities, st.floats(0, 1), st.floats(0, 2), st.floats(2.1, 4), seeds)
def test_pairs_have_one_value_or_one_member(p: float, broken: float, a: float, b: float, seed: int) -> None:
    data = Paired(3, p, broken, Uniform(-a, b))
    states_its_moments(data, seed)
    one, other = np.asarray(draw(data, jax.random.key(seed))).reshape(-1, 3, 2).transpose(2, 0, 1)
    assert ((one == other) | (one == 0) | (other == 0)).all()
    whole, apart = (np.asarray(draw(Paired(3, p, each), jax.random.key(seed))).reshape(-1, 3, 2) for each in (0.0, 1.0))
    assert (whole[..., 0] == whole[..., 1]).all()
    assert not ((apart != 0).all(axis=2)).any()


def test_a_full_anticorrelated_set_always_has_one_on() -> None:
    on = np.asarray(draw(Anticorrelated.of_set(2, 3, 1.0), jax.random.key(0))).reshape(BATCH, 2, 3) != 0
    assert (on.sum(axis=2) == 1).all()
    assert Anticorrelated(2, 3, 1 / 3 + 1e-8).p > 1 / 3  # rounding of 1 / size is no error


@given(probabilities, st.floats(0, 2), st.floats(0.5, 2), seeds)
def test_noise_is_seen_and_not_learned(p: float, scale: float, b: float, seed: int) -> None:
    """Observed = clean + N(0, scale²), independent; the clean part is what the clean distribution states."""
    data = Noisy(Sparse(4, p, Uniform(0, b)), scale)
    states_its_moments(data, seed)
    observed, clean = (np.asarray(x, float) for x in draw_and_state(data, jax.random.key(seed))[0])
    assert np.array_equal(observed, draw(data, jax.random.key(seed)))  # `sample` is what is observed
    noise = observed - clean
    bound = scale * 6 + 1e-6
    means_agree(noise[:, :, None] * noise[:, None, :], scale**2 * np.eye(4), 2 * bound**2)
    means_agree(noise[:, :, None] * clean[:, None, :], 0, 2 * bound * b)


@given(probabilities, st.floats(0, 2), st.floats(2.1, 4), seeds)
def test_differences_are_signed(p: float, a: float, b: float, seed: int) -> None:
    """Moments as stated; the same law with either sign, so the mean of the cubes is 0."""
    data = Difference(Sparse(4, p / 2, Uniform(-a, b)))
    states_its_moments(data, seed)
    means_agree(np.asarray(draw(data, jax.random.key(seed))) ** 3, 0, 2 * (a + b) ** 3)


@given(st.floats(0.1, 1), st.floats(0, 1), st.floats(2, 3), seeds)
def test_values_follow_their_law(p: float, a: float, b: float, seed: int) -> None:
    """Kolmogorov-Smirnov against scipy's laws; by Massart's inequality a distance sqrt(NATS / 2N) has p < 2 e^-NATS."""
    for law, reference in (
        (Uniform(-a, b), scipy.stats.uniform(-a, a + b)),
        (Exponential(b), scipy.stats.expon(scale=b)),
    ):
        for data in (Sparse(4, p, law), Correlated(2, 2, p, law), Anticorrelated(2, 2, p / 2, law), OneSparse(4, law)):
            x = np.asarray(draw(data, jax.random.key(seed)))
            values = x[x != 0]
            distance = scipy.stats.kstest(values, reference.cdf).statistic
            assert distance <= np.sqrt(NATS / 2 / len(values))


@given(st.floats(1e-4, 0.5), st.floats(1, 2), seeds)
def test_more_probable_features_are_on_where_less_probable_ones_were(p: float, more: float, seed: int) -> None:
    """Common random numbers: cells that differ in p are paired."""
    kinds = (
        partial(Sparse, 4),
        partial(Correlated, 2, 2),
        lambda p: Anticorrelated(2, 2, p / 2),
        lambda p: Noisy(Sparse(4, p), 0.0),
    )
    for kind in kinds:
        few, many = (np.asarray(draw(kind(q), jax.random.key(seed))) != 0 for q in (p, p * more))
        assert not (few & ~many).any()


def test_the_same_key_gives_the_same_draws() -> None:
    one, other = (draw(Sparse(4, 0.3), jax.random.key(seed)) for seed in (1, 2))
    assert np.array_equal(one, draw(Sparse(4, 0.3), jax.random.key(1)))
    assert not np.array_equal(one, other)


def test_rare_features_take_all_values() -> None:
    """At p = 1.6e-5 a uniform number of 23 bits leaves 134 values, the lowest of them 0."""
    x = np.asarray(Sparse(64, 1.6e-5).sample(jax.random.key(0), 2**16))
    values = x[x != 0]
    assert abs(len(values) - 67.1) < 6 * np.sqrt(67.1)  # 2^22 draws, Poisson
    assert len(np.unique(values)) > 0.9 * len(values)
    assert scipy.stats.kstest(values, "uniform").statistic < np.sqrt(NATS / 2 / len(values))


@pytest.mark.parametrize("p", [2.0**-24, 1e-7, 0.99e-6, 0.003, 0.1, 0.5, 1 - 2.0**-24, 1.0])
def test_features_are_on_with_the_probability_stated(p: float) -> None:
    """Of all 2^32 equal chances, counted by bisection: u grows with its bits."""
    low, high = 0, 2**32
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _midpoint(jnp.uint32(middle)) < np.float32(p) else (low, middle)
    assert abs(low / 2**32 - float(np.float32(p))) <= 2.0**-33 + 2.0**-24 * p
    assert low / 2**32 == pytest.approx(p, rel=0.002)


@pytest.mark.parametrize("p", [2.0**-33, 1e-300, 5e-8])
def test_probabilities_that_are_not_drawn_are_refused(p: float) -> None:
    """2^-33 is never on: refused for every feature of every law, and for the set that is drawn where sets are."""
    for made in (
        lambda: Sparse(4, p),
        lambda: Sparse(3, (0.1, p, 0.2)),
        lambda: Sparse(3, Geometric((p / 0.5) ** 0.5, 0.5)),
        lambda: Sparse(2, PowerLaw(-np.log2(p) - 1, 0.5)),
        lambda: Correlated(2, 2, p),
        lambda: Anticorrelated(2, 2, p / 2),
        lambda: Paired(2, p, 0.1),
        lambda: Anticorrelated.of_set(2, 2, p),
        lambda: Noisy(Sparse(2, p), 1.0),
    ):
        with pytest.raises(ValueError, match="is never on") as error:
            made()
        assert "\n" not in str(error.value)
    assert Anticorrelated(2, 4, 2.0**-26).p == 2.0**-26  # of the set, 2^-24


@pytest.mark.parametrize("p", [1.0, 1e-7])
def test_extreme_probabilities_are_finite(p: float) -> None:
    """No division by an underflown p, no quantile at 1 - where that of the exponential law is infinite."""
    law = Exponential()
    with jax.debug_nans(True):
        for data in (
            Sparse(4, p, law),
            Sparse(4, (p, 1.0, p, 1.0), law),
            Sparse(3, Geometric(0.9, p), law),
            Correlated(2, 2, p, law),
            Anticorrelated(2, 2, p / 2, law),
            OneSparse(1, law),
        ):
            x = few(data, jax.random.key(0))
            assert x.shape == (64, data.n)
            assert jnp.isfinite(x).all()
            if p == 1 and isinstance(data, Sparse) and isinstance(data.p, float):
                assert (x != 0).all()


@given(probabilities, st.floats(-2, 2), st.floats(2.1, 4))
def test_second_moment_is_a_covariance(p: float, low: float, high: float) -> None:
    """E[x xᵀ] - E[x] E[x]ᵀ has no negative eigenvalue, beyond rounding; its diagonal is p E[v²]."""
    law = Uniform(low, high)
    second = (high**3 - low**3) / (3 * (high - low))
    for data in (
        Sparse(4, p, law),
        OneSparse(4, law),
        Correlated(2, 2, p, law),
        Anticorrelated(2, 2, p / 2, law),
        Noisy(Correlated(2, 2, p, law), 1.0),
    ):
        on, mean, moment = (np.asarray(x, float) for x in moments(data))
        assert np.linalg.eigvalsh(moment - np.outer(mean, mean)).min() >= -1e-5
        np.testing.assert_allclose(np.diag(moment), on * second + (1 if isinstance(data, Noisy) else 0), rtol=1e-5)


def test_the_covariance_of_correlated_sets() -> None:
    """Variance p/3 - p²/4; p (1 - p) / 4 within a set, 0 between sets."""
    own, within = 0.3 / 3 - 0.3**2 / 4, 0.3 * 0.7 / 4
    found = covariance(Correlated(2, 2, 0.3))
    assert found.dtype == np.float64
    one = [[own, within], [within, own]]
    np.testing.assert_allclose(found, np.kron(np.eye(2), one), atol=1e-7)


def test_sampling_maps_over_cells() -> None:
    """Under vmap over configs with one key, as in a sweep, each cell draws what it would draw alone."""
    ps = jnp.asarray([0.1, 0.5, 1.0])
    key = jax.random.key(3)
    mapped = jax.vmap(lambda p: jax.tree.unflatten(jax.tree.structure(Sparse(4)), [p, 0.0, 1.0]).sample(key, 32))(ps)
    for p, x in zip(ps, mapped, strict=True):
        np.testing.assert_allclose(x, Sparse(4, float(p)).sample(key, 32), rtol=1e-6)
