"""The circumstances of a result besides its config: versions, device, processor, git revision."""

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import jax

import jhash

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# The line of /proc/cpuinfo, or of what `lscpu` prints, that names the processor.
_MODEL = re.compile(r"^model name\s*:\s*(\S.*)$", re.MULTILINE | re.IGNORECASE)


def describe(devices: int) -> dict:
    """Describes the circumstances of a run, for `results.json`.

    Args:
      devices: Number of devices that the run used.

    Returns:
      A dict with the versions of the packages, the device with the processor of the host and the
      number of its cores that the process may use, and the git revision, which is None outside a
      checkout.
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
            "processor": _processor(),
            "cores": _cores(),
        },
        "git_revision": _revision(),
    }


def _processor():
    """Returns the name that the processor gives itself, or else the machine's architecture."""
    if platform.system() == "Darwin":
        name = _output("sysctl", "-n", "machdep.cpu.brand_string")
    else:
        # On most ARM processors only `lscpu` knows the name.
        match = _MODEL.search(_cpuinfo()) or _MODEL.search(_output("lscpu"))
        name = match[1] if match else ""
    return " ".join(name.split()) or platform.processor() or platform.machine()


def _cpuinfo():
    try:
        return Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:  # Systems other than Linux do not have it.
        return ""


def _cores():
    """Returns the number of cores that this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _revision():
    folder = str(Path(__file__).resolve().parent)
    return _output("git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=40") or None


def _output(*command):
    """Returns what a program prints; nothing if it fails or does not exist."""
    environment = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()
