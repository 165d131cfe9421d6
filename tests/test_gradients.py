"""Gradients of trained cells at other parameters: whose they are, how exact, and that neighbours do not matter."""

import jax
import numpy as np
import pytest

from tests.cases import AUTOENCODER, PACKING
from toymodels import Axis, Run, Sweep
from toymodels.engine.batch import _Share
from toymodels.engine.gradients import LANES, Gradients, flat, is_exact
from toymodels.engine.plan import plan
from toymodels.settings import standard
from toymodels.shapes.packing import interference_loss

POWERS = (2.0, 2.5, 3.0, 4.0)


def untrained(run: Run, path: str, values: tuple[float, ...]) -> tuple[Gradients, list[Run], int]:
    """Gradients of the cells of a first batch as they start, these cells, and how many numbers one learns."""
    (group,) = plan(Sweep(run, [Axis("value", path, values), Axis("seed", "seed", range(8))]).runs(), devices=1).groups
    grid = group.batches[0]
    with standard(False):
        share = _Share(grid, jax.local_devices()[0], jax.local_devices()[:1])
    return share.gradients(), [each for row in grid for each in row], flat(share.states.params).shape[1]


@pytest.mark.parametrize(
    ("run", "path", "values"), [(PACKING, "problem.power", POWERS), (AUTOENCODER, "problem.data.p", (0.1, 0.3))]
)
def test_a_gradient_does_not_depend_on_what_else_is_asked_for(run: Run, path: str, values: tuple[float, ...]) -> None:
    """Bit for bit: in any order, alone, and beside any number of others."""
    made, cells, numbers = untrained(run, path, values)
    assert made.descents == len(cells) * (1 if is_exact(run) else 2)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(made.descents, numbers))
    losses, slopes = made.ask(2, np.arange(made.descents), points)()
    assert np.isfinite(slopes).all()
    for count in {1, LANES - 1, LANES, LANES + 1, made.descents - 1}:
        which = rng.permutation(made.descents)[:count]
        loss, slope = made.ask(2, which, points[which])()
        np.testing.assert_array_equal(loss, losses[which])
        np.testing.assert_array_equal(slope, slopes[which])


def test_exact_gradients_are_those_of_the_problem_of_each_cell() -> None:
    """Each with its own power, in double precision."""
    made, cells, numbers = untrained(PACKING, "problem.power", POWERS)
    points = np.random.default_rng(1).normal(size=(made.descents, numbers))
    losses, slopes = made.ask(1, np.arange(made.descents), points)()
    with jax.enable_x64(True):
        for cell, point, loss, slope in zip(cells, points.reshape(-1, 6, 3), losses, slopes, strict=True):
            found = jax.value_and_grad(interference_loss)(point, float(cell.problem.power))
            np.testing.assert_allclose(loss, found[0], rtol=1e-13)
            np.testing.assert_allclose(slope, np.ravel(found[1]), rtol=1e-10, atol=1e-12)


def test_sampled_gradients_of_two_halves_differ_by_their_noise() -> None:
    """The same point on both: more examples, nearer together."""
    made, cells, numbers = untrained(AUTOENCODER, "problem.data.p", (0.1, 0.3))
    points = np.repeat(0.5 * np.random.default_rng(2).normal(size=(len(cells), numbers)), 2, axis=0)
    apart = {}
    for batches in (1, 64):
        losses, _ = made.ask(batches, np.arange(made.descents), points)()
        apart[batches] = np.abs(np.diff(losses.reshape(-1, 2), axis=1)).mean()
    assert 0 < apart[64] < apart[1] / 3
