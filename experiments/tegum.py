"""Tegum products: how many orthogonal subspaces do n unit vectors in d dimensions split into? (being written)"""

import numpy as np
from matplotlib.figure import Figure

from toymodels import Axis, Record, Run, Sweep
from toymodels.experiment import Experiment, Finding, Scale, Swept
from toymodels.optimizers import Adam
from toymodels.problems.packing import Packing


def sweeps(scale: Scale) -> dict[str, Sweep]:
    base = Run(Packing(n=12, d=4), Adam(0.03), steps=500, record=Record(losses=50, snapshots=5))
    return {"even": Sweep(base, [Axis("power", "problem.power", [1, 2, 3, 4]), Axis("seed", "seed", range(8))])}


def loss_against_power(even: Swept) -> Figure:
    """Interference loss against the power of the cosine, best of the restarts."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots()
    ax.plot(even.data.power, even.data.objective.isel(step=-1).min("seed"))
    return figure


def lowest(even: Swept) -> Finding:
    best = float(even.data.objective.isel(step=-1).sel(power=2).min())
    return Finding("frame potential bound met", f"{best:.4g}", "24", bool(np.isclose(best, 24, rtol=1e-3)))


experiment = Experiment(
    question="How many orthogonal subspaces minimise the interference?",
    source="Jermyn 2022",
    sweeps=sweeps,
    figures=[loss_against_power],
    findings=[lowest],
)
