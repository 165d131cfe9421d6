"""The workloads in PyTorch: all instances as an axis of every einsum, as in the notebook of Elhage et al. 2022."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.workloads import Attentions, Autoencoders, Decoders, Factorizations, Packings

Params = dict[str, Any]


class Model(NamedTuple):
    start: Params
    loss: Callable[[Params], Any]
    """Of all instances together, on examples of its own."""
    optimizer: Callable[[list[Any]], torch.optim.Optimizer]


def autoencoder(workload: Autoencoders, generator: torch.Generator) -> Model:
    n, m, count = workload.n, workload.m, workload.instances
    start = {"W": _normal(generator, count, n, m) * np.sqrt(2 / (n + m)), "b": torch.zeros(count, n)}
    p = torch.as_tensor(workload.probabilities(), dtype=torch.float32)[:, None]

    def loss(params: Params) -> Any:
        W, b = params["W"], params["b"]
        x = _sparse(generator, p, workload.batch, count, n)
        out = torch.relu(torch.einsum("bim,inm->bin", torch.einsum("bin,inm->bim", x, W), W) + b)
        return ((x - out) ** 2).sum((1, 2)).mean()

    return Model(start, loss, lambda leaves: torch.optim.AdamW(leaves, lr=1e-3))


def decoder(workload: Decoders, generator: torch.Generator) -> Model:
    n, m, k, count = workload.n, workload.m, workload.k, workload.instances
    projection = torch.as_tensor(workload.projection())
    shapes = {"encoder": ((count, m, k), m), "b": ((count, k), m), "W": ((count, n, k), k)}
    start = {
        name: (2 * torch.rand(shape, generator=generator) - 1) / np.sqrt(size) for name, (shape, size) in shapes.items()
    }

    def loss(params: Params) -> Any:
        x = _sparse(generator, torch.as_tensor(workload.p), workload.batch, count, n)
        hidden = torch.relu(torch.einsum("bim,imk->bik", x @ projection, params["encoder"]) + params["b"])
        out = torch.einsum("bik,ink->bin", hidden, params["W"])
        return ((x - out) ** 2).sum((1, 2)).mean()

    return Model(start, loss, lambda leaves: torch.optim.Adam(leaves, lr=workload.rate))


def attention(workload: Attentions, generator: torch.Generator) -> Model:
    n, rank, count = workload.n, workload.rank, workload.instances
    pattern = torch.tensor(workload.pattern)
    shape = (count, len(pattern), n, rank)
    start = {name: _normal(generator, *shape) * np.sqrt(2 / (n + rank)) for name in "UV"}
    start["b"] = torch.full((count, n), workload.bias)

    def loss(params: Params) -> Any:
        x = _sparse(generator, torch.as_tensor(workload.p), workload.batch, count, 2, n)
        moved = torch.einsum("bihn,ihnr->bihr", torch.einsum("ht,bitn->bihn", pattern, x), params["V"])
        out = torch.relu(torch.einsum("bihr,ihnr->bin", moved, params["U"]) + params["b"])
        return ((x[:, :, 0] - out) ** 2).sum((1, 2)).mean()

    return Model(start, loss, lambda leaves: torch.optim.Adam(leaves, lr=workload.rate))


def factorization(workload: Factorizations, generator: torch.Generator) -> Model:
    start = {name: 0.1 * _normal(generator, workload.instances, workload.n, workload.rank) for name in "UV"}
    target = torch.as_tensor(np.array(workload.sweep().base.problem.target.matrix()))

    def loss(params: Params) -> Any:
        return ((target - torch.einsum("inr,imr->inm", params["U"], params["V"])) ** 2).sum() / 2

    return Model(start, loss, lambda leaves: torch.optim.SGD(leaves, lr=0.05))


def packing(workload: Packings, generator: torch.Generator) -> Model:
    others = 1 - torch.eye(workload.n)

    def loss(params: Params) -> Any:
        unit = torch.nn.functional.normalize(params["V"], dim=-1)
        return ((torch.einsum("ind,imd->inm", unit, unit) * others) ** 4).sum()

    start = {"V": _normal(generator, workload.instances, workload.n, workload.d)}
    return Model(start, loss, lambda leaves: torch.optim.Adam(leaves, lr=0.01))


def _normal(generator: torch.Generator, *shape: int) -> Any:
    return torch.randn(shape, generator=generator)


def _sparse(generator: torch.Generator, p: Any, *shape: int) -> Any:
    on, value = (torch.rand(shape, generator=generator) for _ in range(2))
    return torch.where(on < p, value, torch.zeros(()))


MODELS: Mapping[type, Callable[[Any, torch.Generator], Model]] = {
    Autoencoders: autoencoder,
    Decoders: decoder,
    Attentions: attention,
    Factorizations: factorization,
    Packings: packing,
}
