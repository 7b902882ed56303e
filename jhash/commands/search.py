"""The command `python -m jhash search`: finds the images of an index nearest to query images."""

import json
import os

from jhash.commands import add_trust, at_least, images, parser, together
from jhash.commands import index as indexes
from jhash.data import image_changes
from jhash.errors import InputError, in_config, printable
from jhash.system import files, text

_SUMMARY = "search an index for the images nearest to query images"
_DETAILS = """
Results are exact and sorted by Hamming distance, among equal distances by the order of
insertion. Images are read as by encode. Those that cannot be read are reported on
stderr and left out; that is an error only if none can be read.

If the images of the index are where it says, the 50 nearest are looked at. Those that
are the query's picture, a crop of it, or what it is a crop of, come first, marked as the
same picture. --no-verify leaves that out.

In names that are shown, characters that a terminal would obey, such as line ends, are
written as \\n. --json keeps them. It prints one line per query:
  {"query": FILE_OR_ID, "results": [{"rank": 1, "distance": 0, "id": "a.png"}, ...]}
with "same_picture": true in results that are the same picture,
and for an image that cannot be read {"query": FILE, "error": REASON}.

--html writes a page with the pictures of queries and results, which needs no other file.

With --stream the codes stay in the file of the index, which may be larger than memory.
With --distributed every process does so with its range of the codes, and process 0
prints the results; the file has to be there for each, and no pictures are looked at.
With --milvus in place of --index, Milvus searches. It chooses which of the codes at the
last distance are among the results.
"""
_EXAMPLES = (
    "search --index photos.index --image new.png -k 10",
    "search --index photos.index --image *.jpg --radius 2 --json",
    "search --index photos.index --id cats/7.png",
    "search --index photos.index --image new.png --html found.html",
    "search --index large.index --id 7 --stream",
    "search --milvus http://localhost:19530 --collection photos --image new.png",
)


def add(commands):
    """Adds the command and its arguments."""
    command = parser(commands, "search", _SUMMARY, _DETAILS, _EXAMPLES)
    indexes.add_place(command)
    queries = command.add_mutually_exclusive_group(required=True)
    queries.add_argument("--image", nargs="+", metavar="FILE", help="query images")
    queries.add_argument("--id", nargs="+", metavar="ID", help="query images that are in the index")
    command.add_argument(
        "-k", type=at_least(1), help="results per query; default 10, or all with --radius"
    )
    command.add_argument(
        "--radius", type=at_least(0), metavar="R", help="only results with a distance of R or less"
    )
    command.add_argument(
        "--run",
        dest="workdir",
        metavar="RUN",
        help="the run that encodes the images of --image; default: the encoder beside the index, "
        "or the run of the index",
    )
    command.add_argument(
        "--no-verify",
        dest="verify",
        action="store_false",
        help="keep the order of the distances; look at no images of the index",
    )
    command.add_argument("--json", action="store_true", help="print JSON, see above")
    command.add_argument("--html", metavar="FILE", help="write a page with pictures")
    indexes.add_stream(command)
    together.add_arguments(command)
    add_trust(command)
    command.set_defaults(run=run, wrong=command.error)


def run(arguments):
    """Searches and prints the results, alone or together with other processes."""
    if arguments.id and arguments.workdir:
        arguments.wrong("--run needs --image; with --id nothing is encoded")
    indexes.check_place(arguments)
    if arguments.milvus and arguments.distributed:
        arguments.wrong("--distributed needs --index")
    where = arguments.coordinator, arguments.processes, arguments.process
    if arguments.distributed:
        arguments.verify = False
        together.run(lambda: _search(arguments), *where, advice="Start all of them again.")
    elif any(value is not None for value in where):
        arguments.wrong("--coordinator, --processes and --process need --distributed")
    else:
        _search(arguments)


