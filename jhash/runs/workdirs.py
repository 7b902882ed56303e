"""The folders of runs, each of which belongs to one config."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from typing import TypeAlias

import ml_collections

from jhash import config_fields, parallel
from jhash.errors import InputError
from jhash.runs import paths
from jhash.system import files, reading, text

Config: TypeAlias = ml_collections.ConfigDict | ml_collections.FrozenConfigDict

# The fields that say how a run is computed, measured and watched; they are no part of what it is.
_FREE = ("devices", "image.mirror", "metrics", "profile_from", "profile_steps", "data.workers")
# Those of them that say nothing of the results either, and are no part of a folder's name.
_NAMELESS = ("devices", "profile_from", "profile_steps", "data.workers")


def default(config: Config) -> str:
    """Returns the default folder of a config, in `runs/`; every config has one of its own.

    Raises:
      InputError: A field of the config is missing or not allowed.
    """
    config_fields.check(config)
    named = plain(config)
    for field in _NAMELESS:
        _replace(named, {"data": {}}, field)  # By that of a config without it.
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{config.method.name}-{config.data.split}-{config.bits}bits-{digest}"
    return os.path.join("runs", name)


@contextlib.contextmanager
def of_process(workdir: str) -> Iterator[str]:
    """Gives every process but the main one a folder of its own, which is removed in the end.

    So all of them do the same, and the folder of the run need not be one that they share.
    """
    if parallel.is_main():
        yield workdir
        return
    with tempfile.TemporaryDirectory(prefix="jhash-process-") as folder:
        yield os.path.join(folder, "run")


def as_path(workdir: str | os.PathLike[str]) -> str:
    """Returns the path of a run's folder as a text.

    Raises:
      InputError: It is no path.
    """
    path = os.fspath(workdir) if isinstance(workdir, str | os.PathLike) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise InputError(f"--workdir: {workdir!r} given; allowed: the path of a folder.")
    return path


def check(workdir: str, config: Config) -> ml_collections.FrozenConfigDict:
    """Checks that a folder may hold a run of a config; changes nothing on disk.

    The fields of `_FREE` may differ, as they do not change what is trained, and `config.epochs` may
    be larger, for a longer training; `jhash.train` checks that it can go on. If the best epoch is
    kept, `image.mirror` may not, as it changes the metric that chooses.

    Returns:
      The config as a later process will read it from the folder.

    Raises:
      InputError: A field of the config is missing or not allowed, or the folder holds a run of
        another config (the message names the fields that differ), or files that are no run.
    """
    config_fields.check(config)
    given = plain(config)
    if os.path.exists(paths.config(workdir)):
        there = plain(load(workdir))
        for field in _FREE:
            if field != "image.mirror" or given.get("keep") != "best":
                _replace(there, given, field)
        if type(there.get("epochs")) is int and there["epochs"] < given["epochs"]:
            there["epochs"] = given["epochs"]
        different = differences(there, given)
        if different:
            raise InputError(
                f"--workdir: {workdir} given, which holds a run of another config; allowed: a new "
                f"folder, or that of a run of this config. {'; '.join(different)}."
            )
    elif os.path.isdir(workdir) and any(
        # The images of a run are examined before it begins.
        not name.startswith(".") and name != os.path.basename(paths.images(workdir))
        for name in os.listdir(workdir)
    ):
        raise InputError(
            f"--workdir: {workdir} given, which has files but no config.json, so it is no run; "
            "allowed: a new folder, or that of a run of this config."
        )
    return _completed(given)


def _replace(there, given, field):
    """Replaces a field of the config of a folder by that of the config given, if any."""
    *groups, name = field.split(".")
    for group in groups:
        there = there.get(group)
        given = given.get(group)
        if not isinstance(there, dict) or not isinstance(given, dict):
            return
    there.pop(name, None)
    if name in given:
        there[name] = given[name]


def planned_epochs(workdir: str) -> int | None:
    """Returns the number of epochs of the run in a folder; None if there is none.

    Raises:
      InputError: The run's config is damaged.
    """
    return load(workdir).epochs if os.path.exists(paths.config(workdir)) else None


def check_writable(workdir: str) -> None:
    """Checks that files can be written to the folder of a run; changes nothing on disk.

    Raises:
      InputError: They cannot.
    """
    try:
        files.check_folder(workdir)
    except OSError as error:
        raise InputError(
            f"--workdir: {workdir} given, in which no file can be made: {error.strerror}; allowed: "
            "a folder, or one that can be made."
        ) from error


def claim(workdir: str, config: Config) -> None:
    """Writes a config into its folder, which is made if need be and whose lock is held.

    Of a run of the same config, fields that may differ are replaced; see `check`.

    Raises:
      InputError: Another process has claimed the folder for another config since `check`.
    """
    check(workdir, config)
    path = paths.config(workdir)
    if not os.path.exists(path) or plain(load(workdir)) != plain(config):
        files.write_json(path, plain(config))


@contextlib.contextmanager
def lock(workdir: str) -> Iterator[None]:
    """Locks a folder for the time of the block; the system releases the lock even after a kill.

    Raises:
      InputError: Another process is training in the folder.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.lock(paths.lock(workdir), wait=False))
            _lock_folder(workdir, stack)
        except BlockingIOError as error:
            raise InputError(
                f"--workdir: {workdir} given, in which another process is training; allowed: a "
                "folder in which none is. Wait for it or stop it."
            ) from error
        yield


