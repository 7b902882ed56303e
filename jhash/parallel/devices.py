"""Which devices there are, and how many of them share a batch.

Where the devices cannot share a batch equally, the first few of them may do all (see
`training_devices`); the others are idle then.
"""

import jax

from jhash.errors import InputError


def device_count():
    """Number of local devices."""
    if jax.process_count() > 1:
        raise InputError(
            f"jax.process_count() is {jax.process_count()}; jhash drives the devices of one "
            "process."
        )
    return jax.local_device_count()


def training_devices(batch_size, idle):
    """Finds how many devices share a batch of training equally; pmap takes the first of them.

    Args:
      batch_size: Images of a batch.
      idle: Use as many devices as can share it; else all or none.

    Raises:
      InputError: `batch_size` is not positive, or the devices cannot share it and may not be idle.
    """
    devices = device_count()
    if idle and batch_size > 0:
        return max(count for count in range(1, devices + 1) if batch_size % count == 0)
    hint = " With idle_devices=True as many devices train as can share it."
    check_batch_size("batch_size", batch_size, devices, "" if idle else hint)
    return devices


def check_batch_size(name, batch_size, devices, hint=""):
    """Checks that the devices can share a batch equally.

    Args:
      name: What an error calls the size.
      batch_size: Images of a batch.
      devices: How many devices share it.
      hint: How an error ends.

    Raises:
      InputError: They cannot.
    """
    if batch_size < 1 or batch_size % devices:
        raise InputError(
            f"{name}: {batch_size} given; allowed: positive multiples of the number of devices, "
            f"{devices}.{hint}"
        )
