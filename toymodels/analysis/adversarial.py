"""Adversarial attacks on a tied autoencoder x' = relu(W Wᵀ x + b), and how they follow superposition. Elhage 2022.

Without superposition a small change of the input changes the output by as much. With it, a change along (W Wᵀ)_i adds
up the interference of all features with feature i.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from toymodels.arrays import Array, Float


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
    reach = float(size * np.linalg.norm(inputs, axis=1).mean())
    gram = rows @ rows.T
    lengths = np.linalg.norm(gram, axis=1, keepdims=True)
    directions = np.divide(gram, lengths, out=np.zeros_like(gram), where=lengths > 0)
    before, room = inputs @ gram + bias, np.empty_like(inputs)

    def loss(shift: np.ndarray) -> float:
        """Mean over examples of sum_i (relu(before_i + shift_i) - x_i)², in one array: there are many attacks."""
        np.add(before, shift, out=room)
        np.maximum(room, 0, out=room)
        np.subtract(room, inputs, out=room)
        return float(np.einsum("ij,ij->", room, room)) / len(inputs)

    losses = [loss(shift) for shift in reach * (directions @ gram)]
    return Attacks(loss(np.zeros(len(rows))), np.array(losses), reach)
