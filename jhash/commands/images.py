"""Image files for the commands: finding them, and encoding them with a bar and readable errors."""

import os
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import tqdm

from jhash.commands import at_least
from jhash.errors import InputError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find(places: Sequence[str]) -> dict[str, str]:
    """The images in folders, and files.

    Args:
      places: Folders, searched with all that is below them, also through links, for files with one
        of `EXTENSIONS` in either case; and files, taken as they are.

    Returns:
      Paths by id. An image's id is its path relative to the folder given, or the file as given.
      Sorted by id within a place.

    Raises:
      InputError: A place does not exist, there is no image, or two have the same id.
    """
    found: dict[str, str] = {}
    for place in places:
        if not os.path.exists(place):
            raise InputError(f"--images: there is no file or folder {place}.")
        paths = _walk(place) if os.path.isdir(place) else [place]
        named = {_name(path, place): path for path in paths}
        for name in sorted(named):
            if name in found:
                raise InputError(
                    f"--images: {found[name]} and {named[name]} would have the same id, {name}; "
                    "give the folder that both are in."
                )
            found[name] = named[name]
    if not found:
        raise InputError(
            f"--images: no file in {', '.join(places)} ends in one of {' '.join(EXTENSIONS)}."
        )
    return found


def _walk(folder: str) -> Iterator[str]:
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(parent, name))
            if real in seen:  # A link back up, or a second way to the same folder.
                folders.remove(name)
            seen.add(real)
        folders.sort()
        yield from (os.path.join(parent, n) for n in names if n.lower().endswith(EXTENSIONS))


def _name(path: str, place: str) -> str:
    name = path if path == place else os.path.relpath(path, place)
    # A name need not be text; an id is.
    return os.fsencode(name).decode(errors="backslashreplace")


def encode(
    file_encoder, paths: Sequence[str], batch_size: int | None = None, quiet: bool = False
) -> tuple[np.ndarray, list[str | None]]:
    """Encodes image files; those that cannot be read are reported on stderr.

    Args:
      file_encoder: A `jhash.encoder.FileEncoder`.
      paths: The files.
      batch_size: See `FileEncoder.encode`.
      quiet: No progress bar; there is none either when stderr is no terminal.

    Returns:
      (codes, errors): the codes of the readable files, packed uint32 [R, words], and for each file
      None or why it cannot be read.
    """
    codes, errors = [], []
    with tqdm.tqdm(
        total=len(paths), desc="encode", unit="img", leave=False, disable=True if quiet else None
    ) as bar:
        for batch_codes, batch_errors in file_encoder.encode(paths, batch_size):
            for error in filter(None, batch_errors):
                bar.write(f"jhash: {error}", file=sys.stderr)
            codes.append(batch_codes)
            errors += batch_errors
            bar.update(len(batch_errors))
    return np.concatenate(codes), errors


def check_any_readable(errors: Sequence[str | None]) -> None:
    """Raises InputError if no image can be read; `errors` as `encode` returns them."""
    if all(errors):
        raise InputError(f"none of {len(errors)} images can be read.")


def add_arguments(parser) -> None:
    """Adds the arguments of the commands that encode folders."""
    parser.add_argument(
        "--batch-size",
        type=at_least(1),
        metavar="N",
        help="images encoded at a time; default: as in the evaluation, which gives its codes",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def encode_found(arguments):
    """Does what `encode` and `index build` share, with their arguments, and says how it went.

    Returns:
      What a file of codes holds: codes, ids, bits, run and network.

    Raises:
      InputError: There are no images, none can be read, or the run has no network.
    """
    from jhash import encoder

    found, file_encoder = find(arguments.images), encoder.load(arguments.workdir)
    began = time.perf_counter()
    paths = list(found.values())
    codes, errors = encode(file_encoder, paths, arguments.batch_size, arguments.quiet)
    seconds = time.perf_counter() - began
    check_any_readable(errors)
    unreadable = len(errors) - len(codes)
    print(
        f"Encoded {len(codes):,} of {len(errors):,} images"
        + (f" ({unreadable:,} cannot be read, see above)" if unreadable else "")
        + f": {file_encoder.bits} bits, {seconds:.1f} s."
    )
    return {
        "codes": codes,
        "ids": np.array([name for name, error in zip(found, errors, strict=True) if not error]),
        "bits": file_encoder.bits,
        "run": os.path.abspath(arguments.workdir),
        "network": file_encoder.digest,
    }
