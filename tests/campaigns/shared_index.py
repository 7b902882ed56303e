"""One index file that many processes change and read at the same time, with kills; and the proof.

Writers add and remove codes under ids of their own through `retrieval.index.editing`. Each has a
log: a line before a change, and one when `editing` has returned, which acknowledges it. A code
follows from its id, and every change writes its number and a digest of all ids into the metadata.
So a process can tell whether what it has loaded is one state of the index, and at the end the logs
say which ids must be there.
"""

import hashlib
import itertools
import json
import multiprocessing
import random
import time
from pathlib import Path
from typing import NamedTuple

import frame
import numpy as np

from jhash.retrieval.index import editing
from jhash.retrieval.index.hamming_index import HammingIndex

BITS = 64
# The ids of writer w begin at w * _IDS; it has about _LIVE of them in the index, and changes up to
# _MOST at a time.
_IDS = 10**6
_LIVE = 20
_MOST = 4
_CONTEXT = multiprocessing.get_context("forkserver")
# Imported once, so that a new writer begins within milliseconds.
_CONTEXT.set_forkserver_preload(["jhash.retrieval.index.editing"])


class Plan(NamedTuple):
    """What happens to an index.

    Attributes:
      writers: Number of processes that change it.
      readers: Number of processes that load and search it.
      kills: Number of times that a writer is killed and another one takes its place.
      pause: Mean time between two kills, in seconds.
      names: Names of the index, the others links to the first; a change takes any of them.
      remove_lock: Whether the lock's file is removed all the time.
    """

    writers: int
    readers: int
    kills: int
    pause: float
    names: tuple[str, ...] = ("it.index",)
    remove_lock: bool = False


def run(plan: Plan, rng: random.Random, folder: Path) -> frame.Outcome:
    """Lets processes loose on one index, and proves what is left of it."""
    _make(folder, plan.names)
    stop = folder / "stop"
    readers = [_start(_read_all, folder, plan, number) for number in range(plan.readers)]
    # They compile the search first.
    while any(process.is_alive() for process in readers) and not all(_reads(plan, folder)):
        time.sleep(0.01)
    writers = {number: _write(folder, plan, number, rng) for number in range(plan.writers)}
    try:
        for _ in range(plan.kills):
            moment = time.monotonic() + rng.uniform(0, 2 * plan.pause)
            while time.monotonic() < moment:
                if plan.remove_lock:
                    (folder / f".{plan.names[0]}.lock").unlink(missing_ok=True)
                time.sleep(0.001)
            number = rng.randrange(plan.writers)
            writers[number].kill()
            writers[number].join()
            writers[number] = _write(folder, plan, number, rng)
    finally:
        stop.touch()
        processes = [*writers.values(), *readers]
        for process in processes:
            process.join(60)
    hanging = [process for process in processes if process.is_alive()]
    for process in hanging:
        process.kill()
    if hanging:
        return frame.Outcome(f"{len(hanging)} processes hang", False)
    return _judge(plan, folder, [process.exitcode for process in processes])


def codes_of(ids):
    """Returns the codes that belong to ids, uint32 [N, 2]."""
    digests = [
        hashlib.sha256(int(number).to_bytes(8, "little", signed=True)).digest()[:8]
        for number in ids
    ]
    return np.frombuffer(b"".join(digests), "<u4").reshape(len(ids), 2).astype(np.uint32)


def state_of(ids, number):
    """Returns the metadata of a state: the number of changes so far, and a digest of all ids."""
    return {"changes": number, "ids": hashlib.sha256(np.sort(ids).tobytes()).hexdigest()}


def problem_of(path: Path) -> str | None:
    """Loads an index, and returns what is wrong with it; None if it is one whole state."""
    index = HammingIndex.load(str(path))
    ids = index.ids
    if state_of(ids, index.metadata["changes"]) != index.metadata:
        return "the ids are not those of its metadata"
    if not np.array_equal(index.codes(ids), codes_of(ids)):
        return "the codes are not those of its ids"
    # As many queries each time, so that the search is compiled once.
    sample = np.resize(ids, 8)
    distances, found = index.search(codes_of(sample), 1)
    if distances.any() or not np.array_equal(found[:, 0], sample):
        return "a search does not find what is there"
    return None


class Log(NamedTuple):
    """The log of a writer.

    Attributes:
      present: Ids that must be in the index.
      unsure: ("add" or "remove", ids) of each change that was not acknowledged.
      acknowledged: Number of changes that were.
      largest: The largest id that was ever used; -1 if there is none.
    """

    present: set[int]
    unsure: list[tuple[str, set[int]]]
    acknowledged: int
    largest: int


