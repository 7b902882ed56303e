"""Files of codes: NumPy archives, as `encode` writes them and as a run has them in codes/."""

import os
import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from jhash.errors import InputError

_MADE_BY = ("run", "network")
# A run's database by the kind of its codes: the network's, or those that training learned.
DATABASES = {"encoded": "database.npz", "learned": "database_learned.npz"}


class Content(NamedTuple):
    """What a file of codes holds; not checked further, which `HammingIndex.build` does."""

    codes: np.ndarray  # Packed, uint32 [N, words].
    bits: int
    ids: np.ndarray | None  # Integers or strings [N]; None if the file has none.
    metadata: dict  # "run" and "network", which made the codes, as far as the file has them.


def read(path: str) -> Content:
    """Reads a file of codes.

    Raises:
      InputError: It cannot be read, or lacks codes or bits; the message begins with the path.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        bits = int(content.get("bits", 0))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: this is no file of codes (.npz), or it is damaged.") from error
    if missing := [name for name in ("codes", "bits") if name not in content]:
        raise InputError(f"{path}: there is no {' and no '.join(missing)} in it.")
    metadata = {name: str(content[name]) for name in _MADE_BY if name in content}
    return Content(content["codes"], bits, content.get("ids"), metadata)


def read_database(workdir: str, database: str) -> Content:
    """Reads the database codes that a run has left in its folder.

    Args:
      workdir: The run's folder.
      database: `"encoded"`, the codes that the network gives the database, or `"learned"`, those
        that training learned for it.

    Returns:
      The content, with ids, the images' places in the run's source. Its metadata has `run` and
      `database`, too.

    Raises:
      InputError: There are no such codes.
    """
    if database not in DATABASES:
        raise InputError(f"database: got {database!r}; allowed are {', '.join(DATABASES)}.")
    path = os.path.join(workdir, "codes", DATABASES[database])
    if not os.path.exists(path):
        raise InputError(
            f"{path}: there is no such file; a run writes it when it ends, the learned codes only "
            "if its method learns any."
        )
    try:
        content = read(path)
        if content.ids is None:
            raise InputError(f"{path}: there are no ids in it.")
    except InputError as error:
        raise InputError(f"no codes of a run can be read: {error}") from error
    made_by = {"run": os.path.abspath(workdir), "database": database}
    return content._replace(metadata=made_by | content.metadata)
