"""Every deep method on one device and on eight, and killed and resumed, with all kinds of labels.

    python tests/campaigns/methods.py

A trial is a tiny run of one method. Either its losses, weights and state after four steps on one
device have to be those of eight simulated devices, but for rounding. Or it is killed in the third
epoch, goes on, is stopped by a signal in that epoch, and goes on again, on eight devices; the last
checkpoint and metrics.jsonl have to be those of a run that nothing disturbed, bit for bit. Methods
that read no labels are not tried with several of them. The papers' methods have such tests of their
own in the test suite.
"""

import concurrent.futures
import multiprocessing
import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8"
    " --xla_cpu_collective_call_terminate_timeout_seconds=250"
)

import frame

from configs import fine_tuned
from configs.baselines import unlabeled
from tests.support import method_runs

CHECKS = {"devices": method_runs.check_devices, "resume": method_runs.check_resume}
CASES = [
    (f"{check}, {kind}", (check, method, kind == "several labels"))
    for check in CHECKS
    for kind, methods in (
        ("one label", fine_tuned.BASELINES),
        ("several labels", fine_tuned.BASELINES),
        ("no labels", unlabeled.METHODS),
    )
    for method in methods
]


def trial(case, rng, scratch):
    """Makes the check in a process of its own: one process cannot hold all compiled programs."""
    del rng
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        pool.submit(_check, *case, scratch).result()
    return frame.Outcome("as it should be", True, details={"method": case[1]})


def _check(check, method, multi_label, scratch):
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    config = method_runs.tiny_config(method, scratch)
    config.data.options = {"multi_label": multi_label}
    CHECKS[check](config, scratch)


if __name__ == "__main__":
    frame.main("methods", __doc__, CASES, trial)
