"""The command `python -m jhash serve`: a page that searches an index."""

import os
import sys

from jhash.commands import add_json, add_trust, parser, tell
from jhash.commands import index as indexes
from jhash.errors import InputError, in_config, printable
from jhash.system import memory

_SUMMARY = "serve a page, and a JSON API, that search an index"
_DETAILS = """
Drop, paste or choose an image on the page, or click any result. Changes of the index by
other commands are seen within seconds. docs/serve.md describes the API (/api/search,
/health, /metrics), limits and proxies. It needs the extra "serve".

Without --host only this machine can reach the page. On any other address clients need a
token: that of --token, that of the variable JHASH_TOKEN, which other users of this
machine do not see, or a random one, which is printed. On this machine a token is needed
if one is given.

With --stream the codes stay in the file, which may be larger than memory. With --milvus
in place of --index, Milvus searches; changes of the number of codes need a restart.

Thumbnails are kept in the folder INDEX.thumbnails. --json prints the address as JSON.
"""
_EXAMPLES = (
    "serve --index photos.index",
    "serve --index photos.index --images /media/photos --port 8080",
    "serve --milvus http://localhost:19530 --collection photos",
    "serve --index photos.index --host 0.0.0.0 --allow-host photos.example.org",
)
_PORT = 8000
# What fast searches keep besides the codes, at most: groups of equal codes, and a copy on a device.
_TIMES_CODES = 6


def add(commands):
    """Adds the command and its arguments."""
    command = parser(commands, "serve", _SUMMARY, _DETAILS, _EXAMPLES)
    indexes.add_place(command)
    command.add_argument(
        "--images",
        nargs="+",
        default=(),
        metavar="FOLDER",
        help="where the images are now; images elsewhere are not shown (default: where the index "
        "says)",
    )
    command.add_argument(
        "--run",
        dest="workdir",
        metavar="RUN",
        help="the run that encodes uploads; default: the encoder beside the index, or its run",
    )
    command.add_argument(
        "--host", default="127.0.0.1", help="address to bind to; default: 127.0.0.1"
    )
    command.add_argument(
        "--port", type=_port, default=_PORT, help=f"default: {_PORT}; 0 for any free one"
    )
    command.add_argument("--token", help="what clients need, 16 characters or more; see above")
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which clients reach the server, as behind a proxy; IP addresses and "
        "localhost are always allowed; may be repeated",
    )
    command.add_argument(
        "--no-verify",
        dest="verify",
        action="store_false",
        help="keep the order of the distances; do not look which results are the same picture",
    )
    indexes.add_stream(command)
    add_json(command)
    add_trust(command)
    command.set_defaults(run=run, wrong=command.error)


def run(arguments):
    """Serves until Ctrl-C."""
    indexes.check_place(arguments)
    for folder in arguments.images:
        if not os.path.isdir(folder):
            raise InputError(f"--images: {folder} given; allowed: folders that exist.")
    try:
        from jhash.serve import application, batching, collection, guard, server
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "jhash":
            raise
        raise InputError(
            f"serve: {error.name} is not installed; allowed: an installation with "
            "pip install 'jhash[serve]', or in a checkout pip install -e '.[serve]'."
        ) from error
    token = arguments.token or os.environ.get("JHASH_TOKEN") or None
    with in_config({"host": "--host", "token": "--token"}):
        place = server.take_place(arguments.host, arguments.port, token)
    opened = None
    if arguments.milvus:
        opened = indexes.load(arguments)
    source = collection.Source(
        arguments.index,
        arguments.images,
        arguments.workdir,
        arguments.trust_modules,
        arguments.stream,
        opened,
    )
    with in_config({"run": "--run"}):
        watched = collection.Watched(source, batching.compile_all)
    for folder in watched.served.folders.missing():
        _say(f"{folder} is no folder, so its images are not shown; --images says where they are.")
    hosts = {arguments.host, *arguments.allow_host}
    rules = guard.Rules(hosts, place.token)
    if not (arguments.stream or arguments.milvus):
        _warn_of_memory(watched.served.index)
    app = application.build(watched, arguments.index, rules, verify=arguments.verify)
    server.run(app, place, lambda: _announce(arguments, watched, place))


def _announce(arguments, watched, place):
    index = watched.served.index
    lines = [
        f"{arguments.index}: {len(index):,} codes of {index.bits} bits.",
        f"The page is at {place.address()} until Ctrl-C.",
    ]
    if place.is_everywhere:
        lines.append("Elsewhere, put this machine's name or address in the place of localhost.")
        lines.append("A name needs --allow-host.")
    tell(
        arguments,
        "\n".join(map(printable, lines)),
        index=arguments.index,
        codes=len(index),
        bits=index.bits,
        address=place.address(),
    )
    sys.stdout.flush()


def _warn_of_memory(index):
    """Says so if there may be too little memory for searches; docs/engines.md has the sizes."""
    needed = _TIMES_CODES * len(index) * -(-index.bits // 8)
    free = memory.available()
    if needed > free:
        _say(
            f"searches may need {needed / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free. With "
            "--stream the codes stay in the file; docs/engines.md says when to let Milvus search."
        )


def _say(line):
    print(f"jhash: {printable(line)}", file=sys.stderr)


def _port(text):
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError
    return value
