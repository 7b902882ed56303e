"""python -m jhash index: builds, changes and exports an index."""

import contextlib
import itertools
import os

import numpy as np

from jhash.commands import images, parser
from jhash.errors import InputError
from jhash.system import files

_BUILD = """
From --codes: a file of `python -m jhash encode`, or of a run's folder codes/.
From --run and --images: encodes the images (see encode --help) and keeps the codes.
From --run alone: the codes of the run's database, with the images' places in the
data set as ids.
"""
_CHANGE = """
The file is replaced at once: it holds the old index or the new one at any moment.
Commands that change the same index wait for each other, by a lock on the file .NAME.lock
beside it.
"""
_EXPORT = """
Rows are in the order of insertion. --packed is uint8 [N, ceil(bits / 8)], bit j of a
code being bit j % 8 of byte j // 8, as binary vectors of faiss and Milvus are.
--faiss needs integer ids, as an index of a run's database has them.
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


def add(commands):
    """Adds the command's arguments."""
    every = itertools.chain(*_EXAMPLES.values())
    group = parser(commands, "index", "build, change or export an index of codes", "", every)
    actions = group.add_subparsers(metavar="ACTION", required=True)

    def action(name, summary, details):
        return parser(actions, name, summary, details, _EXAMPLES[name])

    build = action("build", "make an index", _BUILD)
    build.add_argument("--output", required=True, metavar="INDEX", help="the file to write")
    build.add_argument("--codes", metavar="CODES.npz", help="codes to take")
    build.add_argument("--run", dest="workdir", metavar="RUN", help="a run's folder")
    build.add_argument(
        "--images", nargs="+", metavar="FOLDER_OR_FILE", help="what to encode with the run"
    )
    build.add_argument(
        "--database",
        choices=("encoded", "learned"),
        help="the run's codes that its network gives (default), or that training learned",
    )
    images.add_arguments(build)
    build.set_defaults(run=_build, wrong=build.error)

    change = action("add", "add codes to an index", _CHANGE)
    _add_index(change)
    change.add_argument("--codes", required=True, metavar="CODES.npz", help="codes to add")
    change.set_defaults(run=_add)

    change = action("remove", "remove codes from an index", _CHANGE)
    _add_index(change)
    change.add_argument("ids", nargs="+", metavar="ID", help="what to remove")
    change.set_defaults(run=_remove)

    info = action("info", "say what an index holds", "")
    _add_index(info)
    info.set_defaults(run=_info)

    export = action("export", "write an index for other programs", _EXPORT)
    _add_index(export)
    export.add_argument("--faiss", metavar="FILE", help="for faiss.read_index_binary")
    export.add_argument("--packed", metavar="FILE.npy", help="the codes alone, as bytes")
    export.add_argument("--ids", metavar="FILE.npy", help="the ids: int64 or strings [N]")
    export.set_defaults(run=_export, wrong=export.error)


def load(arguments):
    """The index that --index names."""
    from jhash.retrieval import HammingIndex

    return HammingIndex.load(arguments.index)


def parse_ids(index, texts: list[str]) -> np.ndarray:
    """Ids from the command line, of the type that the index has.

    Raises:
      InputError: The index has numbers, and a text is none.
    """
    if index.id_kind == "string":
        return np.array(texts)
    try:
        return np.array([int(text) for text in texts], np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"ID: the ids of this index are integers; {error}.") from error


def _add_index(command):
    command.add_argument("--index", required=True, help="the file of the index")


def _build(arguments):
    if (arguments.codes is None) == (arguments.workdir is None):
        arguments.wrong("give either --codes or --run")
    if arguments.images and not arguments.workdir:
        arguments.wrong("--images needs --run")
    if arguments.database and (arguments.images or arguments.codes):
        arguments.wrong("--database is of a run's own images: give --run alone with it")
    files.check_output(arguments.output)
    from jhash.encoding import compatibility
    from jhash.retrieval import HammingIndex
    from jhash.runs import code_files

    if arguments.images:
        made = images.encode_found(arguments)
        metadata = {"run": made["run"], "network": made["network"]}
        index = HammingIndex.build(made["codes"], made["bits"], made["ids"], metadata)
    elif arguments.workdir:
        index = code_files.load_index(arguments.workdir, arguments.database or "encoded")
        compatibility.check_run(arguments.workdir, index.metadata.get("network"))
    else:
        index = _of_codes(code_files.read(arguments.codes))
    with _locked(arguments.output):
        index.save(arguments.output)
    print(f"{arguments.output}: {_size(index)}.")


def _of_codes(content):
    from jhash.retrieval import HammingIndex

    return HammingIndex.build(content.codes, content.bits, content.ids, content.metadata)


def _add(arguments):
    from jhash.encoding import compatibility
    from jhash.runs import code_files

    content = code_files.read(arguments.codes)
    with _changing(arguments) as index:
        compatibility.check_same(
            (arguments.index, index.bits, index.metadata.get("network")),
            (arguments.codes, content.bits, content.metadata.get("network")),
        )
        index.add(content.codes, content.ids)
    print(f"Added {len(content.codes):,}. {arguments.index}: {_size(index)}.")


def _remove(arguments):
    with _changing(arguments) as index:
        index.remove(parse_ids(index, arguments.ids))
    print(f"Removed {len(arguments.ids):,}. {arguments.index}: {_size(index)}.")


@contextlib.contextmanager
def _changing(arguments):
    """The index of --index, saved when the block ends without error."""
    if not os.path.exists(arguments.index):  # So that no lock is made for it.
        raise InputError(f"--index: there is no file {arguments.index}.")
    with _locked(arguments.index):
        index = load(arguments)
        yield index
        index.save(arguments.index)


def _locked(path):
    """Keeps other processes from changing the index, from before it is loaded until it is saved.

    The lock is on a file beside it, because the index is a new file after every change.
    """
    folder, name = os.path.split(os.path.realpath(path))
    return files.lock(os.path.join(folder, f".{name}.lock"), wait=True)


def _info(arguments):
    index = load(arguments)
    print(f"{arguments.index}: {_size(index)}.")
    print(f"ids: {'integers' if index.id_kind == 'int64' else 'strings'}")
    for name, value in index.metadata.items():
        print(f"{name}: {value}")


def _export(arguments):
    if not (arguments.faiss or arguments.packed or arguments.ids):
        arguments.wrong("give at least one of --faiss, --packed and --ids")
    for path in filter(None, (arguments.faiss, arguments.packed, arguments.ids)):
        files.check_output(path)
    index = load(arguments)
    if arguments.faiss:
        exported = index.to_faiss()  # Says so if faiss is not installed.
        import faiss

        with files.replacing(arguments.faiss, "wb") as file:
            file.write(faiss.serialize_index_binary(exported))
    for path, rows in ((arguments.packed, index.export), (arguments.ids, lambda: index.ids)):
        if path:
            with files.replacing(path, "wb") as file:
                np.save(file, rows())
    print(f"Exported {_size(index)}.")


def _size(index):
    return f"{len(index):,} codes of {index.bits} bits"
