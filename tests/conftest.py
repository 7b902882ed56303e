"""Every test sees a CPU with eight simulated devices; set before JAX starts."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
# Eight devices on few cores may wait for each other longer than the 40 s after which XLA aborts.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + " --xla_cpu_collective_call_terminate_timeout_seconds=250"
)
