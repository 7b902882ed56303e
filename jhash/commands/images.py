"""Encoding of image files for the commands, with a progress bar and readable errors."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tqdm

from jhash.commands import add_trust, at_least
from jhash.data import image_changes, image_files
from jhash.errors import InputError, in_config, printable


class Encoded(NamedTuple):
    """Images that a command has encoded.

    Attributes:
      content: The content of a file of codes: codes, ids, bits, and metadata of an index.
      words: How many images were encoded, and in what time; a sentence.
      fields: The same for `tell`.
    """

    content: dict[str, Any]
    words: str
    fields: dict[str, Any]


@contextlib.contextmanager
def progress(total: int, quiet: bool = False) -> Iterator[Callable[[int, Sequence[str]], None]]:
    """Shows a progress bar, which is left out whenever stderr is no terminal.

    Args:
      total: Number of images.
      quiet: Leaves out the bar.

    Yields:
      A function (count, errors) that advances the bar by a number of images, and prints the reasons
      why some of them cannot be read.
    """
    with tqdm.tqdm(
        total=total, desc="encode", unit="img", leave=False, disable=True if quiet else None
    ) as bar:

        def report(count, errors):
            for error in errors:
                bar.write(f"jhash: {printable(error)}", file=sys.stderr)
            bar.update(count)

        yield report


def encode(
    file_encoder, paths: Sequence[str], batch_size: int | None = None, quiet: bool = False
) -> tuple[np.ndarray, list[str | None]]:
    """Encodes image files, and reports on stderr those that cannot be read.

    Args:
      file_encoder: A `jhash.encoding.FileEncoder`.
      paths: Image files.
      batch_size: Images encoded at a time; see `FileEncoder.encode`.
      quiet: As for `progress`.

    Returns:
      (codes, errors): the codes of the readable files, packed uint32 [R, words], and for each file
      None or the reason why it cannot be read.
    """
    codes = []
    errors = []
    with progress(len(paths), quiet) as report:
        for batch_codes, batch_errors in file_encoder.encode(paths, batch_size):
            codes.append(batch_codes)
            errors += batch_errors
            report(len(batch_errors), [error for error in batch_errors if error])
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


def find(places: Sequence[str]) -> image_files.Found:
    """Finds the images that --images names."""
    with in_config({"places": "--images"}):
        return image_files.find(places)


def encode_found(arguments) -> Encoded:
    """Encodes the images that the arguments of `encode` or `index build` name, with a run.

    Says on stderr if the run was trained on other kinds of images.

    Raises:
      InputError: There are no images, none can be read, or the run has no trained model.
    """
    from jhash.encoding import encoder, mismatch

    found = find(arguments.images)
    file_encoder = encoder.load(arguments.workdir, arguments.trust_modules)
    paths = list(found.path_of.values())
    for line in mismatch.describe(file_encoder, arguments.workdir, paths):
        print(f"jhash: {printable(line)}", file=sys.stderr)
    metadata = {"run": os.path.abspath(arguments.workdir), "network": file_encoder.digest}
    metadata |= image_changes.metadata(found)
    began = time.perf_counter()
    codes, errors = encode(file_encoder, paths, arguments.batch_size, arguments.quiet)
    return describe(found, file_encoder.bits, codes, errors, metadata, began)


def fit_found(arguments) -> tuple[Encoded, Any]:
    """Fits an encoder to the images that the arguments of `index build` name, and encodes them.

    Returns:
      (encoded, fitted): what was encoded, without `network` in its content, and a
      `jhash.encoding.fitted.Fitted`.

    Raises:
      InputError: There are no images, none can be read, or the encoder's weights are missing.
    """
    from jhash.encoding import fitted

    with in_config({"run": "--run", "bits": "--bits", "images": "--images"}):
        fitted.check(arguments.bits)
        found = find(arguments.images)
        metadata = image_changes.metadata(found)
        paths = list(found.path_of.values())
        began = time.perf_counter()
        with progress(fitted.count_reads(len(paths)), arguments.quiet) as report:
            made = fitted.fit(paths, arguments.bits, report)
    encoded = describe(found, arguments.bits, made.codes, made.errors, metadata, began)
    few = "" if made.method == "itq" else f", as ITQ needs more than {arguments.bits} images"
    words = f"Fitted {made.method.upper()} to features of these images by EfficientNet-Lite0{few}."
    fields = {**encoded.fields, "method": made.method}
    return encoded._replace(words=f"{words}\n{encoded.words}", fields=fields), made


def describe(found, bits, codes, errors, metadata, began) -> Encoded:
    """Describes images that were encoded.

    Args:
      found: Where they were found, an `image_files.Found`.
      bits: Code length.
      codes: Packed codes of those that can be read, uint32 [R, words].
      errors: For each image None, or the reason why it cannot be read.
      metadata: Metadata of an index of them.
      began: Value of `time.perf_counter` before the work.

    Raises:
      InputError: None can be read.
    """
    seconds = time.perf_counter() - began
    check_any_readable(errors, "--images")
    unreadable = [error for error in errors if error]
    words = (
        f"Encoded {len(codes):,} of {len(errors):,} images"
        + (f" ({len(unreadable):,} cannot be read, see above)" if unreadable else "")
        + f": {bits} bits, {seconds:.1f} s."
    )
    if len(codes) > 1 and (codes == codes[0]).all():
        words += "\nAll of them have the same code, so that a search cannot tell them apart."
    if others := image_files.others_in_words(found.others):
        words += f"\n{others}"
    ids = [name for name, error in zip(found.path_of, errors, strict=True) if not error]
    content = {"codes": codes, "ids": np.array(ids), "bits": bits, **metadata}
    fields = {
        "images": len(errors),
        "encoded": len(codes),
        "unreadable": unreadable,
        "others": dict(found.others),
        "seconds": round(seconds, 3),
    }
    return Encoded(content, words, fields)
