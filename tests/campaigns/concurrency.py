"""Uses one index or one run from many processes and threads at once, and looks what is lost.

    python tests/campaigns/concurrency.py --output concurrency.jsonl

An index: processes add and remove codes while others load and search it, and writers are killed;
see `shared_index`. Threads search an index in memory while others change it; see
`searching_threads`. Commands change an index at the same time. A run: two processes train it, and
others evaluate it or write its report while one trains; its end is compared bit for bit with that
of an undisturbed run. And everything that only reads works on a read-only file system, for which
the campaign needs the right to mount one.
"""

import shutil
import subprocess
import sys
import time

import frame
import kills
import numpy as np
import searching_threads
import shared_index

from jhash.retrieval.index.hamming_index import HammingIndex

WRITERS = shared_index.Plan(writers=8, readers=2, kills=25, pause=0.1)


def index_trial(plan, rng, scratch):
    """Lets processes loose on one index."""
    return shared_index.run(plan, rng, scratch)


def thread_trial(plan, rng, scratch):
    """Lets threads loose on one index in memory."""
    del scratch
    return searching_threads.run(plan, rng)


def command_trial(count, rng, scratch):
    """Starts commands that add to an index or remove from it, all at once."""
    ids = np.arange(count)
    path = scratch / "it.index"
    HammingIndex.build(shared_index.codes_of(ids), shared_index.BITS, ids).save(str(path))
    commands = []
    for number in range(count):
        if number % 2:
            commands.append(["index", "remove", "--index", path, str(number)])
            continue
        codes = scratch / f"{number}.npz"
        added = ids[:3] + count * (number + 1)
        np.savez(codes, codes=shared_index.codes_of(added), ids=added, bits=shared_index.BITS)
        commands.append(["index", "add", "--index", path, "--codes", codes])
    rng.shuffle(commands)
    ends = [
        kills.finish(process, 300) for process in [command(words, scratch) for words in commands]
    ]
    expected = {number for number in range(count) if number % 2 == 0}
    expected |= {count * (number + 1) + i for number in expected for i in range(3)}
    counts = {"commands": count}
    if any(end.status for end in ends) or set(HammingIndex.load(str(path)).ids) != expected:
        outputs = [end.output[-500:] for end in ends]
        return frame.Outcome("an update was lost", False, counts, {"outputs": outputs})
    return frame.Outcome("all there", True, counts)


def two_trainings(_, rng, scratch):
    """Trains one run by two processes at once."""
    reference = prepared(scratch)
    first = kills.start(scratch, "fdah", 1)
    time.sleep(rng.uniform(0, 3))
    second = kills.start(scratch, "fdah", 1)
    ends = [kills.finish(process, 300) for process in (first, second)]
    refused = [
        end for end in ends if is_refusal(end) and "another process is training" in end.output
    ]
    done = [end for end in ends if end.status == 0]
    counts = {"commands": 2, "refused": len(refused)}
    # If one had ended before, the other one only evaluates again.
    if not done or len(done) + len(refused) != 2:
        return failed("not refused in one line", ends, counts)
    return same_end(reference, scratch, ends, counts)


def while_training(kind, rng, scratch):
    """Evaluates a run, or writes its report, again and again while a process trains it."""
    reference = prepared(scratch)
    run = scratch / "run"
    training = kills.start(scratch, "fdah", 1)
    kills.wait(training, run.exists)
    ends = []
    while training.poll() is None and len(ends) < 20:
        time.sleep(rng.uniform(0, 1))
        if kind == "evaluate":
            process = launch(["--mode=eval", f"--workdir={run}"], scratch)
        else:
            process = command(["report", run, "--output", scratch / "report.html"], scratch)
        ends.append(kills.finish(process, 300))
    end = kills.finish(training, 300)
    refused = sum(map(is_refusal, ends))
    counts = {"commands": len(ends) + 1, "refused": refused}
    # Refused as long as there is no checkpoint, or no evaluation yet.
    if end.status != 0 or any(other.status and not is_refusal(other) for other in ends):
        return failed("neither done nor refused in one line", [end, *ends], counts)
    return same_end(reference, scratch, [end, *ends], counts)