def _search(arguments):
    if arguments.html:
        files.check_output(arguments.html)
    index = indexes.load(arguments)
    if not len(index):
        raise InputError(
            f"--index: {arguments.index} given, which is empty; allowed: one with codes."
        )
    from jhash.encoding import image_search

    _check_bounds(index, arguments.k, arguments.radius)
    if arguments.id:
        names = list(dict.fromkeys(arguments.id))
        with in_config({"texts": "ID"}):
            queries = index.codes(index.parse_ids(names))
        errors = [None] * len(names)
    else:
        from jhash import parallel

        parallel.device_count()  # Names a platform that does not start.
        names = arguments.image
        with in_config({"run": "--run"}):
            encoder = image_search.load_encoder(
                index, arguments.index, arguments.workdir, arguments.trust_modules
            )
        queries, errors = images.encode(encoder, names)
    # Queries are the readable images only, so there are results for these alone.
    pictures = _pictures(arguments, index, names, errors)
    found = iter(image_search.nearest(index, queries, arguments.k, arguments.radius, pictures))
    results = [None if error else next(found) for error in errors]
    write = _print_json if arguments.json else _print_table
    for name, result, error in zip(names, results, errors, strict=True):
        write(name, result, error)
    images.check_any_readable(errors, "--image")
    if arguments.html and (not arguments.distributed or together.is_main()):
        _write_page(arguments, index, names, results, errors)


def _check_bounds(index, k, radius):
    """Checks k or radius, as the search does, but before images are encoded."""
    from jhash.retrieval.checks import as_whole

    if radius is not None:
        as_whole("--radius", radius, 0, index.bits, "the code length")
    elif k is not None:
        as_whole("-k", k, 1, len(index), "the index's length")


def _pictures(arguments, index, names, errors):
    """Returns where the pictures of queries and results are; None if these are not looked at."""
    from jhash.encoding import image_search
    from jhash.serve import folders

    if not arguments.verify:
        return None
    # The index may be somebody else's: its ids must not lead out of its folders.
    places = folders.of_index(arguments.index, index.metadata, ())
    if not any(map(os.path.isdir, places.roots)):
        return None

    def find(identifier):
        path = places.path_of(identifier)
        return None if path is None else image_search.picture(path, identifier)

    if arguments.id:
        return image_search.Pictures([find(name) for name in names], find)
    readable = [name for name, error in zip(names, errors, strict=True) if not error]
    return image_search.Pictures([image_search.picture(name, name) for name in readable], find)


def _ranked(hits):
    """Yields (rank, (distance, id, whether it is the same picture))."""
    rows = zip(*(values.tolist() for values in hits), strict=True)
    return enumerate(rows, start=1)


def _print_json(name, result, error):
    from jhash.encoding import image_search

    line = (
        {"query": text.decodable(name), "error": error}
        if error
        else image_search.as_json(name, result)
    )
    print(json.dumps(line))


def _print_table(name, result, error):
    if error:
        return  # Reported already.
    print(f"{printable(name)}\n{'rank':>6}  {'distance':>8}  id")
    for rank, (distance, identifier, same) in _ranked(result):
        mark = "  (same picture)" if same else ""
        print(f"{rank:>6}  {distance:>8}  {printable(str(identifier))}{mark}")
    print()


def _write_page(arguments, index, names, results, errors):
    from jhash.report import search_page

    root = image_changes.place_of(arguments.index, index.metadata).root

    def shown(identifier):
        known = root is not None and isinstance(identifier, str)
        path = image_changes.path_of(identifier, root) if known else None
        return search_page.Shown(str(identifier), path)

    queries = map(shown, names) if arguments.id else (search_page.Shown(n, n) for n in names)
    answers = [
        search_page.Answer(query, [], error)
        if error
        else search_page.Answer(
            query,
            [
                search_page.Hit(distance, shown(identifier), same)
                for _, (distance, identifier, same) in _ranked(result)
            ],
        )
        for query, result, error in zip(queries, results, errors, strict=True)
    ]
    search_page.write(arguments.html, arguments.index, answers)
    if not arguments.json:
        print(f"The page is in {arguments.html}.")
