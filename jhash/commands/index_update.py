"""The actions `update` and `add` of the command `index`.

JAX and the encoder are loaded only where there is an image to encode, or a code to remove.
"""

import os
import sys

from jhash.commands import images, index_build, tell
from jhash.data import decoding, image_changes
from jhash.errors import InputError, in_config, printable

DETAILS = """
Looks at the folders of the images, by default those of which the index was built. New
images are encoded and added. Images that are gone are removed, and those that were
modified since (by the time of their files) are encoded again. All others stay. Images of
the index that are in none of the folders stay, too.
"""
# So many new images are decoded first, to see whether any can be read: an image that cannot be read
# is as good as new every time.
_FEW = 64
_FLAGS = {"index": "--index", "places": "--images", "run": "--run"}


def add_arguments(command) -> None:
    """Adds the arguments of `update`."""
    command.add_argument(
        "--images",
        nargs="+",
        default=(),
        metavar="FOLDER",
        help="folders to look at; default: those of the index. A new one is looked at from now on",
    )
    _add_encoding(command)
    command.set_defaults(run=_update, only_new=False)


def add_new_arguments(command) -> None:
    """Adds the arguments of `add`."""
    given = command.add_mutually_exclusive_group(required=True)
    given.add_argument("--codes", metavar="CODES.npz", help="codes to add")
    given.add_argument(
        "--images",
        nargs="+",
        metavar="FOLDER_OR_FILE",
        help="images to add, encoded as those of the index; those that it has are left out",
    )
    _add_encoding(command)
    command.set_defaults(run=_add, only_new=True)


def _add_encoding(command):
    command.add_argument(
        "--run",
        dest="workdir",
        metavar="RUN",
        help="the run that encodes images; default: the encoder of the index, or its run",
    )
    images.add_arguments(command)


def _add(arguments):
    if arguments.images:
        _update(arguments)
        return
    from jhash.encoding import compatibility
    from jhash.retrieval.index import editing
    from jhash.runs import code_files

    content = code_files.read(arguments.codes)
    with in_config(_FLAGS), editing.editing(arguments.index) as index:
        compatibility.check_same(
            (arguments.index, index.bits, index.metadata.get("network")),
            (arguments.codes, content.bits, content.metadata.get("network")),
        )
        index.add(content.codes, _ids_of(arguments, index, content))
    tell(
        arguments,
        f"Added {len(content.codes):,}. {arguments.index}: {index_build.size(index)}.",
        index=arguments.index,
        added=len(content.codes),
        codes=len(index),
        bits=index.bits,
    )


def _ids_of(arguments, index, content):
    """Returns the ids of codes as they are in the index, whose root may be another."""
    theirs = image_changes.place_of(arguments.codes, content.metadata).root
    root = image_changes.place_of(arguments.index, index.metadata).root
    if None in (theirs, root) or theirs == root or content.ids is None:
        return content.ids
    return image_changes.moved(content.ids.tolist(), theirs, root)


def _update(arguments):
    path = arguments.index
    if not os.path.exists(path):
        raise InputError(f"--index: {path} given; allowed: the file of an index.")
    from jhash.retrieval.index import file_format

    content = file_format.read(path)
    place = image_changes.place_of(path, content.metadata)
    since = os.stat(path).st_mtime if place.newest is None else place.newest
    with in_config(_FLAGS):
        ids = content.ids.tolist()
        look = image_changes.look(path, place, arguments.images, ids)
        changes = image_changes.compare(look, ids, since)
    if look.moved:
        line = f"{look.moved} is no folder any more; {look.place.root} takes its place."
        print(f"jhash: {printable(line)}", file=sys.stderr)
    unreadable = _unreadable(changes)
    changed = not arguments.only_new and (changes.changed or changes.gone)
    if len(changes.new) > len(unreadable) or changed or look.moved:
        counts, index = _change(arguments, look, since, unreadable)
        unreadable |= counts.pop("unreadable")
        codes, bits = len(index), index.bits
    else:
        counts = {"added": 0, "changed": 0, "removed": 0, "unchanged": changes.unchanged}
        codes, bits = len(content.codes), content.bits
    words = f"Added {counts['added']:,}"
    if arguments.only_new:
        counts = {"added": counts["added"]}
    else:
        words += (
            f", encoded {counts['changed']:,} again, removed {counts['removed']:,}, left "
            f"{counts['unchanged']:,} as they are"
        )
    if unreadable:
        words += f" ({len(unreadable):,} cannot be read, see above)"
    tell(
        arguments,
        f"{words}. {path}: {codes:,} codes of {bits} bits.",
        index=path,
        **counts,
        unreadable=list(unreadable.values()),
        codes=codes,
        bits=bits,
    )


def _unreadable(changes):
    """Returns the errors, by path, of new images that cannot be read, if there are only a few."""
    paths = list(changes.new.values())
    if not paths or len(paths) > _FEW:
        return {}
    errors = decoding.find_errors(paths, paths, (1, 1, 3))
    found = {path: error for path, error in zip(paths, errors, strict=True) if error}
    for error in found.values():
        print(f"jhash: {printable(error)}", file=sys.stderr)
    return found


def _change(arguments, look, since, unreadable):
    """Changes the index; returns the numbers of `updating.Updated` by name, and the index."""
    from jhash.encoding import image_search, updating
    from jhash.retrieval.index import editing

    more = {}

    def encode(paths):
        with in_config(_FLAGS):
            file_encoder = image_search.load_encoder(
                index, arguments.index, arguments.workdir, arguments.trust_modules
            )
        codes, errors = images.encode(file_encoder, paths, arguments.batch_size, arguments.quiet)
        more.update({path: error for path, error in zip(paths, errors, strict=True) if error})
        return codes, errors

    with in_config(_FLAGS), editing.editing(arguments.index) as index:
        updated = updating.update(index, look, since, encode, unreadable, arguments.only_new)
    return {**updated._asdict(), "unreadable": more}, index
