"""The pages: HTML from templates, in which every name is escaped."""

import os
import posixpath
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

import jhash
from jhash.data.image_files import EXTENSIONS
from jhash.encoding.image_search import Hits
from jhash.errors import printable
from jhash.serve import guard, limits

FOLDER = os.path.dirname(os.path.abspath(__file__))
# Programs that ask under these paths get errors as JSON.
_FOR_PROGRAMS = ("/api/", "/health", "/metrics")


class Tile(NamedTuple):
    """An image in a grid.

    Attributes:
      link: Address of the search by this image.
      picture: Address of its thumbnail.
      name: The name of its file, or its number.
      label: The folder that it is in, which is its class in collections sorted by class; or empty.
      identifier: Its id.
      distance: Hamming distance in bits, or None if it is no result.
      same: Whether it is known to show the same picture as the query.
    """

    link: str
    picture: str
    name: str
    label: str
    identifier: str
    distance: int | None = None
    same: bool = False


class Asked(NamedTuple):
    """A search as the address of its page says it.

    Attributes:
      query: `id`, or `code` and `upload`: values by name.
      k: Number of results.
      radius: Largest distance, or None for any.
    """

    query: dict[str, str]
    k: int
    radius: int | None

    def link(self, **changes: Any) -> str:
        """Returns the address of the search's page, with other values for some of its fields."""
        values = {**self.query, "k": self.k, "radius": self.radius, **changes}
        if values["k"] == limits.PAGE_RESULTS:
            del values["k"]
        given = {name: value for name, value in values.items() if value is not None}
        return f"search?{urlencode(given)}"


def tiles(identifiers: Iterable[Any], asked: Asked | None = None) -> list[Tile]:
    """Makes the tiles of images.

    Args:
      identifiers: Ids, texts or integers.
      asked: The search whose results they are; that by a result keeps its numbers.
    """
    k, radius = (asked.k, asked.radius) if asked else (limits.PAGE_RESULTS, None)
    made = []
    for identifier in identifiers:
        text = str(identifier)
        folder, name = posixpath.split(text)
        made.append(
            Tile(
                Asked({"id": text}, k, radius).link(),
                f"thumbnail?{urlencode({'id': text})}",
                name if isinstance(identifier, str) else f"image {text}",
                posixpath.basename(folder),
                text,
            )
        )
    return made


class Pages:
    """The pages of one server."""

    def __init__(self, name: str):
        """Reads the templates.

        Args:
          name: Name of the index.
        """
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(os.path.join(FOLDER, "templates")),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(
            index_name=name,
            version=jhash.__version__,
            max_megabytes=guard.megabytes(),
            max_bytes=limits.MAX_BYTES,
            max_results=limits.MAX_RESULTS,
            page_results=limits.PAGE_RESULTS,
            accept=",".join(("image/*", *EXTENSIONS)),
        )

    def start(
        self, request: Request, codes: int, bits: int, some: list[Tile], more: str
    ) -> Response:
        """Makes the first page: a field for an image, and some images of the index.

        Args:
          request: The request.
          codes: Number of images in the index.
          bits: Code length.
          some: Images to begin with.
          more: Address of the page with other ones.
        """
        return self._page(request, "start.html", codes=codes, bits=bits, some=some, more=more)

    def results(
        self, request: Request, asked: Asked, bits: int, query: Tile, hits: Hits, more: str | None
    ) -> Response:
        """Makes the page of results.

        Args:
          request: The request.
          asked: The search.
          bits: Code length.
          query: The query image; its picture is empty if there is none to show.
          hits: The results that are shown.
          more: Address of the page with more results; None if there are none.
        """
        rows = zip(hits.distances.tolist(), hits.same.tolist(), strict=True)
        results = [
            tile._replace(distance=distance, same=same)
            for tile, (distance, same) in zip(tiles(hits.ids.tolist(), asked), rows, strict=True)
        ]
        return self._page(
            request,
            "results.html",
            asked=asked,
            bits=bits,
            query=query,
            results=results,
            more=more,
        )

    def login(self, request: Request, status: int = 401, words: str = "") -> Response:
        """Makes the page that asks for the token."""
        return self._page(request, "login.html", status, words=words)

    def error(self, request: Request, status: int, words: str) -> Response:
        """Makes the response of an error: a page, or JSON for programs."""
        headers = {}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status == 503:
            headers["retry-after"] = "2"
        path = request.scope["path"]
        if path.startswith(_FOR_PROGRAMS):
            return JSONResponse({"error": printable(words)}, status, headers)
        if path == "/thumbnail":
            return self.no_picture(status)
        if status == 401:
            response = self.login(request)
        else:
            title = HTTPStatus(status).phrase
            response = self._page(request, "error.html", status, title=title, words=words)
        response.headers.update(headers)
        return response

    def no_picture(self, status: int) -> Response:
        """Makes the drawing in the place of an image that cannot be shown."""
        content = self._templates.get_template("no_picture.svg").render()
        return Response(content, status, media_type="image/svg+xml")

    def _page(self, request, template, status=200, **values):
        # Addresses are relative, so that a proxy may serve the pages under any path.
        up = "../" * (request.scope["path"].count("/") - 1)
        content = self._templates.get_template(template).render(up=up or "./", **values)
        return HTMLResponse(content, status, {"cache-control": "private, no-cache"})


def _shown(value):
    """Escapes what a page would obey rather than show; what HTML would is escaped by Jinja."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
