"""Experiments made small enough for a test."""

from dataclasses import replace

from toymodels import sweep
from toymodels.experiment import Swept


def few(experiment, name, steps, **axes):
    """A sweep of the experiment with fewer labels and steps, trained in memory."""
    made = experiment.sweeps("default")[name]
    chosen = [replace(axis, values=axes[axis.name]) if axis.name in axes else axis for axis in made.axes]
    smaller = replace(made, base=replace(made.base, steps=steps), axes=chosen)
    return Swept(smaller, sweep(smaller).load())
