"""What a training step changes."""

from typing import Any

import flax.struct
import jax


class TrainState(flax.struct.PyTreeNode):
    """Parameters, BatchNorm statistics, the optimiser's state and the number of steps done."""

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
