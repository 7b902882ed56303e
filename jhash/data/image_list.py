"""Image lists in the field's standard form: train.txt, database.txt, test.txt."""

import os
import pathlib

import numpy as np

from jhash.data import sources
from jhash.errors import InputError

_PARTS = ("train", "database", "test")


class ImageLists:
    """Images on disk, listed as HashNet and DeepHash do: a line is `path 0 1 0 ...`.

    An image that train.txt and database.txt both name is one item of the source. When every image
    has exactly one 1, the labels are class ids, int32 [N], else they stay uint8 [N, C]; so a
    single-label data set in this form meets the single-label code of losses and metrics.

    Args:
      folder: Holds the three lists. Blank lines in them are skipped.
      root: Where relative image paths start; by default `folder`.
      image_size: Side in pixels to which every image is resized on the host (256 in HashNet and
        AIHN, which then crop 224), ignoring the aspect ratio. Images are converted to RGB.

    Raises:
      InputError: A list is missing or empty, a line is malformed or names an image a second time,
        numbers of labels differ, an image has two different label rows, an image of test.txt is
        in train.txt or database.txt as well, or image files are missing.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        root: str | os.PathLike | None = None,
        image_size: int = 256,
    ):
        """See the class."""
        if image_size < 1:
            raise InputError(f"image_size: got {image_size}; must be 1 or more.")
        root = pathlib.Path(folder if root is None else root)
        items: dict[str, int] = {}  # path -> index, in the order of first appearance
        rows: list[bytes] = []  # one byte a label
        self.parts = {}
        for part in _PARTS:
            path = pathlib.Path(folder) / f"{part}.txt"
            self.parts[part] = _read_list(path, root, items, rows)
        self._paths = list(items)
        for part in _PARTS[:2]:
            shared = np.intersect1d(self.parts[part], self.parts["test"])
            if shared.size:
                raise InputError(
                    f"lists: {shared.size} images of test.txt are in {part}.txt too, first "
                    f"{self._paths[shared[0]]}; queries must be new to training and database."
                )
        missing = sources.missing_files(self._paths)
        if missing:
            raise InputError(
                f"lists: {len(missing)} of {len(items)} image files are missing, first "
                f"{missing[0]}; relative paths start at the option root, here {root}."
            )
        labels = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
        self.class_names = sources.number_names(labels)
        single = (labels.sum(axis=1) == 1).all()
        self.labels = labels.argmax(axis=1).astype(np.int32) if single else labels
        self.image_shape = (image_size, image_size, 3)

    def __len__(self) -> int:
        """The number of distinct images."""
        return len(self._paths)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`; an unreadable file raises InputError with its path."""
        paths = [self._paths[index] for index in indices]
        return sources.decode_images(paths, paths, self.image_shape)


def _read_list(
    path: pathlib.Path, root: pathlib.Path, items: dict[str, int], rows: list[bytes]
) -> np.ndarray:
    """Reads one list, adds what is new to `items` and `rows`, and returns its indices."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"lists: {path} cannot be read: {error}") from error
    seen: dict[int, int] = {}  # index -> line number
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *tokens = line.split()
        if not tokens or not set(tokens) <= {"0", "1"}:
            raise InputError(
                f"{path}, line {number}: {line[:80]!r} is not a path without blanks followed by "
                "labels that are each 0 or 1."
            )
        row = "".join(tokens).encode().translate(_TO_BITS)
        if rows and len(row) != len(rows[0]):
            raise InputError(
                f"{path}, line {number}: {len(row)} labels, but {len(rows[0])} in the lines before."
            )
        # normpath: a second spelling of a path must not hide an overlap of queries and database.
        index = items.setdefault(os.path.normpath(root / name), len(items))
        if index == len(rows):
            rows.append(row)
        elif rows[index] != row:
            raise InputError(f"{path}, line {number}: {name} had other labels before.")
        if index in seen:
            raise InputError(f"{path}, line {number}: {name} is in line {seen[index]} already.")
        seen[index] = number
    if not seen:
        raise InputError(f"lists: {path} is empty.")
    return np.fromiter(seen, np.int64, len(seen))


_TO_BITS = bytes.maketrans(b"01", b"\x00\x01")
