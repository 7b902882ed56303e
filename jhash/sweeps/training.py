"""The training of the cells that are missing: in this process, or in several."""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence

import ml_collections

from jhash.errors import InputError, NonFiniteError, printable
from jhash.runs import paths, workdirs
from jhash.sweeps import finished
from jhash.sweeps.plan import Cell
from jhash.system import faults

# Seconds between two looks at the processes, and at a run that another process trains.
_PAUSE = 0.05
_ENDED = "the process ended with status"
# In the error of a run in whose folder another process trains.
_TAKEN = "in which another process is training"

# A function that is called with each cell that has ended, and with the error; empty if it is done.
Done = Callable[[Cell, str], None]


def missing(cells: Sequence[Cell]) -> list[Cell]:
    """Returns the cells that are not finished; cells of one folder are one."""
    by_folder = {cell.workdir: cell for cell in cells}
    return [cell for cell in by_folder.values() if finished.read(cell) is None]


def run(config: Mapping, workdir: str) -> None:
    """Trains a run and writes its report, as launch.py does.

    Raises:
      InputError: As `train.train` does.
      NonFiniteError: As `train.train` does.
      KeyboardInterrupt: As `train.train` does.
    """
    import jax  # These take seconds, for which a finished sweep should not wait.

    from jhash import report, train
    from jhash.pretrained import features

    # Runs of one folder share what takes longest in many of them.
    with features.shared(paths.shared_features(workdir)):
        train.train(ml_collections.ConfigDict(dict(config)), workdir)
    # A cell is done without the page, which `jhash report` can write at any time.
    with contextlib.suppress(InputError):
        report.write([workdir], paths.report(workdir), None)
    jax.clear_caches()  # The programs of one cell are of little use to the next.


def here(cells: Sequence[Cell], done: Done) -> None:
    """Trains cells one after another in this process.

    Args:
      cells: The cells.
      done: Function that is called with each.

    Raises:
      KeyboardInterrupt: Ctrl-C; the cell that was trained is saved.
    """
    waiting = collections.deque(cells)
    while waiting:
        cell = _take(waiting)
        if cell is None:
            time.sleep(_PAUSE)
            continue
        if finished.read(cell) is not None:  # Another sweep was quicker.
            done(cell, "")
            continue
        error = ""
        try:
            run(cell.config, cell.workdir)
        except (InputError, NonFiniteError) as raised:
            error = str(raised)
            if _TAKEN in error:  # It began to since `_take` has looked.
                waiting.append(cell)
                continue
        except Exception as raised:
            # A defect in one cell does not take the others with it; its place is shown.
            traceback.print_exc()
            line = faults.explain(raised) or f"{type(raised).__name__}: {raised}"
            error = printable(" ".join(line.split()))
        done(cell, error)


def in_processes(
    cells: Sequence[Cell],
    done: Done,
    command: Sequence[str],
    environments: Sequence[Mapping[str, str]],
    logs: str,
) -> None:
    """Trains cells in several processes at a time.

    A process reads a line of JSON from its standard input, with `config` and `workdir`, and stops
    when the input ends, so that none outlives this one.

    Args:
      cells: The cells.
      done: Function that is called with each.
      command: The words that start a process.
      environments: Further variables of the environment for each of the processes at a time.
      logs: Folder in which each process writes what it prints.

    Raises:
      KeyboardInterrupt: Ctrl-C; all cells that were trained are saved.
    """
    os.makedirs(logs, exist_ok=True)
    waiting = collections.deque(cells)
    free = list(range(len(environments)))[::-1]
    running: dict[int, tuple[Cell, subprocess.Popen, str]] = {}
    try:
        while waiting or running:
            for worker, (cell, process, log) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[worker]
                free.append(worker)
                process.stdin.close()
                error = _error(process.returncode, log)
                if _TAKEN in error:  # It began to since `_take` has looked.
                    waiting.append(cell)
                    continue
                done(cell, error)
            while waiting and free:
                cell = _take(waiting)
                if cell is None:
                    break
                if finished.read(cell) is not None:  # Another sweep was quicker.
                    done(cell, "")
                    continue
                worker = free.pop()
                log = os.path.join(logs, f"{os.path.basename(cell.workdir)}.log")
                process = _start(cell, command, environments[worker], log)
                running[worker] = (cell, process, log)
            time.sleep(_PAUSE)
    finally:
        _stop([process for _, process, _ in running.values()])


def environments(workers: int) -> list[dict[str, str]]:
    """Returns variables that give each of several processes a device of its own, if there are some.

    On GPUs of NVIDIA, a process sees one of them, and shares its memory if there are more processes
    than GPUs. All processes share the cores of a CPU.

    Args:
      workers: Number of processes.
    """
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return [{}] * workers
    platform, count = _devices()
    if platform not in ("gpu", "cuda"):
        return [{}] * workers
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(count)]
    share = -(-workers // len(names))
    memory = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / share:.3f}"} if share > 1 else {}
    return [
        {"CUDA_VISIBLE_DEVICES": names[worker % len(names)], **memory} for worker in range(workers)
    ]


def _devices():
    """Returns (platform, number of devices), as a process of its own sees them.

    This process must not hold a device that one of the others is to have.
    """
    code = "import jax; print(jax.default_backend(), jax.local_device_count())"
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    answer = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True
    )
    words = answer.stdout.split()
    return (words[-2], int(words[-1])) if answer.returncode == 0 else ("cpu", 1)


def _take(waiting):
    """Takes the first cell that no other process trains; returns None if there is none."""
    for _ in range(len(waiting)):
        cell = waiting.popleft()
        if not _busy(cell.workdir):
            return cell
        waiting.append(cell)
    return None


def _busy(workdir):
    """Tells if a process trains in a folder: another sweep, or what is left of a killed one."""
    if not os.path.exists(paths.lock(workdir)):
        return False
    try:
        with workdirs.lock(workdir):
            return False
    except InputError:
        return True
    except OSError:
        return False  # The training itself will say what is wrong.


def _start(cell, command, environment, log):
    """Starts the process of a cell, and gives it its order."""
    with open(log, "w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C in a terminal goes to this process alone, which tells the others.
            start_new_session=True,
        )
    order = json.dumps({"config": cell.config, "workdir": cell.workdir})
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(order.encode() + b"\n")
        process.stdin.flush()
    return process


def _stop(processes):
    """Asks processes to save and to end, and waits for it; a second Ctrl-C does not wait."""
    for process in processes:
        with contextlib.suppress(OSError):
            process.send_signal(signal.SIGTERM)
    try:
        for process in processes:
            process.wait()
    except BaseException:
        for process in processes:
            process.kill()
        raise
    finally:
        for process in processes:
            with contextlib.suppress(OSError):
                process.stdin.close()


def _error(status, log):
    """Returns the error of a process in one line; empty if there was none."""
    if status == 0:
        return ""
    with open(log, errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    if status > 0:
        ours = [line.removeprefix("jhash: ") for line in lines if line.startswith("jhash: ")]
        # After a defect there is a traceback, the last line of which says most.
        line = ours[-1] if ours and status == 1 and "Traceback" not in "".join(lines) else None
        return printable(line or f"{_ENDED} {status}: {lines[-1] if lines else 'no output'}")
    name = signal.Signals(-status).name
    return f"the process was ended by {name}, perhaps by the system for want of memory; see {log}"
