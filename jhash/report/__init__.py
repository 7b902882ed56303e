"""A page about one finished run, or about several side by side: curves, codes, retrieved images."""

import os
from collections.abc import Sequence

from jhash.errors import InputError
from jhash.report import curves, page
from jhash.runs import finished
from jhash.system import files


def write(workdirs: Sequence[str], path: str) -> None:
    """Writes one HTML file that needs no other file; the same runs give the same bytes.

    Args:
      workdirs: Folders of finished runs, in the order in which they are shown.
      path: The file to make or to replace.

    Raises:
      InputError: No folder is given, one is given twice or holds no finished run, or the file
        cannot be written. An image source that cannot be read is no error: the page then has a
        warning in place of the images.
    """
    if os.path.isdir(path):
        raise InputError(f"path: {path} given, a folder; allowed: a file, such as report.html.")
    content = page.render([curves.measure(run) for run in finished.read_all(workdirs)])
    try:
        with files.replacing(path, "wb") as file:
            file.write(content.encode())
    except OSError as error:
        raise InputError(f"path: {path} given, which cannot be written: {error}.") from error
