"""python -m jhash search: the images of an index that are nearest to others."""

import itertools
import json
import os

from jhash.commands import at_least, images, parser
from jhash.commands import index as indexes
from jhash.errors import InputError

_K = 10
_SUMMARY = "search an index for the images nearest to others"
_DETAILS = """
Results are exact and sorted by Hamming distance; equal distances by the order of
insertion. Images are read as by encode. Those that cannot be read are reported on
stderr and left out; that is an error only if there is none that can be read.

--json prints one line for each query:
  {"query": FILE_OR_ID, "results": [{"rank": 1, "distance": 0, "id": "a.png"}, ...]}
and for an image that cannot be read {"query": FILE, "error": REASON}.
"""
_EXAMPLES = (
    "search --index photos.index --image new.png -k 10",
    "search --index photos.index --image *.jpg --radius 2 --json",
    "search --index photos.index --id cats/7.png",
)


def add(commands):
    """Adds the command's arguments."""
    command = parser(commands, "search", _SUMMARY, _DETAILS, _EXAMPLES)
    command.add_argument("--index", required=True, help="the index to search")
    queries = command.add_mutually_exclusive_group(required=True)
    queries.add_argument("--image", nargs="+", metavar="FILE", help="images that ask")
    queries.add_argument("--id", nargs="+", metavar="ID", help="images of the index that ask")
    command.add_argument(
        "-k", type=at_least(1), help=f"results a query; default {_K}, or all with --radius"
    )
    command.add_argument(
        "--radius", type=at_least(0), metavar="R", help="only results with a distance of R or less"
    )
    command.add_argument(
        "--run",
        dest="workdir",
        metavar="RUN",
        help="the run that encodes the images of --image; default: the index's own",
    )
    command.add_argument("--json", action="store_true", help="for machines, see above")
    command.set_defaults(run=run, wrong=command.error)


def run(arguments):
    """Runs the command."""
    if arguments.id and arguments.workdir:
        arguments.wrong("--run is of --image; with --id nothing is encoded")
    index = indexes.load(arguments)
    if not len(index):
        raise InputError(f"--index: {arguments.index} is empty.")
    _check_bounds(index, arguments.k, arguments.radius)
    if arguments.id:
        names = list(dict.fromkeys(arguments.id))
        queries, errors = index.codes(indexes.parse_ids(index, names)), [None] * len(names)
    else:
        names = arguments.image
        queries, errors = images.encode(_file_encoder(index, arguments), names)
    found = iter(_search(index, queries, arguments.k, arguments.radius))
    write = _print_json if arguments.json else _print_table
    for name, error in zip(names, errors, strict=True):
        write(name, *((None, error) if error else (next(found), None)))
    images.check_any_readable(errors)


def _check_bounds(index, k, radius):
    """What the search itself checks, before images are encoded."""
    from jhash.retrieval.checks import as_whole

    if radius is not None:
        as_whole("--radius", radius, 0, index.bits, "the code length")
    elif k is not None:
        as_whole("-k", k, 1, len(index), "the index's length")


def _search(index, queries, k, radius):
    """(distances, ids) of each query."""
    if radius is None:
        k = k or min(_K, len(index))
        return list(zip(*index.search(queries, k), strict=True))
    limits, distances, ids = index.search_radius(queries, radius)
    parts = [slice(*pair) for pair in itertools.pairwise(limits)]
    return [(distances[part][:k], ids[part][:k]) for part in parts]


def _file_encoder(index, arguments):
    """The network of the run that is given, else of the index's; it must be the index's network."""
    from jhash.encoding import compatibility, encoder

    workdir = arguments.workdir or index.metadata.get("run")
    if workdir is None:
        raise InputError("--run: the index does not say which run made its codes; give the run.")
    if not os.path.isdir(workdir):
        raise InputError(f"--run: there is no folder {workdir}; give the run of the index.")
    file_encoder = encoder.load(workdir)
    compatibility.check_same(
        (arguments.index, index.bits, index.metadata.get("network")),
        (workdir, file_encoder.bits, file_encoder.digest),
    )
    return file_encoder


def _rows(found):
    distances, ids = found
    return enumerate(zip(distances.tolist(), ids.tolist(), strict=True), start=1)


def _print_json(name, found, error):
    line = {"query": name}
    if error:
        line["error"] = error
    else:
        line["results"] = [
            {"rank": rank, "distance": distance, "id": name}
            for rank, (distance, name) in _rows(found)
        ]
    print(json.dumps(line))


def _print_table(name, found, error):
    if error:
        return  # Reported already.
    print(f"{name}\n{'rank':>6}  {'distance':>8}  id")
    for rank, (distance, name) in _rows(found):
        print(f"{rank:>6}  {distance:>8}  {name}")
    print()
