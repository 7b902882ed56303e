"""One command in several processes, of which the main one speaks for all."""

import contextlib
import os
import re
import sys
from collections.abc import Callable

from jhash.errors import InputError

# What an error says whose cause is another process.
_OF_ANOTHER = re.compile("gloo|nccl|coordination|distributed|peer", re.IGNORECASE)


def add_arguments(command) -> None:
    """Adds the arguments of a command that several processes can run together."""
    command.add_argument(
        "--distributed",
        action="store_true",
        help="work together with the other processes that a cluster has started; where JAX does "
        "not find them itself, the next three flags say where they are (docs/hosts.md)",
    )
    command.add_argument("--coordinator", metavar="HOST:PORT", help="that of process 0")
    command.add_argument("--processes", type=int, metavar="N", help="number of processes")
    command.add_argument(
        "--process", type=int, metavar="I", help="number of this process, from 0 on"
    )


def run(
    command: Callable[[], object],
    coordinator: str | None,
    count: int | None,
    process: int | None,
    advice: str = "The same commands go on from the last checkpoint.",
) -> None:
    """Joins the other processes, and runs a command that all of them run.

    What the others would print is left out, but for the error that ends them.

    Args:
      command: Function that does the work.
      coordinator: As for `parallel.join`, like the next two.
      count: Number of processes.
      process: Number of this process.
      advice: What to do when another process has stopped; a sentence.

    Raises:
      InputError: The processes cannot be joined, or another one has stopped.
    """
    # Imported here: JAX takes a second, for which --help should not wait.
    from jhash import parallel

    _check(coordinator, count, process)
    try:
        with _own_stdout():
            parallel.join(coordinator, count, process)
            with contextlib.nullcontext() if parallel.is_main() else _silent():
                command()
    except Exception as error:
        # The errors of collectives have several types.
        if isinstance(error, InputError) or not _OF_ANOTHER.search(str(error)):
            raise
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"process {parallel.process_index()} of {parallel.process_count()} stops, as another "
            f"one has stopped before ({reason}). {advice}"
        ) from error


def is_main() -> bool:
    """Tells if this is the main process of those that have joined."""
    from jhash import parallel

    return parallel.is_main()


def _check(coordinator, count, process):
    given = {"--coordinator": coordinator, "--processes": count, "--process": process}
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise InputError(
            f"{missing[0]}: none given; allowed: all of {', '.join(given)}, or none of them where "
            "JAX finds the other processes itself."
        )
    if not missing and not 0 <= process < count:
        raise InputError(
            f"--process: {process} given; allowed: 0 to {count - 1}, as --processes is {count}."
        )


@contextlib.contextmanager
def _own_stdout():
    """Leaves stdout to Python: what libraries of JAX say there, such as gloo, goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with (
            open(kept, "w", errors="backslashreplace", closefd=False) as own,
            contextlib.redirect_stdout(own),
        ):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def _silent():
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
