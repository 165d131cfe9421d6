"""Normalisers: what they keep, what they lose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.normalisers import LayerNorm, NoNorm, RmsNorm

vectors = arrays(np.float32, 5, elements=st.floats(-8, 8, width=32)).filter(lambda h: np.std(h) > 0.1)


@given(vectors, st.floats(0.5, 20))
def test_length_is_lost(h: np.ndarray, factor: float) -> None:
    """The mean square is 1, and a multiple of h becomes the same: to 1e-4, eps being 1e-12 of a mean square of .01."""
    for norm in (RmsNorm(1e-12), LayerNorm(1e-12)):
        once, again = norm(jnp.asarray(h)), norm(jnp.asarray(h * factor))
        np.testing.assert_allclose(once, again, atol=1e-4)
        assert float(jnp.mean(once**2)) == pytest.approx(1, abs=1e-4)


@given(vectors, st.floats(-5, 5))
def test_layer_norm_loses_the_mean(h: np.ndarray, shift: float) -> None:
    norm = LayerNorm()
    np.testing.assert_allclose(norm(jnp.asarray(h)), norm(jnp.asarray(h + np.float32(shift))), atol=1e-3)
    assert float(jnp.abs(jnp.mean(norm(jnp.asarray(h))))) < 1e-5


def test_nothing_is_lost_without() -> None:
    h = jnp.arange(4.0)
    np.testing.assert_array_equal(NoNorm()(h), h)


def test_gradients_are_finite_at_zero() -> None:
    for norm in (RmsNorm(), LayerNorm()):
        assert np.isfinite(jax.grad(lambda h, norm=norm: norm(h).sum())(jnp.zeros(3))).all()


def test_eps_is_not_negative() -> None:
    with pytest.raises(ValueError, match="eps=-1"):
        LayerNorm(-1.0)
