"""What a result depends on besides its config: versions, device, revision."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax

import jhash

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def describe(devices: int) -> dict:
    """Versions of the packages, device, and git revision (None outside a checkout).

    Args:
      devices: How many devices the run used.
    """
    return {
        "versions": {
            "python": platform.python_version(),
            "jhash": jhash.__version__,  # Works in a checkout that is not installed, too.
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
