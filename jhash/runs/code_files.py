"""Files of codes, NumPy archives: those in the `codes/` of a run, and those of `jhash encode`."""

import os
import zipfile
import zlib
from typing import Any, NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from jhash.retrieval.checks import as_codes
from jhash.runs import paths
from jhash.system import files

_MADE_BY = ("run", "network")


class Content(NamedTuple):
    """The content of a file of codes; `HammingIndex.build` checks it further.

    Attributes:
      codes: Packed codes, uint32 [N, words].
      bits: Code length.
      ids: Integers or strings [N], or None if the file has none.
      metadata: The entries `run` (a folder) and `network` (the digest of the model that made the
        codes), as far as the file has them.
      labels: Integers [N] or 0/1 [N, C], or None if the file has none.
    """

    codes: np.ndarray
    bits: int
    ids: np.ndarray | None
    metadata: dict
    labels: np.ndarray | None = None


def write(path: str, codes: np.ndarray, ids: np.ndarray, **more: Any) -> None:
    """Writes a file of codes, whole or not at all.

    Args:
      path: The file; its folder is made if need be.
      codes: Packed, uint32 [N, words].
      ids: Integers or strings [N].
      **more: `bits`, and any of `labels`, `run` and `network`; see `Content`.

    Raises:
      OSError: The file cannot be written.
    """
    with files.replacing(path, "wb") as file:
        np.savez(file, codes=codes, ids=ids, **more)


def read(path: str) -> Content:
    """Reads a file of codes.

    Raises:
      InputError: The file cannot be read, or has no codes or no bits; the message begins with the
        path.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        bits = int(content.get("bits", 0))
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read: {error}") from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: the file is no file of codes (.npz), or it is damaged."
        ) from error
    if missing := [name for name in ("codes", "bits") if name not in content]:
        raise InputError(f"{path}: the file has no {' and no '.join(missing)}.")
    metadata = {name: str(content[name]) for name in _MADE_BY if name in content}
    return Content(content["codes"], bits, content.get("ids"), metadata, content.get("labels"))


def read_labeled(path: str, bits: int) -> Content:
    """Reads a file of a run's codes, with labels and ids, and checks all of it.

    Args:
      path: The file.
      bits: Code length of the run.

    Returns:
      The content; ids are int [N], labels int [N] or 0/1 [N, C].

    Raises:
      InputError: The file is damaged, or something in it is missing or of another shape; the
        message begins with the path.
    """
    content = read(path)
    for name, max_dimensions in ("labels", 2), ("ids", 1):
        array = getattr(content, name)
        if array is None:
            raise InputError(f"{path}: the file has no {name}.")
        if array.dtype.kind not in "iub" or not 1 <= array.ndim <= max_dimensions:
            raise InputError(
                f"{path}: {name}: {array.dtype}{list(array.shape)} given; allowed: integers, "
                f"[N]{' or [N, C]' if max_dimensions == 2 else ''}."
            )
    counts = [len(getattr(content, name)) for name in ("codes", "labels", "ids")]
    if content.bits != bits or len(set(counts)) > 1 or not counts[0]:
        raise InputError(
            f"{path}: {counts[0]} codes of {content.bits} bits, {counts[1]} labels and {counts[2]} "
            f"ids given; allowed: equally many of each, at least 1, and {bits} bits as in "
            "results.json."
        )
    as_codes(path, content.codes, bits)
    return content


def load_index(workdir: str, database: str = "encoded") -> HammingIndex:
    """Makes an index of the database codes in the folder of a run.

    Args:
      workdir: Folder of the run.
      database: `"encoded"` for the codes that the model gives the database, or `"learned"` for
        those that training learned for it.

    Returns:
      The index. Ids are the indices of the images in the run's source. Metadata has
      `run`, the absolute path of the run, `database`, and `network`, the digest of the model.

    Raises:
      InputError: The run has no such codes.
    """
    if database not in paths.DATABASES:
        raise InputError(f"database: {database!r} given; allowed: {', '.join(paths.DATABASES)}.")
    path = paths.codes(workdir, database)
    if not os.path.exists(path):
        raise InputError(
            f"{path}: there is no such file. A run writes it when it ends; learned codes only if "
            "its method learns any."
        )
    try:
        content = read(path)
        if content.ids is None:
            raise InputError(f"{path}: the file has no ids.")
    except InputError as error:
        raise InputError(f"workdir: {workdir} given; its codes cannot be read: {error}") from error
    made_by = {"run": os.path.abspath(workdir), "database": database}
    return HammingIndex.build(content.codes, content.bits, content.ids, made_by | content.metadata)
