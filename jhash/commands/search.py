"""python -m jhash search: the images of an index that are nearest to others."""

import itertools
import json
import os

import numpy as np

from jhash.commands import at_least, images, parser
from jhash.commands import index as indexes
from jhash.errors import InputError

_K = 10
_SUMMARY = "search an index for the images nearest to others"
_DETAILS = """
Results are exact and sorted by Hamming distance; equal distances by the order of
insertion. Images that cannot be read are reported on stderr and left out; that is an
error only if there is none that can be read.

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
        help="the run that encodes the images; default: the index's own",
    )
    command.add_argument("--json", action="store_true", help="for machines, see above")
    command.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    index = indexes.load(arguments)
    if not len(index):
        raise InputError(f"--index: {arguments.index} is empty.")
    if arguments.id:
        names, errors = arguments.id, [None] * len(arguments.id)
        queries = _codes_of(index, indexes.parse_ids(index, arguments.id))
    else:
        names = arguments.image
        queries, errors = images.encode(_network(index, arguments.workdir), names)
    found = iter(_search(index, queries, arguments.k, arguments.radius))
    write = _print_json if arguments.json else _print_table
    for name, error in zip(names, errors, strict=True):
        write(name, *((None, error) if error else (next(found), None)))


def _search(index, queries, k, radius):
    """(distances, ids) of each query."""
    if radius is None:
        return list(zip(*index.search(queries, min(k or _K, len(index))), strict=True))
    limits, distances, ids = index.search_radius(queries, radius)
    parts = [slice(*pair) for pair in itertools.pairwise(limits)]
    return [(distances[part][:k], ids[part][:k]) for part in parts]


def _network(index, workdir):
    """The network of the run that is given, else of the index's; it must be the index's network."""
    from jhash import encoder

    workdir = workdir or index.metadata.get("run")
    if workdir is None:
        raise InputError("--run: the index does not say which run made its codes; give the run.")
    if not os.path.isdir(workdir):
        raise InputError(f"--run: there is no folder {workdir}; give the run of the index.")
    network = encoder.load(workdir)
    made_by = index.metadata.get("network", network.digest)
    if network.bits != index.bits or network.digest != made_by:
        raise InputError(
            f"--run: the network in {workdir} ({network.bits} bits) is not the one that made the "
            f"codes of the index ({index.bits} bits); distances between the two mean nothing."
        )
    return network


def _codes_of(index, ids):
    """The packed codes of some ids of the index."""
    positions = {name: position for position, name in enumerate(index.ids.tolist())}
    if missing := [name for name in ids.tolist() if name not in positions]:
        raise InputError(f"--id: {missing[0]!r} is not in the index.")
    exported = index.export()[[positions[name] for name in ids.tolist()]]
    words = np.zeros((len(exported), -(-exported.shape[1] // 4) * 4), np.uint8)
    words[:, : exported.shape[1]] = exported
    return words.view("<u4").astype(np.uint32)


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
