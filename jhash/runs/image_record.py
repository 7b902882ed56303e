"""The file `images.json` of a run: which of its images cannot be read, and so take no part in it.

There is none if all images can be read and the source does not say which they are.
"""

import json
import os

from jhash import parallel
from jhash.data.usable import Examined
from jhash.errors import InputError
from jhash.runs import paths
from jhash.system import files, reading


def write(workdir: str, examined: Examined | None) -> None:
    """Writes the file, or removes that of a run that has not begun.

    Raises:
      OSError: The file cannot be written.
    """
    path = paths.images(workdir)
    if examined is None or not (examined.unreadable or examined.digest):
        if os.path.exists(path):
            os.unlink(path)
        return
    files.write_json(path, _plain(examined))


def read(workdir: str) -> Examined | None:
    """Reads the file; None if there is none.

    Raises:
      InputError: It cannot be read, or holds something else; the message begins with its path.
    """
    path = paths.images(workdir)
    if not os.path.exists(path):
        return None
    try:
        return _parsed(reading.read_json(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: the file cannot be read, or is damaged: {error}") from error


def read_for_all(workdir: str) -> Examined | None:
    """Reads the file in the main process's folder; see `read`."""
    if parallel.process_count() == 1:
        return read(workdir)
    examined = read(workdir) if parallel.is_main() else None
    content = parallel.bytes_from_main(json.dumps(examined and _plain(examined)).encode())
    plain = json.loads(content)
    return None if plain is None else _parsed(plain)


def _plain(examined):
    content = examined._asdict()
    content["unreadable"] = {str(index): why for index, why in examined.unreadable.items()}
    return content


def _parsed(content):
    """Checks what a file holds; raises anything if it is no record."""
    count, digest, unreadable = (content[name] for name in Examined._fields)
    found = {int(index): str(why) for index, why in unreadable.items()}
    if type(count) is not int or not all(0 <= index < count for index in found):
        raise ValueError("indices beyond the images")
    return Examined(count, str(digest), found)
