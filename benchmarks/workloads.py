"""What is timed: the sizes, the values swept, and the same problem as configs of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toymodels import Axis, Choice, Record, Run, Sweep
from toymodels.data import Sparse
from toymodels.models import Tied
from toymodels.optimizers import Adam, AdamW, Sgd
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.packing import Packing
from toymodels.problems.supervised import Supervised

BATCH = 1024


@dataclass(frozen=True)
class Autoencoders:
    """Tied ReLU autoencoders x' = ReLU(W Wᵀ x + b) on sparse features, batch 1024, AdamW: Elhage et al. 2022."""

    n: int
    m: int
    instances: int
    steps: int
    sparsest: float = 0.01
    densest: float = 1.0
    independent: bool = False
    """Each instance its own seed and draws; else one seed, whose draws all share (ours only: peers draw for each)."""

    def probabilities(self) -> np.ndarray:
        return np.geomspace(self.sparsest, self.densest, self.instances)

    def base(self) -> Run:
        problem = Supervised(Sparse(self.n, self.sparsest), Tied(self.m))
        return Run(problem, AdamW(), steps=self.steps, batch=BATCH, record=Record(1, 1, examples=1024))

    def sweep(self) -> Sweep:
        base = self.base()
        axis = Axis("p", "problem.data.p", self.probabilities())
        if not self.independent:
            return Sweep(base, [axis])
        cells = {seed: {"seed": seed, "problem.data.p": p} for seed, p in enumerate(self.probabilities())}
        return Sweep(base, [Choice("instance", cells)])

    def products(self) -> list[tuple[int, int, int]]:
        """(rows, columns, terms) of the matrix products of one step: two forward, three backward."""
        n, m, batch = self.n, self.m, BATCH
        return [(m, batch, n), (n, batch, m), (m, batch, n), (n, m, batch), (n, m, batch)]


@dataclass(frozen=True)
class Factorizations:
    """|A - U Vᵀ|² / 2 with A of the learned rank, by gradient descent: Jermyn & Shlegeris 2022."""

    n: int
    rank: int
    instances: int
    steps: int

    def sweep(self) -> Sweep:
        problem = Factorize(Components(self.n, self.n, self.rank), self.rank, scale=0.1)
        base = Run(problem, Sgd(0.05), steps=self.steps, record=Record(1, 1))
        return Sweep(base, [Axis("restart", "seed", range(self.instances))])

    def products(self) -> list[tuple[int, int, int]]:
        return [(self.n, self.n, self.rank), (self.n, self.rank, self.n), (self.n, self.rank, self.n)]


@dataclass(frozen=True)
class Packings:
    """sum_{i != j} |cos_ij|^4 over n vectors in d dimensions, Adam: Jermyn 2022."""

    n: int
    d: int
    instances: int
    steps: int

    def sweep(self) -> Sweep:
        base = Run(Packing(self.n, self.d, 4.0), Adam(0.01), steps=self.steps, record=Record(1, 1))
        return Sweep(base, [Axis("restart", "seed", range(self.instances))])

    def products(self) -> list[tuple[int, int, int]]:
        return [(self.n, self.n, self.d), (self.n, self.d, self.n)]


Workload = Autoencoders | Factorizations | Packings
Contender = Callable[[Any], Callable[[int], None]]

WORKLOADS: dict[str, Workload] = {
    "n=5 m=2, 10 instances": Autoencoders(5, 2, 10, 3000),
    "n=5 m=2, one seed x 1000": Autoencoders(5, 2, 1000, 300),
    "n=5 m=2, 1000 seeds": Autoencoders(5, 2, 1000, 300, independent=True),
    "n=200 m=20, 20 instances": Autoencoders(200, 20, 20, 150),
    "n=200 m=20, 20 instances p <= .1": Autoencoders(200, 20, 20, 150, densest=0.1),
    "n=400 m=30, 20 instances": Autoencoders(400, 30, 20, 60),
    "n=400 m=30, 20 instances p <= .1": Autoencoders(400, 30, 20, 60, densest=0.1),
    "n=2 m=1, 2500 instances": Autoencoders(2, 1, 2500, 300),
    "factorize 100 x 100, rank 10, 256 cells": Factorizations(100, 10, 256, 300),
    "pack 16 in 4, 512 restarts": Packings(16, 4, 512, 3000),
}
