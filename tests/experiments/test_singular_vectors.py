"""Singular vectors of a layer: findings on planted readings, and the reading on weights whose answer is known."""

import numpy as np
import pytest
import xarray as xr

from experiments import singular_vectors as page
from tests.experiments.planted import changed, fails, holds, outcomes

SEEDS = 20


def planted() -> xr.Dataset:
    """The claim holds: low rank over MLP over embedding, and turned spans below."""
    noise = 0.01 * np.random.default_rng(0).normal(size=(len(page.MAPS), len(page.VECTORS), SEEDS))
    own = np.array([0.5, 0.65, 0.9, 0.85])[:, None, None] + noise
    dims, seeds = ("map", "vectors", "seed"), range(SEEDS)
    return xr.Dataset(
        {
            "own": (dims, own),
            "turned": (dims, own - 0.2 + noise),
            "random": (dims, 0.45 + noise),
            **dict.fromkeys(("right", "moving", "computing"), ("seed", 0.98 + 0.01 * noise[0, 0])),
        },
        {"map": list(page.MAPS), "vectors": list(page.VECTORS), "seed": seeds},
    )


def test_planted_order_holds() -> None:
    for findings in page.experiment.findings:
        holds(findings(planted()))


def test_each_finding_fails_where_it_should() -> None:
    level = changed(planted(), "own", lambda each: 0 * each + 0.65, map="OV", vectors="all")
    fails(page.order_of_maps(level), "low-rank-over-mlp[map=OV,vectors=all]")
    low = changed(planted(), "own", lambda each: each + 0.3, map="embedding", vectors="leading")
    fails(page.order_of_maps(low), "mlp-over-embedding[vectors=leading]")
    same = changed(planted(), "turned", lambda each: each + 0.2, map="QK", vectors="leading")
    fails(page.against_rotations(same), "own-basis[map=QK,vectors=leading]")
    assert set(outcomes(page.the_layer_learns(changed(planted(), "right", lambda each: each - 0.5))).values()) == {
        "fails"
    }


def test_each_side_is_read_against_its_own_features() -> None:
    """Maps between the axes of an embedding and an unembedding that are orthonormal and unlike each other."""
    rng, d, r = np.random.default_rng(1), 6, 2
    E, W = np.eye(d), np.linalg.qr(rng.normal(size=(d, d)))[0]
    gains = np.array([3.0, 2.0])
    params = {
        "E": E * np.arange(d, 0, -1.0)[:, None],
        "W": W,
        "Q": E[:, :r] * gains,
        "K": E[:, 2:4],
        "V": E[:, :r] * gains,
        "O": W[:r].T,
        "W_in": (E[:4] * np.arange(4, 0, -1.0)[:, None]),
        "W_out": W[:4].T * np.arange(4, 0, -1.0),
    }
    for which, sides in zip(page.MAPS, (1, 2, 2, 2), strict=True):
        found = list(page._directions(params, which, d))
        assert len(found) == sides
        for own, features in found:
            assert len(own) == {"embedding": d, "MLP": 4}.get(which, r)
            cosine = np.abs(own @ (features / np.linalg.norm(features, axis=1, keepdims=True)).T)
            assert cosine.max(axis=1) == pytest.approx(1)
        assert all(len(own) == 1 for own, _ in page._directions(params, which, 1))


def test_drawn() -> None:
    axes = page.singular_vectors_and_features(planted()).axes
    assert [len(ax.collections) for ax in axes] == [3, 3]  # intervals of three kinds of direction
