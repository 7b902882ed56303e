"""Files of codes: NumPy archives, as `encode` writes them and as a run has them in codes/."""

import os
import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from jhash.retrieval.checks import as_codes
from jhash.runs import paths
from jhash.system import files

_MADE_BY = ("run", "network")


class Content(NamedTuple):
    """What a file of codes holds; not checked further, which `HammingIndex.build` does."""

    codes: np.ndarray  # Packed, uint32 [N, words].
    bits: int
    ids: np.ndarray | None  # Integers or strings [N]; None if the file has none.
    metadata: dict  # "run" and "network", which made the codes, as far as the file has them.
    labels: np.ndarray | None = None  # Integers [N] or 0/1 [N, C]; None if the file has none.


def write(path: str, codes: np.ndarray, ids: np.ndarray, **more) -> None:
    """Writes a file of codes, whole or not at all.

    Args:
      path: The file; its folder is made if need be.
      codes: Packed, uint32 [N, words].
      ids: Integers or strings [N].
      **more: `bits`, and what else belongs to the codes: `labels`, `run`, `network`.

    Raises:
      OSError: It cannot be written.
    """
    with files.replacing(path, "wb") as file:
        np.savez(file, codes=codes, ids=ids, **more)


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
    return Content(content["codes"], bits, content.get("ids"), metadata, content.get("labels"))


def read_labeled(path: str, bits: int) -> Content:
    """Reads a file of a run's codes, with labels and ids, and checks all of it.

    Args:
      path: The file.
      bits: The run's code length.

    Returns:
      The content; ids are int [N], labels int [N] or 0/1 [N, C].

    Raises:
      InputError: It is damaged, or something is missing or of another shape; the message begins
        with the path.
    """
    content = read(path)
    for name, most_dimensions in ("labels", 2), ("ids", 1):
        array = getattr(content, name)
        if array is None:
            raise InputError(f"{path}: there are no {name} in it.")
        if array.dtype.kind not in "iub" or not 1 <= array.ndim <= most_dimensions:
            raise InputError(
                f"{path}: {name}: {array.dtype}{list(array.shape)} given; allowed: integers, "
                f"[N]{' or [N, C]' if most_dimensions == 2 else ''}."
            )
    counts = [len(getattr(content, name)) for name in ("codes", "labels", "ids")]
    if content.bits != bits or len(set(counts)) > 1 or not counts[0]:
        raise InputError(
            f"{path}: {counts[0]} codes of {content.bits} bits, {counts[1]} labels and {counts[2]} "
            f"ids given; allowed: as many of each, and {bits} bits as in results.json."
        )
    as_codes(path, content.codes, bits)
    return content


def load_index(workdir: str, database: str = "encoded") -> HammingIndex:
    """Makes an index of the database codes that a run has left in its folder.

    Args:
      workdir: The run's folder.
      database: `"encoded"`, the codes that the model gives the database, or `"learned"`, those
        that training learned for it.

    Returns:
      The index; ids are the images' places in the run's source. Metadata is
      `{"run": workdir, "database": database, "network": digest}`; the last of them tells which
      model made the codes.

    Raises:
      InputError: There are no such codes.
    """
    if database not in paths.DATABASES:
        raise InputError(f"database: {database!r} given; allowed: {', '.join(paths.DATABASES)}.")
    path = paths.codes(workdir, database)
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
    return HammingIndex.build(content.codes, content.bits, content.ids, made_by | content.metadata)
