"""A page about one finished run, or about several side by side: curves, codes, retrieved images."""

import os
from collections.abc import Collection, Sequence

from jhash.errors import InputError
from jhash.report import curves, page
from jhash.runs import finished
from jhash.system import files, imports, reading


def write(
    workdirs: Sequence[str], path: str, trust_modules: Collection[str] | None = ()
) -> list[str]:
    """Writes one HTML file that needs no other file; the same runs give the same bytes.

    A page is never replaced by one that lacks images and has fewer queries with their images.

    Args:
      workdirs: Folders of finished runs, in the order in which they are shown.
      path: The file to make or to replace.
      trust_modules: Modules of the user's own that the runs may name as the source of their images;
        None trusts all; see `imports.opening`.

    Returns:
      A line for each run whose images cannot be read. Its page has that line in their place.

    Raises:
      InputError: No folder is given, one is given twice or holds no finished run, or the file
        cannot be written, or would lose images.
    """
    if os.path.isdir(path):
        raise InputError(f"path: {path} given, a folder; allowed: a file, such as report.html.")
    measured = [curves.measure(run) for run in finished.read_all(workdirs)]
    with imports.opening(trust_modules):
        content, missing = page.render(measured)
    if missing:
        _check_nothing_lost(path, content.encode(), missing[0])
    try:
        with files.replacing(path, "wb") as file:
            file.write(content.encode())
    except OSError as error:
        raise InputError(
            f"path: {path} given, which cannot be written: {error.strerror or error}."
        ) from error
    return missing


def _check_nothing_lost(path, content, reason):
    """Raises InputError if a file has more queries with their images than the new content."""
    try:
        with reading.open_regular(path) as file:
            before = file.read().count(page.QUERY)
    except OSError:  # There is none, or writing will say why not.
        return
    if before > (shown := content.count(page.QUERY)):
        raise InputError(
            f"path: {path} given, a page that shows {before} queries with images, where this one "
            f"would show {shown}; allowed: another file, or one that was removed. {reason}"
        )
