"""A source of image lists: train.txt, database.txt and test.txt.

In the form that is common in the field, each line is a path and a column of 0 or 1 per class,
`path 0 1 0`. Lists may name classes instead, `path label` or `path label;label`. All lines of the
three lists are of the kind of the first line.

The path ends at the first tab. In a line without tabs it ends where the labels begin, which are the
last word, or all columns at the end. So a path may have blanks.
"""

import codecs
import hashlib
import os
import pathlib
from collections.abc import Callable

import numpy as np

from jhash.data import decoding, label_names, sources
from jhash.data.kept_images import KeptImages
from jhash.data.pixels import Reading
from jhash.errors import InputError
from jhash.system import reading, text

_PARTS = ("train", "database", "test")
_MAX_LINE = 1 << 20  # bytes; room for more labels than any data set has


class ImageListSource:
    """Images on disk, listed as by HashNet and DeepHash, or with names of classes; see the module.

    An image that both train.txt and database.txt name is one image of the source. When every image
    has exactly one class, the labels are class ids, int32 [N], so that losses and metrics treat the
    data set as single-label. Otherwise they are rows, uint8 [N, C].

    Decoded images stay in memory while they fit; see `kept_images`.

    Attributes:
      paths: Paths of the images, by index.
      digest: Of the names, the labels and the lists of the images.
      as_shown: See the argument.

    Args:
      folder: Folder of the three lists, in UTF-8. Blank lines in them are skipped.
      root: Folder at which relative image paths start; by default `folder`.
      image_size: Side in pixels to which every image is resized on the host: 256 in HashNet and
        AIHN, which then crop 224. Images are converted to RGB.
      as_shown: Whether images are turned as their EXIF orientation says, and transparency becomes
        white; see `pixels.Reading`. The loaders of the field do neither.
      resize: "stretch", "crop" or "pad"; see `pixels.Reading`.

    Raises:
      InputError: A list is missing or empty; a line is malformed or names an image a second time;
        numbers of columns differ; an image has other labels in another list; an image of test.txt
        is also in train.txt or database.txt; or image files are missing.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        root: str | os.PathLike | None = None,
        image_size: int = 256,
        as_shown: bool = False,
        resize: str = "stretch",
    ):
        """See the class."""
        if not 1 <= image_size <= decoding.MAX_SIDE:
            raise InputError(
                f"image_size: {image_size} given; allowed: 1 to {decoding.MAX_SIDE:,}."
            )
        root = pathlib.Path(folder if root is None else root)
        items: dict[str, int] = {}  # path -> index, in the order of first appearance
        labels: list[_Given] = []  # columns or classes of each image, likewise
        folder = pathlib.Path(folder)
        lists = {part: _lines(folder / f"{part}.txt") for part in _PARTS}
        parse = _parser(folder, lists)
        self.parts = {
            part: _read_list(folder / f"{part}.txt", parse, lines, root, items, labels)
            for part, lines in lists.items()
        }
        self.paths = list(items)
        for part in _PARTS[:2]:
            shared = np.intersect1d(self.parts[part], self.parts["test"])
            if shared.size:
                raise InputError(
                    f"folder: {folder} given, where {shared.size} images of test.txt are in "
                    f"{part}.txt too, first {_shown(self.paths[shared[0]])}; allowed: queries "
                    "that are new to training and database."
                )
        missing = decoding.missing_files(self.paths)
        if missing:
            raise InputError(
                f"root: {root} given, at which relative paths start, where {len(missing)} of "
                f"{len(items)} image files are missing or no regular files, first "
                f"{_shown(missing[0])}; allowed: a folder with all of them."
            )
        self.digest = _digest(root, self.paths, labels, self.parts)
        self.labels, self.class_names = _as_labels(labels, parse is _columns)
        self.as_shown = as_shown
        self._reading = Reading(resize, as_shown)
        self.image_shape = (image_size, image_size, 3)
        self.kept = KeptImages(len(self), self.image_shape, self._decode)

    def __len__(self) -> int:
        """The number of distinct images."""
        return len(self.paths)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`; an unreadable file raises InputError with its path."""
        return self.kept.read(indices)

    def _decode(self, indices: np.ndarray) -> np.ndarray:
        paths = [self.paths[index] for index in indices]
        return decoding.decode_images(paths, paths, self.image_shape, self._reading)

    def unreadable(self, indices: np.ndarray) -> list[str | None]:
        """See `usable.examine`."""
        paths = [self.paths[index] for index in indices]
        return decoding.find_errors(paths, paths, self.image_shape)


def _digest(root, paths, labels, parts):
    digest = hashlib.sha256()
    for path, given in zip(paths, labels, strict=True):
        digest.update(repr((os.path.relpath(path, root), given)).encode())
    for part in _PARTS:
        digest.update(parts[part].astype("<i8").tobytes() + b"end")
    return digest.hexdigest()[:16]


def _wrong(path: pathlib.Path, number: int, given: str, allowed: str) -> InputError:
    return InputError(f"folder: {path}, line {number}: {given} given; allowed: {allowed}.")


