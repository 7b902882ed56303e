"""Lets the system refuse what jhash asks for, and goes on without the fault.

    python tests/campaigns/faults.py --output faults.jsonl

A trial gives a command in a folder in which something fails. Either the folder really is on a file
system without space or without room for another file, or the process really may not open more files
or make longer ones: that also reaches C++, which writes the arrays of checkpoints. Or one of the
process's calls (open, write, fsync, rename, mkdir) fails from Python, once or from then on, with
one of the errors of a bad disk; see `faulty/sitecustomize.py`.

The command then has to end with status 1 and one line that says why, without a traceback; or it has
to do all of its work, since not every fault reaches every command. The same command without the
fault has to end as it does where nothing ever failed, bit for bit.
"""

import errno
import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import frame
import kills
import numpy as np

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE, errno.EROFS, errno.EDQUOT)
CALLS = ("open", "write", "fsync", "rename", "mkdir")
EPOCHS = 3


class Command(NamedTuple):
    """A command to be given in a folder.

    Attributes:
      words: Its words; those that begin with "./" are in the folder.
      needs: What the folder has before.
      makes: What the command writes there.
    """

    words: tuple[str, ...]
    needs: tuple[str, ...]
    makes: tuple[str, ...]


COMMANDS = {
    "train": Command(
        ("--workdir=./run", "--config.log_every=1", f"--config.epochs={EPOCHS}"), (), ("run",)
    ),
    "index build": Command(
        ("index", "build", "--output", "./new.index", "--overwrite", "--run", "./run"),
        ("run",),
        ("new.index",),
    ),
    "index add": Command(
        ("index", "add", "--index", "./it.index", "--codes", "./more.npz"),
        ("it.index", "more.npz"),
        ("it.index",),
    ),
    "index remove": Command(
        ("index", "remove", "--index", "./it.index", "3", "4"), ("it.index",), ("it.index",)
    ),
    "index export": Command(
        ("index", "export", "--index", "./it.index", "--packed", "./a.npy", "--ids", "./b.npy"),
        ("it.index",),
        ("a.npy", "b.npy"),
    ),
    "encode": Command(
        ("encode", "--run", "./run", "--images", "./images", "--output", "./codes.npz", "--quiet"),
        ("run", "images"),
        ("codes.npz",),
    ),
    "report": Command(("report", "./run"), ("run",), ("run/report.html",)),
}
LIMITS = ("space", "inodes", "open files", "file size")
CASES = [
    (f"{name}, {kind}", (name, kind))
    for name in COMMANDS
    for kind in ("the system refuses", "a call fails")
]
TRIALS = 8 * len(CASES)

_preparing = threading.Lock()


def trial(case, rng, scratch):
    """Gives a command that meets a fault, and gives it again without."""
    name, kind = case
    command = COMMANDS[name]
    with _preparing:
        prepared = prepare(scratch.parent, name)
    folder = scratch / "folder"
    shutil.copytree(prepared / "before", folder)
    shutil.copytree(prepared / "cache", scratch / "cache")
    if kind == "a call fails":
        end, fault = with_failing_call(name, prepared, rng, scratch)
    else:
        end, fault = with_limit(name, prepared, rng, scratch)
    if end is None:
        return frame.Outcome("not tried: mounting needs root", True)
    lines = [line for line in end.stderr.splitlines() if line.startswith("jhash: ")]
    counts = {"refused": int(end.status == 1), "done": int(end.status == 0)}

    def bad(outcome, **more):
        details = {"fault": fault, "status": end.status, "stderr": end.stderr[-4000:], **more}
        return frame.Outcome(outcome, False, counts, details)

    if end.status is None:
        return bad("hangs")
    if "Traceback" in end.stderr:
        return bad("a traceback")
    if end.status and (end.status != 1 or len(lines) != 1):
        return bad("not one line and status 1")
    torn = [made for made in command.makes if not whole(folder / made)]
    if torn:
        return bad("half-written", torn=torn)
    # An index that was changed must not be changed twice.
    if end.status or name not in ("index add", "index remove"):
        again = run(name, scratch)
        if again.status:
            return bad("does not go on", again=again.stderr[-4000:])
    differences = compare(name, prepared / "after", folder)
    if differences:
        return bad("another end", differences=differences)
    return frame.Outcome("as it should", True, counts, {"fault": fault, "lines": lines})


