"""A source of the images in a folder: subfolders are classes, a table has them, or there are none.

Subfolders may also say which images train, are searched and are queries: see `PARTS`.
"""

import collections
import hashlib
import os

import numpy as np

from jhash.data import decoding, image_files, label_names, label_table
from jhash.data.image_files import Found
from jhash.data.kept_images import KeptImages
from jhash.data.pixels import Reading
from jhash.errors import InputError
from jhash.system import text

# The names of subfolders that are parts of the data, in either case, and those parts.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("database", "db", "gallery"), "database"),
    **dict.fromkeys(("query", "queries", "test"), "query"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
}
# Values of the option `labels` that are no file.
_FOLDERS, _NONE = "folders", "none"
_SHOWN = 3  # number of names that a message shows


class FolderSource:
    """The images of a folder and of all folders below it, as programs show them.

    Files are found as by `jhash index build`: `image_files.EXTENSIONS` has the endings. JPEGs are
    turned as their EXIF orientation says, and transparency becomes white; see `pixels.Reading`.
    Decoded images stay in memory while they fit; see `kept_images`.

    Parts. If there are subfolders for queries (or validation images) and for the training set or
    the database, by the names in `PARTS`, they are the source's `parts`, and files beside them are
    left out. Otherwise the source has no parts, and the split `folder` draws queries.

    Labels. A class is a subfolder, of the folder itself or of a part; what lies deeper belongs to
    it, too. When every image has one class, labels are class ids, int32 [N], otherwise rows, uint8
    [N, C]; without labels they are uint8 [N, 0].

    Attributes:
      paths: Paths of the images, by index.
      as_shown: True; see `pixels.Reading`.
      query_share: The share of the images of a class that the split `folder` draws as queries.
      notes: Sentences on what was found and what was left out.
      digest: Digest of the names and labels of all images; it changes with the folder.

    Args:
      folder: The folder.
      labels: "folders": subfolders are classes. "none": there are no labels. A path: the table of
        labels, a CSV file whose paths begin at the folder; only its images are taken. Empty: the
        subfolders are classes if all images are in them and there are two or more.
      image_size: Side in pixels to which every image is resized on the host. Images are converted
        to RGB.
      query_share: See the attribute.
      resize: "stretch", "crop" or "pad"; see `pixels.Reading`.

    Raises:
      InputError: The folder has no images; some images have a class and others have none; the table
        cannot be read, or names images twice or images that are not there; or two subfolders are
        the same part.
    """

    as_shown = True

    def __init__(
        self,
        folder: str | os.PathLike,
        labels: str = "",
        image_size: int = 256,
        query_share: float | int = 0.1,
        resize: str = "stretch",
    ):
        """See the class."""
        if not 1 <= image_size <= decoding.MAX_SIDE:
            raise InputError(
                f"image_size: {image_size} given; allowed: 1 to {decoding.MAX_SIDE:,}."
            )
        if not 0 < query_share < 1:
            raise InputError(f"query_share: {query_share} given; allowed: between 0 and 1.")
        self.query_share = query_share
        self.notes: list[str] = []
        found = _find(folder)
        names = list(found.path_of)
        tops = _part_folders(names, folder)
        if tops:
            names = self._within(names, tops)
        rows = None
        if labels not in ("", _FOLDERS, _NONE):
            rows = _rows(labels, folder, found, names)
            names = list(rows)
        self.paths = [found.path_of[name] for name in names]
        below = [_below(name, tops) for name in names]
        if labels == "":
            labels = _guess(below, folder)
        if rows is not None:
            classes = list(rows.values())
        elif labels == _FOLDERS:
            classes = _of_folders(names, below, folder)
        else:
            classes = [[] for _ in names]
        self.labels, self.class_names = label_names.to_labels(classes)
        part_of = np.array([tops.get(_top(name), "") for name in names])
        self.parts = {
            part: np.flatnonzero(part_of == part) for part in dict.fromkeys(tops.values())
        }
        self.parts = {part: indices for part, indices in self.parts.items() if len(indices)}
        self._note(found, labels == _FOLDERS)
        self.digest = _digest(names, classes)
        self.image_shape = (image_size, image_size, 3)
        self._reading = Reading(resize, as_shown=True)
        self.kept = KeptImages(len(self), self.image_shape, self._decode)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.paths)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`; an unreadable file raises InputError with its path."""
        return self.kept.read(indices)

    def unreadable(self, indices: np.ndarray) -> list[str | None]:
        """See `usable.examine`."""
        paths = [self.paths[index] for index in indices]
        return decoding.find_errors(paths, paths, self.image_shape)

    def _decode(self, indices):
        paths = [self.paths[index] for index in indices]
        return decoding.decode_images(paths, paths, self.image_shape, self._reading)

    def _within(self, names, tops):
        """Returns the images in folders of parts, and notes how many others there are."""
        kept = [name for name in names if _top(name) in tops]
        if len(kept) < len(names):
            count = len(names) - len(kept)
            self.notes.append(f"{count:,} images beside {', '.join(tops)} are left out.")
        return kept

    def _note(self, found, of_folders):
        """Notes what was found."""
        if not self.class_names:
            words = "without labels"
        elif of_folders:
            words = (
                f"of {len(self.class_names):,} classes, which are subfolders (labels=none if they "
                "are no classes)"
            )
        else:
            words = f"of {len(self.class_names):,} classes"
        self.notes.insert(0, f"{found.root}: {len(self):,} images {words}.")
        if words := image_files.others_in_words(found.others):
            self.notes.append(words)
        if len(self.class_names) == 1:
            self.notes.append("With one class, every image is relevant to every other.")
        if self.labels.ndim == 1 and not self.parts:
            counts = np.bincount(self.labels, minlength=len(self.class_names))
            alone = [self.class_names[label] for label in np.flatnonzero(counts == 1)]
            if alone:
                self.notes.append(
                    f"{len(alone):,} classes have one image, which is trained on and searched, but "
                    f"is no query: {_some(alone)}."
                )


def _find(folder) -> Found:
    try:
        return image_files.find([os.fspath(folder)])
    except InputError as error:
        raise InputError(str(error).replace("places: ", "folder: ", 1)) from error


def _part_folders(names, folder) -> dict[str, str]:
    """Returns the part of each subfolder that is one; none if they are not the parts of data."""
    tops = dict.fromkeys(_top(name) for name in names if "/" in name)
    part_of = {top: PARTS[top.lower()] for top in tops if top.lower() in PARTS}
    there = set(part_of.values())
    if not (there & {"query", "validation"} and there & {"train", "database"}):
        return {}
    twice = [part for part, count in collections.Counter(part_of.values()).items() if count > 1]
    if twice:
        same = " and ".join(top for top, part in part_of.items() if part == twice[0])
        raise InputError(
            f"folder: {folder} given, where {same} are both the part {twice[0]}; allowed: one "
            "folder per part."
        )
    return part_of


def _top(name):
    """Returns the subfolder in which an image lies; empty if it lies in none."""
    return name.partition("/")[0] if "/" in name else ""


def _below(name, tops):
    """Returns the name of an image below the folder of its part, if there are parts."""
    return name.partition("/")[2] if tops else name


def _guess(below, folder):
    """Decides whether subfolders are classes."""
    loose = [name for name in below if "/" not in name]
    classes = {_top(name) for name in below if "/" in name}
    if loose and len(classes) > 1:
        raise InputError(
            f"labels: none given for {folder}, where {len(loose):,} of {len(below):,} images are "
            f"in no subfolder, such as {_some(loose)}; allowed: none, if there are no labels, or "
            "each image in a subfolder, which is its class."
        )
    return _FOLDERS if len(classes) > 1 else _NONE


def _of_folders(names, below, folder):
    loose = [name for name, rest in zip(names, below, strict=True) if "/" not in rest]
    if loose:
        raise InputError(
            f"labels: folders given for {folder}, where {len(loose):,} of {len(names):,} images "
            f"are in no subfolder, such as {_some(loose)}; allowed: folders in which each image is "
            "in a subfolder, which is its class."
        )
    return [[_top(name)] for name in below]


def _rows(table, folder, found, names) -> dict[str, list[str]]:
    """Returns the classes of the images that a table names, in the order of the images."""
    name_of = {os.path.abspath(found.path_of[name]): name for name in names}
    classes = {}
    missing = []
    lacking = []
    rows = label_table.read(table)
    for row in rows:
        # A path may be absolute, too.
        name = name_of.get(os.path.abspath(os.path.join(os.fspath(folder), row.path)))
        if name is None:
            missing.append(f"{row.path} (line {row.number})")
            continue
        if name in classes:
            raise InputError(
                f"labels: {table}, line {row.number}: {text.shortened(row.path)} given again; "
                "allowed: one line per image, with labels separated by ;."
            )
        if not row.classes:
            lacking.append(f"{row.path} (line {row.number})")
        classes[name] = row.classes
    if missing:
        raise InputError(
            f"labels: {table} given, where {len(missing):,} of {len(rows):,} paths lead to no "
            f"image in {folder}, such as {_some(missing)}; allowed: paths that begin there, of "
            f"files that end in one of {' '.join(image_files.EXTENSIONS)}."
        )
    several = any(len(set(given)) > 1 for given in classes.values())
    if lacking and not several:
        raise InputError(
            f"labels: {table} given, where {len(lacking):,} of {len(rows):,} images have no label, "
            f"such as {_some(lacking)}; allowed: a label for each image, as each has one class."
        )
    return {name: classes[name] for name in names if name in classes}


def _some(names):
    shown = ", ".join(text.shortened(name) for name in names[:_SHOWN])
    return shown + ", ..." * (len(names) > _SHOWN)


def _digest(names, classes):
    digest = hashlib.sha256()
    for name, given in zip(names, classes, strict=True):
        digest.update(repr((name, sorted(given))).encode())
    return digest.hexdigest()[:16]
