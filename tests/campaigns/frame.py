"""The frame of the campaigns: numbered trials, a file of results that grows by lines, a table.

A campaign attacks jhash many times and counts how each attack ends. `docs/reliability.md` has the
counts. Every campaign is a script with the same options:

    python tests/campaigns/NAME.py --trials 200 --output FILE.jsonl

A trial is independent of the others, and the seed and its number determine what it does. The file
of results gets one line per trial as soon as the trial ends. So a campaign that was stopped or
killed goes on where it was when the same command is given again, and `--trials` may grow. The exit
status is 1 if any trial in the file ended badly. `--table` prints the table of a campaign that is
still running. `--only NUMBER` repeats one trial, prints its line, and leaves the file alone. Files
of trials lie in the folder FILE.work; those of trials that ended badly stay there.

To add a campaign, write a script in this folder:

    import frame

    CASES = [("name of a row", what_the_trial_needs), ("another row", ...)]

    def trial(case, rng, scratch):
        ...attack jhash, with all draws from rng (a random.Random) and all files in scratch (a
        pathlib.Path of an empty folder; its parent is for files that trials share)...
        return frame.Outcome("refused in one line", good=True, counts={"files": 3})

    if __name__ == "__main__":
        frame.main("name", __doc__, CASES, trial)

Trial n takes the case n % len(CASES), so that all cases have about equally many trials. Trials that
run at the same time (`--workers`) share a process. So what may crash, hang or change the process is
to run in a child process, for which `environment` has the variables. With one worker, which is the
default, trials run in the main thread. A trial that raises an exception ended badly.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tqdm

ROOT = Path(__file__).resolve().parents[2]
# The scripts import jhash, configs and tests.support of this checkout.
sys.path.insert(0, str(ROOT))

_ERROR = "error in the trial"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The end of a trial.

    Attributes:
      name: The outcome in a few words; the table has a column for each.
      good: Whether jhash may behave like this.
      counts: Whole numbers by name; the table has their sum for each row.
      details: Whatever helps to understand the trial and fits in JSON.
    """

    name: str
    good: bool
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


# A function (case, rng, scratch) -> Outcome.
Trial = Callable[[Any, random.Random, Path], Outcome]
Cases = Sequence[tuple[str, Any]]


def environment(**variables: str) -> dict[str, str]:
    """Returns the variables of a child process that imports this checkout and runs on the CPU."""
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), **variables}


