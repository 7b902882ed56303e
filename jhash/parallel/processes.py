"""Several processes, such as one per host, that train one run or search one index together.

Each process has devices of its own, and all call the same functions in the same order. The main
process, number 0, alone reads and writes the folder of the run. What it has read or computed goes
to the others by `from_main`.
"""

import hashlib
import os
import time
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from jhash.errors import InputError
from jhash.parallel.collectives import AXIS
from jhash.parallel.devices import starting

# Seconds for which processes wait at the start for those that are missing, and at the end for the
# main process to evaluate the run.
_START_SECONDS = 120
_END_SECONDS = 24 * 3600
# Seconds for which the main process lets the others go first after an error.
_LAST_SECONDS = 1

_max = jax.pmap(lambda value: jax.lax.pmax(value, AXIS), axis_name=AXIS)


def join(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Joins the other processes; it comes before anything else that uses a device.

    Without arguments, JAX finds the others itself: under Slurm, Open MPI, Kubernetes or on a Cloud
    TPU.

    Args:
      coordinator: Host and port of the main process, such as "host0:12345".
      processes: Number of processes.
      process: Number of this process, from 0 on.

    Raises:
      InputError: JAX finds no cluster, the others do not come, or the processes have different
        numbers of devices.
    """
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            initialization_timeout=_START_SECONDS,
            shutdown_timeout_seconds=_END_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        if coordinator is None:
            raise InputError(
                "--distributed: given, but JAX finds no cluster here; allowed: under Slurm, Open "
                "MPI, Kubernetes or on a Cloud TPU, or with --coordinator, --processes and "
                f"--process ({reason})."
            ) from error
        raise InputError(
            f"--coordinator: {coordinator} given, which cannot be joined as process {process} of "
            f"{processes}; allowed: host and port of the main process, the same in all "
            f"({reason})."
        ) from error
    counts = multihost_utils.process_allgather(np.asarray(jax.local_device_count()))
    if len(set(counts.tolist())) > 1:
        raise InputError(
            f"--distributed: processes with {', '.join(map(str, counts))} devices given; allowed: "
            "processes with as many devices each."
        )


def process_count() -> int:
    """Returns the number of processes that train together.

    Raises:
      InputError: As for `starting`.
    """
    with starting():
        return jax.process_count()


def process_index() -> int:
    """Returns the number of this process, from 0 on.

    Raises:
      InputError: As for `starting`.
    """
    with starting():
        return jax.process_index()


def is_main() -> bool:
    """Tells if this is the main process, as every process is that trains alone."""
    return process_index() == 0


def joined() -> bool:
    """Tells if this process has joined others."""
    return jax.distributed.is_initialized()


def leave(status: int) -> NoReturn:
    """Ends a process that has joined others, with an exit status.

    After an error it does not wait for the others, who may wait for it in turn.
    """
    if not status:
        jax.distributed.shutdown()
    elif is_main():
        # JAX aborts the others if the main process goes first.
        time.sleep(_LAST_SECONDS)
    os._exit(status)


def from_main(tree):
    """Returns the arrays of the main process, bit for bit.

    Args:
      tree: Pytree of arrays or numbers, with the same structure, shapes and dtypes in all
        processes.

    Returns:
      The tree of the main process, with NumPy arrays; a process that trains alone gets its tree
      back unchanged.
    """
    if process_count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    arrays = [np.ascontiguousarray(jax.device_get(leaf)) for leaf in leaves]
    # JAX adds up the processes' numbers, of which all but one are 0. In floating point this would
    # turn -0 into 0.
    sent = multihost_utils.broadcast_one_to_all(
        [array.reshape(-1).view(np.uint8) for array in arrays]
    )
    received = [
        np.frombuffer(np.asarray(content).tobytes(), array.dtype).reshape(np.shape(leaf))
        for content, array, leaf in zip(sent, arrays, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, [array.copy() for array in received])


def bytes_from_main(content: bytes | None) -> bytes:
    """Returns the bytes of the main process, of any number; those of the others do not matter."""
    if process_count() == 1:
        return content
    content = np.frombuffer(content if is_main() else b"", np.uint8)
    size = int(from_main(np.asarray(len(content))))
    return from_main(content if is_main() else np.empty(size, np.uint8)).tobytes()


def bytes_from_all(content: bytes) -> list[bytes]:
    """Returns the bytes of every process, of any number each, in the order of the processes."""
    if process_count() == 1:
        return [content]
    gather = multihost_utils.process_allgather
    # As bytes, because JAX would make the numbers int32.
    own_size = np.array([len(content)], "<i8").view(np.uint8)
    sizes = np.ascontiguousarray(gather(own_size)).view("<i8").reshape(-1).tolist()
    # Rounded up, so that few programs are compiled.
    room = 1 << max(sizes).bit_length()
    padded = np.zeros(room, np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    gathered = np.asarray(gather(padded))
    return [row[:size].tobytes() for row, size in zip(gathered, sizes, strict=True)]


def share(values, axis: int = 0):
    """Returns this process's part of an array, which all together have along `axis`."""
    if process_count() == 1:
        return values
    return np.split(values, process_count(), axis)[jax.process_index()]


def any_process(flag: bool) -> bool:
    """Tells if a flag is set in any process."""
    return flag if process_count() == 1 else _any(flag)()


class Agreement:
    """The question whether a flag is set in any process, without waiting for the answer."""

    def __init__(self):
        """Starts with the answer no."""
        self._answer = None

    def ask(self, flag: bool) -> bool:
        """Asks again.

        Returns:
          The answer to the question before, the same in all processes. A process that trains alone
          has its answer at once.
        """
        if process_count() == 1:
            return flag
        answer, self._answer = self._answer, _any(flag)
        return answer is not None and answer()


def _any(flag):
    found = _max(np.full(jax.local_device_count(), flag, np.int32))
    return lambda: bool(found.addressable_data(0)[0])


def check_equal(name: str, content: bytes) -> None:
    """Checks that all processes have the same bytes.

    Args:
      name: What they are, for the error.
      content: The bytes.

    Raises:
      InputError: This process has others than the main one.
    """
    if process_count() == 1:
        return
    digest = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
    if not np.array_equal(from_main(digest), digest):
        raise InputError(
            f"{name}: process {jax.process_index()} of {process_count()} was given others than "
            "process 0; allowed: the same in all processes."
        )
