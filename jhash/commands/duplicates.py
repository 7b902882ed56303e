"""The command `python -m jhash duplicates`: groups of equal and nearly equal images."""

import os
import tempfile

from jhash.commands import add_json, at_least, parser, tell
from jhash.commands import index as indexes
from jhash.data import image_changes, image_files
from jhash.errors import InputError, printable
from jhash.system import text

_SUMMARY = "list groups of images whose codes are equal or nearly equal"
_DETAILS = """
Two images are in one group if their codes differ in no more than --radius bits, or if
others lead from one to the other by such steps. With --radius 0 their codes are equal.
Equal codes need not be equal pictures: the fewer bits, the more pictures share a code.

Groups are in the order of their first images in the index. The distance of an image is
that to the first of its group.

--links makes a folder with a subfolder per group, of links to its images, which any
program for pictures can show. The images stay where they are, and are not copied.
"""
_EXAMPLES = (
    "duplicates --index photos.index",
    "duplicates --index photos.index --radius 4 --json",
    "duplicates --index photos.index --links groups/",
)


def add(commands):
    """Adds the command and its arguments."""
    command = parser(commands, "duplicates", _SUMMARY, _DETAILS, _EXAMPLES)
    command.add_argument("--index", required=True, help="the index")
    command.add_argument(
        "--radius",
        type=at_least(0),
        default=2,
        metavar="R",
        help="the number of bits in which neighbors may differ; default: 2",
    )
    command.add_argument(
        "--links", metavar="FOLDER", help="a new folder, for links to the images of each group"
    )
    add_json(command)
    command.set_defaults(run=run)


def run(arguments):
    """Finds the groups and prints them."""
    if arguments.links and os.path.lexists(arguments.links):
        raise InputError(f"--links: {arguments.links} given, which exists; allowed: a new folder.")
    index = indexes.load(arguments)
    from jhash.retrieval import duplicates
    from jhash.retrieval.checks import as_whole

    as_whole("--radius", arguments.radius, 0, index.bits, "the code length")
    ids = index.ids.tolist()
    codes = index.codes(index.ids) if ids else []
    found = duplicates.groups(codes, index.bits, arguments.radius) if ids else []
    groups = [_described(ids, group, duplicates.distances(codes, group)) for group in found]
    if arguments.links:
        _link(arguments, index, groups)
    count = sum(map(len, groups))
    lines = []
    for number, group in enumerate(groups, start=1):
        lines.append(f"group {number}")
        lines += [f"{image['distance']:>6}  {printable(str(image['id']))}" for image in group]
    lines.append(
        f"{arguments.index}: {len(groups):,} groups within radius {arguments.radius}, of {count:,} "
        f"of {len(ids):,} images."
    )
    if arguments.links:
        lines.append(f"Links are in {arguments.links}.")
    tell(
        arguments,
        "\n".join(lines),
        index=arguments.index,
        radius=arguments.radius,
        images=len(ids),
        groups=groups,
        links=arguments.links,
    )


def _described(ids, group, distances):
    pairs = zip(group.tolist(), distances, strict=True)
    return [{"id": ids[place], "distance": distance} for place, distance in pairs]


def _link(arguments, index, groups):
    """Makes a folder of links, whole or not at all."""
    place = image_changes.place_of(arguments.index, index.metadata)
    root = place.root
    if root is None or (groups and not isinstance(groups[0][0]["id"], str)):
        raise InputError(
            f"--links: {arguments.links} given, but {arguments.index} does not say where its "
            "images are; allowed: an index of image files."
        )
    links = os.path.abspath(arguments.links)
    for folder in image_changes.searched(place):
        if image_files.is_within(links, folder):
            raise InputError(
                f"--links: {arguments.links} given; allowed: a folder outside of those of the "
                f"images, as the next update would add the links: {folder}."
            )
    parent, name = os.path.split(links)
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=parent) as temporary:
        folder = os.path.join(temporary, name)
        os.mkdir(folder)
        for number, group in enumerate(groups, start=1):
            inner = os.path.join(folder, f"{number:0{len(str(len(groups)))}}")
            os.makedirs(inner)
            for rank, image in enumerate(group, start=1):
                path = image_changes.path_of(image["id"], root)
                # Images of one group may have the same name in different folders.
                name = f"{rank:0{len(str(len(group)))}}-{os.path.basename(path)}"
                os.symlink(path, os.path.join(inner, text.decodable(name)))
        os.rename(folder, arguments.links)
