"""Kinds of autoencoders: findings on planted scores, and what a perfect dictionary scores."""

import jax
import numpy as np
import xarray as xr

from experiments import coders as page
from tests.experiments.planted import changed, fails, holds, spread
from toymodels import Dictionary, Embedded, Sparse, TopK, Uniform
from toymodels.config import replace

SEEDS = 12


def kinds() -> xr.Dataset:
    noise = spread(len(page.CODERS), len(page.LAWS), seeds=SEEDS)
    recall = np.array([0.9, 0.9, 0.4, 0.6, 0.3])[:, None] + noise
    names = {"recall": recall, "f1": recall, "fvu": 0.1 + noise, "dead": 0.2 + noise}
    coords = {"coder": list(page.CODERS), "law": list(page.LAWS), "seed": range(SEEDS)}
    return xr.Dataset({name: (tuple(coords), values) for name, values in names.items()}, coords)


def sizes() -> xr.Dataset:
    width, penalty = [16, 64], [0.01, 0.2]
    noise = spread(2, 2, seeds=SEEDS)
    names = {"recall": np.array([0.0, 0.9])[:, None] + noise, "f1": 0.5 + noise, "active": 4 + noise}
    names["fvu"] = np.array([0.01, 0.1])[:, None] * (1 + noise)
    coords = {"width": width, "penalty": penalty, "seed": range(SEEDS)}
    return xr.Dataset({name: (tuple(coords), values) for name, values in names.items()}, coords)


def test_planted_scores_hold_and_fail() -> None:
    holds(page.which_find_what(kinds()))
    none = changed(kinds(), "recall", lambda each: each - 0.8, coder="tied", law="independent")
    none = changed(none, "recall", lambda each: each - 0.39, coder="tied", law="correlated")
    fails(page.which_find_what(none), "finds[coder=tied]")
    same = changed(kinds(), "recall", lambda each: each + 0.5, coder="TopK", law="correlated")
    fails(page.which_find_what(same), "fewer-where-correlated[coder=TopK]")


def test_reconstruction_misleads_or_not() -> None:
    holds(page.reconstruction_misleads(sizes()))
    worse = changed(sizes(), "fvu", lambda each: 20 * each, width=64, penalty=0.01)
    fails(page.reconstruction_misleads(worse), "reconstructs-better[width=64]")
    finds = changed(sizes(), "recall", lambda each: each + 0.9, width=64, penalty=0.01)
    fails(page.reconstruction_misleads(finds), "finds-less[width=64]")


def test_the_planted_directions_score_one() -> None:
    law = Embedded(Sparse(3, 0.3), 8)
    problem = Dictionary(law, TopK(3), 4)
    truth = np.asarray(law.directions())
    other = np.linalg.svd(truth)[2][-1]  # orthogonal to all: never on
    own = {"decoder": np.vstack([truth, other]), "encoder": np.vstack([np.linalg.pinv(truth).T, other])}
    own |= {"b_enc": np.array([0, 0, 0, -1.0]), "b_dec": np.zeros(8)}
    found = page._of_one(problem, {name: each.astype(np.float32) for name, each in own.items()}, 0)
    assert found["recall"] == found["precision"] == found["f1"] == found["unique"] == 1
    assert found["dead"] == 0.25
    assert found["fvu"] < 1e-6
    both = replace(problem, {"data.features.value": Uniform(-1.0, 1.0)})
    assert page._of_one(both, own, 0)["recall"] == 0.5  # of rays in both directions


def test_every_law_has_as_many_features_on() -> None:
    for name, law in page.LAWS.items():
        assert law.n == page.N, name
        np.testing.assert_allclose(np.asarray(law.marginals()).mean(), page.P, rtol=0.01)
        assert np.isfinite(np.asarray(law.sample(jax.random.key(0), 4))).all()


def test_drawn() -> None:
    assert len(page.features_by_coder(kinds()).axes) == 4
    assert len(page.width_and_penalty(sizes()).axes) == 4
