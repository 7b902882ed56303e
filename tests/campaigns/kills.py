"""Ends runs by signals at random moments, and compares what they leave with undisturbed runs.

    python tests/campaigns/kills.py --output kills.jsonl

A trial trains a tiny run with `launch.py` and sends its process a signal, once to three times: at
a moment of its whole life from the start of the interpreter on, or of its life from the first file
of the run on. The same command is given again after each signal, at last without one. The end is
compared with a run of the same config that nothing disturbed, bit for bit: the last checkpoint,
encoder.bin, metrics.jsonl, codes, reconstruction, and results.json without times.

SIGKILL leaves a process no choice. After SIGTERM and SIGINT, the process has to end within a
minute, with the status of an interrupted process and without a traceback.
"""

import functools
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import frame
import numpy as np

CONFIGS = {
    "fdah": "configs/fdah.py:smoke",
    "dah": "configs/dah.py:smoke",
    "aihn": "configs/aihn.py:smoke",
    "dstgeh": "configs/dstgeh.py:smoke",
    "itq": "configs/baselines/shallow.py:itq,smoke",
}
EPOCHS = 10

# (method, number of devices, signal).
KILLED = [(method, 1, signal.SIGKILL) for method in CONFIGS]
KILLED += [(method, 2, signal.SIGKILL) for method in ("fdah", "dah")]
ASKED = [
    ("fdah", 1, signal.SIGTERM),
    ("dstgeh", 1, signal.SIGTERM),
    ("dah", 2, signal.SIGINT),
    ("itq", 1, signal.SIGINT),
]
CASES = [
    (f"{method}, {devices} device{'s' * (devices > 1)}, {number.name}", (method, devices, number))
    # Two trials with SIGKILL for each with another signal.
    for method, devices, number in (*KILLED, *KILLED, *ASKED)
]
# More than 200 kills.
TRIALS = 9 * len(CASES)

# The status of a process that a signal ended, and 0 if the signal came after the work was done.
STATUSES = {
    signal.SIGKILL: (-signal.SIGKILL,),
    signal.SIGTERM: (143, -signal.SIGTERM, 0),
    signal.SIGINT: (130, -signal.SIGINT, 0),
}
# What may differ between two runs of one config.
TIMES = ("train_seconds", "encode_seconds_per_image", "seconds", "git_revision")


class End(NamedTuple):
    """The end of a process, and how far its run was when the signal was sent."""

    status: int | None  # None if it did not end.
    output: str
    stage: str | None = None  # None if the process had ended before.


def trial(case, rng, scratch):
    """Disturbs a run, and compares its end with that of an undisturbed run."""
    method, devices, number = case
    reference = undisturbed(scratch.parent, method, devices)
    seconds = json.loads((reference / "seconds.json").read_text())
    # A copy, because a killed process may leave a torn file.
    shutil.copytree(reference / "cache", scratch / "cache")
    stages = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        within = rng.random() < 0.5
        delay = rng.uniform(0, seconds["run" if within else "all"])
        end = disturb(start(scratch, method, devices), scratch / "run", number, within, delay)
        if not end.stage:
            break  # The run was done before its time had come.
        stages.append(end.stage)
        if end.status not in STATUSES[number]:
            return bad(f"status {end.status} after {number.name}", stages, end)
        if "Traceback" in end.output:
            return bad(f"traceback after {number.name}", stages, end)
    end = finish(start(scratch, method, devices), 300)
    if end.status != 0:
        return bad("cannot be resumed", stages, end)
    differences = compare(reference / "run", scratch / "run")
    if differences:
        return bad("other bits", stages, end, differences=differences)
    return frame.Outcome("identical", True, counts(stages))


def bad(name, stages, end, **details):
    """Makes the outcome of a trial that ended badly."""
    details = {"stages": stages, "output": end.output[-4000:], **details}
    return frame.Outcome(name, False, counts(stages), details)


def counts(stages):
    """Counts the signals that reached a process, and those by the stage of the run."""
    names = ("starting", "training", "evaluating")
    return {"signals": len(stages), **{f"while {name}": stages.count(name) for name in names}}


