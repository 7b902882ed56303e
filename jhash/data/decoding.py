"""Decoding of image files, which may be damaged, or made to do harm.

A file is decoded only if it is of one of `FORMATS`: Pillow would try many others, and start another
program for some. Its size is read from its header and compared with limits before any pixel is
decoded. Threads that decode at the same time share a fixed amount of memory, for which they wait.
"""

import contextlib
import functools
import io
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent import futures

import numpy as np
from PIL import Image

from jhash.data import pixels
from jhash.data.pixels import STORED, Reading
from jhash.errors import InputError
from jhash.system.reading import open_regular

# JPEG includes MPO, which some cameras and phones write. HEIF needs the extra `heic`.
FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
# Pillow refuses images of more pixels, too, but only warns of half as many.
MAX_PIXELS = 178_956_970
MAX_BYTES = 1 << 30
MAX_SIDE = 10_000  # Pixels to which a source may resize images.

_THREADS = 16  # Pillow decodes and resizes without the GIL, and reading waits for the disk.
_CHUNK = 256  # number of paths that one task of a thread checks
# Pillow's modes of 32 bits and of floats, which it would clip to 8 bits.
_WIDE_MODES = ("I", "F")
# Pillow's modes without colors.
_GRAY_MODES = ("1", "L", "LA", "La")
# A large JPEG is decoded at a reduced scale, but with so many times the sides that are wanted.
_REDUCED_TO = 2
# Brands of HEIF with HEVC, as iPhones write it, at bytes 8 to 12 of a file.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class _Shared:
    """An amount of something that threads share: one that needs more than is left waits."""

    def __init__(self, total: int):
        self._left = total
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Takes an amount, at most the total, for the time of the block."""
        with self._changed:
            self._changed.wait_for(lambda: amount <= self._left)
            self._left -= amount
        try:
            yield
        finally:
            with self._changed:
                self._left += amount
                self._changed.notify_all()


# Bytes of the files and pixels of the images that all threads decode at the same time. A pixel
# takes up to 16 bytes: 4 in the image, and as many in the decoder, in a copy of other colors, and
# in the first pass of resizing. A thread takes bytes before it takes pixels, so that none waits for
# ever.
_bytes = _Shared(MAX_BYTES)
_pixels = _Shared(MAX_PIXELS)
# Pillow warns of what it reads nevertheless, in lines for programmers, thousands of them for some
# files. What it cannot read is an error.
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode_images(
    files: Sequence[str | bytes],
    names: Sequence[str],
    image_shape: tuple[int, int, int],
    reading: Reading = STORED,
) -> np.ndarray:
    """Decodes image files in parallel, each as `decode_image` does.

    Args:
      files: Paths, or the contents of files.
      names: Name of each file in error messages.
      image_shape: (height, width, channels).
      reading: The rules; see `pixels.Reading`.

    Returns:
      uint8 [B, height, width, channels].

    Raises:
      InputError: A file cannot be read or decoded; the message gives its name.
    """
    decoded = np.empty((len(files), *image_shape), np.uint8)

    def decode(slot: int) -> None:
        decoded[slot] = decode_image(files[slot], names[slot], image_shape, reading)

    list(_pool().map(decode, range(len(files))))  # `list` waits, and raises errors of threads.
    return decoded


def decode_image(
    file: str | bytes,
    name: str,
    image_shape: tuple[int, int, int],
    reading: Reading = STORED,
) -> np.ndarray:
    """Decodes an image file to a given shape.

    An image of another size is resized bilinearly, with Pillow's antialiasing. Gray values of 16
    bits are cut to their upper 8. Of an animation, the first frame is taken.

    Args:
      file: Path, or the content of a file.
      name: Name of the file in error messages.
      image_shape: (height, width, channels); 1 channel converts to gray, 3 to RGB.
      reading: The rules for aspect ratio, EXIF orientation and transparency; see `pixels.Reading`.

    Returns:
      uint8 [height, width, channels].

    Raises:
      InputError: The file is no regular file or cannot be read, is of no format in `FORMATS`, has
        more than MAX_BYTES bytes or MAX_PIXELS pixels, is damaged, or has pixels of 32 bits or
        floats.
    """
    with _opened(file, name, image_shape[1]) as opened:
        if reading.as_shown:
            pixels.reduce_scale(opened, image_shape, _REDUCED_TO)
        opened.load()
        return pixels.to_array(opened, image_shape, reading)


def fit_image(
    image: np.ndarray, image_shape: tuple[int, int, int], reading: Reading = STORED
) -> np.ndarray:
    """Brings an image in memory to a given shape, as `decode_image` does with that of a file.

    Args:
      image: uint8 [H, W, channels], gray (1 channel) or RGB (3).
      image_shape: (height, width, channels) of the result.
      reading: The rules; see `pixels.Reading`.

    Returns:
      uint8 [height, width, channels].
    """
    if image.shape == tuple(image_shape):
        return image
    opened = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return pixels.to_array(opened, image_shape, reading)


def find_unreadable(
    files: Sequence[str | bytes], names: Sequence[str], image_shape: tuple[int, int, int]
) -> list[str]:
    """Finds the image files that `decode_image` refuses, in parallel.

    All of a file is decoded, since a header is whole in a file that is cut off. A JPEG is decoded
    to an eighth of its size, which finds the same damage in less time.

    Args:
      files: Paths, or the contents of files.
      names: Name of each file in error messages.
      image_shape: (height, width, channels) to which images are to be decoded.

    Returns:
      The messages of the errors, in the order of the files.
    """
    return [error for error in find_errors(files, names, image_shape) if error is not None]


def find_errors(
    files: Sequence[str | bytes], names: Sequence[str], image_shape: tuple[int, int, int]
) -> list[str | None]:
    """Finds for each image file the error of `find_unreadable`, or None."""
    _, width, channels = image_shape

    def check(slot: int) -> str | None:
        try:
            with _opened(files[slot], names[slot], width) as opened:
                opened.draft(opened.mode, (1, 1))
                opened.load()
                corner = opened.crop((0, 0, 1, 1))
                corner.format = opened.format
                pixels.to_mode(corner, pixels.CHANNELS[channels], as_shown=True)
        except InputError as error:
            return str(error)
        return None

    return list(_pool().map(check, range(len(files))))


def look(file: str | bytes, name: str) -> tuple[int, int, bool]:
    """Reads the header of an image file; no pixel is decoded.

    Args:
      file: Path, or the content of a file.
      name: Name of the file in error messages.

    Returns:
      (width, height, whether it has colors), as the pixels are stored.

    Raises:
      InputError: As `decode_image` does, as far as the header shows it.
    """
    with _opened(file, name, 1) as opened:
        gray = opened.mode in _GRAY_MODES or pixels.is_gray_of_16_bits(opened)
        return opened.width, opened.height, not gray


def is_turned(file: str | bytes, name: str) -> bool:
    """Tells if programs show a JPEG turned or mirrored; no pixel is decoded.

    Of other formats, some of which would have to be decoded for it, the answer is no.

    Args:
      file: Path, or the content of a file.
      name: Name of the file in error messages.

    Raises:
      InputError: As `look` does.
    """
    with _opened(file, name, 1) as opened:
        return opened.format in ("JPEG", "MPO") and pixels.orientation(opened) != 1


def thumbnail(file: str, name: str, side: int) -> np.ndarray:
    """Decodes an image file to a small image of the same aspect ratio, as programs show it.

    Args:
      file: Path.
      name: Name of the file in error messages.
      side: The longer side of the result in pixels; an image that is smaller keeps its size.

    Returns:
      uint8 [height, width, 3].

    Raises:
      InputError: As `decode_image` does.
    """
    with _opened(file, name, side) as opened:
        opened.draft("RGB", (2 * side, 2 * side))
        opened.load()
        image = pixels.to_mode(opened, "RGB", as_shown=True)
        image.thumbnail((side, side))
        return np.asarray(image)


def missing_files(paths: Sequence[str]) -> list[str]:
    """Returns the paths without a regular file; checks them in parallel, for slow disks."""

    def check(start: int) -> list[str]:
        return [path for path in paths[start : start + _CHUNK] if not os.path.isfile(path)]

    chunks = _pool().map(check, range(0, len(paths), _CHUNK))
    return [path for chunk in chunks for path in chunk]


class _NoHeifError(Exception):
    """A file is HEIC, and the extra that reads it is not installed."""


@contextlib.contextmanager
def _opened(file: str | bytes, name: str, width: int) -> Iterator[Image.Image]:
    """Opens an image, decodes no pixels yet; all errors in the block become InputErrors.

    Args:
      file: Path, or the content of a file.
      name: Name of the file in error messages.
      width: The width to which the image is to be resized.
    """
    try:
        with (
            _content(file) as content,
            _opened_content(content) as image,
            _pixels.take(_check(image, width)),
        ):
            yield image
        return
    except _NoHeifError:
        reason, cause = "it is HEIC, which needs pip install 'jhash[heic]'", None
    except Image.UnidentifiedImageError:
        reason = f"it is damaged or of another format; allowed: {', '.join(FORMATS)}"
        cause = None
    except Image.DecompressionBombError as error:
        reason, cause = _too_large(f"more than {MAX_PIXELS:,}"), error
    except OSError as error:
        reason, cause = error.strerror or str(error), error
    except Exception as error:  # A damaged file can raise nearly anything in a decoder.
        reason, cause = str(error) or type(error).__name__, error
    raise InputError(f"image {name} cannot be read: {reason}") from cause


def _opened_content(content: bytes) -> Image.Image:
    formats = _formats()
    if "HEIF" not in formats and content[4:8] == b"ftyp" and content[8:12] in _HEIC:
        raise _NoHeifError
    return Image.open(io.BytesIO(content), formats=formats)


@contextlib.contextmanager
def _content(file: str | bytes) -> Iterator[bytes]:
    """Yields the content of a file. Pillow would map a file that is open into memory."""
    if isinstance(file, bytes):
        yield file
        return
    with open_regular(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > MAX_BYTES:
            raise InputError(f"it has {size:,} bytes; allowed: up to {MAX_BYTES:,}")
        with _bytes.take(size):
            content = opened.read(size)
            opened.close()
            yield content


def _check(image: Image.Image, width: int) -> int:
    """Checks mode and size, and returns the number of pixels for which there has to be memory."""
    if image.mode in _WIDE_MODES and not pixels.is_gray_of_16_bits(image):
        raise InputError(
            f"its pixels are of 32 bits or floats (Pillow's mode {image.mode}); allowed: 8 and 16 "
            "bits. Convert it first, as only you know which range of values matters."
        )
    # Pillow first resizes the rows, so that a narrow and very high image becomes a large one. It
    # has turned a TIFF by then, as the orientation in its header says.
    count = max(image.width * image.height, width * max(image.size))
    if count > MAX_PIXELS:
        raise InputError(_too_large(f"{image.width:,} x {image.height:,}"))
    return count


def _too_large(given: str) -> str:
    return f"it has {given} pixels; allowed: up to {MAX_PIXELS:,}, also with its rows resized"


@functools.cache
def _formats() -> tuple[str, ...]:
    """Returns those of the formats that are installed, by Pillow's names."""
    Image.init()
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    return tuple(name.upper() for name in FORMATS if name.upper() in Image.OPEN)


@functools.cache
def _pool() -> futures.ThreadPoolExecutor:
    return futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="jhash-images")
