"""Functions of a share of the batch on each device, and what they say to each other (pmap).

A step runs on every device with its share of the batch; parameters and all else are replicated.
Losses see the global batch: a step gathers the outputs (`all_gather`) before the loss. The gradient
of a gathered value flows back to every device's own share (an all-gather transposes to a sum), so
`pmean` of the gradients is the gradient of the one global loss.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash.parallel.devices import device_count

AXIS = "devices"
# Under the same axis name as the steps, which would be traced anew for their own results otherwise.
_on_devices = jax.pmap(lambda tree: tree, axis_name=AXIS)


def map_devices(function, donate=()):
    """Maps a function over the leading axis of its arguments, one device for each element.

    Args:
      function: Of pytrees; may call `all_gather`, `pmean` and `positions`.
      donate: Positions of arguments whose memory the results may take over.
    """
    mapped = jax.pmap(function, axis_name=AXIS, donate_argnums=donate)
    if jax.default_backend() != "cpu" or device_count() == 1:
        return mapped
    # Simulated devices share a pool of threads. With other computations begun beside it, a gather
    # or mean was seen to wait for its last device until XLA aborted the process.
    return lambda *arguments: jax.block_until_ready(mapped(*arguments))


def replicate(tree, devices=None):
    """Copies every leaf to the first `devices` (default: all), along a new leading axis."""
    devices = devices or device_count()
    if not jax.tree.leaves(tree):
        return tree  # pmap needs an array.
    return _on_devices(
        jax.tree.map(lambda leaf: np.broadcast_to(leaf, (devices, *np.shape(leaf))), tree)
    )


def unreplicate(tree):
    """Takes what the first device holds of a replicated tree; the others have no part in it."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], tree)


def shard(batch, devices=None):
    """Splits the leading axis: [B, ...] -> [devices, B / devices, ...]; all devices by default."""
    devices = devices or device_count()
    return jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), batch)


def all_gather(tree, axis=0):
    """Concatenates the devices' shares to the global batch, along `axis`; inside a step."""
    gather = lambda leaf: jax.lax.all_gather(leaf, AXIS, axis=axis, tiled=True)  # noqa: E731
    return jax.tree.map(gather, tree)


def pmean(tree):
    """Averages over the devices; inside a step."""
    return jax.lax.pmean(tree, AXIS)


def positions(count):
    """Gives the places of this device's `count` samples in the global batch; inside a step."""
    return jax.lax.axis_index(AXIS) * count + jnp.arange(count)
