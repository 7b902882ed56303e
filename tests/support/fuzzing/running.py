"""Mutants made and judged one by one; each is a function of (target, seed, number)."""

import contextlib
import pathlib
import random
import re
import shutil
import signal
import tempfile
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jhash.errors import InputError
from tests.support.fuzzing import mutations
from tests.support.fuzzing.target import MIB, Files, Target

# The longest message of a refusal, without the path of the file.
MAX_MESSAGE = 600
# Memory that tracemalloc does not see may grow by this much more: the system counts whole pages,
# and allocators keep what was freed.
_NATIVE = 256 * MIB


class Verdict(NamedTuple):
    """The end of one mutant.

    Attributes:
      kind: `refused`, `right` or `wrong`.
      message: The message of the refusal, or what is wrong.
    """

    kind: str
    message: str = ""


class Counts(NamedTuple):
    """Numbers of mutants by their end, and the messages of the wrong ones."""

    tried: int
    refused: int
    right: int
    wrong: int
    failures: Sequence[str] = ()


class _Hang(BaseException):
    """Too much time; no Exception, so that no reader catches it."""


class Fuzzer:
    """The mutants of a target under one seed of the random numbers.

    Use it in a `with` block, whose end removes its folder and ends the measurement of memory.
    """

    def __init__(self, target: Target, seed: int):
        """Makes the seeds and reads each; raises what `read` raises."""
        self.target = target
        self._seed = seed
        self._root = pathlib.Path(tempfile.mkdtemp(prefix="jhash-fuzz-"))
        self._seeds = list(target.seeds())
        self._expected = []
        for number, files in enumerate(self._seeds):
            folder = self._write(files, self._root / f"seed{number}")
            self._expected.append(target.read(folder))
            if target.oracle is not None:
                assert target.same(self._expected[-1], target.oracle(folder)), "the oracle differs"
        self._tracing = not tracemalloc.is_tracing()
        if self._tracing:
            tracemalloc.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._tracing:
            tracemalloc.stop()
        shutil.rmtree(self._root, ignore_errors=True)

    def mutant(self, number: int) -> tuple[int, Files]:
        """Returns the number of the seed and the files of a mutant."""
        rng = random.Random(f"{self.target.name} {self._seed} {number}")
        place = rng.randrange(len(self._seeds))
        files = dict(self._seeds[place])
        if self.target.whole_files and rng.random() < 0.15:
            return place, mutations.change_folder(rng, files)
        name = rng.choice([name for name in sorted(files) if self.target.mutable(name)])
        known = [*self.target.mutators, *self.target.rewrites]
        if known and rng.random() < 0.5:
            change = rng.choice(known)
            if change in self.target.rewrites:
                return place, change(rng, files)
            files[name] = change(rng, name, files[name])
        else:
            others = [other[name] for other in self._seeds if name in other]
            files[name] = mutations.change(rng, files[name], others)
            if self.target.repair is not None and rng.random() < 0.5:
                files[name] = self.target.repair(name, files[name])
        return place, files

    def judge(self, number: int, reraise: bool = False) -> Verdict:
        """Reads a mutant, and says how that ended.

        Args:
          number: The number of the mutant.
          reraise: Whether an exception that is no InputError is raised again.
        """
        place, files = self.mutant(number)
        folder = self._write(files, self._root / "mutant")
        try:
            size = sum(map(len, files.values()))
            return self._judge(folder, size, self._expected[place], reraise)
        finally:
            shutil.rmtree(folder)

    def write(self, number: int, folder: pathlib.Path) -> None:
        """Writes the files of a mutant into a new folder."""
        self._write(self.mutant(number)[1], folder)

    def _write(self, files: Files, folder: pathlib.Path) -> pathlib.Path:
        folder.mkdir(parents=True)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    def _judge(self, folder: pathlib.Path, size: int, expected: Any, reraise: bool) -> Verdict:
        target = self.target
        allowed = target.multiple * size + target.constant
        tracemalloc.reset_peak()
        traced, native = tracemalloc.get_traced_memory()[0], _native_memory(reset=True)
        try:
            with _limited(target.seconds):
                value = target.read(folder)
            verdict = None
        except InputError as error:
            verdict = _refusal(str(error), folder)
        except _Hang:
            verdict = Verdict("wrong", f"takes more than {target.seconds} s")
        except (Exception, SystemExit) as error:
            if reraise:
                raise
            verdict = Verdict("wrong", f"raises {type(error).__name__}: {str(error)[:200]}")
        traced = tracemalloc.get_traced_memory()[1] - traced
        native = _native_memory() - native
        if traced > allowed or native > allowed + _NATIVE:
            return Verdict(
                "wrong",
                f"allocates {max(traced, native) / MIB:.0f} MiB for files of {size} bytes"
                + (f", and {verdict.message}" if verdict and verdict.kind == "wrong" else ""),
            )
        if verdict is None:
            verdict = self._answer(folder, value, expected)
        return verdict

    def _answer(self, folder: pathlib.Path, value: Any, expected: Any) -> Verdict:
        if self.target.oracle is not None:
            try:
                expected = self.target.oracle(folder)
            except Exception as error:
                return Verdict(
                    "wrong", f"is accepted, but {type(error).__name__}: {str(error)[:200]}"
                )
        if self.target.same(value, expected):
            return Verdict("right")
        return Verdict("wrong", f"gives {str(value)[:200]!r} for {str(expected)[:200]!r}")


def run(target: Target, seed: int, budget: int) -> Counts:
    """Judges the mutants 0 to `budget` - 1 of a target in this process."""
    with Fuzzer(target, seed) as fuzzer:
        verdicts = [fuzzer.judge(number) for number in range(budget)]
    kinds = [verdict.kind for verdict in verdicts]
    failures = [
        describe(target.name, seed, number, verdict)
        for number, verdict in enumerate(verdicts)
        if verdict.kind == "wrong"
    ]
    return Counts(budget, kinds.count("refused"), kinds.count("right"), len(failures), failures)


def describe(name: str, seed: int, number: int, verdict: Verdict) -> str:
    """Returns the message of a wrong mutant, with the command that repeats it."""
    message = verdict.message.encode("unicode_escape").decode()
    return f"{message}; python tests/fuzz.py --target {name} --seed {seed} --only {number}"


def _refusal(message: str, folder: pathlib.Path) -> Verdict:
    """Judges the message of an InputError."""
    if not message.isprintable():
        return Verdict("wrong", f"is refused in several lines or with escapes: {message[:200]!r}")
    if str(folder) not in message:
        return Verdict("wrong", f"is refused without the name of the file: {message[:200]}")
    without_paths = re.sub(rf"{re.escape(str(folder))}[^\s:]*", "", message)
    if len(without_paths) > MAX_MESSAGE:
        return Verdict("wrong", f"is refused in {len(message)} characters: {message[:200]}")
    return Verdict("refused", message)


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises _Hang in the block after some seconds, if Python code is running then."""

    def stop(number, frame):
        raise _Hang

    # pytest-timeout uses the same alarm, so it is set again.
    handler = signal.signal(signal.SIGALRM, stop)
    delay, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, delay, interval)


def _native_memory(reset: bool = False) -> int:
    """Returns the most memory of this process since the last reset, in bytes; 0 if unknown."""
    try:
        if reset:
            pathlib.Path("/proc/self/clear_refs").write_text("5")
        status = pathlib.Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])
