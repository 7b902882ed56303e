"""One command in several processes, of which the main one speaks for all."""

import contextlib
import os
import re
from collections.abc import Callable

import jax

from jhash import parallel
from jhash.errors import InputError

# What an error says whose cause is another process.
_OF_ANOTHER = re.compile("gloo|nccl|coordination|distributed|peer", re.IGNORECASE)


def run(
    command: Callable[[], object], coordinator: str | None, count: int | None, process: int | None
) -> None:
    """Joins the other processes, and runs a command that all of them run.

    What the others would print is left out, but for the error that ends them.

    Args:
      command: Function that does the work.
      coordinator: As for `parallel.join`, like the next two.
      count: Number of processes.
      process: Number of this process.

    Raises:
      InputError: The processes cannot be joined, or another one has stopped.
    """
    _check(coordinator, count, process)
    parallel.join(coordinator, count, process)
    try:
        with contextlib.nullcontext() if parallel.is_main() else _silent():
            command()
    except Exception as error:
        # The errors of collectives have several types.
        if isinstance(error, InputError) or not _OF_ANOTHER.search(str(error)):
            raise
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"process {jax.process_index()} of {parallel.process_count()} stops, as another one "
            f"has stopped before ({reason}). The same commands go on from the last checkpoint."
        ) from error


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
def _silent():
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
