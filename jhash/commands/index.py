"""The command `python -m jhash index`: builds, changes and exports an index."""

import itertools

from jhash.commands import images, parser
from jhash.errors import in_config, printable
from jhash.system import files

_BUILD = """
With --codes: takes a file that `python -m jhash encode` wrote, or one of a run's
folder codes/.
With --run and --images: encodes the images (see encode --help) and takes their codes.
With --run alone: takes the codes of the run's database; their ids are the images'
places in the data set.
"""
_CHANGE = """
The file is replaced as a whole: at any moment it holds the old index or the new one.
Commands that change the same index wait for each other, by a lock on the file .NAME.lock
in the same folder.
"""
_EXPORT = """
Rows are in the order of insertion. --packed writes uint8 [N, ceil(bits / 8)]; bit j of
a code is bit j % 8 of byte j // 8, as in the binary vectors of faiss and Milvus.
--faiss needs integer ids, such as those of an index of a run's database.
"""
_EXAMPLES = {
    "build": (
        "index build --output photos.index --run RUN --images photos/",
        "index build --output photos.index --codes photos.npz",
        "index build --output database.index --run RUN --database learned",
    ),
    "add": ("index add --index photos.index --codes more.npz",),
    "remove": ("index remove --index photos.index cats/7.png cats/8.png",),
    "info": ("index info --index photos.index",),
    "export": (
        "index export --index photos.index --packed codes.npy --ids ids.npy",
        "index export --index database.index --faiss database.faiss",
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
        return parser(actions, name, summary, details, _EXAMPLES[name])

    build = action("build", "make an index", _BUILD)
    build.add_argument("--output", required=True, metavar="INDEX", help="the file to write")
    build.add_argument("--codes", metavar="CODES.npz", help="the codes of the index")
    build.add_argument("--run", dest="workdir", metavar="RUN", help="a run's folder")
    build.add_argument(
        "--images", nargs="+", metavar="FOLDER_OR_FILE", help="images to encode with the run"
    )
    build.add_argument(
        "--database",
        choices=("encoded", "learned"),
        help="codes that the run's model computes (default), or that training learned",
    )
    images.add_arguments(build)
    build.set_defaults(run=_build, wrong=build.error)

    change = action("add", "add codes to an index", _CHANGE)
    _add_index(change)
    change.add_argument("--codes", required=True, metavar="CODES.npz", help="codes to add")
    change.set_defaults(run=_add)

    change = action("remove", "remove codes from an index", _CHANGE)
    _add_index(change)
    change.add_argument("ids", nargs="+", metavar="ID", help="ids to remove")
    change.set_defaults(run=_remove)

    info = action("info", "describe an index", "")
    _add_index(info)
    info.set_defaults(run=_info)

    export = action("export", "write an index for other programs", _EXPORT)
    _add_index(export)
    export.add_argument("--faiss", metavar="FILE", help="an index for faiss.read_index_binary")
    export.add_argument("--packed", metavar="FILE.npy", help="the codes alone, as bytes")
    export.add_argument("--ids", metavar="FILE.npy", help="the ids: int64 or strings [N]")
    export.set_defaults(run=_export, wrong=export.error)


def load(arguments):
    """Loads the index that --index names."""
    from jhash.retrieval import HammingIndex

    return HammingIndex.load(arguments.index)


def _add_index(command):
    command.add_argument("--index", required=True, help="the file of the index")


def _build(arguments):
    if (arguments.codes is None) == (arguments.workdir is None):
        arguments.wrong("give either --codes or --run")
    if arguments.images and not arguments.workdir:
        arguments.wrong("--images needs --run")
    if arguments.database and (arguments.images or arguments.codes):
        arguments.wrong("--database needs --run alone, without --images or --codes")
    files.check_output(arguments.output)
    from jhash.encoding import compatibility
    from jhash.retrieval import HammingIndex
    from jhash.retrieval.index import editing
    from jhash.runs import code_files

    if arguments.images:
        content = images.encode_found(arguments)
        metadata = {"run": content["run"], "network": content["network"]}
        index = HammingIndex.build(content["codes"], content["bits"], content["ids"], metadata)
    elif arguments.workdir:
        with in_config({"workdir": "--run"}):
            index = code_files.load_index(arguments.workdir, arguments.database or "encoded")
        compatibility.check_run(arguments.workdir, index.metadata.get("network"))
    else:
        content = code_files.read(arguments.codes)
        index = HammingIndex.build(content.codes, content.bits, content.ids, content.metadata)
    with editing.locked(arguments.output):
        index.save(arguments.output)
    print(f"{arguments.output}: {_size(index)}.")


def _add(arguments):
    from jhash.encoding import compatibility
    from jhash.retrieval.index import editing
    from jhash.runs import code_files

    content = code_files.read(arguments.codes)
    with in_config(_FLAGS), editing.editing(arguments.index) as index:
        compatibility.check_same(
            (arguments.index, index.bits, index.metadata.get("network")),
            (arguments.codes, content.bits, content.metadata.get("network")),
        )
        index.add(content.codes, content.ids)
    print(f"Added {len(content.codes):,}. {arguments.index}: {_size(index)}.")


def _remove(arguments):
    from jhash.retrieval.index import editing

    with in_config(_FLAGS), editing.editing(arguments.index) as index:
        index.remove(index.parse_ids(arguments.ids))
    print(f"Removed {len(arguments.ids):,}. {arguments.index}: {_size(index)}.")


def _info(arguments):
    index = load(arguments)
    print(f"{arguments.index}: {_size(index)}.")
    print(f"ids: {'integers' if index.id_kind == 'int64' else 'strings'}")
    for name, value in index.metadata.items():
        print(printable(f"{name}: {value}"))


def _export(arguments):
    if not (arguments.faiss or arguments.packed or arguments.ids):
        arguments.wrong("give at least one of --faiss, --packed and --ids")
    for path in filter(None, (arguments.faiss, arguments.packed, arguments.ids)):
        files.check_output(path)
    from jhash.retrieval.export import arrays

    index = load(arguments)
    arrays.write(index, arguments.faiss, arguments.packed, arguments.ids)
    print(f"Exported {_size(index)}.")


def _size(index):
    return f"{len(index):,} codes of {index.bits} bits"
