"""Files of codes, NumPy archives: those in the `codes/` of a run, and those of `jhash encode`."""

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from jhash.retrieval.checks import as_codes
from jhash.retrieval.index.ids import as_ids
from jhash.retrieval.limits import MAX_BITS
from jhash.runs import paths
from jhash.system import archives, files

# Kind, dimensions and description of the entries that become metadata of an index.
_METADATA = {
    "run": ("U", 0, "one text"),
    "network": ("U", 0, "one text"),
    "root": ("U", 0, "one text"),
    "folders": ("U", 1, "texts [n]"),
    "newest": ("f", 0, "one finite number"),
}


# The names of files that together hold the codes of one collection, with their number and count.
_SHARD = re.compile(r"codes-(\d{5,})-of-(\d{5,})\.npz")


class Content(NamedTuple):
    """The content of a file of codes; `HammingIndex.build` checks it further.

    Attributes:
      codes: Packed codes, uint32 [N, words].
      bits: Code length.
      ids: Integers or strings [N], or None if the file has none.
      metadata: The entries `run` (a folder), `network` (the digest of the model that made the
        codes) and those of `data.image_changes`, as far as the file has them.
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
      **more: `bits`, and any of `labels` and the entries of `metadata`; see `Content`.

    Raises:
      OSError: The file cannot be written.
    """
    if "folders" in more:  # NumPy would take an empty list for one of numbers.
        more["folders"] = np.array(more["folders"], np.str_)
    with files.replacing(path, "wb") as file:
        np.savez(file, codes=codes, ids=ids, **more)


def read(path: str) -> Content:
    """Reads a file of codes.

    Memory for its arrays is limited by the size of the file; see `archives`.

    Raises:
      InputError: The file cannot be read, has no codes or no bits, or something in it has another
        type or shape than `Content` says; the message begins with the path.
    """
    content = _read(path)
    _check_codes_and_ids(path, content)
    return content


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
    content = _read(path)
    labels = _integers(path, "labels", content.labels, 2)
    ids = _integers(path, "ids", content.ids, 1)
    codes = len(np.atleast_1d(content.codes))  # They may still be anything.
    if content.bits != bits or not codes == len(labels) == len(ids) or not codes:
        raise InputError(
            f"{path}: {codes} codes of {content.bits} bits, {len(labels)} labels and {len(ids)} "
            f"ids given; allowed: equally many of each, at least 1, and {bits} bits as in "
            "results.json."
        )
    if labels.ndim == 2 and np.any((labels < 0) | (labels > 1)):
        raise InputError(f"{path}: labels beyond 0 and 1 given; allowed: 0 or 1, [N, C].")
    if ids.min() < 0:
        raise InputError(f"{path}: ids: {ids.min()} given; allowed: 0 or more.")
    _check_codes_and_ids(path, content)
    return content


def shard_name(number: int, count: int) -> str:
    """Returns the name of one of the files in which the codes of one collection are written."""
    return f"codes-{number:05}-of-{count:05}.npz"


def shard_of(name: str) -> tuple[int, int] | None:
    """Returns the number and the count in the name of a shard; None for any other name."""
    matched = _SHARD.fullmatch(name)
    return (int(matched[1]), int(matched[2])) if matched else None


def check_shards(names: Sequence[str]) -> None:
    """Checks that files are all shards of a collection, as far as their names are those of shards.

    Args:
      names: Paths of files of codes.

    Raises:
      InputError: A shard is missing; the message calls the files `codes`.
    """
    given: dict[tuple[str, int], set[int]] = {}
    for path in names:
        if shard := shard_of(os.path.basename(path)):
            given.setdefault((os.path.dirname(path), shard[1]), set()).add(shard[0])
    for (folder, count), numbers in given.items():
        if missing := sorted(set(range(count)) - numbers):
            raise InputError(
                f"codes: {len(numbers)} of {count} shards in {folder or '.'} given, without "
                f"{shard_name(missing[0], count)}; allowed: all of them. The command that writes "
                "them has not ended, or some are of an earlier one."
            )


def merge(contents: Sequence[Content]) -> Content:
    """Merges the codes of several files, which one model made, in the order of their ids.

    Args:
      contents: What the files hold, of equal code length; at least one.

    Returns:
      One content without labels. The metadata are those that all files have alike.

    Raises:
      InputError: A file has no ids, or the ids of one are integers and those of another strings.
        The message calls the files `codes`.
    """
    filled = [content for content in contents if len(content.codes)] or [contents[0]]
    all_ids = [content.ids for content in filled if content.ids is not None]
    kinds = {ids.dtype.kind in "iu" for ids in all_ids}
    if len(all_ids) < len(filled):
        raise InputError("codes: files without ids given; allowed: several files only with ids.")
    if len(kinds) > 1:
        raise InputError(
            "codes: files with integers and with strings as ids given; allowed: one kind."
        )
    # Joined as arrays, all strings would take the room of the longest.
    ids = np.concatenate([ids.astype(object) for ids in all_ids])
    order = np.argsort(ids, kind="stable")
    ids = ids[order].astype(np.int64) if kinds == {True} else ids[order]
    codes = np.concatenate([content.codes for content in filled])[order]
    metadata = {
        name: value
        for name, value in filled[0].metadata.items()
        if all(content.metadata.get(name) == value for content in filled)
    }
    return Content(codes, filled[0].bits, ids, metadata)


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


def _read(path: str) -> Content:
    """Reads a file of codes; the codes, ids and labels may be any arrays."""
    try:
        content = archives.read(path, ("codes", "bits", "ids", "labels", *_METADATA))
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read: {error}") from error
    if missing := [name for name in ("codes", "bits") if name not in content]:
        raise InputError(f"{path}: the file has no {' and no '.join(missing)}.")
    bits = content["bits"]
    if bits.ndim or bits.dtype.kind not in "iu" or not 1 <= bits <= MAX_BITS:
        shown = bits.item() if bits.dtype.kind in "biuf" and not bits.ndim else _describe(bits)
        raise InputError(f"{path}: bits: {shown} given; allowed: an integer, 1 to {MAX_BITS}.")
    for name, (kind, dimensions, allowed) in _METADATA.items():
        if name in content and (
            content[name].ndim != dimensions
            or content[name].dtype.kind != kind
            or (kind == "f" and not np.isfinite(content[name]))
        ):
            raise InputError(
                f"{path}: {name}: {_describe(content[name])} given; allowed: {allowed}."
            )
    metadata = {name: content[name].tolist() for name in _METADATA if name in content}
    return Content(content["codes"], int(bits), content.get("ids"), metadata, content.get("labels"))


def _integers(path: str, name: str, array: np.ndarray | None, max_dimensions: int) -> np.ndarray:
    if array is None:
        raise InputError(f"{path}: the file has no {name}.")
    if array.dtype.kind not in "iub" or not 1 <= array.ndim <= max_dimensions:
        raise InputError(
            f"{path}: {name}: {_describe(array)} given; allowed: integers, [N]"
            f"{' or [N, C]' if max_dimensions == 2 else ''}."
        )
    return array


def _check_codes_and_ids(path: str, content: Content) -> None:
    try:
        as_codes("codes", content.codes, content.bits)
        if content.ids is not None:
            as_ids(content.ids, len(content.codes))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _describe(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"
