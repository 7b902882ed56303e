"""The folders of runs, each of which belongs to one config."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from typing import TypeAlias

import ml_collections

from jhash.errors import InputError
from jhash.runs import paths
from jhash.system import files

Config: TypeAlias = ml_collections.ConfigDict | ml_collections.FrozenConfigDict


def default(config: Config) -> str:
    """Returns the default folder of a config, in `runs/`; every config has one of its own."""
    digest = hashlib.sha256(json.dumps(plain(config), sort_keys=True).encode()).hexdigest()[:8]
    name = f"{config.method.name}-{config.data.split}-{config.bits}bits-{digest}"
    return os.path.join("runs", name)


def check(workdir: str, config: Config) -> ml_collections.FrozenConfigDict:
    """Checks that a folder may hold a run of a config; changes nothing on disk.

    Returns:
      The config as a later process will read it from the folder.

    Raises:
      InputError: The folder holds a run of another config (the message names the fields that
        differ), or files that are no run.
    """
    given = plain(config)
    if os.path.exists(paths.config(workdir)):
        differences = _differences(plain(load(workdir)), given)
        if differences:
            raise InputError(
                f"--workdir: {workdir} given, which holds a run of another config; allowed: a new "
                f"folder, or that of a run of this config. {'; '.join(differences)}."
            )
    elif os.path.isdir(workdir) and any(not name.startswith(".") for name in os.listdir(workdir)):
        raise InputError(
            f"--workdir: {workdir} given, which has files but no config.json, so it is no run; "
            "allowed: a new folder, or that of a run of this config."
        )
    return ml_collections.FrozenConfigDict(given)


def claim(workdir: str, config: Config) -> None:
    """Writes a config that passed `check` into its folder, which is made if need be."""
    if not os.path.exists(paths.config(workdir)):
        files.write_json(paths.config(workdir), plain(config))


@contextlib.contextmanager
def lock(workdir: str) -> Iterator[None]:
    """Locks a folder for the time of the block; the system releases the lock even after a kill.

    Raises:
      InputError: Another process is training in the folder.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.lock(paths.lock(workdir), wait=False))
        except BlockingIOError as error:
            raise InputError(
                f"--workdir: {workdir} given, in which another process is training; allowed: a "
                "folder in which none is. Wait for it or stop it."
            ) from error
        yield


def load(workdir: str) -> ml_collections.FrozenConfigDict:
    """Loads the config of the run in a folder.

    Raises:
      InputError: There is no run, or the file is damaged; the message begins with the file's path.
    """
    path = paths.config(workdir)
    try:
        with open(path) as file:
            config = json.load(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: there is no such file, so there is no run.") from error
    except ValueError as error:
        raise InputError(f"{path}: the file is damaged; it is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: the file is damaged; it holds no JSON object.")
    return ml_collections.FrozenConfigDict(config)


def plain(config: Config) -> dict:
    """Returns the config as a dict that is equal to what is read back from JSON."""
    return json.loads(json.dumps(config.to_dict()))


def _differences(there, here, prefix="config"):
    """Lists the fields in which the config in a folder differs from the one given here."""
    differences = []
    for name in sorted(set(there) | set(here)):
        field = f"{prefix}.{name}"
        value_there, value_here = there.get(name), here.get(name)
        if isinstance(value_there, dict) and isinstance(value_here, dict):
            differences += _differences(value_there, value_here, field)
        elif value_there != value_here:
            differences.append(f"{field} is {value_there!r} there and {value_here!r} here")
    return differences
