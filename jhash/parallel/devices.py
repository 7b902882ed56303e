"""The number of devices, and the number of them that share a batch.

If not all devices can share a batch equally, a config may allow that the first few do all of the
work and the others are idle; see `training_devices`.
"""

import jax

from jhash.errors import InputError


def device_count():
    """Returns the number of local devices.

    Raises:
      InputError: There is more than one process, or JAX cannot start the platform that the
        environment variable JAX_PLATFORMS names.
    """
    try:
        processes = jax.process_count()
    except (RuntimeError, AssertionError) as error:  # The latter for cuda without its plugin.
        reason = " ".join(str(error).split())
        raise InputError(
            f"JAX_PLATFORMS: {jax.config.jax_platforms!r} given; allowed: platforms that JAX can "
            f"start here, such as cpu{f' ({reason})' if reason else ''}."
        ) from error
    if processes > 1:
        raise InputError(
            f"jax.process_count(): {processes} given; allowed: 1, as jhash uses the "
            "devices of one process."
        )
    return jax.local_device_count()


def training_devices(batch_size, idle):
    """Returns the number of devices that share a training batch; pmap takes the first of them.

    Args:
      batch_size: Number of images in a batch.
      idle: Whether devices may be idle. If so, as many devices are used as can share the batch
        equally; if not, all devices must be able to share it.

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
    """Checks that devices can share a batch equally.

    Args:
      name: Name of the batch size in errors.
      batch_size: Number of images in a batch.
      devices: Number of devices that share the batch.
      hint: Text at the end of an error.

    Raises:
      InputError: They cannot share it equally, or it is not positive.
    """
    if batch_size < 1 or batch_size % devices:
        raise InputError(
            f"{name}: {batch_size} given; allowed: positive multiples of the number of devices, "
            f"{devices}.{hint}"
        )
