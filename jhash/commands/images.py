"""Encoding of image files for the commands, with a progress bar and readable errors."""

import os
import sys
import time
from collections.abc import Sequence

import numpy as np
import tqdm

from jhash.commands import add_trust, at_least
from jhash.data import image_files
from jhash.errors import InputError, in_config, printable


def encode(
    file_encoder, paths: Sequence[str], batch_size: int | None = None, quiet: bool = False
) -> tuple[np.ndarray, list[str | None]]:
    """Encodes image files, and reports on stderr those that cannot be read.

    Args:
      file_encoder: A `jhash.encoding.FileEncoder`.
      paths: Image files.
      batch_size: Images encoded at a time; see `FileEncoder.encode`.
      quiet: Leaves out the progress bar, as is done whenever stderr is no terminal.

    Returns:
      (codes, errors): the codes of the readable files, packed uint32 [R, words], and for each file
      None or the reason why it cannot be read.
    """
    codes = []
    errors = []
    with tqdm.tqdm(
        total=len(paths), desc="encode", unit="img", leave=False, disable=True if quiet else None
    ) as bar:
        for batch_codes, batch_errors in file_encoder.encode(paths, batch_size):
            for error in filter(None, batch_errors):
                bar.write(f"jhash: {printable(error)}", file=sys.stderr)
            codes.append(batch_codes)
            errors += batch_errors
            bar.update(len(batch_errors))
    return np.concatenate(codes), errors


def check_any_readable(errors: Sequence[str | None], flag: str) -> None:
    """Raises InputError if no image can be read.

    Args:
      errors: What `encode` returns.
      flag: The flag that names the images.

    Raises:
      InputError: There is an error for each image.
    """
    if all(errors):
        raise InputError(
            f"{flag}: {len(errors)} files given, none of which can be read; allowed: at least one "
            "readable image."
        )


def add_arguments(parser) -> None:
    """Adds the arguments of the commands that encode folders."""
    parser.add_argument(
        "--batch-size",
        type=at_least(1),
        metavar="N",
        help="images encoded at a time; default: as many as in the run's evaluation",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_trust(parser)


def encode_found(arguments):
    """Encodes the images that the arguments of `encode` or `index build` name.

    Prints how many images were encoded, and in what time.

    Returns:
      The content of a file of codes: a dict of codes, ids, bits, run and network.

    Raises:
      InputError: There are no images, none can be read, or the run has no trained model.
    """
    from jhash.encoding import encoder

    with in_config({"places": "--images"}):
        paths_by_id = image_files.find(arguments.images)
    file_encoder = encoder.load(arguments.workdir, arguments.trust_modules)
    began = time.perf_counter()
    paths = list(paths_by_id.values())
    codes, errors = encode(file_encoder, paths, arguments.batch_size, arguments.quiet)
    seconds = time.perf_counter() - began
    check_any_readable(errors, "--images")
    unreadable = len(errors) - len(codes)
    print(
        f"Encoded {len(codes):,} of {len(errors):,} images"
        + (f" ({unreadable:,} cannot be read, see above)" if unreadable else "")
        + f": {file_encoder.bits} bits, {seconds:.1f} s."
    )
    ids = [name for name, error in zip(paths_by_id, errors, strict=True) if not error]
    return {
        "codes": codes,
        "ids": np.array(ids),
        "bits": file_encoder.bits,
        "run": os.path.abspath(arguments.workdir),
        "network": file_encoder.digest,
    }