def _lines(path: pathlib.Path) -> dict[int, str]:
    """Reads the lines of a list that are not empty, by number."""
    try:
        with reading.open_regular(path) as file:
            # Windows' Notepad begins a file in UTF-8 with a mark, and ends lines by CR and LF.
            encoded_lines = file.read().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise InputError(
            f"folder: {path.parent} given, where {path.name} cannot be read: {error.strerror}; "
            f"allowed: folders with {', '.join(f'{part}.txt' for part in _PARTS)}."
        ) from error
    lines = {}
    for number, encoded in enumerate(encoded_lines, start=1):
        if len(encoded) > _MAX_LINE:
            raise _wrong(path, number, f"{len(encoded):,} bytes", f"up to {_MAX_LINE:,}")
        try:
            line = encoded.decode().strip()
        except UnicodeDecodeError:
            raise _wrong(path, number, ascii(encoded[:80]), "text in UTF-8") from None
        if line:
            lines[number] = line
    if not lines:
        raise InputError(
            f"folder: {path.parent} given, where {path.name} is empty; allowed: lists of 1 image "
            "and more."
        )
    return lines


def _parser(folder: pathlib.Path, lists: dict[str, dict[int, str]]) -> "_Parser":
    """Decides by the first line whether lists have columns of 0 and 1, or classes."""
    number, first = next(iter(lists["train"].items()))
    if len(_columns(first)[1]) > 1:
        return _columns
    # A last word of 0 or 1 may be one column, or the id of one of two classes.
    words = (line.split()[-1] for lines in lists.values() for line in lines.values())
    if "\t" not in first and {*words} <= {"0", "1"}:
        raise _wrong(
            folder / "train.txt",
            number,
            f"{first[:80]!r}, in lists with 0 or 1 behind each path,",
            "a column per class, such as 1 0 and 0 1, or class ids behind a tab",
        )
    return _classes


def _columns(line: str) -> tuple[str, str]:
    """Parses a line with columns: the path, and the columns at the end as one text."""
    path, tab, rest = line.partition("\t")
    words = (rest if tab else line).split()
    count = 0
    # Without a tab the first word is part of the path, even if it is a number.
    while count < len(words) - (not tab) and words[-1 - count] in ("0", "1"):
        count += 1
    columns = "".join(words[len(words) - count :])
    if tab:
        return path.strip(), columns if count == len(words) else ""
    # The path may have several blanks in a row.
    return line.rsplit(maxsplit=count)[0] if count else line, columns


def _classes(line: str) -> tuple[str, tuple[str, ...]]:
    """Parses a line with classes: the path, and the names or ids of the classes."""
    path, tab, rest = line.partition("\t")
    if not tab:
        path, _, rest = line.rpartition(" ")
    return path.strip(), tuple(label_names.split(rest))


# The labels of an image as they are parsed.
_Given = str | tuple[str, ...]
_Parser = Callable[[str], tuple[str, _Given]]


def _read_list(
    path: pathlib.Path,
    parse: _Parser,
    lines: dict[int, str],
    root: pathlib.Path,
    items: dict[str, int],
    labels: list[_Given],
) -> np.ndarray:
    """Reads one list, adds its new images to `items` and `labels`, and returns its indices."""
    seen: dict[int, int] = {}  # index -> line number
    for number, line in lines.items():
        name, given = parse(line)
        if not name or not given:
            allowed = "a path and a label, or labels separated by ;"
            if parse is _columns:
                allowed = "a path, followed by labels that are each 0 or 1"
            raise _wrong(path, number, repr(line[:80]), allowed)
        if parse is _columns and labels and len(given) != len(labels[0]):
            allowed = f"{len(labels[0])}, as in the lines before"
            shown = f"{len(given)} labels behind {text.shortened(name)!r}"
            raise _wrong(path, number, shown, allowed)
        # A second spelling of a path must not hide an overlap of queries and database.
        index = items.setdefault(os.path.normpath(root / name), len(items))
        if index == len(labels):
            labels.append(given)
        elif labels[index] != given:
            shown = f"{_shown(name)} with other labels than before"
            raise _wrong(path, number, shown, "equal labels")
        if index in seen:
            shown = f"{_shown(name)}, which is in line {seen[index]} already,"
            raise _wrong(path, number, shown, "each image once in a list")
        seen[index] = number
    return np.fromiter(seen, np.int64, len(seen))


def _as_labels(given: list[_Given], columns: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the labels of the images, and the names of the classes."""
    if not columns:
        return label_names.to_labels(given)
    # One byte per label.
    rows = np.frombuffer("".join(given).encode().translate(_TO_BITS), np.uint8)
    rows = rows.reshape(len(given), -1)
    single = (rows.sum(axis=1) == 1).all()
    labels = rows.argmax(axis=1).astype(np.int32) if single else rows
    return labels, sources.number_names(rows)


def _shown(path: str) -> str:
    return text.shortened(path, 200)


_TO_BITS = bytes.maketrans(b"01", b"\x00\x01")