class End(NamedTuple):
    """The end of a process."""

    status: int | None
    stderr: str


def run(name, scratch, prefix=(), seconds=300, before=None, **variables):
    """Gives a command in the folder of a trial."""
    words = [word.replace("./", f"{scratch / 'folder'}/") for word in COMMANDS[name].words]
    if name == "train":
        config = f"--config={frame.ROOT / 'configs' / 'fdah.py'}:smoke"
        words = [str(frame.ROOT / "launch.py"), config, *words]
    else:
        words = ["-m", "jhash", *words]
    environment = frame.environment(
        XLA_FLAGS="--xla_force_host_platform_device_count=1",
        JAX_COMPILATION_CACHE_DIR=str(scratch / "cache"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    if variables:
        environment["PYTHONPATH"] = f"{Path(__file__).parent / 'faulty'}{os.pathsep}{frame.ROOT}"
    process = subprocess.Popen(
        [*prefix, sys.executable, *words],
        env=environment | variables,
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=before,
    )
    try:
        _, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return End(None, process.communicate()[1])
    return End(process.returncode, stderr)


def with_failing_call(name, prepared, rng, scratch):
    """Gives a command one of whose calls fails, or all from that one on."""
    calls = rng.sample(CALLS, rng.randint(1, len(CALLS)))
    counts = json.loads((prepared / "calls.json").read_text())
    fault = {
        "folder": str(scratch / "folder"),
        "calls": calls,
        "at": rng.randrange(max(1, sum(counts.get(call, 0) for call in calls))),
        "errno": rng.choice(ERRORS),
        "once": rng.random() < 0.3,
    }
    return run(name, scratch, JHASH_FAULT=json.dumps(fault)), fault


def with_limit(name, prepared, rng, scratch):
    """Gives a command to which the system really refuses something."""
    limit = rng.choice(LIMITS)
    folder = scratch / "folder"
    before, after = used(prepared / "before"), used(prepared / "after")
    if limit == "open files":
        number = rng.randint(16, 64)
        end = run(name, scratch, before=functools.partial(lower, resource.RLIMIT_NOFILE, number))
    elif limit == "file size":
        number = rng.randint(0, after.largest)
        end = run(name, scratch, before=functools.partial(lower, resource.RLIMIT_FSIZE, number))
    else:
        size, inodes = f"{2 * after.size + (1 << 20)}", f"{2 * after.files + 1000}"
        if limit == "space":
            number = before.size + int((after.size - before.size) * rng.uniform(0, 1.2))
            size = str(number)
        else:
            number = before.files + 2 + int((after.files - before.files) * rng.uniform(0, 1.2))
            inodes = str(number)
        # What is left is copied out, because the file system ends with the command.
        left = scratch / "left"
        script = (
            f'mount -t tmpfs -o size={size},nr_inodes={inodes} none "{folder}" || exit 99; '
            f'cp -a "{prepared}/before/." "{folder}/" || exit 98; '
            f'"$@"; status=$?; cp -a "{folder}" "{left}"; exit $status'
        )
        end = run(name, scratch, ("unshare", "--mount", "sh", "-c", script, "sh"))
        if end.status in (1, 99) and not left.exists():
            return None, None
        if end.status == 98:
            raise RuntimeError(f"{size} bytes, {inodes} inodes: too little for what was there")
        shutil.rmtree(folder)
        left.rename(folder)
    return end, {"limit": limit, "number": number}


def lower(kind, number):
    """Lowers a limit of this process."""
    resource.setrlimit(kind, (number, resource.getrlimit(kind)[1]))


class Used(NamedTuple):
    """What a folder takes: bytes in pages, files and folders, and the size of the largest file."""

    size: int
    files: int
    largest: int


def used(folder):
    """Measures a folder."""
    sizes = [path.lstat().st_size for path in folder.rglob("*") if path.is_file()]
    pages = sum(-(-size // 4096) * 4096 for size in sizes)
    return Used(pages, len(list(folder.rglob("*"))), max(sizes, default=0))


def prepare(work, name):
    """Makes, once, what a command finds, what it leaves without a fault, and counts its calls.

    Returns:
      A folder with `before`, `after`, `cache` (of compiled programs) and `calls.json`.
    """
    prepared = work / f"undisturbed-{name.replace(' ', '-')}"
    if prepared.exists():
        return prepared
    making = work / f"{prepared.name}.making"
    shutil.rmtree(making, ignore_errors=True)
    before, folder = making / "before", making / "folder"
    before.mkdir(parents=True)
    (making / "cache").mkdir()
    for needed in COMMANDS[name].needs:
        make_needed(work, needed, before)
    shutil.copytree(before, folder)
    done(run(name, making))
    shutil.rmtree(folder)
    # Once more, to count the calls; the programs are compiled now.
    shutil.copytree(before, folder)
    fault = {"folder": str(folder), "calls": [], "at": 0, "errno": 0, "once": True}
    fault["counts"] = str(making / "calls.json")
    done(run(name, making, JHASH_FAULT=json.dumps(fault)))
    folder.rename(making / "after")
    return making.rename(prepared)


def done(end):
    """Checks that a command without a fault has done its work."""
    if end.status:
        raise RuntimeError(f"the undisturbed command failed: {end.stderr}")


def make_needed(work, needed, folder):
    """Makes a file or a folder that a command needs."""
    if needed == "run":
        shutil.copytree(prepare(work, "train") / "after" / "run", folder / "run")
    elif needed == "it.index":
        shutil.copy(prepare(work, "index build") / "after" / "new.index", folder / needed)
    elif needed == "more.npz":
        run_codes = prepare(work, "train") / "after" / "run" / "codes" / "database.npz"
        with np.load(run_codes) as file:
            content = dict(file)
        content["ids"] = content["ids"] + 1000
        np.savez(folder / needed, **content)
    else:
        from PIL import Image

        (folder / needed).mkdir()
        for number in range(4):
            Image.new("L", (28, 28), 40 * number).save(folder / needed / f"{number}.png")


def whole(path):
    """Returns whether a file, or every file of a run, is missing or can be read to its end."""
    from jhash.errors import InputError
    from jhash.retrieval.index.hamming_index import HammingIndex

    if path.is_dir():
        return all(map(whole, (other for other in path.rglob("*") if other.is_file())))
    if not path.exists() or path.name.endswith(".tmp"):
        return True
    try:
        match path.suffix:
            case ".index":
                HammingIndex.load(str(path))
            case ".npz":
                with np.load(path) as file:
                    dict(file)
            case ".npy":
                np.load(path)
            case ".json":
                json.loads(path.read_text())
            case ".html":
                return path.read_text().rstrip().endswith("</html>")
    except (InputError, ValueError, OSError, EOFError):
        return False
    return True


def compare(name, left, right):
    """Lists what differs between what a command left and what it should have left."""
    if name == "train":
        return kills.compare(left / "run", right / "run")
    differences = []
    for made in COMMANDS[name].makes:
        if made.endswith(".npz"):
            # It names the run by its path, which is that of the trial.
            contents = [kills.arrays(folder / made) for folder in (left, right)]
            for content in contents:
                content.pop("run", None)
            same = contents[0] == contents[1]
        elif made.endswith(".index"):
            from jhash.retrieval.index.hamming_index import HammingIndex

            indexes = [HammingIndex.load(str(folder / made)) for folder in (left, right)]
            same = len({(index.ids.tobytes(), index.export().tobytes()) for index in indexes}) == 1
        elif made.endswith(".html"):
            same = whole(right / made)
        else:
            same = (left / made).read_bytes() == (right / made).read_bytes()
        if not same:
            differences.append(made)
    return differences


if __name__ == "__main__":
    frame.main("faults", __doc__, CASES, trial, TRIALS)
