"""A server that has imported JAX but not started it: processes forked from it begin at once."""

import multiprocessing
import os
import threading

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.support.child_run", "tests.support.script_run"])


def begin(outputs, devices):
    """Begins a forked process: the files of stdout and stderr, JAX on the CPU, little compilation.

    Args:
      outputs: Files to which stdout and stderr are appended.
      devices: Number of simulated devices.
    """
    import jax  # By then the server has them, and a test that forks nothing does not wait.
    import tqdm

    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_disable_most_optimizations", True)
    tqdm.tqdm.set_lock(threading.RLock())  # Not one of the server, which a kill would leave behind.
