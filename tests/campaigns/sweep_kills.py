"""Ends sweeps by signals at random moments, and compares their tables with an undisturbed one.

    python tests/campaigns/sweep_kills.py --output sweep_kills.jsonl

A trial makes a table of four tiny runs with `python -m jhash sweep`, and sends its process a
signal, up to ten times: at a moment of the life that an undisturbed sweep has, from the start of
the interpreter on. The same command is given again after each signal, at last without one. The end
is compared with a sweep that nothing disturbed: every number of the table but the times, and each
run's results.json, encoder.bin, metrics.jsonl and codes, bit for bit.

SIGKILL leaves a process no choice. With two workers, the processes of the runs live on for a
moment: they have to end by themselves, and the next sweep has to wait for them. After SIGTERM and
SIGINT, the process has to end within a minute, with the status of an interrupted process and
without a traceback.
"""

import csv
import json
import shutil
import signal
import sys
import time

import frame
import kills

KILLS = 10
# (number of workers, signal).
CASES = [
    ("1 worker, SIGKILL", (1, signal.SIGKILL)),
    ("2 workers, SIGKILL", (2, signal.SIGKILL)),
    ("1 worker, SIGINT", (1, signal.SIGINT)),
    ("2 workers, SIGTERM", (2, signal.SIGTERM)),
]
TABLE = "configs/tables/fdah_table1.py"
ONLY = ("LSH", "ITQ", "FDAH", "12 bits", "24 bits", "Fashion-MNIST")
# Which of them: LSH and ITQ have the same smoke run with 12 and 24 bits.
CELLS = 4


def trial(case, rng, scratch):
    """Disturbs a sweep, and compares its end with that of an undisturbed one."""
    workers, number = case
    reference = undisturbed(scratch.parent)
    seconds = json.loads((reference / "seconds.json").read_text())
    prepare(scratch, reference / "cache")
    sent, done = [], 0
    while len(sent) < KILLS:
        delay = rng.uniform(0, 0.7 * seconds)
        process = start(scratch, workers)
        end = disturb(process, scratch, number, delay)
        if end.stage is None:
            break  # The sweep was done before its time had come.
        sent.append(end.stage)
        if end.status not in kills.STATUSES[number]:
            return bad(f"status {end.status} after {number.name}", sent, end)
        if "Traceback" in end.output:
            return bad(f"traceback after {number.name}", sent, end)
        done = max(done, finished(scratch))
        if finished(scratch) < done:
            return bad("a finished run was lost", sent, end)
    end = kills.finish(start(scratch, workers), 300)
    if end.status != 0:
        return bad("cannot be resumed", sent, end)
    differences = compare(reference, scratch)
    if differences:
        return bad("another table", sent, end, differences=differences)
    return frame.Outcome("the same table", True, counts(sent), {"stages": sent})


def bad(name, sent, end, **details):
    """Makes the outcome of a trial that ended badly."""
    details = {"stages": sent, "output": end.output[-4000:], **details}
    return frame.Outcome(name, False, counts(sent), details)


def counts(sent):
    """Counts the signals, and how many runs were finished when they came."""
    counted = {"signals": len(sent)}
    for runs in range(CELLS + 1):
        counted[f"with {runs} of {CELLS} runs"] = sent.count(runs)
    return counted


def undisturbed(folder):
    """Returns the folder of a sweep that nothing disturbs; makes it at the first call."""
    reference = folder / "undisturbed"
    with kills.guard(reference):
        if reference.exists():
            return reference
        making = folder / "undisturbed.making"
        shutil.rmtree(making, ignore_errors=True)
        prepare(making, None)
        # The second sweep finds the programs of the first in the cache, as disturbed ones do.
        for _ in range(2):
            for name in ("runs", "tables"):
                shutil.rmtree(making / name, ignore_errors=True)
            began = time.perf_counter()
            end = kills.finish(start(making, 1), 600)
            seconds = time.perf_counter() - began
            if end.status != 0:
                raise RuntimeError(f"the undisturbed sweep failed: {end.output}")
        (making / "seconds.json").write_text(json.dumps(seconds))
        return making.rename(reference)


def prepare(folder, cache):
    """Makes a folder in which the table's configs are found."""
    folder.mkdir(exist_ok=True)
    (folder / "configs").symlink_to(frame.ROOT / "configs")
    if cache is not None:  # A copy, because a killed process may leave a torn file.
        shutil.copytree(cache, folder / "cache")


def start(folder, workers):
    """Starts the sweep of a folder."""
    command = [sys.executable, "-m", "jhash", "sweep", TABLE, "--smoke", "--seeds", "1"]
    command += ["--workers", str(workers), "--only", *ONLY]
    return frame.start(command, folder, folder / "cache")


def disturb(process, folder, number, delay):
    """Sends a process a signal some time after its start; the stage is the number of runs done."""
    moment = time.perf_counter() + delay
    kills.wait(process, lambda: time.perf_counter() > moment)
    stage = finished(folder) if process.poll() is None else None
    if stage is not None:
        process.send_signal(number)
    return kills.finish(process, 60)._replace(stage=stage)


def finished(folder):
    """Counts the runs that have results."""
    return len(list(folder.glob("runs/*/results.json")))


def compare(left, right):
    """Lists what differs between two sweeps that have ended, apart from times."""
    differences = [] if numbers(left) == numbers(right) else ["table.csv"]
    for name in ("table.md", "table.tex", "table.html"):
        if not (right / "tables" / "fdah_table1-smoke" / name).exists():
            differences.append(name)
    runs = runs_of(left)
    if runs != runs_of(right) or len(runs) != CELLS:
        return [*differences, "runs"]
    for run in runs:
        for name in files_of(left / "runs" / run, right / "runs" / run):
            differences.append(f"{run}: {name}")
    return differences


def runs_of(folder):
    """Returns the names of the runs, beside which lie the features that they share."""
    return sorted(path.name for path in (folder / "runs").glob("[!.]*"))


def numbers(folder):
    """Returns the lines of a table without times."""
    with open(folder / "tables" / "fdah_table1-smoke" / "table.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["metric"] != "train_seconds"]
    return [{name: line[name] for name in line if name != "train_seconds"} for line in lines]


def files_of(left, right):
    """Lists the files in which two finished runs differ; a killed sweep may leave no report."""
    differences = [
        name
        for name in ("encoder.bin", "metrics.jsonl", "config.json")
        if (left / name).read_bytes() != (right / name).read_bytes()
    ]
    if kills.timeless(left) != kills.timeless(right):
        differences.append("results.json")
    for path in sorted((left / "codes").iterdir()):
        if kills.arrays(path) != kills.arrays(right / "codes" / path.name):
            differences.append(f"codes/{path.name}")
    return differences


if __name__ == "__main__":
    frame.main("sweep_kills", __doc__, CASES, trial, 8)
