"""Adversarial attacks on a tied autoencoder x' = relu(W Wᵀ x + b), and how they follow superposition. Elhage 2022.

Without superposition a small change of the input changes the output by as much. With it, a change along (W Wᵀ)_i adds
up the interference of all features with feature i.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from toymodels.analysis.labelled import each_model
from toymodels.arrays import Array, Float

ROOM = 10_000
"""Numbers of an array that a block of outputs takes: few enough to stay in the cache, and in memory that is reused."""


class Attacks(NamedTuple):
    """The mean loss sum_i (x_i - x'_i)² without an attack and under the attack on each feature."""

    clean: float
    attacked: Float[np.ndarray, " features"]
    size: float
    """Norm of every attack."""

    @property
    def worst(self) -> int:
        """The feature whose attack costs most."""
        return int(self.attacked.argmax())

    @property
    def increase(self) -> float:
        """(L_attacked - L) / L of the worst attack: relative to the loss of the model itself."""
        return (float(self.attacked.max()) - self.clean) / self.clean if self.clean > 0 else float("nan")

    @property
    def vulnerability(self) -> float:
        """(L_attacked - L) / size² of the worst attack: relative to a model without superposition. Elhage et al. 2022.

        There the attack on a feature that is kept changes its output by as much as its input and nothing else, and the
        loss rises by size². So part of any rise above 1 is built in: it is the interference that the attack adds up.
        """
        return (float(self.attacked.max()) - self.clean) / self.size**2


def attacks(
    W: Float[Array, "features hidden"] | ArrayLike,
    b: Float[Array, " features"] | ArrayLike,
    x: Float[Array, "examples features"] | ArrayLike,
    size: float = 0.1,
) -> Attacks:
    """Attacks x + size E|x| (W Wᵀ)_i / |(W Wᵀ)_i|, one for each feature i; targets stay the clean x.

    Elhage et al. 2022, section on adversarial examples: the direction that changes output i most were there no ReLU,
    of a tenth of the mean norm of the inputs; the worst feature is taken for the whole model. A feature of zeros has
    no such direction and its attack is none.
    """
    rows, bias, inputs = (np.asarray(value, np.float64) for value in (W, b, x))
    if rows.ndim != 2 or bias.shape != rows.shape[:1] or inputs.ndim != 2 or inputs.shape[1] != len(rows):
        raise ValueError(
            f"W of shape {rows.shape}, b of {bias.shape}, x of {inputs.shape}: (features, hidden), (features,) and "
            "(examples, features)"
        )
    if not (np.isfinite(rows).all() and np.isfinite(bias).all() and np.isfinite(inputs).all()):
        raise ValueError("W, b and x: finite numbers expected")
    if not (size > 0 and inputs.any()):
        raise ValueError(f"size={size:g}: an attack has a size above 0, relative to inputs that are not all zero")
    reach = float(size * np.sqrt(np.einsum("ij,ij->i", inputs, inputs)).mean())
    gram = rows @ rows.T
    lengths = np.linalg.norm(gram, axis=1, keepdims=True)
    directions = np.divide(gram, lengths, out=np.zeros_like(gram), where=lengths > 0)
    # Through the hidden space products are small, and stay on one core: threads cost more than they gain.
    shifts = np.append(reach * (rows @ (rows.T @ directions.T)), np.zeros((len(rows), 1)), axis=1)  # at last: no attack
    hidden = np.einsum("ij,jk->ki", inputs, rows)
    losses, step = np.zeros(len(rows) + 1), max(1, ROOM // len(inputs))
    for block in (slice(begin, begin + step) for begin in range(0, len(rows), step)):
        before = rows[block] @ hidden + bias[block, None]
        losses += _losses_by_shift(before, inputs[:, block].T, shifts[block]) / len(inputs)
    return Attacks(float(losses[-1]), losses[:-1], reach)


def worst_attacks(W: xr.DataArray, b: xr.DataArray, x: xr.DataArray, size: float = 0.1) -> xr.Dataset:
    """`vulnerability` and `increase` of every labelled model, on the examples x; NaN for a model that is not finite."""

    def of_one(rows: np.ndarray, bias: np.ndarray, inputs: np.ndarray) -> list[float]:
        found = attacks(rows, bias, inputs, size)
        return [found.vulnerability, found.increase]

    core = [["feature", "hidden"], ["feature"], ["example", "feature"]]
    vulnerability, increase = each_model(of_one, W, b, x, core=core, outputs=["measure"]).transpose("measure", ...)
    return xr.Dataset({"vulnerability": vulnerability, "increase": increase})


def _losses_by_shift(before: np.ndarray, target: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """sum over examples and outputs of (relu(before + shift) - target)², for each attack; outputs come first.

    The loss of an output is a parabola between the shifts at which an example turns on. Its coefficients are sums over
    the examples that are on, the last ones in the order of `before`, so that many attacks cost hardly more than one.
    """
    outputs, count = before.shape
    order = np.argsort(before, axis=1)
    before, target = np.take_along_axis(before, order, axis=1), np.take_along_axis(target, order, axis=1)
    off = before - target
    sums = np.zeros((3, outputs, count + 1))
    for total, term in zip(sums, (np.ones_like(off), 2 * off, off**2 - target**2), strict=True):
        np.cumsum(term[:, ::-1], axis=1, out=total[:, 1:])  # over the last so many examples
    on = count - np.array([np.searchsorted(*each, side="right") for each in zip(before, -shifts, strict=True)])
    square, linear, constant = sums[:, np.arange(outputs)[:, None], on]
    return np.asarray(((square * shifts + linear) * shifts + constant).sum(axis=0) + (target**2).sum())
