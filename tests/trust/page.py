"""An experiment of one small sweep, with a reading, a figure and a finding."""

from collections.abc import Iterator

import xarray as xr
from matplotlib.figure import Figure

from tests.trust.sweeps import MORE
from toymodels import draw
from toymodels.estimates import best
from toymodels.experiment import Experiment, Swept
from toymodels.findings import AtMost, Finding, ours


def final(packed: Swept) -> xr.Dataset:
    return xr.Dataset({"loss": packed.data.objective.isel(step=-1), "name": ("power", ["two", "three"])})


def losses(final: xr.Dataset) -> Figure:
    """Final losses."""
    figure, ax = draw.panels()
    ax.plot(final.loss.min("seed"))
    return figure


def largest(final: xr.Dataset) -> Iterator[Finding]:
    yield Finding("largest", "loss", best(final.loss), AtMost(100), ours("a test"), "check")


experiment = Experiment("What?", "Nobody", {"packed": MORE}, [final], [losses], [largest])
