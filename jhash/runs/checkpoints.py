"""Checkpoints of a training, and everything that knows about orbax.

Orbax writes a checkpoint under a temporary name and renames it when it is complete. So a process
that is killed while it saves leaves the previous checkpoint whole.
"""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from jhash import parallel
from jhash.errors import InputError
from jhash.system import faults, reading, text

# The numbers of errors that say nothing about a checkpoint.
_SYSTEM = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EIO)
# More files than orbax opens at a time.
_OPEN_FILES = 32
# Characters of another's message that an error shows.
_SHOWN = 200
# The file that makes a folder a database of tensorstore, the names of its descriptions of arrays,
# and their largest size in bytes. They have some 200.
_DATABASE = "manifest.ocdbt"
_DESCRIPTIONS = (".zarray", ".zattrs", ".zgroup", "zarr.json")
_MAX_DESCRIPTION = 1 << 16


class Checkpoints:
    """The checkpoints of a training, numbered by the epochs that are done.

    A checkpoint is a pytree of arrays on the host, so a run can continue on another number of
    devices or processes. Of several processes, the main one alone reads and writes the folder, and
    the others get what it has read. Use it in a `with` block, whose end waits for the last save.
    """

    def __init__(self, folder: str, keep: int | None = None):
        """Opens the folder.

        Args:
          folder: Folder of the checkpoints.
          keep: Number of newest checkpoints that are kept, for the one process that trains. It
            makes the folder if need be, and removes half-written checkpoints. None opens the folder
            for reading only, which is allowed while another process trains.
        """
        self._folder = folder
        self._quiet = contextlib.ExitStack()
        self._manager = None
        if not parallel.is_main():
            return
        # Orbax's own barriers between processes would wait a minute for one that has died.
        alone = ocp.options.MultiprocessingOptions(
            primary_host=0, active_processes={0}, barrier_sync_key_prefix="main"
        )
        if keep is None:
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            options = ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                cleanup_tmp_directories=True,
                # If that fails in a thread, other threads wait for the folders for five minutes.
                async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
            )
        if parallel.process_count() > 1:
            options.multiprocessing_options, options.create = alone, False
        self._quiet.enter_context(_without_tracebacks())
        with self._naming(), _reading(folder):
            if keep is not None:
                os.makedirs(folder, exist_ok=True)
                _check_resources(folder, 0)
            self._manager = ocp.CheckpointManager(
                os.path.abspath(folder),
                options=options,
                # Named here, so that the shapes can be read before anything is restored.
                item_handlers=ocp.StandardCheckpointHandler(),
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Waits for the last save.

        Raises:
          OSError: The last save failed; the error's `filename` is the folder. The checkpoints
            before it are whole.
        """
        with self._quiet, self._naming():
            if self._manager is not None:
                self._manager.close()

    @property
    def newest(self) -> int | None:
        """Number of epochs done at the newest checkpoint; None if there is none."""
        newest = self._manager.latest_step() if self._manager else None
        newest = int(parallel.from_main(np.asarray(-1 if newest is None else newest)))
        return None if newest < 0 else newest

    def restore(self, fresh: Any) -> Any:
        """Restores the newest checkpoint as NumPy arrays; returns `fresh` if there is none.

        Shapes and dtypes are compared before any array is read, so that a checkpoint takes no more
        memory than the one that is expected.

        Args:
          fresh: The content before the first epoch; it gives structure, shapes and dtypes.

        Raises:
          InputError: The checkpoint has another structure, for example because another version of
            jhash wrote it, or it is damaged.
        """
        fresh = jax.tree.map(np.asarray, fresh)
        epoch = self.newest
        # Without a checkpoint the main process's own start is that of all.
        if epoch is not None and self._manager is not None:
            fresh = self._read(self._manager, epoch, fresh)
        return parallel.from_main(fresh)

    def _read(self, manager, epoch, fresh):
        path = os.path.join(self._folder, str(epoch))
        with _reading(path, OSError):
            _check_descriptions(path)
            if found := difference(manager.item_metadata(epoch).tree, fresh):
                raise InputError(
                    f"--workdir: checkpoint {epoch} in {self._folder} given; allowed: checkpoints "
                    f"that fit the config: {found}."
                )
            return manager.restore(epoch, args=ocp.args.StandardRestore(fresh))

    def save(self, epoch: int, tree: Any) -> None:
        """Saves in the background, once the previous save is complete.

        Raises:
          OSError: This save or the previous one failed; see `close`.
        """
        if self._manager is None:
            return
        tree = jax.tree.map(np.asarray, tree)
        with self._naming():
            _check_resources(self._folder, sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
            self._manager.save(epoch, args=ocp.args.StandardSave(tree))

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Makes errors that the system caused OSErrors that name the folder."""
        try:
            yield
        except Exception as error:
            fault = faults.as_os_error(error, self._folder)
            if fault is None:
                raise
            raise fault from error


@contextlib.contextmanager
def _reading(path: str, *more: type[Exception]) -> Iterator[None]:
    """Makes what orbax raises for a damaged checkpoint an InputError of one line.

    Args:
      path: The checkpoint, or the folder of all.
      *more: OSError, if an error of the system means a damaged checkpoint, too.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and not more:
            raise
        fault = faults.as_os_error(error, path)
        if fault is not None and fault.errno in _SYSTEM:
            raise fault from error
        reason = _one_line(str(error)) or type(error).__name__
        raise InputError(
            f"{path}: the checkpoint is damaged, or another version of orbax wrote it: {reason}. "
            "A training goes on from the checkpoint before it once this folder is removed."
        ) from error


def _check_descriptions(path: str) -> None:
    """Parses all descriptions of arrays, since tensorstore would end the process at a deep one.

    Raises:
      ValueError: A description is no JSON, too long or nested too deeply.
    """
    for folder, _, names in os.walk(path):
        descriptions = {}
        if _DATABASE in names:
            spec = {"driver": "ocdbt", "base": f"file://{os.path.abspath(folder)}/"}
            database = tensorstore.KvStore.open(spec).result()
            keys = [key.decode() for key in database.list().result()]
            descriptions = {key: database[key] for key in keys if key.endswith(_DESCRIPTIONS)}
        for name in names:
            if name.endswith(_DESCRIPTIONS):
                with reading.open_regular(os.path.join(folder, name)) as file:
                    descriptions[name] = file.read(_MAX_DESCRIPTION + 1)
        for name, description in descriptions.items():
            if len(description) > _MAX_DESCRIPTION:
                raise ValueError(f"{name} has {len(description)} bytes")
            reading.parse_json(description)


def _one_line(message: str) -> str:
    """Returns the first line of a message, or the beginning of it."""
    line = next(iter(message.strip().splitlines()), "")
    return text.shortened(line, _SHOWN).rstrip(".")


def _leaves(tree: Any) -> dict[str, Any]:
    """Returns the leaves of a tree by their names, such as `params.dense.kernel`.

    The names are the same for a tree and for what orbax makes of it, dicts and lists.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {".".join(map(_key, path)): leaf for path, leaf in paths}


def _key(entry: Any) -> str:
    for field in ("key", "name", "idx"):
        if hasattr(entry, field):
            return str(getattr(entry, field))
    return str(entry)


def difference(tree_there: Any, tree_here: Any) -> str | None:
    """Describes a difference of two trees in names, shapes and dtypes; None if there is none.

    Args:
      tree_there: The tree of a run, or what orbax says of it.
      tree_here: The tree that fits the config.
    """
    there, here = _leaves(tree_there), _leaves(tree_here)
    for name in sorted(there.keys() | here.keys()):
        one, other = _described(there.get(name)), _described(here.get(name))
        if one != other:
            return f"{_one_line(name)} is {one} there and {other} here"
        if isinstance(there[name], np.ndarray):
            continue
        # Of an array on disk. Memory is taken for whole chunks.
        storage = getattr(there[name], "storage", None)
        chunk = getattr(storage, "chunk_shape", None) or ()
        if any(part > max(1, size) for part, size in zip(chunk, here[name].shape, strict=True)):
            return f"{_one_line(name)} has chunks of {list(chunk)} there"
    return None


def _described(leaf: Any) -> str:
    if leaf is None:
        return "missing"
    if getattr(leaf, "shape", None) is None or getattr(leaf, "dtype", None) is None:
        return "no array"
    return f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"


def numbers(folder: str) -> list[int]:
    """Returns the numbers of the whole checkpoints in a folder, sorted; none if there is no folder.

    Unlike `Checkpoints` it never fails, so that it may describe what a failure has left.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def _check_resources(folder: str, size: int) -> None:
    """Checks that there are the space and the open files that a save needs.

    Orbax raises an error, too, but also leaves threads and coroutines that print tracebacks.

    Args:
      folder: Folder of the checkpoints.
      size: Size of a checkpoint in bytes.

    Raises:
      OSError: There is too little space, or too many files are open.
    """
    there = os.statvfs(folder)
    if there.f_blocks and there.f_bavail * there.f_frsize < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
    handles = [os.open(folder, os.O_RDONLY)]
    try:
        while len(handles) < _OPEN_FILES:
            handles.append(os.dup(handles[0]))
    finally:
        for handle in handles:
            os.close(handle)


class _NoTracebacks(logging.Filter):
    """Leaves out what orbax logs about an exception that it raises again in the main thread."""

    def filter(self, record):
        return not (record.exc_info and f"{os.sep}orbax{os.sep}" in record.pathname)


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Leaves out tracebacks that accompany an error of orbax, which the main thread gets anyway."""
    logger, added = logging.getLogger("absl"), _NoTracebacks()
    before = sys.unraisablehook

    def hook(unraisable):
        # A save that fails closes its event loop while further writes still end, and fail, too.
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    logger.addFilter(added)
    sys.unraisablehook = hook
    try:
        yield
    finally:
        logger.removeFilter(added)
        if sys.unraisablehook is hook:
            sys.unraisablehook = before
