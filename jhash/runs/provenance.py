"""The circumstances of a result besides its config: versions, device, git revision."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax

import jhash

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def describe(devices: int) -> dict:
    """Describes the circumstances of a run, for `results.json`.

    Args:
      devices: Number of devices that the run used.

    Returns:
      A dict with the versions of the packages, the device, and the git revision, which is None
      outside a checkout.
    """
    return {
        "versions": {
            "python": platform.python_version(),
            "jhash": jhash.__version__,  # Also known in a checkout that is not installed.
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "device": {
            "platform": jax.default_backend(),
            "kind": jax.local_devices()[0].device_kind,
            "count": devices,
            "machine": platform.processor() or platform.machine(),
        },
        "git_revision": _revision(),
    }


def _revision():
    folder = Path(__file__).resolve().parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
