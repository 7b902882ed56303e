"""The command `python -m jhash index`: builds, changes and exports an index."""

import itertools

from jhash.commands import add_json, index_build, index_update, milvus, parser, tell
from jhash.errors import in_config, printable
from jhash.system import files

_CHANGE = """
The file is replaced as a whole: at any moment it holds the old index or the new one.
Commands that change the same index wait for each other, by a lock on the file .NAME.lock
in the same folder.
"""
_EXPORT = """
Rows are in the order of insertion. --packed writes uint8 [N, ceil(bits / 8)]; bit j of
a code is bit j % 8 of byte j // 8, as in the binary vectors of faiss and Milvus.
--faiss needs integer ids, such as those of an index of a run's database.

--milvus writes codes, ids, classes and the digest of the model into a collection, which
is made if it is not there. The same command goes on where a killed one has stopped. In
the end, some codes are searched for there, and the distances compared.
"""
_EXAMPLES = {
    "build": (
        "index build --output photos.index --images photos/",
        "index build --output photos.index --run RUN --images photos/",
        "index build --output photos.index --codes photos.npz",
        "index build --output photos.index --codes codes/*.npz",
        "index build --output database.index --run RUN --database learned",
    ),
    "update": (
        "index update --index photos.index",
        "index update --index photos.index --images photos/ more/",
    ),
    "add": (
        "index add --index photos.index --images more/",
        "index add --index photos.index --codes more.npz",
    ),
    "remove": ("index remove --index photos.index cats/7.png cats/8.png",),
    "info": ("index info --index photos.index",),
    "export": (
        "index export --index photos.index --packed codes.npy --ids ids.npy",
        "index export --index database.index --faiss database.faiss",
        "index export --index photos.index --milvus http://localhost:19530 --collection photos",
    ),
}

# What messages call arguments of functions here.
_FLAGS = {"index": "--index", "texts": "ID"}


def add(commands):
    """Adds the command, its actions and their arguments."""
    examples = itertools.chain(*_EXAMPLES.values())
    group = parser(commands, "index", "build, change or export an index of codes", "", examples)
    actions = group.add_subparsers(metavar="ACTION", required=True)

    def action(name, summary, details):
        made = parser(actions, name, summary, details, _EXAMPLES[name])
        add_json(made)
        return made

    index_build.add_arguments(action("build", "make an index", index_build.DETAILS))

    details = index_update.DETAILS + _CHANGE
    change = action("update", "bring an index up to date with its folders", details)
    _add_index(change)
    index_update.add_arguments(change)

    change = action("add", "add images or codes to an index", _CHANGE)
    _add_index(change)
    index_update.add_new_arguments(change)

    change = action("remove", "remove codes from an index", _CHANGE)
    _add_index(change)
    change.add_argument("ids", nargs="+", metavar="ID", help="ids to remove")
    change.set_defaults(run=_remove)

    info = action("info", "describe an index", "")
    _add_index(info)
    add_stream(info)
    info.set_defaults(run=_info)

    export = action("export", "write an index for other programs", _EXPORT)
    _add_index(export)
    export.add_argument("--faiss", metavar="FILE", help="an index for faiss.read_index_binary")
    export.add_argument("--packed", metavar="FILE.npy", help="the codes alone, as bytes")
    export.add_argument("--ids", metavar="FILE.npy", help="the ids: int64 or strings [N]")
    milvus.add_arguments(export, "write to a collection of Milvus")
    add_stream(export)
    export.set_defaults(run=_export, wrong=export.error)


def load(arguments):
    """Loads the index that --index names, or with --stream only opens it.

    If --milvus names a collection in its place, that is opened, and `index` becomes the file that
    it came from.
    """
    if not arguments.index:
        index, arguments.index = milvus.open_index(arguments.milvus, arguments.collection)
        return index
    from jhash.retrieval import HammingIndex

    return HammingIndex.load(
        arguments.index,
        stream=getattr(arguments, "stream", False),
        together=getattr(arguments, "distributed", False),
    )


def add_stream(command):
    """Adds --stream to a command that reads an index."""
    command.add_argument(
        "--stream",
        action="store_true",
        help="leave the codes in the file, and read them piece by piece when they are needed; for "
        "an index that is larger than memory",
    )


def add_place(command):
    """Adds the flags that name an index, or a collection in its place, to a command."""
    command.add_argument("--index", help="the index to search")
    milvus.add_arguments(command, "search a collection of Milvus that `index export` has made")


def check_place(arguments):
    """Ends a command, as wrongly used, that does not name one thing to search."""
    milvus.check(arguments)
    if bool(arguments.index) == bool(arguments.milvus):
        arguments.wrong("give --index, or --milvus and --collection")
    if arguments.milvus and arguments.stream:
        arguments.wrong("--stream needs --index")


def _add_index(command):
    command.add_argument("--index", required=True, help="the file of the index")


def _remove(arguments):
    from jhash.retrieval.index import editing

    with in_config(_FLAGS), editing.editing(arguments.index) as index:
        index.remove(index.parse_ids(arguments.ids))
    tell(
        arguments,
        f"Removed {len(arguments.ids):,}. {arguments.index}: {index_build.size(index)}.",
        index=arguments.index,
        removed=len(arguments.ids),
        codes=len(index),
        bits=index.bits,
    )


def _info(arguments):
    index = load(arguments)
    kind = "integers" if index.id_kind == "int64" else "strings"
    lines = [f"{arguments.index}: {index_build.size(index)}.", f"ids: {kind}"]
    lines += [printable(f"{name}: {value}") for name, value in index.metadata.items()]
    tell(
        arguments,
        "\n".join(lines),
        index=arguments.index,
        codes=len(index),
        bits=index.bits,
        ids=kind,
        metadata=index.metadata,
    )


def _export(arguments):
    milvus.check(arguments)
    if not (arguments.faiss or arguments.packed or arguments.ids or arguments.milvus):
        arguments.wrong("give at least one of --faiss, --packed, --ids and --milvus")
    for path in filter(None, (arguments.faiss, arguments.packed, arguments.ids)):
        files.check_output(path)
    from jhash.retrieval.export import arrays

    index = load(arguments)
    arrays.write(index, arguments.faiss, arguments.packed, arguments.ids)
    words = f"Exported {index_build.size(index)}."
    fields = {}
    if arguments.milvus:
        written = milvus.write(arguments, index)
        words += f" {arguments.collection}: {written.inserted:,} new, {written.found:,} there."
        fields = {"collection": arguments.collection, **written._asdict()}
    tell(
        arguments,
        words,
        index=arguments.index,
        codes=len(index),
        bits=index.bits,
        faiss=arguments.faiss,
        packed=arguments.packed,
        ids=arguments.ids,
        **fields,
    )
