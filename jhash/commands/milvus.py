"""Collections of Milvus in commands: the flags that name one, reading and writing."""

import os

import tqdm

from jhash.errors import in_config

FLAGS = {"milvus": "--milvus", "collection": "--collection"}


def add_arguments(command, purpose: str) -> None:
    """Adds the flags that name a collection.

    Args:
      command: Parser of the command.
      purpose: What the command does with the collection, for --help.
    """
    command.add_argument(
        "--milvus",
        metavar="URI",
        help=f"{purpose}: address of a server, such as http://localhost:19530 (its token is taken "
        'from the variable MILVUS_TOKEN), or a file NAME.db; it needs the extra "milvus"',
    )
    command.add_argument("--collection", metavar="NAME", help="the collection there")


def check(arguments) -> None:
    """Ends the command, as wrongly used, if only one of the two flags is given."""
    if bool(arguments.milvus) != bool(arguments.collection):
        arguments.wrong("--milvus and --collection need each other")


def open_index(uri: str, name: str):
    """Opens a collection; returns what searches it, and the file of the index that it came from."""
    from jhash.retrieval.export import milvus

    with in_config(FLAGS):
        index = milvus.MilvusIndex.open(uri, name)
    return index, index.path or os.path.abspath(name)


def read(arguments):
    """Reads the collection that the arguments name into an index."""
    from jhash.retrieval.export import milvus

    with in_config(FLAGS):
        return milvus.read(arguments.milvus, arguments.collection)


def write(arguments, index):
    """Writes an index to the collection that the arguments name; returns what was done."""
    from jhash.retrieval.export import milvus
    from jhash.runs import code_classes

    path = os.path.realpath(arguments.index)
    classes = code_classes.of_index(index)
    with (
        in_config(FLAGS | {"index": "--index"}),
        tqdm.tqdm(total=len(index), desc="export", unit="code", leave=False, disable=None) as bar,
    ):
        return milvus.write(
            index, arguments.milvus, arguments.collection, classes, path, bar.update
        )
