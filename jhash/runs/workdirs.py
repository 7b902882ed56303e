"""A run's folder belongs to one config."""

import contextlib
import hashlib
import json
import os

import ml_collections

from jhash.errors import InputError
from jhash.runs import paths
from jhash.system import files


def default(config) -> str:
    """The folder of a config that is given none: one config, one folder under `runs/`."""
    digest = hashlib.sha256(json.dumps(plain(config), sort_keys=True).encode()).hexdigest()[:8]
    name = f"{config.method.name}-{config.data.split}-{config.bits}bits-{digest}"
    return os.path.join("runs", name)


def check(workdir: str, config) -> ml_collections.FrozenConfigDict:
    """Makes sure that the folder may hold a run of the config; changes nothing.

    Returns:
      The config as a later process will read it back from the folder.

    Raises:
      InputError: The folder holds a run of another config (the fields are named), or other files.
    """
    given = plain(config)
    if os.path.exists(paths.config(workdir)):
        differences = _differences(plain(load(workdir)), given)
        if differences:
            raise InputError(
                f"--workdir: {workdir} holds a run of another config: {'; '.join(differences)}. "
                "Choose another folder, or remove this one."
            )
    elif os.path.isdir(workdir) and any(not name.startswith(".") for name in os.listdir(workdir)):
        raise InputError(
            f"--workdir: {workdir} has files in it but no config.json, so it is not a run of "
            "jhash. Choose another folder."
        )
    return ml_collections.FrozenConfigDict(given)


def claim(workdir: str, config) -> None:
    """Writes the config into the folder, which is made if need be; it passed `check` before."""
    if not os.path.exists(paths.config(workdir)):
        files.write_json(paths.config(workdir), plain(config))


@contextlib.contextmanager
def lock(workdir: str):
    """Holds the folder for this process; the system releases it even when the process is killed.

    Raises:
      InputError: Another process trains in the folder.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.lock(paths.lock(workdir), wait=False))
        except BlockingIOError as error:
            raise InputError(
                f"--workdir: another process is training in {workdir}; wait for it or stop it."
            ) from error
        yield


def load(workdir: str) -> ml_collections.FrozenConfigDict:
    """The config of the run in a folder.

    Raises:
      InputError: There is none, or its file is damaged; the message begins with the file's path.
    """
    path = paths.config(workdir)
    try:
        with open(path) as file:
            config = json.load(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: there is no such file, so there is no run.") from error
    except ValueError as error:
        raise InputError(f"{path}: the file is damaged, it is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: the file is damaged, it holds no JSON object.")
    return ml_collections.FrozenConfigDict(config)


def plain(config) -> dict:
    """The config as JSON gives it back."""
    return json.loads(json.dumps(config.to_dict()))


def _differences(old, new, prefix="config"):
    found = []
    for name in sorted(set(old) | set(new)):
        before, now, field = old.get(name), new.get(name), f"{prefix}.{name}"
        if isinstance(before, dict) and isinstance(now, dict):
            found += _differences(before, now, field)
        elif before != now:
            found.append(f"{field} is {before!r} there and {now!r} here")
    return found
