"""Responses to lone features: layers that compute exactly, that share neurons, and linear ones that cannot."""

import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toymodels.analysis.computation import computed, lone_responses, response_error

weights = arrays(np.float64, (4, 3), elements=st.floats(-3, 3))
DIMS = ("feature", "hidden")


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def labelled(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=DIMS)


@given(weights, weights, st.floats(0.1, 1))
def test_two_numbers_tell_the_whole_response(encoder: np.ndarray, W: np.ndarray, x: float) -> None:
    found = lone_responses(labelled(encoder), labelled(W))
    for sign, each in zip((1, -1), found.transpose("sign", "feature").values, strict=True):
        alone = [W[i] @ relu(sign * x * encoder[i]) for i in range(4)]
        np.testing.assert_allclose(each * x, alone, atol=1e-9)


@given(weights, weights)
def test_linear_layers_compute_nothing(encoder: np.ndarray, W: np.ndarray) -> None:
    found = lone_responses(labelled(encoder), labelled(W), linear=True)
    assert (response_error(found, relu) >= 0.5 - 1e-9).all()
    assert (response_error(found, np.abs) >= 1 - 1e-9).all()


def test_what_is_computed() -> None:
    """Feature 0 exactly, 1 by half, 2 with the wrong sign, 3 not at all; for |x| none, for lack of a second neuron."""
    encoder = labelled(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, -1], [0, 0, 0]]))
    W = labelled(np.array([[1.0, 0, 0], [0, 0.5, 0], [0, 0, 1], [0, 0, 0]]))
    error = response_error(lone_responses(encoder, W), relu)
    np.testing.assert_allclose(error, [0, 0.25, 2, 1])
    assert computed(error).values.tolist() == [1, 1, 0, 0]
    assert computed(response_error(lone_responses(encoder, W), np.abs)).values.tolist() == [0, 0, 0, 0]


def test_padding_counts_for_nothing_and_lost_models_stay_lost() -> None:
    encoder = xr.DataArray(np.array([[[1.0, np.nan]], [[np.nan, np.nan]]]), dims=("seed", *DIMS))
    found = lone_responses(encoder, encoder)
    assert found.sel(sign=1).isel(seed=0).item() == 1
    assert computed(response_error(found, relu)).isnull().values.ravel().tolist() == [False, True]
