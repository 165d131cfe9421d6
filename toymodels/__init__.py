"""Toy models of superposition and interference: compiled sweeps, geometry and theory.

    from toymodels import Run, Sweep, Axis, sweep, train, open

`train(run)` trains one run and `sweep(...)` a grid of them; both return labelled xarray data, as `open(path)` does for
what is stored. Configs live in `toymodels.data`, `.models`, `.losses`, `.optimizers` and `.problems`; pure functions of
results in `toymodels.analysis`; closed forms in `toymodels.theory`; plots in `toymodels.draw`.
"""

from toymodels.devices import use_cores
from toymodels.results import census, open, usable
from toymodels.store import StoreError
from toymodels.sweep import Axis, Choice, Sweep, retrain, sweep, train
from toymodels.train import Record, Run

__all__ = [
    "Axis",
    "Choice",
    "Record",
    "Run",
    "StoreError",
    "Sweep",
    "census",
    "open",
    "retrain",
    "sweep",
    "train",
    "usable",
    "use_cores",
]
