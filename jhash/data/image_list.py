"""A source of image lists in the form common in the field: train.txt, database.txt, test.txt."""

import codecs
import os
import pathlib

import numpy as np

from jhash.data import decoding, sources
from jhash.data.kept_images import KeptImages
from jhash.errors import InputError
from jhash.system import reading, text

_PARTS = ("train", "database", "test")
_MAX_LINE = 1 << 20  # bytes; room for more labels than any data set has


class ImageListSource:
    """Images on disk, listed as by HashNet and DeepHash: each line is `path 0 1 0 ...`.

    An image that both train.txt and database.txt name is one image of the source. When every image
    has exactly one 1, the labels are class ids, int32 [N], so that losses and metrics treat the
    data set as single-label. Otherwise they are rows, uint8 [N, C].

    Decoded images stay in memory while they fit; see `kept_images`.

    Args:
      folder: Folder of the three lists, in UTF-8. Blank lines in them are skipped.
      root: Folder at which relative image paths start; by default `folder`.
      image_size: Side in pixels to which every image is resized on the host, regardless of the
        aspect ratio: 256 in HashNet and AIHN, which then crop 224. Images are converted to RGB.

    Raises:
      InputError: A list is missing or empty; a line is malformed or names an image a second time;
        numbers of labels differ; an image has two different rows of labels; an image of test.txt is
        also in train.txt or database.txt; or image files are missing.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        root: str | os.PathLike | None = None,
        image_size: int = 256,
    ):
        """See the class."""
        if not 1 <= image_size <= decoding.MAX_SIDE:
            raise InputError(
                f"image_size: {image_size} given; allowed: 1 to {decoding.MAX_SIDE:,}."
            )
        root = pathlib.Path(folder if root is None else root)
        items: dict[str, int] = {}  # path -> index, in the order of first appearance
        rows: list[bytes] = []  # one byte per label, in the order of `items`
        self.parts = {}
        for part in _PARTS:
            path = pathlib.Path(folder) / f"{part}.txt"
            self.parts[part] = _read_list(path, root, items, rows)
        self._paths = list(items)
        for part in _PARTS[:2]:
            shared = np.intersect1d(self.parts[part], self.parts["test"])
            if shared.size:
                raise InputError(
                    f"folder: {folder} given, where {shared.size} images of test.txt are in "
                    f"{part}.txt too, first {_shown(self._paths[shared[0]])}; allowed: queries "
                    "that are new to training and database."
                )
        missing = decoding.missing_files(self._paths)
        if missing:
            raise InputError(
                f"root: {root} given, at which relative paths start, where {len(missing)} of "
                f"{len(items)} image files are missing or no regular files, first "
                f"{_shown(missing[0])}; allowed: a folder with all of them."
            )
        labels = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
        self.class_names = sources.number_names(labels)
        single = (labels.sum(axis=1) == 1).all()
        self.labels = labels.argmax(axis=1).astype(np.int32) if single else labels
        self.image_shape = (image_size, image_size, 3)
        self._kept = KeptImages(len(self), self.image_shape, self._decode)

    def __len__(self) -> int:
        """The number of distinct images."""
        return len(self._paths)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`; an unreadable file raises InputError with its path."""
        return self._kept.read(indices)

    def _decode(self, indices: np.ndarray) -> np.ndarray:
        paths = [self._paths[index] for index in indices]
        return decoding.decode_images(paths, paths, self.image_shape)

    def unreadable(self, indices: np.ndarray) -> list[str]:
        """See `data.check_images`."""
        paths = [self._paths[index] for index in indices]
        return decoding.find_unreadable(paths, paths, self.image_shape)


def _read_list(
    path: pathlib.Path, root: pathlib.Path, items: dict[str, int], rows: list[bytes]
) -> np.ndarray:
    """Reads one list, adds its new images to `items` and `rows`, and returns its indices."""

    def wrong(number: int, given: str, allowed: str) -> InputError:
        return InputError(f"folder: {path}, line {number}: {given} given; allowed: {allowed}.")

    try:
        with reading.open_regular(path) as file:
            # Windows' Notepad begins a file in UTF-8 with a mark, and ends lines by CR and LF.
            lines = file.read().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise InputError(
            f"folder: {path.parent} given, where {path.name} cannot be read: {error.strerror}; "
            f"allowed: folders with {', '.join(f'{part}.txt' for part in _PARTS)}."
        ) from error
    seen: dict[int, int] = {}  # index -> line number
    for number, encoded in enumerate(lines, start=1):
        if len(encoded) > _MAX_LINE:
            raise wrong(number, f"{len(encoded):,} bytes", f"up to {_MAX_LINE:,}")
        try:
            line = encoded.decode()
        except UnicodeDecodeError:
            raise wrong(number, ascii(encoded[:80]), "text in UTF-8") from None
        if not line.strip():
            continue
        name, *tokens = line.split()
        if not tokens or not set(tokens) <= {"0", "1"}:
            allowed = "a path without blanks, followed by labels that are each 0 or 1"
            raise wrong(number, repr(line[:80]), allowed)
        row = "".join(tokens).encode().translate(_TO_BITS)
        if rows and len(row) != len(rows[0]):
            raise wrong(number, f"{len(row)} labels", f"{len(rows[0])}, as in the lines before")
        # A second spelling of a path must not hide an overlap of queries and database.
        index = items.setdefault(os.path.normpath(root / name), len(items))
        if index == len(rows):
            rows.append(row)
        elif rows[index] != row:
            raise wrong(number, f"{_shown(name)} with other labels than before", "equal labels")
        if index in seen:
            given = f"{_shown(name)}, which is in line {seen[index]} already,"
            raise wrong(number, given, "each image once in a list")
        seen[index] = number
    if not seen:
        raise InputError(
            f"folder: {path.parent} given, where {path.name} is empty; allowed: lists of 1 image "
            "and more."
        )
    return np.fromiter(seen, np.int64, len(seen))


def _shown(path: str) -> str:
    return text.shortened(path, 300)


_TO_BITS = bytes.maketrans(b"01", b"\x00\x01")
