"""A moving average of a model's weights, which is evaluated in place of the weights themselves.

Polyak and Juditsky 1992, as in the training of EfficientNet (Tan and Le 2019).
"""

from typing import Any

import jax
import jax.numpy as jnp

# In the first steps the average forgets faster, as otherwise it would keep the random weights for
# 1 / (1 - decay) steps: step t has the decay (1 + t) / (10 + t), as in TensorFlow's
# ExponentialMovingAverage.
_DELAY = 10


def update(average: Any, values: Any, step: jax.Array, decay: float) -> Any:
    """Advances the average by a step.

    Args:
      average: The average so far.
      values: The new values, of the same structure: parameters and BatchNorm statistics.
      step: Number of steps done before, int32.
      decay: The share of the old average in the new one, in [0, 1).

    Returns:
      The new average. Leaves that are no real numbers are those of `values`.
    """
    share = 1 - jnp.minimum(decay, (1 + step) / (_DELAY + step))

    def advance(old, new):
        if not jnp.issubdtype(new.dtype, jnp.floating):
            return new
        return old + (share * (new - old)).astype(new.dtype)

    return jax.tree.map(advance, average, values)
