"""What is timed: the sizes, the values swept, and the same problem as configs of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toymodels import Axis, Choice, Record, Run, Sweep
from toymodels.data import Sparse
from toymodels.models import Relu, Tied
from toymodels.optimizers import Adam, AdamW, Sgd
from toymodels.problems.attention import Attention
from toymodels.problems.decoder import Decoder, Projection
from toymodels.problems.factorize import Components, Factorize
from toymodels.problems.packing import Packing
from toymodels.problems.supervised import Supervised


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
    batch: int = 1024

    def probabilities(self) -> np.ndarray:
        return np.geomspace(self.sparsest, self.densest, self.instances)

    def base(self) -> Run:
        problem = Supervised(Sparse(self.n, self.sparsest), Tied(self.m))
        return Run(problem, AdamW(), steps=self.steps, batch=self.batch, record=Record(1, 1, examples=1024))

    def sweep(self) -> Sweep:
        base = self.base()
        axis = Axis("p", "problem.data.p", self.probabilities())
        if not self.independent:
            return Sweep(base, [axis])
        cells = {seed: {"seed": seed, "problem.data.p": p} for seed, p in enumerate(self.probabilities())}
        return Sweep(base, [Choice("instance", cells)])

    def products(self) -> list[tuple[int, int, int]]:
        """(rows, columns, terms) of the matrix products of one step: two forward, three backward."""
        n, m, batch = self.n, self.m, self.batch
        return [(m, batch, n), (n, batch, m), (m, batch, n), (n, m, batch), (n, m, batch)]


@dataclass(frozen=True)
class Decoders:
    """Features from a fixed random projection by a hidden layer of ReLUs, Adam: Jermyn et al. 2022."""

    n: int
    m: int
    k: int
    instances: int
    steps: int
    batch: int = 256
    p: float = 1 / 16
    rate: float = 3e-3

    def probabilities(self) -> np.ndarray:
        return np.full(self.instances, self.p)

    def sweep(self) -> Sweep:
        return _over_seeds(self, Decoder(Sparse(self.n, self.p), Projection(self.m), self.k))

    def projection(self) -> np.ndarray:
        """(n, m), which all instances share."""
        return np.array(Projection(self.m).directions(self.n))

    def products(self) -> list[tuple[int, int, int]]:
        n, m, k, batch = self.n, self.m, self.k, self.batch
        return [(m, batch, n), (k, batch, m), (n, batch, k), (k, batch, n), (n, k, batch), (m, k, batch)]


@dataclass(frozen=True)
class Attentions:
    """Two heads move sparse features from the previous token, one sees half of the present one, too; ReLU, Adam."""

    n: int
    rank: int
    instances: int
    steps: int
    batch: int = 128
    p: float = 0.3
    rate: float = 3e-3
    bias: float = 0.3
    pattern: ClassVar = ((1.0, 0.0), (0.5, 0.5))
    """Weights of each head on the previous token and the present one: those of `Leaning`."""

    def probabilities(self) -> np.ndarray:
        return np.full(self.instances, self.p)

    def sweep(self) -> Sweep:
        heads = len(self.pattern)
        return _over_seeds(self, Attention(Sparse(self.n, self.p), heads, self.rank, output=Relu(), bias=self.bias))

    def products(self) -> list[tuple[int, int, int]]:
        n, r, batch = self.n, self.rank, self.batch
        return len(self.pattern) * [(r, batch, n), (n, batch, r), (r, batch, n), (n, r, batch), (n, r, batch)]


def _over_seeds(workload: Decoders | Attentions, problem: Any) -> Sweep:
    record = Record(1, 1, examples=workload.batch)
    base = Run(problem, Adam(workload.rate), steps=workload.steps, batch=workload.batch, record=record)
    return Sweep(base, [Axis("seed", "seed", range(workload.instances))])


@dataclass(frozen=True)
class Factorizations:
    """|A - U Vᵀ|² / 2 with A of the learned rank, by gradient descent: Jermyn & Shlegeris 2022."""

    n: int
    rank: int
    instances: int
    steps: int

    def probabilities(self) -> np.ndarray:
        return np.ones(self.instances)

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

    def probabilities(self) -> np.ndarray:
        return np.ones(self.instances)

    def sweep(self) -> Sweep:
        base = Run(Packing(self.n, self.d, 4.0), Adam(0.01), steps=self.steps, record=Record(1, 1))
        return Sweep(base, [Axis("restart", "seed", range(self.instances))])

    def products(self) -> list[tuple[int, int, int]]:
        return [(self.n, self.n, self.d), (self.n, self.d, self.n)]


Workload = Autoencoders | Decoders | Attentions | Factorizations | Packings
Contender = Callable[[Any], Callable[[int], float | None]]

WORKLOADS: dict[str, Workload] = {
    "n=5 m=2, 10 instances": Autoencoders(5, 2, 10, 3000),
    "n=5 m=2, one seed x 1000": Autoencoders(5, 2, 1000, 300),
    "n=5 m=2, 1000 seeds": Autoencoders(5, 2, 1000, 300, independent=True),
    "n=200 m=20, 20 instances": Autoencoders(200, 20, 20, 150),
    "n=200 m=20, 20 instances p <= .1": Autoencoders(200, 20, 20, 150, densest=0.1),
    "n=400 m=30, 20 instances": Autoencoders(400, 30, 20, 60),
    "n=400 m=30, 20 instances p <= .1": Autoencoders(400, 30, 20, 60, densest=0.1),
    "n=2 m=1, 2500 instances": Autoencoders(2, 1, 2500, 300),
    "decoder 64 in 32, 128 neurons, 32 seeds": Decoders(64, 32, 128, 32, 600),
    "two heads of rank 4, 8 features, 512 seeds": Attentions(8, 4, 512, 1000),
    "factorize 100 x 100, rank 10, 256 cells": Factorizations(100, 10, 256, 3000),
    "pack 16 in 4, 512 restarts": Packings(16, 4, 512, 3000),
}
