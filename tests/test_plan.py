"""How a sweep is cut: widths from shapes, layouts from counts, and no cell twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import AUTOENCODER, PACKING
from toymodels import Run, config
from toymodels.data import Sparse
from toymodels.engine.plan import NARROWEST, WIDEST, batch_shape, batch_width, batches
from toymodels.engine.work import seconds, work
from toymodels.models import Tied
from toymodels.problems.packing import Packing
from toymodels.problems.population import Population
from toymodels.problems.supervised import Supervised


def autoencoder(n: int, m: int) -> Run:
    return Run(Supervised(Sparse(n, 0.1), Tied(m)))


@pytest.mark.parametrize(
    ("run", "largest"),
    [
        (autoencoder(5, 2), 5 * 1024),
        (autoencoder(200, 20), 200 * 1024),
        (Run(Packing(16, 4)), 16 * 16),
        (Run(Packing(3, 40)), 8 * 40),  # rows of zeros fill a vector instruction
    ],
)
def test_largest_array_of_a_step(run: Run, largest: int) -> None:
    assert work(run).largest == largest


def test_more_work_takes_longer() -> None:
    """Each of these does more than the one before it."""
    runs = [Run(Population(Sparse(n, 0.1), Tied(2))) for n in (2, 3, 5)]
    runs += [autoencoder(20, 5), autoencoder(200, 20), autoencoder(400, 20)]
    guesses = [seconds(run) for run in runs]
    assert guesses[:3] == sorted(guesses[:3])
    assert guesses[3:] == sorted(guesses[3:])


def test_products_are_counted_by_their_terms() -> None:
    found = work(Run(Supervised(Sparse(7, 0.1), Tied(3)), batch=10))
    assert found.multiplied == 2 * 2 * 10 * 7 * 3  # Wᵀ x and W h
    assert found.drawn == 2 * 10 * 7  # inputs and targets
    assert found.learned == 7 * 3 + 7


def test_widths_follow_sizes() -> None:
    """Powers of two within bounds, never wider for a larger problem, and blind to everything that is swept."""
    widths = [batch_width(autoencoder(n, 2)) for n in (5, 20, 100, 200, 400, 2000)]
    assert widths == sorted(widths, reverse=True)
    assert all(NARROWEST <= width <= WIDEST and width & (width - 1) == 0 for width in widths)
    assert batch_width(Run(Population(Sparse(8, 0.1), Tied(2)))) < batch_width(Run(Population(Sparse(2, 0.1), Tied(1))))
    moved = config.replace(autoencoder(20, 2), {"problem.data.p": 0.7, "seed": 5, "optimizer.lr": 0.1})
    assert batch_width(moved) == batch_width(autoencoder(20, 2))


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=6),
    st.sampled_from([1, 2, 16, 64]),
    st.integers(1, 5),
    st.booleans(),
)
def test_layouts_hold_every_cell(counts: list[int], width: int, devices: int, drawn: bool) -> None:
    """Rows of a seed, grids of one shape, no device without work, and less padding than one row of cells a seed."""
    base, path = (AUTOENCODER, "problem.data.p") if drawn else (PACKING, "problem.power")
    values = np.linspace(0.1, 0.9, 70) if drawn else np.linspace(1, 4, 70)
    runs = [
        config.replace(base, {"seed": seed, path: float(value)})
        for seed, count in enumerate(counts)
        for value in values[:count]
    ]
    shape = batch_shape(runs, width, devices)
    grids = list(batches(runs, shape))
    assert shape.width == width
    assert 1 <= shape.devices <= devices
    assert all((len(grid), len(grid[0])) == (shape.devices * shape.rows, shape.cells) for grid in grids)
    assert all(len({run.seed for run in row}) == 1 for grid in grids for row in grid)
    assert {id(run) for grid in grids for row in grid for run in row} == {id(run) for run in runs}
    rows = sum(int(np.ceil(count / shape.cells)) for count in counts)
    assert len(grids) == int(np.ceil(rows / (shape.devices * shape.rows)))