def evaluating(workdir: str) -> contextlib.AbstractContextManager[int]:
    """Returns a lock on what an evaluation writes, for which other evaluations wait.

    It is to be held from before the checkpoint is read. Otherwise the evaluation of an older
    checkpoint could replace files of the newest one, some or all.
    """
    return files.lock(paths.evaluation_lock(workdir), wait=True)


def _lock_folder(workdir, stack):
    """Locks the folder itself, in case somebody removes the lock's file while a process trains."""
    try:
        stack.enter_context(files.lock(os.path.realpath(workdir), wait=False, make=False))
    except BlockingIOError:
        raise
    except OSError:
        # Not every file system locks folders; the file is locked anyway.
        pass


def load(workdir: str) -> ml_collections.FrozenConfigDict:
    """Loads the config of the run in a folder.

    Raises:
      InputError: There is no run, or the file is damaged; the message begins with the file's path.
    """
    path = paths.config(workdir)
    try:
        config = reading.read_json(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: there is no such file, so there is no run.") from error
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path}: the file is damaged; it is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: the file is damaged; it holds no JSON object.")
    try:
        frozen = _completed(config)
        plain(frozen)
        return frozen
    # Names that a config cannot have, groups within lists, and deep nesting.
    except (AttributeError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = text.shortened(str(error), 200)
        raise InputError(f"{path}: the file is damaged; it holds no config: {reason}.") from error


def load_for_all(workdir: str) -> ml_collections.FrozenConfigDict:
    """Loads the config of the run in the main process's folder; see `load`."""
    if parallel.process_count() == 1:
        return load(workdir)
    content = json.dumps(plain(load(workdir))).encode() if parallel.is_main() else None
    return _completed(json.loads(parallel.bytes_from_main(content)))


def plain(config: Config) -> dict:
    """Returns the config as a dict that is equal to what is read back from JSON.

    Fields that earlier versions lack are left out where they are off; see `config_fields.reduced`.
    """
    return config_fields.reduced(json.loads(json.dumps(config.to_dict())))


def _completed(config: dict) -> ml_collections.FrozenConfigDict:
    return ml_collections.FrozenConfigDict(config_fields.complete(config))


def differences(there: dict, here: dict, prefix: str = "config") -> list[str]:
    """Lists the fields in which the config of a folder differs from the one given here.

    Args:
      there: The config of the folder, or a group of it, as JSON has it.
      here: The same of the config given here.
      prefix: What precedes the names.
    """
    different = []
    for name in sorted(set(there) | set(here)):
        field = f"{prefix}.{name}"
        value_there, value_here = there.get(name), here.get(name)
        if isinstance(value_there, dict) and isinstance(value_here, dict):
            different += differences(value_there, value_here, field)
        elif value_there != value_here:
            different.append(f"{field} is {value_there!r} there and {value_here!r} here")
    return different
