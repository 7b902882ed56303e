"""Encoding of image files for the commands, with a bar and readable errors."""

import os
import sys
import time
from collections.abc import Sequence

import numpy as np
import tqdm

from jhash.commands import at_least
from jhash.data import image_files
from jhash.errors import InputError


def encode(
    file_encoder, paths: Sequence[str], batch_size: int | None = None, quiet: bool = False
) -> tuple[np.ndarray, list[str | None]]:
    """Encodes image files; those that cannot be read are reported on stderr.

    Args:
      file_encoder: A `jhash.encoding.FileEncoder`.
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
    from jhash.encoding import encoder

    found = image_files.find(arguments.images)
    file_encoder = encoder.load(arguments.workdir)
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
