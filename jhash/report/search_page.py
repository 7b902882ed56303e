"""A page with the pictures of queries and of the images that a search has found."""

import base64
import io
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import NamedTuple

from PIL import Image

import jhash
from jhash.data import decoding
from jhash.errors import InputError
from jhash.report.markup import document, image, note, tag, text
from jhash.system import files

# The longer side of a picture in pixels.
_SIDE = 240
_QUALITY = 82
_THREADS = 16

_CSS = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 80rem;
  padding: 0 1rem 3rem; }
h1 { font-size: 1.4rem; }
section { border-top: 1px solid #888; padding: 1rem 0; break-inside: avoid; }
h2 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.query img { max-height: 14rem; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem;
  list-style: none; margin: 1rem 0 0; padding: 0; }
img, .none { display: block; width: 100%; height: 9rem; object-fit: contain; }
.query img, .query .none { width: auto; max-width: 100%; height: auto; }
.none { background: #8882; font-size: .8rem; }
li, .note { font-size: .85rem; overflow-wrap: anywhere; }
"""


class Shown(NamedTuple):
    """An image on the page: its name, and its file, or None if nobody knows where that is."""

    name: str
    path: str | None


class Hit(NamedTuple):
    """A result: its distance in bits, and whether it is known to show the query's picture."""

    distance: int
    image: Shown
    same: bool = False


class Answer(NamedTuple):
    """A query and what was found, in that order; or why it cannot be read."""

    query: Shown
    found: Sequence[Hit]
    error: str | None = None


def write(path: str, index_name: str, answers: Sequence[Answer]) -> None:
    """Writes one HTML file that needs no other file and has no scripts.

    In place of an image that cannot be read, the page says why.

    Args:
      path: The file to make or to replace.
      index_name: What the page calls the index.
      answers: The queries, in the order in which they are shown.

    Raises:
      OSError: The file cannot be written.
    """
    shown = {answer.query for answer in answers}
    shown |= {hit.image for answer in answers for hit in answer.found}
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        drawn = dict(zip(shown, pool.map(_draw, shown), strict=True))
    parts = [
        tag("h1", f"Search of {text(index_name)}"),
        note("Each query is followed by the nearest images; d is the Hamming distance in bits."),
        *(_section(answer, drawn.__getitem__) for answer in answers),
        tag("p", f"Written by jhash {text(jhash.__version__)}.", class_="note"),
    ]
    page = document(f"Search of {index_name}", _CSS, parts)
    with files.replacing(path, "wb") as file:
        file.write(page.encode())


def _section(answer: Answer, drawn: Callable[[Shown], str]) -> str:
    heading = tag("h2", text(answer.query.name))
    if answer.error is not None:
        return tag("section", heading + note(answer.error))
    hits = []
    for rank, (distance, hit, same) in enumerate(answer.found, start=1):
        mark = ", <b>same picture</b>" if same else ""
        words = f"<b>{rank}</b>, d {distance}{mark}<br>{text(hit.name)}"
        hits.append(tag("li", drawn(hit) + words))
    results = tag("ol", "\n".join(hits)) if hits else note("Nothing is that near.")
    return tag("section", heading + tag("div", drawn(answer.query), class_="query") + results)


def _draw(shown: Shown) -> str:
    """Makes the picture of an image, or a text in its place."""
    if shown.path is None:
        return _nothing("no picture: the index does not say where its images are")
    try:
        pixels = decoding.thumbnail(shown.path, shown.name, _SIDE)
    except InputError as error:
        return _nothing(str(error))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=_QUALITY)
    content = base64.b64encode(file.getvalue()).decode()
    return image(f"data:image/jpeg;base64,{content}", shown.name)


def _nothing(reason: str) -> str:
    return tag("span", text(reason), class_="none")
