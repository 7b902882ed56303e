"""Reads damaged and hostile files for some minutes and prints how that ended, as a table.

    python tests/fuzz.py --minutes 10
    python tests/fuzz.py --minutes 3 --target index --target codes --seed 7 --json counts.json
    python tests/fuzz.py --target index --seed 7 --only 1234

Each target has a process of its own, so that a crash of the interpreter is counted, too. With
`--only`, one mutant is read in this process, and an exception ends it with its traceback;
`--keep FOLDER` then writes the files of the mutant. The exit status is 1 if any mutant ended wrong.
See `tests/support/fuzzing/__init__.py` for what is refused, right and wrong.
"""

import argparse
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

_ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import tqdm  # noqa: E402

from tests.support import fuzzing  # noqa: E402
from tests.support.fuzzing import targets  # noqa: E402

# A process that says nothing for so long hangs outside of Python code.
_SILENCE = 120
_CRASH = "crashes"
_KINDS = ("refused", "right", "wrong")


def main() -> int:
    """Parses the command line and does what it says; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="time for all targets together")
    parser.add_argument("--target", action="append", help="may be repeated; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="file for the counts and the messages of wrong mutants")
    parser.add_argument("--only", type=int, help="the number of a mutant; one target")
    parser.add_argument("--keep", help="with --only: new folder for the files of the mutant")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    known = targets.load()
    names = arguments.target or list(known)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--target: {unknown[0]} given; allowed: {', '.join(known)}")
    if (arguments.only is not None or arguments.child is not None) and len(names) != 1:
        parser.error("--only: allowed with one --target")
    if arguments.child is not None:
        _report_all(known[names[0]], arguments.seed, arguments.child)
    if arguments.only is not None:
        return _show(known[names[0]], arguments)
    return _fuzz(names, arguments)


def _show(target, arguments) -> int:
    with fuzzing.Fuzzer(target, arguments.seed) as fuzzer:
        if arguments.keep:
            fuzzer.write(arguments.only, pathlib.Path(arguments.keep))
        verdict = fuzzer.judge(arguments.only, reraise=True)
    print(f"{verdict.kind}: {verdict.message}")
    return verdict.kind == "wrong"


def _report_all(target, seed, first):
    """Judges mutants without an end, a line each; the parent ends the process."""
    # What libraries print must not get between the lines.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    with fuzzing.Fuzzer(target, seed) as fuzzer:
        number = first
        print(json.dumps(["ready"]), file=out)
        while True:
            print(json.dumps(list(fuzzer.judge(number))), file=out)
            number += 1


def _fuzz(names, arguments) -> int:
    counts = {}
    seconds = 60 * arguments.minutes / len(names)
    interval = 0.5 if sys.stderr.isatty() else 10
    form = "{percentage:3.0f} %|{bar}| {n:.0f} of {total:.0f} s{postfix}"
    total = seconds * len(names)
    with tqdm.tqdm(total=total, bar_format=form, mininterval=interval) as bar:
        for name in names:
            counts[name] = _fuzz_one(name, arguments.seed, seconds, bar)
    print("| target | tried | refused | right | wrong |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, numbers in counts.items():
        print(f"| {name} | {' | '.join(f'{n:,}' for n in numbers[:4])} |")
    total = [sum(numbers[i] for numbers in counts.values()) for i in range(4)]
    print(f"| all | {' | '.join(f'{n:,}' for n in total)} |")
    for numbers in counts.values():
        for failure in numbers.failures[:20]:
            print(failure, file=sys.stderr)
    if arguments.json:
        content = {name: numbers._asdict() for name, numbers in counts.items()}
        pathlib.Path(arguments.json).write_text(
            json.dumps({"seed": arguments.seed, "targets": content}, indent=2) + "\n"
        )
    return int(total[3] > 0)


def _fuzz_one(name, seed, seconds, bar) -> fuzzing.Counts:
    """Runs the processes of one target, one after the other: the next one follows a crash."""
    kinds, failures = dict.fromkeys(_KINDS, 0), []
    used = 0.0
    while used < seconds:
        with _Child(name, seed, sum(kinds.values())) as child:
            # The time until the process is ready is that of imports, not of the target.
            start, before = time.monotonic(), used
            while used < seconds:
                verdict = child.verdict(seconds - used)
                bar.update(time.monotonic() - start + before - used)
                used = time.monotonic() - start + before
                if verdict is None:
                    break
                if verdict.kind == "wrong":
                    number = sum(kinds.values())
                    failures.append(fuzzing.describe(name, seed, number, verdict))
                kinds[verdict.kind] += 1
                tried, wrong = sum(kinds.values()), kinds["wrong"]
                bar.set_postfix_str(f"{name}: {tried:,} tried, {wrong} wrong", refresh=False)
                if verdict.message.startswith(_CRASH):
                    break
    return fuzzing.Counts(sum(kinds.values()), *kinds.values(), failures)


class _Child:
    """A process that judges the mutants of a target from a number on."""

    def __init__(self, name, seed, first):
        """Starts the process and waits until it has read the seeds."""
        command = [sys.executable, __file__, "--target", name]
        command += ["--seed", str(seed), "--child", str(first)]
        # Files of its own, since it ends by a kill.
        self._folder = tempfile.TemporaryDirectory(prefix="jhash-fuzz-")
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            env=os.environ | {"TMPDIR": self._folder.name},
            text=True,
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        if self._lines.get() is None:
            raise SystemExit(f"{name}: a seed cannot be read; --only 0 shows why.")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def verdict(self, seconds):
        """Returns the next verdict; None where time is up."""
        try:
            line = self._lines.get(timeout=min(seconds, _SILENCE))
        except queue.Empty:
            return None if seconds < _SILENCE else fuzzing.Verdict("wrong", f"{_CRASH} or hangs")
        if line is not None:
            return fuzzing.Verdict(*json.loads(line))
        return fuzzing.Verdict("wrong", f"{_CRASH}: exit status {self._process.wait()}")

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)


if __name__ == "__main__":
    sys.exit(main())
