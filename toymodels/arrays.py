"""Array types for signatures: every public function says its shapes, and the tests check them at run time."""

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

Array = jax.Array | np.ndarray

Number = float | int | np.generic | jax.Array | np.ndarray
"""One number, also while it is being traced: the leaf of a config seen from inside a compiled program."""

__all__ = ["Array", "Bool", "Float", "Int", "Number", "UInt32"]
