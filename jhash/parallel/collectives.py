"""Functions mapped over devices by pmap, and their communication.

With several processes, each calls the mapped function with the elements of its own devices. A step
runs on every device with a share of the batch; parameters and everything else are replicated.
Losses see the global batch: a step gathers the outputs (`all_gather`) before the loss. Every device
computes the same loss. The transpose of an all-gather sums over the devices, so on D devices each
share gets D times its gradient. `pmean`, a sum divided by D, then gives the gradient of the one
global loss.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash.parallel.devices import device_count

AXIS = "devices"
# It has the axis name of the steps, so that its arrays have the type of a step's results. With
# another name the second call of a step would trace it anew.
_on_devices = jax.pmap(lambda tree: tree, axis_name=AXIS)


def map_devices(function, donate=()):
    """Maps a function over the leading axis of its arguments, with one device per element.

    The elements are those of this process's devices.

    Args:
      function: Function of pytrees. It may call `all_gather`, `pmean` and `positions`.
      donate: Positions of the arguments whose memory may be reused for the results.

    Returns:
      The mapped function; `lower` lowers it without a call, as with `jax.jit`.
    """
    mapped = jax.pmap(function, axis_name=AXIS, donate_argnums=donate)
    if jax.default_backend() != "cpu" or device_count() == 1:
        return mapped

    # Simulated devices share a pool of threads. If other computations ran at the same time, an
    # all_gather or pmean was seen to wait for its last device until XLA aborted the process.
    def waiting(*arguments):
        return jax.block_until_ready(mapped(*arguments))

    waiting.lower = mapped.lower
    return waiting


def map_batch(function, devices=None):
    """Maps a function of a batch over the devices.

    Args:
      function: Function (variables, batch) -> outputs, of pytrees of arrays [B, ...]. It treats
        every sample alone.
      devices: Number of devices that share a batch; by default all.

    Returns:
      The mapped function. Its variables are replicated over the devices, and B is a multiple of
      their number. With several processes, each gives its share of the batch, and gets the outputs
      for all of it.
    """
    several = jax.process_count() > 1

    def on_a_device(variables, batch):
        outputs = function(variables, batch)
        return all_gather(outputs) if several else outputs

    mapped = map_devices(on_a_device)

    def call(variables, batch):
        outputs = mapped(variables, shard(batch, devices))
        if several:
            return unreplicate(outputs)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)

    return call


def replicate(tree, devices=None):
    """Copies every leaf to the first `devices` devices (by default all), along a new first axis."""
    devices = _of_this_process(devices or device_count())
    if not jax.tree.leaves(tree):
        return tree  # pmap refuses a tree without arrays.
    return _on_devices(
        jax.tree.map(lambda leaf: np.broadcast_to(leaf, (devices, *np.shape(leaf))), tree)
    )


def unreplicate(tree):
    """Returns the copy of a replicated tree that the first device holds, without any transfer."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], tree)


def fetch(tree):
    """Returns the first device's copy of a replicated tree, as NumPy arrays.

    It waits for the tree alone, and not for what the device has begun since, as it would if the
    device were to take the copy out of the tree.
    """
    copies = jax.device_get(jax.tree.map(lambda leaf: leaf.addressable_data(0), tree))
    return jax.tree.map(lambda leaf: leaf[0, ...], copies)


def shard(batch, devices=None):
    """Splits the first axis over the devices of this process.

    Args:
      batch: Pytree of arrays [B, ...], where B images are this process's share of a batch.
      devices: Number of devices of all processes together; by default all.

    Returns:
      Pytree of arrays [D, B / D, ...] for D devices of this process.
    """
    devices = _of_this_process(devices or device_count())
    return jax.tree.map(lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), batch)


def _of_this_process(devices):
    return devices // jax.process_count()


def all_gather(tree, axis=0):
    """Concatenates the shares of all devices along `axis`; for use in a step."""
    gather = lambda leaf: jax.lax.all_gather(leaf, AXIS, axis=axis, tiled=True)  # noqa: E731
    return jax.tree.map(gather, tree)


def pmean(tree):
    """Averages over the devices; for use in a step."""
    return jax.lax.pmean(tree, AXIS)


def positions(count):
    """Returns the places of a device's `count` samples in the global batch; for use in a step."""
    return jax.lax.axis_index(AXIS) * count + jnp.arange(count)