def undisturbed(folder, method, devices):
    """Returns the folder of a run that nothing disturbs; trains it if it is not there yet.

    The folder holds `run`, the `cache` of its compiled programs, and `seconds.json`: how long the
    process took in all, and from the first file of the run on.
    """
    reference = folder / f"undisturbed-{method}-{devices}"
    with guard(reference):
        if reference.exists():
            return reference
        making = folder / f"{reference.name}.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        # The second run finds the programs of the first in the cache, as disturbed runs do.
        for _ in range(2):
            shutil.rmtree(making / "run", ignore_errors=True)
            began = time.perf_counter()
            process = start(making, method, devices)
            wait(process, lambda: (making / "run").exists())
            made = time.perf_counter()
            end = finish(process, 600)
            ended = time.perf_counter()
            if end.status != 0:
                raise RuntimeError(f"the undisturbed run failed: {end.output}")
        seconds = {"all": ended - began, "run": ended - made}
        (making / "seconds.json").write_text(json.dumps(seconds))
        return making.rename(reference)


@functools.cache
def guard(reference):
    """Returns the lock of an undisturbed run."""
    return threading.Lock()


def start(folder, method, devices):
    """Starts `launch.py` on the run in a folder."""
    command = [sys.executable, str(frame.ROOT / "launch.py"), f"--workdir={folder / 'run'}"]
    command += [f"--config={frame.ROOT / CONFIGS[method]}", "--config.log_every=1"]
    if method != "itq":
        command.append(f"--config.epochs={EPOCHS}")
    devices = f"--xla_force_host_platform_device_count={devices}"
    return frame.start(command, frame.ROOT, folder / "cache", XLA_FLAGS=devices)


def wait(process, reached):
    """Waits until a condition holds or a process has ended."""
    while process.poll() is None and not reached():
        time.sleep(0.002)


def finish(process, seconds):
    """Waits for the end of a process, for so many seconds."""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return End(None, process.communicate()[0])
    return End(process.returncode, output)


def disturb(process, run, number, within, delay):
    """Sends a process a signal some time after its start, or after the first file of its run."""
    if within:
        wait(process, run.exists)
    moment = time.perf_counter() + delay
    wait(process, lambda: time.perf_counter() > moment)
    stage = stage_of(run) if process.poll() is None else None
    if stage:
        process.send_signal(number)
    return finish(process, 300)._replace(stage=stage)


def stage_of(run):
    """Returns how far a run has come, judged by its files."""
    if (run / "encoder.bin").exists():
        return "evaluating"
    return "training" if (run / "config.json").exists() else "starting"


def compare(left, right):
    """Lists the files in which two runs that have ended differ, apart from times."""
    differences = [
        name
        for name in ("encoder.bin", "metrics.jsonl")
        if (left / name).read_bytes() != (right / name).read_bytes()
    ]
    if timeless(left) != timeless(right):
        differences.append("results.json")
    names = sorted({path.relative_to(run) for run in (left, right) for path in run.rglob("*.npz")})
    for name in names:
        if (
            not (left / name).exists()
            or not (right / name).exists()
            or arrays(left / name) != arrays(right / name)
        ):
            differences.append(str(name))
    if checkpoint(left) != checkpoint(right):
        differences.append("checkpoints")
    if "</html>" not in (right / "report.html").read_text():
        differences.append("report.html")
    return differences


def timeless(run):
    """Returns the content of results.json without times."""

    def strip(value):
        if isinstance(value, dict):
            return {name: strip(kept) for name, kept in value.items() if name not in TIMES}
        return value

    return strip(json.loads((run / "results.json").read_text()))


def arrays(path):
    """Returns dtype, shape and bytes of every array in an archive; None if there is none."""
    if not path.exists():
        return None
    with np.load(path) as file:
        return {name: as_bytes(file[name]) for name in file.files}


def checkpoint(run):
    """Returns number, and dtype, shape and bytes of every array but the time, of the last one."""
    import jax
    import orbax.checkpoint as ocp
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    options = ocp.CheckpointManagerOptions(read_only=True)
    with ocp.CheckpointManager(run / "checkpoints", options=options) as manager:
        number = manager.latest_step()
        tree = manager.restore(number, args=ocp.args.StandardRestore())
    del tree["seconds"]
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return number, {jax.tree_util.keystr(path): as_bytes(leaf) for path, leaf in leaves}


def as_bytes(array):
    """Returns dtype, shape and bytes of an array."""
    array = np.asarray(array)
    return str(array.dtype), array.shape, array.tobytes()


if __name__ == "__main__":
    frame.main("kills", __doc__, CASES, trial, TRIALS)
