"""Thumbnails of the images of an index: made once, kept in a folder beside it."""

import contextlib
import hashlib
import io
import os
import re
import sys
import threading
from collections.abc import Iterable

from PIL import Image

from jhash.data import decoding, image_files
from jhash.errors import printable
from jhash.system import files

# The longer side in pixels, for screens with two pixels per unit of length.
SIDE = 400
_QUALITY = 82
# A file's folder and name, which are the SHA-256 of the id.
_NAME = re.compile(r"[0-9a-f]{62}\.jpg")
_FOLDER = re.compile(r"[0-9a-f]{2}")


def jpeg(file: str | bytes, name: str) -> bytes:
    """Makes a thumbnail.

    Args:
      file: Path, or the content of a file.
      name: Name of the file in errors.

    Raises:
      InputError: The image cannot be read.
    """
    image = Image.fromarray(decoding.thumbnail(file, name, SIDE))
    content = io.BytesIO()
    image.save(content, "jpeg", quality=_QUALITY)
    return content.getvalue()


class Thumbnails:
    """The thumbnails of one index.

    A thumbnail has the time of its image. So it is made again when the image has changed, and takes
    the place of the old one.
    """

    def __init__(self, index_path: str):
        """Names the folder, which is made with the first thumbnail."""
        self.folder = os.path.realpath(index_path) + image_files.THUMBNAILS
        self._told = False
        self._guard = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}

    def get(self, identifier: str, path: str) -> tuple[bytes, bool]:
        """Returns the thumbnail of an image, and whether it had to be made.

        Args:
          identifier: The id of the image.
          path: Its file.

        Raises:
          InputError: The image cannot be read.
          OSError: There is no such file any more.
        """
        kept = self._path(identifier)
        with self._alone(kept):
            # Whole seconds, as not every file system keeps more.
            time = int(os.stat(path).st_mtime)
            content = _read(kept, time)
            if content is not None:
                return content, False
            content = jpeg(path, identifier)
            self._keep(kept, content, time)
            return content, True

    def kept(self, identifier: str, path: str) -> bytes | None:
        """Returns the thumbnail of an image if it is kept; see `get`."""
        return _read(self._path(identifier), int(os.stat(path).st_mtime))

    def forget_others(self, identifiers: Iterable[str]) -> int:
        """Removes the thumbnails of images that are not in the index any more.

        Args:
          identifiers: The ids of the index; not looked at if no thumbnail is kept.

        Returns:
          The number of files that were removed.
        """
        kept = set(self._kept())
        if not kept:
            return 0
        gone = kept - {self._path(identifier) for identifier in identifiers}
        for path in gone:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return len(gone)

    def _kept(self):
        """Yields the paths of all thumbnails."""
        with contextlib.suppress(OSError):
            for folder in filter(_FOLDER.fullmatch, os.listdir(self.folder)):
                for name in os.listdir(os.path.join(self.folder, folder)):
                    if _NAME.fullmatch(name):
                        yield os.path.join(self.folder, folder, name)

    def _path(self, identifier):
        digest = hashlib.sha256(identifier.encode()).hexdigest()
        # Folders of the first two digits keep each of them small.
        return os.path.join(self.folder, digest[:2], f"{digest[2:]}.jpg")

    @contextlib.contextmanager
    def _alone(self, path):
        """Lets one thread at a time look at a thumbnail, so that it is made once."""
        with self._guard:
            lock = self._busy.setdefault(path, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._guard:
                if not lock.locked():
                    self._busy.pop(path, None)

    def _keep(self, path, content, time):
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with files.replacing(path, "wb") as file:
                file.write(content)
            os.utime(path, (time, time))
        except OSError as error:
            if not self._told:
                line = (
                    f"jhash: {self.folder}: thumbnails cannot be kept ({error.strerror}), so they "
                    "are made anew each time."
                )
                print(printable(line), file=sys.stderr, flush=True)
            self._told = True


def _read(path, time):
    """Returns a kept thumbnail, or None if there is none of an image of that time."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if int(os.fstat(file.fileno()).st_mtime) == time:
            return file.read()
    return None
