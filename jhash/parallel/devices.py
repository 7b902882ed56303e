"""The number of devices, and the number of them that share a batch.

If not all devices can share a batch equally, a config may allow that the first few do all of the
work and the others are idle; see `training_devices`.
"""

import contextlib

import jax

from jhash.errors import InputError


def device_count():
    """Returns the number of devices, those of all processes together.

    Raises:
      InputError: As for `starting`.
    """
    with starting():
        return jax.local_device_count() * jax.process_count()


@contextlib.contextmanager
def starting():
    """Names the platform if JAX cannot start it, which the first question about devices does.

    Raises:
      InputError: JAX cannot start the platform that the environment variable JAX_PLATFORMS names.
    """
    try:
        yield
    except (RuntimeError, AssertionError) as error:  # The latter for cuda without its plugin.
        reason = " ".join(str(error).split())
        raise InputError(
            f"JAX_PLATFORMS: {jax.config.jax_platforms!r} given; allowed: platforms that JAX can "
            f"start here, such as cpu{f' ({reason})' if reason else ''}."
        ) from error


def training_devices(batch_size, idle, limit=0):
    """Returns the number of devices that share a training batch; pmap takes the first of them.

    Args:
      batch_size: Number of images in a batch.
      idle: Whether devices may be idle. If so, as many devices are used as can share the batch
        equally; if not, all devices must be able to share it. Those of several processes are never
        idle.
      limit: Max number of devices; 0: all.

    Raises:
      InputError: `batch_size` is not positive, the devices cannot share it and may not be idle, or
        the limit is not one that the devices allow.
    """
    devices = device_count()
    several = jax.process_count() > 1
    if limit > devices or (several and 0 < limit < devices):
        raise InputError(
            f"devices: {limit} given; allowed: 0 for all {devices} devices"
            + (", as there are several processes." if several else ", or a smaller number.")
        )
    devices = limit or devices
    if idle and batch_size > 0 and not several:
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
