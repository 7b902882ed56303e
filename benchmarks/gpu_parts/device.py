"""The device: its name, its memory, and how fast it copies memory and counts bits."""

import os
import platform
import subprocess

import jax
import jax.numpy as jnp

from gpu_parts import popcounts, timing

# Bytes that are copied at a time, and pairs of codes of which bits are counted.
COPIED = 1 << 30
ROWS, QUERIES = 1 << 20, 128


def rows(quick):
    """Yields one row."""
    device = jax.local_devices()[0]
    memory = device.memory_stats() or {}
    yield {
        "table": "device",
        "kind": device.device_kind,
        "platform": device.platform,
        "devices": jax.local_device_count(),
        "memory_gib": round(memory.get("bytes_limit", 0) / 2**30, 1),
        "cores": os.cpu_count(),
        "driver": _driver(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "copy_gb_per_s": round(copy_rate(1 << 20 if quick else COPIED) / 1e9),
        "popcount_giga_pairs_per_s": round(popcount_rate(1 << 10 if quick else ROWS) / 1e9, 1),
    }


def copy_rate(size):
    """Measures bytes read and written per second, by adding 1 to an array of `size` bytes."""
    x = jnp.zeros(size // 4, jnp.uint32)
    add = jax.jit(lambda x: x + 1)
    return 2 * size / _seconds(add, x)


def popcount_rate(count):
    """Measures pairs of codes of 64 bits per second, by XOR, popcount and addition alone."""
    return count * QUERIES / _seconds(jax.jit(popcounts.add_up), *popcounts.codes(count, QUERIES))


def _seconds(function, *arguments):
    last = jax.block_until_ready(function(*arguments))

    def call():
        nonlocal last
        last = function(*arguments)

    return timing.seconds([(call, lambda: jax.block_until_ready(last))], turn=0.3)[0]


def _driver():
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.split("\n")[0].strip() if done.returncode == 0 else ""
