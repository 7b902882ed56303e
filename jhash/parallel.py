"""Everything that knows about several devices: one process, its local devices, by pmap.

A step runs on every device with its share of the batch; parameters and all else are replicated.
Where the devices cannot share a batch equally, the first few of them may do all (see
`training_devices`); the others are idle then.
Losses see the global batch: a step gathers the outputs (`gather`) before the loss. The gradient of
a gathered value flows back to every device's own share (an all-gather transposes to a sum), so
`mean` of the gradients over the devices is the gradient of the one global loss.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError

AXIS = "devices"
# Under the same axis name as the steps, which would be traced anew for their own results otherwise.
_on_devices = jax.pmap(lambda tree: tree, axis_name=AXIS)


def device_count():
    """Number of local devices."""
    if jax.process_count() > 1:
        raise InputError(
            f"jax.process_count() is {jax.process_count()}; jhash drives the devices of one "
            "process."
        )
    return jax.local_device_count()


def training_devices(batch_size, idle):
    """How many devices share a batch of training equally; pmap takes the first of them.

    Args:
      batch_size: `config.batch_size`.
      idle: `config.idle_devices`: use as many devices as can share it; else all or none.

    Raises:
      InputError: `batch_size` is not positive, or the devices cannot share it and may not be idle.
    """
    devices = device_count()
    if idle and batch_size > 0:
        return max(count for count in range(1, devices + 1) if batch_size % count == 0)
    hint = " config.idle_devices=True trains on as many devices as can share it."
    check_batch_size(batch_size, devices, "config.batch_size", "" if idle else hint)
    return devices


def check_batch_size(batch_size, devices, field, hint=""):
    """Raises InputError, ending with `hint`, unless the devices can share the batch equally."""
    if batch_size < 1 or batch_size % devices:
        raise InputError(
            f"{field}: {batch_size} given; allowed is a positive multiple of the number of "
            f"devices, {devices}.{hint}"
        )


def map_devices(function, donate=()):
    """The function over the leading axis of its arguments, a device for each element.

    Args:
      function: Of pytrees; may call `gather`, `mean` and `positions`.
      donate: Positions of arguments whose memory the results may take over.
    """
    mapped = jax.pmap(function, axis_name=AXIS, donate_argnums=donate)
    if jax.default_backend() != "cpu" or device_count() == 1:
        return mapped
    # Simulated devices share a pool of threads. With other computations begun beside it, a gather
    # or mean was seen to wait for its last device until XLA aborted the process.
    return lambda *arguments: jax.block_until_ready(mapped(*arguments))


def replicate(tree, devices=None):
    """A copy of every leaf on the first `devices` (default: all), along a new leading axis."""
    devices = devices or device_count()
    if not jax.tree.leaves(tree):
        return tree  # pmap needs an array.
    return _on_devices(
        jax.tree.map(lambda leaf: np.broadcast_to(leaf, (devices, *np.shape(leaf))), tree)
    )


def first(tree):
    """What the first device holds of a replicated tree; the others have no part in it."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], tree)


def shard(batch, devices=None):
    """Splits the leading axis: [B, ...] -> [devices, B / devices, ...]; all devices by default."""
    devices = devices or device_count()
    return jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), batch)


def gather(tree):
    """Inside a step: every device's share, concatenated to the global batch."""
    return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, AXIS, tiled=True), tree)


def mean(tree):
    """Inside a step: the mean over the devices."""
    return jax.lax.pmean(tree, AXIS)


def positions(count):
    """Inside a step: places in the global batch of this device's `count` samples."""
    return jax.lax.axis_index(AXIS) * count + jnp.arange(count)