def read_only(_, rng, scratch):
    """Reads an index and a run in a read-only folder."""
    del rng
    from PIL import Image

    reference = prepared(scratch)
    folder, free = scratch / "read-only", scratch / "free"
    folder.mkdir()
    free.mkdir()
    shutil.copytree(reference / "run", folder / "run")
    image, index, run = free / "image.png", folder / "it.index", folder / "run"
    Image.new("L", (28, 28), 90).save(image)
    build = ["index", "build", "--output", index, "--run", run]
    (folder / "run" / ".lock").unlink()
    end = kills.finish(command(build, scratch), 300)
    if end.status:
        return failed("cannot be built", [end], {})
    HammingIndex.load(str(index)).save(str(free / "copy.index"))
    mount = ["unshare", "--mount", "sh", "-c"]
    mount += [
        f'mount --bind "{folder}" "{folder}" && mount -o remount,bind,ro "{folder}" && "$@"',
        "",
    ]
    if subprocess.run([*mount, "true"], capture_output=True).returncode:
        return frame.Outcome("not tried: mounting needs root", True)
    before = listing(folder)
    reading = [
        ["index", "info", "--index", index],
        ["search", "--index", index, "--id", "3"],
        ["search", "--index", index, "--image", image, "--run", run, "--json"],
        ["index", "export", "--index", index, "--packed", free / "codes.npy"],
        ["index", "build", "--output", free / "new.index", "--run", run],
        ["encode", "--run", run, "--images", image, "--output", free / "codes.npz"],
        ["report", run, "--output", free / "report.html"],
    ]
    writing = [
        ["index", "add", "--index", index, "--codes", free / "codes.npz"],
        ["index", "remove", "--index", index, "3"],
        ["index", "build", "--output", index, "--overwrite", "--run", run],
        ["report", run],
    ]
    ends = [kills.finish(command(words, scratch, mount), 300) for words in reading + writing]
    evaluation = launch(["--mode=eval", f"--workdir={run}"], scratch, mount)
    ends.append(kills.finish(evaluation, 300))
    counts = {"commands": len(ends)}
    if any(end.status for end in ends[: len(reading)]):
        return failed("cannot be read", ends, counts)
    if not all(map(is_refusal, ends[len(reading) :])):
        return failed("not refused in one line", ends, counts)
    if listing(folder) != before:
        return failed("written", ends, counts)
    return frame.Outcome("read, and not written", True, counts)


# (number of trials, row of the table, function, its first argument).
_KINDS = [
    (8, "index: 8 writers, 2 readers, 25 kills", index_trial, WRITERS),
    (
        2,
        "the same, while the lock's file is removed",
        index_trial,
        WRITERS._replace(remove_lock=True),
    ),
    (2, "the same, under two names", index_trial, WRITERS._replace(names=("it.index", "a/link"))),
    (2, "index: 8 commands at once", command_trial, 8),
    (
        4,
        "index: 16 threads search, 2 change",
        thread_trial,
        searching_threads.Plan(searchers=16, batches=300),
    ),
    (4, "run: trained by two processes", two_trainings, None),
    (3, "run: evaluated while it trains", while_training, "evaluate"),
    (3, "run: reported while it trains", while_training, "report"),
    (2, "read-only file system", read_only, None),
]
CASES = [
    (row, (function, argument)) for count, row, function, argument in _KINDS for _ in range(count)
]


def trial(case, rng, scratch):
    """Runs a trial of a kind."""
    function, argument = case
    return function(argument, rng, scratch)


def prepared(scratch):
    """Returns the undisturbed run, and copies its compiled programs."""
    reference = kills.undisturbed(scratch.parent, "fdah", 1)
    shutil.copytree(reference / "cache", scratch / "cache")
    return reference


def command(words, scratch, prefix=()):
    """Starts `python -m jhash`."""
    return start([*prefix, sys.executable, "-m", "jhash", *map(str, words)], scratch)


def launch(words, scratch, prefix=()):
    """Starts `launch.py`."""
    return start([*prefix, sys.executable, str(frame.ROOT / "launch.py"), *words], scratch)


def start(words, scratch):
    """Starts a program that finds the compiled programs of a trial."""
    device = "--xla_force_host_platform_device_count=1"
    return frame.start(words, scratch, scratch / "cache", XLA_FLAGS=device)


def is_refusal(end):
    """Returns whether a program ended with status 1 and one line of its own that says why."""
    lines = [line for line in end.output.splitlines() if line.startswith("jhash: ")]
    return end.status == 1 and len(lines) == 1 and "Traceback" not in end.output


def same_end(reference, scratch, ends, counts):
    """Compares the end of a run with that of the undisturbed one."""
    differences = kills.compare(reference / "run", scratch / "run")
    if differences:
        return failed("other bits", ends, counts, differences=differences)
    return frame.Outcome("identical", True, counts)


def failed(name, ends, counts, **details):
    """Makes the outcome of a trial that ended badly."""
    outputs = [[end.status, end.output[-1500:]] for end in ends]
    return frame.Outcome(name, False, counts, {"ends": outputs, **details})


def listing(folder):
    """Returns the files of a folder, with sizes and times of change."""
    states = [(path, path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in states]


if __name__ == "__main__":
    frame.main("concurrency", __doc__, CASES, trial)
