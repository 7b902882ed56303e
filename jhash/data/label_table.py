"""A table of labels: a CSV file with lines `path,label` or `path,label;label`."""

import csv
import io
from typing import NamedTuple

from jhash.data import label_names
from jhash.errors import InputError
from jhash.system import reading, text

_MAX_CELL = 1 << 16  # characters
# The first line is a header if its first cell is one of these, in either case.
_HEADERS = ("path", "file", "filename", "image", "image_path", "name")


class Row(NamedTuple):
    """A line of the table: its number in the file, the path, and the classes of the image."""

    number: int
    path: str
    classes: list[str]


def read(path: str) -> list[Row]:
    """Reads a table of labels.

    The file is in UTF-8, with line ends of Unix or Windows. Cells are separated by tabs if its name
    ends in `.tsv`, else by commas. A cell in quotes may hold any characters. Empty lines are
    skipped, and so is a header.

    Args:
      path: The file.

    Returns:
      The rows, in the order of the file.

    Raises:
      InputError: The file cannot be read, or a line has other cells. The message calls the file
        `labels`.
    """

    def wrong(number: int, given: str, allowed: str) -> InputError:
        return InputError(f"labels: {path}, line {number}: {given} given; allowed: {allowed}.")

    try:
        with reading.open_regular(path) as file:
            # A file of Windows often begins with a mark, which is no part of the text.
            content = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"labels: {path} given, which is no text in UTF-8.") from error
    except OSError as error:
        raise InputError(
            f"labels: {path} given, which cannot be read: {error.strerror}; allowed: folders, "
            "none, or a CSV file."
        ) from error
    rows = []
    lines = csv.reader(
        io.StringIO(content, newline=""),
        delimiter="\t" if path.lower().endswith(".tsv") else ",",
        strict=True,
    )
    while True:
        try:
            cells = next(lines)
        except StopIteration:
            break
        except csv.Error as error:
            raise wrong(lines.line_num, str(error), "cells as CSV has them") from error
        number = lines.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if not rows and cells[0].strip().lower() in _HEADERS:
            continue
        if len(cells) != 2 or not cells[0].strip():
            raise wrong(
                number,
                text.shortened(repr(cells), 80),
                "a path and its label, or labels separated by ;, with quotes around a path that "
                "has the separator in it",
            )
        if max(map(len, cells)) > _MAX_CELL:
            raise wrong(number, f"a cell of {max(map(len, cells)):,} characters", f"{_MAX_CELL:,}")
        rows.append(Row(number, cells[0], label_names.split(cells[1])))
    if not rows:
        raise InputError(f"labels: {path} given, which is empty; allowed: 1 image and more.")
    return rows