def start(
    words: Sequence[str], folder: Path, cache: Path, **variables: str
) -> subprocess.Popen[str]:
    """Starts a program in a folder; it keeps compiled programs, and its output is one text.

    Args:
      words: The program and its arguments.
      folder: Its current folder.
      cache: Folder of compiled programs.
      **variables: Further variables of its environment.
    """
    variables |= {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        words,
        env=environment(**variables),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def main(
    name: str,
    description: str,
    cases: Cases,
    trial: Trial,
    trials: int | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Runs the trials that are not in the file of results yet, prints the table, and exits.

    Args:
      name: Name of the campaign, that of its script.
      description: Text for --help.
      cases: (row of the table, case) of each case.
      trial: A function (case, rng, scratch) -> Outcome.
      trials: Default number of trials; None for one per case.
      arguments: The words of the command; by default those of the process.

    Raises:
      SystemExit: Always; the status is 1 if any trial ended badly, 130 after Ctrl-C.
    """
    # A shell without job control starts what is in the background with Ctrl-C ignored, and so would
    # be the processes that trials send it to.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=trials or len(cases), metavar="N")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="trials at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", default=Path(f"{name}.campaign.jsonl")
    )
    parser.add_argument("--only", type=int, metavar="NUMBER", help="repeat one trial, print it")
    parser.add_argument("--table", action="store_true", help="only print the table of --output")
    options = parser.parse_args(arguments)
    path = options.output.absolute()
    runner = _Runner(name, cases, trial, options.seed, path.with_suffix(".work"))
    if options.only is not None:
        line = runner.run(options.only)
        print(json.dumps(line, indent=2))
        sys.exit(0 if line["good"] else 1)
    # A shell lets programs in the background ignore Ctrl-C, and so would their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lines = read(path, name, options.seed)
    if options.table:
        options.trials = 0
    numbers = [n for n in range(options.trials) if n not in {line["number"] for line in lines}]
    try:
        _run_all(runner, numbers, path, lines, options)
    except KeyboardInterrupt:
        print(f"Stopped. The same command goes on after the {len(lines)} trials in {path}.")
        sys.exit(130)
    print(table(lines))
    sys.exit(0 if all(line["good"] for line in lines) else 1)


def read(path: Path, name: str, seed: int) -> list[dict]:
    """Reads a file of results without the last line if that is unfinished.

    Args:
      path: The file, which need not exist.
      name: Name of the campaign.
      seed: Seed of the campaign.

    Returns:
      The lines, parsed.

    Raises:
      SystemExit: The file belongs to another campaign or seed.
    """
    if not path.exists():
        return []
    lines = [json.loads(line) for line in _whole_lines(path).splitlines()]
    if any((line["campaign"], line["seed"]) != (name, seed) for line in lines):
        sys.exit(f"{path}: the file has trials of another campaign or seed than {name}, {seed}.")
    return lines


def table(lines: Sequence[Mapping]) -> str:
    """Returns a Markdown table: for each row its trials, outcomes and counts, and the sums.

    The names of outcomes that are bad are bold.
    """
    outcomes = dict.fromkeys(line["outcome"] for line in lines)
    bad = {line["outcome"] for line in lines if not line["good"]}
    counts = dict.fromkeys(name for line in lines for name in line["counts"])
    names = [f"**{name}**" if name in bad else name for name in outcomes]
    texts = [["case", "trials", *names, *counts]]
    texts.append(["---"] * len(texts[0]))
    sums: dict[str, collections.Counter] = {}
    for line in sorted(lines, key=lambda line: line["number"]):
        for row in line["row"], "all":
            cell = sums.setdefault(row, collections.Counter())
            cell["trials"] += 1
            cell["outcome", line["outcome"]] += 1
            for name, count in line["counts"].items():
                cell["count", name] += count
    # The sums of all rows are the last row.
    for row in [row for row in sums if row != "all"] + ["all"] * ("all" in sums):
        cell = sums[row]
        numbers = [cell["trials"], *(cell["outcome", name] for name in outcomes)]
        numbers += [cell["count", name] for name in counts]
        texts.append([row, *(f"{number:,}" for number in numbers)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in texts)


class _Runner:
    """Runs the trials of a campaign by number, in folders of one folder."""

    def __init__(self, name: str, cases: Cases, trial: Trial, seed: int, folder: Path):
        self._name, self._cases, self._trial = name, cases, trial
        self._seed, self._folder = seed, folder

    def run(self, number: int) -> dict:
        """Runs a trial, and returns its line. The folder of a trial that ended badly is kept."""
        row, case = self._cases[number % len(self._cases)]
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{number}-", dir=self._folder))
        began = time.perf_counter()
        try:
            outcome = self._trial(case, random.Random(f"{self._seed}/{number}"), scratch)
        except Exception:
            outcome = Outcome(_ERROR, False, details={"traceback": traceback.format_exc()})
        line = {
            "campaign": self._name,
            "seed": self._seed,
            "number": number,
            "row": row,
            "outcome": outcome.name,
            "good": outcome.good,
            "counts": dict(outcome.counts),
            "seconds": round(time.perf_counter() - began, 2),
            **outcome.details,
        }
        if outcome.good:
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            line["scratch"] = str(scratch)
        return line


def _whole_lines(path):
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def _run_all(runner, numbers, path, lines, options):
    """Runs trials, and appends their lines to the file and to `lines` as they come."""
    if not numbers:
        return
    lock = threading.Lock()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", buffering=1) as file, contextlib.ExitStack() as stack:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"{path}: another process runs this campaign; --table shows how far it is.")
        # A kill may have left an unfinished line.
        os.truncate(path, len(_whole_lines(path)))
        bar = stack.enter_context(
            tqdm.tqdm(total=options.trials, initial=options.trials - len(numbers), unit="trial")
        )

        def run(number):
            line = runner.run(number)
            with lock:
                file.write(json.dumps(line) + "\n")
                lines.append(line)
                bad = sum(not line["good"] for line in lines)
                bar.set_postfix(bad=bad, refresh=False)
                bar.update()

        if options.workers == 1:
            for number in numbers:
                run(number)
            return
        pool = concurrent.futures.ThreadPoolExecutor(options.workers)
        # After Ctrl-C, trials that have not begun are not begun.
        stack.callback(pool.shutdown, cancel_futures=True)
        for done in concurrent.futures.as_completed([pool.submit(run, n) for n in numbers]):
            done.result()
