"""Labels from the names or numbers of classes, as people write them."""

from collections.abc import Sequence

import numpy as np

SEPARATOR = ";"
_DIGITS = 19  # A class id has fewer.


def split(text: str) -> list[str]:
    """Splits the labels of an image: `cat;indoors` has two; blanks around a name do not count."""
    return [name for name in (part.strip() for part in text.split(SEPARATOR)) if name]


def to_labels(names_N: Sequence[Sequence[str]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turns names of classes into labels.

    Args:
      names_N: The classes of each image; a class that is named twice counts once. If all names are
        whole numbers, such as class ids, classes are in the order of the numbers, else in that of
        the names.

    Returns:
      (labels, class_names). The labels are class ids, int32 [N], if every image has one class;
      otherwise rows of 0/1, uint8 [N, C]. Without any class they are uint8 [N, 0].
    """
    distinct = {name for names in names_N for name in names}
    if all(name.isascii() and name.isdigit() and len(name) < _DIGITS for name in distinct):
        class_names = sorted(distinct, key=lambda name: (int(name), name))
    else:
        class_names = sorted(distinct)
    number_of = {name: number for number, name in enumerate(class_names)}
    if distinct and all(len(set(names)) == 1 for names in names_N):
        labels = np.array([number_of[names[0]] for names in names_N], np.int32)
        return labels, tuple(class_names)
    labels = np.zeros((len(names_N), len(class_names)), np.uint8)
    for row, names in zip(labels, names_N, strict=True):
        row[[number_of[name] for name in names]] = 1
    return labels, tuple(class_names)
