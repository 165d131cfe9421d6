"""Savings of shapes against losses and sizes that are known otherwise."""

import numpy as np
import pytest

from toymodels.theory.factors import Savings, saving_table, savings
from toymodels.theory.superposition import feature_variance, two_features


def test_points_save_all_and_digons_what_the_pair_of_least_loss_does():
    p = np.array([0.05, 0.3])
    found = savings({"point": np.ones((1, 1)), "digon": np.array([[1.0], [-1.0]])}, p)
    np.testing.assert_allclose(found.saving["point"], 1, atol=1e-4)
    np.testing.assert_allclose(found.eigenvalue["point"], 1, atol=1e-2)
    pair = two_features(p, np.ones(2)).antipodal
    np.testing.assert_allclose(found.saving["digon"], 2 - np.asarray(pair.loss) / feature_variance(p), atol=1e-4)
    np.testing.assert_allclose(found.eigenvalue["digon"], (np.asarray(pair.W) ** 2).sum((-1, -2)), rtol=0.01)
    assert found.best == ["digon", "digon"]


def test_eigenvalue_of_a_square_is_that_of_its_two_digons():
    square = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    found = savings({"digon": np.array([[1.0], [-1.0]]), "square": square}, np.array([0.2]))
    assert found.saving["square"] == pytest.approx(found.saving["digon"], rel=1e-4)
    assert found.eigenvalue["square"] == pytest.approx(found.eigenvalue["digon"], rel=1e-2)


def test_a_shape_is_best_between_the_p_at_which_others_save_as_much():
    p = np.array([1.0, 0.5, 0.25, 0.125])
    saving = {"a": np.array([4.0, 1, 1, 1]), "b": np.array([2.0, 2, 3, 1]), "c": np.array([0.0, 0, 0, 2]), "d": p - 9}
    found = Savings(p, saving, ["a", "b", "b", "c"], {})
    assert found.where_best("a") == (1.0, pytest.approx(0.5 ** (2 / 3)))
    assert found.where_best("b") == pytest.approx((0.5 ** (2 / 3), 0.25 * 0.5 ** (3 / 4)))
    assert found.where_best("c")[1] == 0.125
    assert np.isnan(found.where_best("d")).all()


def test_the_table_tells_where_digons_take_over_from_points():
    """Where the pair of least loss costs as much as a feature kept and one dropped."""
    p = 1 / np.geomspace(1.05, 4, 9)
    found = saving_table(
        {"point": np.ones((1, 1)), "digon": np.array([[1.0], [-1.0]]), "none": 0.5 * np.ones((2, 1))}, p
    )
    digon = found.sel(kind="digon")
    assert found["rank"].values.tolist() == [1, 1, 1]
    assert float(digon.stop) == pytest.approx(4)
    assert np.isnan(found.start.sel(kind="none"))
    np.testing.assert_array_equal(found.best == "digon", digon.saving > found.saving.sel(kind="point"))
    np.testing.assert_allclose(found.saving.sel(kind="point"), 1, atol=1e-4)
    assert (found.best == "digon").any()
