"""Array types for signatures: every public function says its shapes, and the tests check them at run time."""

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

Array = jax.Array | np.ndarray

__all__ = ["Array", "Bool", "Float", "Int"]
