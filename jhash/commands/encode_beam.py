"""The command `encode` with --beam: image files to files of codes, by a pipeline of Apache Beam."""

import glob
import os
import sys
import time

from jhash.commands import tell
from jhash.data import image_changes, image_files
from jhash.errors import InputError, in_config, printable

_FLAGS = {"run": "--run", "images": "--images", "places": "--images", "folder": "--output"}


def run(arguments) -> None:
    """Encodes the images and writes the files of codes.

    Raises:
      InputError: Apache Beam is not installed, there are no images, none can be read, or the run
        has no trained model.
    """
    with in_config({"beam": "--beam"}):
        from jhash import beam
    from jhash.encoding import encoder, mismatch

    shards = arguments.shards or beam.SHARDS
    with in_config(_FLAGS):
        beam.check_folder(arguments.output, shards)
        path_of, metadata = _find(arguments.images, beam)
        encode = beam.Encode(arguments.workdir, arguments.batch_size, arguments.trust_modules)
    if metadata:
        loaded = encoder.load(arguments.workdir, arguments.trust_modules)
        for line in mismatch.describe(loaded, arguments.workdir, list(path_of.values())):
            print(f"jhash: {printable(line)}", file=sys.stderr)
    metadata |= {"run": os.path.abspath(arguments.workdir), "network": encode.digest}
    began = time.perf_counter()
    with in_config(_FLAGS):
        counts = beam.encode_files(
            path_of, encode, arguments.output, shards, metadata, arguments.beam
        )
    seconds = time.perf_counter() - began
    if not counts.encoded:
        raise InputError(
            f"--images: {len(path_of)} files given, none of which can be read; allowed: at least "
            "one readable image."
        )
    unreadable = os.path.join(arguments.output, beam.UNREADABLE_FILE)
    tell(
        arguments,
        f"Encoded {counts.encoded:,} of {len(path_of):,} images"
        + (f" ({counts.unreadable:,} cannot be read, see {unreadable})" * bool(counts.unreadable))
        + f": {encode.bits} bits, {seconds:.1f} s.\n"
        f"The codes are in {shards} files in {arguments.output}.",
        output=arguments.output,
        bits=encode.bits,
        images=len(path_of),
        encoded=counts.encoded,
        unreadable=counts.unreadable,
        shards=shards,
        seconds=round(seconds, 3),
    )


def _find(places, beam):
    """Finds the images that --images names.

    Returns:
      (paths or URLs by id, metadata of an index of them). The id of an image at a URL is the URL.
      Other ids are those that `encode` gives without --beam to what a shell makes of the pattern.
    """
    urls = [place for place in places if "://" in place]
    if urls and len(urls) < len(places):
        raise InputError(
            f"images: {urls[0]} given with {next(p for p in places if p not in urls)}; allowed: "
            "URLs alone, or files and folders alone."
        )
    if urls:
        return {url: url for pattern in urls for url in beam.match(pattern)}, {}
    found = image_files.find([path for place in places for path in _expand(place)])
    return found.path_of, image_changes.metadata(found)


def _expand(place):
    """Returns the files and folders that a pattern matches; of a place that exists, itself."""
    if os.path.exists(place):
        return [place]
    return sorted(glob.glob(place, recursive=True)) or [place]