def read_log(path: Path) -> Log:
    """Reads the log of a writer that may have been killed."""
    present: set[int] = set()
    unsure: list[tuple[str, set[int]]] = []
    acknowledged, largest = 0, -1
    for line in path.read_text().splitlines() if path.exists() else []:
        word, *texts = line.split()
        ids = set(map(int, texts))
        largest = max(largest, *ids)
        if word != "done":
            # Until it is acknowledged, nobody knows.
            unsure.append((word, ids))
            continue
        change, _ = unsure.pop()
        acknowledged += 1
        present = present | ids if change == "add" else present - ids
    return Log(present.difference(*(ids for _, ids in unsure)), unsure, acknowledged, largest)


def _make(folder, names):
    """Makes an index, and links to it."""
    # One code, so that it can be searched from the beginning.
    ids = np.array([-1])
    HammingIndex.build(codes_of(ids), BITS, ids, state_of(ids, 0)).save(str(folder / names[0]))
    for name in names[1:]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(folder / names[0])


def _write(folder, plan, number, rng):
    return _start(_write_all, folder, plan, number, rng.getrandbits(32))


def _start(function, *arguments):
    process = _CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def _write_all(folder, plan, number, seed):
    """Changes the index until there is a file `stop`: the work of a writer's process."""
    rng = random.Random(seed)
    path = folder / f"{number}.log"
    log = read_log(path)
    # Ids of a change that was not acknowledged are never used again.
    mine, free = log.present, max(log.largest + 1, number * _IDS)
    with open(path, "a", buffering=1) as file:
        while not (folder / "stop").exists():
            if rng.random() < len(mine) / (2 * _LIVE):
                word, ids = "remove", rng.sample(sorted(mine), min(len(mine), _MOST))
            else:
                word, ids = "add", list(range(free, free + rng.randint(1, _MOST)))
                free += _MOST
            text = " ".join(map(str, ids))
            file.write(f"{word} {text}\n")
            with editing.editing(str(folder / rng.choice(plan.names))) as index:
                if word == "add":
                    index.add(codes_of(ids), ids)
                else:
                    index.remove(ids)
                index.metadata = state_of(index.ids, index.metadata["changes"] + 1)
            file.write(f"done {text}\n")
            mine = mine ^ set(ids)


def _read_all(folder, plan, number):
    """Reads the index until there is a file `stop`: the work of a reader's process."""
    rng = random.Random(number)
    with open(folder / f"{number}.reads", "w", buffering=1) as file:
        while not (folder / "stop").exists():
            try:
                problem = problem_of(folder / rng.choice(plan.names))
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            file.write(json.dumps(problem) + "\n")


def _reads(plan, folder):
    """Returns the problems that each reader has found; None for each read that was right."""
    paths = [folder / f"{number}.reads" for number in range(plan.readers)]
    return [
        [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        for path in paths
    ]


def _judge(plan, folder, statuses):
    """Compares the index with the logs, and counts."""
    logs = [read_log(folder / f"{number}.log") for number in range(plan.writers)]
    reads = list(itertools.chain(*_reads(plan, folder)))
    unsure = [change for log in logs for change in log.unsure]
    counts = {
        "changes acknowledged": sum(log.acknowledged for log in logs),
        "writers killed": plan.kills,
        "changes in flight": len(unsure),
        "reads": len(reads),
    }

    def bad(name, **details):
        return frame.Outcome(name, False, counts, details)

    if any(statuses):
        return bad("a process failed", statuses=statuses)
    if any(reads):
        return bad("a torn read", problems=[problem for problem in reads if problem][:5])
    problem = problem_of(folder / plan.names[0])
    if problem:
        return bad("the index is damaged", problem=problem)
    index = HammingIndex.load(str(folder / plan.names[0]))
    there = set(index.ids.tolist())
    must = {-1}.union(*(log.present for log in logs))
    half_done = [sorted(ids) for _, ids in unsure if ids & there and ids - there]
    lost = must - there
    strange = there - must.union(*(ids for _, ids in unsure))
    if half_done or lost or strange:
        return bad(
            "an update was lost", half_done=half_done, lost=list(lost), strange=list(strange)
        )
    # The number of a change that was overwritten would be missing.
    made = sum((word == "add") == (ids <= there) for word, ids in unsure)
    if index.metadata["changes"] != counts["changes acknowledged"] + made:
        return bad("an update was lost", made=made, changes=index.metadata["changes"])
    return frame.Outcome("all there", True, counts)
