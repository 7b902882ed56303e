"""The answers of the server, a function per path."""

import asyncio
import hashlib
import re
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from jhash.encoding import image_search
from jhash.encoding.image_search import Hits
from jhash.errors import InputError
from jhash.serve import guard, limits, metrics, pages
from jhash.serve.batching import Batcher, Query
from jhash.serve.collection import Watched
from jhash.serve.pages import Asked, Pages
from jhash.serve.thumbnails import Thumbnails
from jhash.serve.uploads import Decoder, Recent
from jhash.serve.verifying import Verifier

_SAMPLE = 24
# A file of a form, and its other fields.
_FIELDS = {"max_files": 1, "max_fields": 8, "max_part_size": 4096}
_TOKEN_FIELDS = {"max_files": 0, "max_fields": 1, "max_part_size": 4096}
_YEAR = 365 * 24 * 3600


class Parts(NamedTuple):
    """What the functions of this module work with."""

    watched: Watched
    batcher: Batcher
    thumbnails: Thumbnails
    verifier: Verifier
    painters: futures.ThreadPoolExecutor
    decoder: Decoder
    recent: Recent
    uploads: asyncio.Semaphore
    pages: Pages
    metrics: metrics.Metrics
    token: str | None


async def start(request: Request) -> Response:
    """Shows a field for an image, and some images of the index."""
    parts = _parts(request)
    seed = _whole("images", request.query_params.get("images"), 0, 10**6) or 0
    index = parts.watched.served.index
    some = pages.tiles(await _sample(parts, seed))
    return parts.pages.start(request, len(index), index.bits, some, f"?images={seed + 1}")


async def search(request: Request) -> Response:
    """Shows the images nearest to one of the index, or to an upload by its code."""
    parts = _parts(request)
    values = request.query_params
    bits = parts.watched.served.index.bits
    k, radius = _bounds(values, bits)
    asked = Asked(_query_fields(values), k or limits.PAGE_RESULTS, radius)
    query = pages.Tile("", "", "An earlier upload", "its picture is not kept any more", "")
    picture: str | bytes | None = None
    if "id" in asked.query:
        picture = values["id"]
        [query] = pages.tiles([picture])
        hits = await _nearest(parts, Query(identifier=picture), asked.k + 2)
        # The image itself is shown beside its results, not among them.
        hits = hits.taken(np.array([str(name) != picture for name in hits.ids.tolist()], bool))
    else:
        hits = await _nearest(parts, Query(code=_code(values["code"], bits)), asked.k + 1)
        kept = parts.recent.get(values.get("upload", ""))
        if kept is not None:
            picture = kept.thumbnail
            address = f"upload?key={values['upload']}"
            query = query._replace(name=kept.name, picture=address, label="")
    hits = await parts.verifier.same_first(_within(hits, radius), picture)
    more = None
    if len(hits.ids) > asked.k and asked.k < limits.MAX_RESULTS:
        more = asked.link(k=min(2 * asked.k, limits.MAX_RESULTS))
    return parts.pages.results(request, asked, bits, query, hits.taken(slice(asked.k)), more)


async def upload(request: Request) -> Response:
    """Takes an image, and leads to the page of its results."""
    parts = _parts(request)
    async with parts.uploads:
        async with request.form(**_FIELDS) as form:
            content, name = await _file(form.get("image"))
            k, radius = _bounds(form, parts.watched.served.index.bits)
        picture = await parts.decoder.decode(content, name, parts.watched.served.encoder)
    found = await parts.batcher.search(Query(pixels=picture.pixels), 1)
    query = {"code": _hex(found.code), "upload": parts.recent.add(picture)}
    return RedirectResponse(Asked(query, k or limits.PAGE_RESULTS, radius).link(), 303)


async def api_search(request: Request) -> Response:
    """Answers as `search --json` does."""
    parts = _parts(request)
    if request.method == "POST":
        name, picture, query, k, radius = await _posted(request)
    else:
        values = request.query_params
        k, radius = _bounds(values, parts.watched.served.index.bits)
        name = _query_fields(values).get("id") or values["code"]
        picture = values.get("id")
        if "id" in values:
            query = Query(identifier=name)
        else:
            query = Query(code=_code(name, parts.watched.served.index.bits))
    if k is None:
        k = image_search.DEFAULT_RESULTS if radius is None else limits.MAX_RESULTS
        cut = radius is not None
    else:
        cut = False
    hits = _within(await _nearest(parts, query, k + 1), radius)
    hits = await parts.verifier.same_first(hits, picture)
    content = image_search.as_json(name, hits.taken(slice(k)))
    if cut and len(hits.ids) > k:
        content["more"] = True
    return JSONResponse(content)


async def thumbnail(request: Request) -> Response:
    """Shows the thumbnail of an image of the index."""
    parts = _parts(request)
    served = parts.watched.served

    def get():
        # The index may be a database elsewhere, which takes a while to ask.
        identifier, _ = served.find(request.query_params.get("id", ""))
        path = served.folders.path_of(identifier)
        return None if path is None else parts.thumbnails.get(identifier, path)

    try:
        got = await asyncio.get_running_loop().run_in_executor(parts.painters, get)
    except (InputError, OSError):
        got = None
    if got is None:
        return parts.pages.no_picture(404)
    content, is_new = got
    if is_new:
        parts.metrics.thumbnails.inc()
    return _jpeg(request, content, 300)


async def uploaded(request: Request) -> Response:
    """Shows the thumbnail of an upload."""
    parts = _parts(request)
    picture = parts.recent.get(request.query_params.get("key", ""))
    if picture is None:
        return parts.pages.no_picture(404)
    return _jpeg(request, picture.thumbnail, _YEAR)


async def login(request: Request) -> Response:
    """Takes the token, from a form or an address, and leads to the first page."""
    parts = _parts(request)
    if request.method == "GET" and "token" not in request.query_params:
        return parts.pages.login(request, 200)
    values = request.query_params
    if request.method == "POST":
        values = await request.form(**_TOKEN_FIELDS)
    token = values.get("token")
    if parts.token is None:
        return RedirectResponse("./", 303)
    if not isinstance(token, str) or not guard.same(token.strip(), parts.token):
        parts.metrics.refused.labels("token").inc()
        return parts.pages.login(request, 403, "This is not the token.")
    response = RedirectResponse("./", 303)
    response.set_cookie(
        guard.cookie_name(parts.token),
        guard.cookie_of(parts.token),
        max_age=_YEAR,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return response


async def health(request: Request) -> Response:
    """Says that the server answers, and whether the index is that of the file."""
    return JSONResponse({"status": "stale" if _parts(request).watched.is_stale else "ok"})


async def show_metrics(request: Request) -> Response:
    """Shows the numbers of the server for Prometheus."""
    parts = _parts(request)
    parts.metrics.codes.set(len(parts.watched.served.index))
    parts.metrics.stale.set(parts.watched.is_stale)
    parts.metrics.loads.set(parts.watched.loads)
    return Response(parts.metrics.text(), headers={"content-type": metrics.CONTENT_TYPE})


def _parts(request) -> Parts:
    return request.app.state.parts


async def _sample(parts, seed):
    """Chooses images of the index: the nearest to some random codes, which lie far apart."""
    index = parts.watched.served.index
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << 32, (_SAMPLE, -(-index.bits // 32)), np.uint32)
    codes[:, -1] &= np.uint32((1 << 32) - 1 >> -index.bits % 32)
    searches = [parts.batcher.search(Query(code=code), 4) for code in codes]
    found = await asyncio.gather(*searches)
    # The nearest of each first, then the second ones, as far as they are others.
    columns = zip(*(each.hits.ids.tolist() for each in found))  # noqa: B905
    ranked = [name for names in columns for name in names]
    return list(dict.fromkeys(ranked))[:_SAMPLE]


async def _posted(request):
    """Reads a query from the body of a request; returns (name, thumbnail, query, k, radius)."""
    parts = _parts(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    values: Any = request.query_params
    async with parts.uploads:
        if kind == "multipart/form-data":
            async with request.form(**_FIELDS) as form:
                content, name = await _file(form.get("image"))
                values = {**values, **form}
        elif kind.startswith("image/") or kind == "application/octet-stream":
            content, name = await request.body(), values.get("name", "image")
        else:
            raise HTTPException(
                415,
                f"Content-Type: {kind[:100]!r} given; allowed: multipart/form-data with a field "
                "image, image/... and application/octet-stream.",
            )
        k, radius = _bounds(values, parts.watched.served.index.bits)
        picture = await parts.decoder.decode(content, name, parts.watched.served.encoder)
    return picture.name, picture.thumbnail, Query(pixels=picture.pixels), k, radius


async def _file(given):
    """Returns the content and the name of the file in a form."""
    if not isinstance(given, UploadFile) or not (given.filename or given.size):
        raise HTTPException(400, "No image was given. Choose one first.")
    return await given.read(), given.filename or "image"


def _query_fields(values):
    """Returns the fields of an address that say what is searched for."""
    if "id" in values:
        return {"id": values["id"]}
    if "code" not in values:
        raise HTTPException(400, "Nothing to search for was given: neither an id nor a code.")
    return {name: values[name] for name in ("code", "upload") if name in values}


def _bounds(values, bits):
    """Returns the number of results and the radius that are asked for, each None if left open."""
    k = _whole("k", values.get("k"), 1, limits.MAX_RESULTS)
    return k, _whole("radius", values.get("radius"), 0, bits)


def _whole(name, given, low, high):
    """Returns a whole number; None if none is given."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    if not isinstance(given, str) or not re.fullmatch("[0-9]{1,9}", given.strip()):
        value = None
    else:
        value = int(given)
    if value is None or not low <= value <= high:
        shown = str(given)[:40]
        raise InputError(f"{name}: {shown!r} given; allowed: whole numbers from {low} to {high}.")
    return value


def _hex(code):
    """Writes a code, uint32 [words], as the hexadecimal digits of its bytes."""
    return code.astype("<u4").tobytes().hex()


def _code(text, bits):
    """Reads a code, uint32 [words], that `_hex` has written."""
    digits = 8 * -(-bits // 32)
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", text):
        raise InputError(
            f"code: {text[:80]!r} given; allowed: {digits} hexadecimal digits, the code of {bits} "
            "bits that an image has in this index."
        )
    code = np.frombuffer(bytes.fromhex(text), "<u4").astype(np.uint32)
    if np.any(np.unpackbits(code.view(np.uint8), bitorder="little")[bits:]):
        raise InputError(f"code: {text!r} given; allowed: codes whose bits beyond {bits} are 0.")
    return code


async def _nearest(parts, query, k) -> Hits:
    """Searches for the k nearest images, and for more where those are compared with the query."""
    return (await parts.batcher.search(query, parts.verifier.searched(k))).hits


def _within(hits: Hits, radius) -> Hits:
    """Leaves out the results beyond a radius; the results are sorted by distance."""
    if radius is None:
        return hits
    return hits.taken(slice(int(np.searchsorted(hits.distances, radius, "right"))))


def _jpeg(request, content, seconds):
    """Makes the response of an image, which the browser may keep."""
    tag = f'"{hashlib.blake2b(content, digest_size=8).hexdigest()}"'
    headers = {"cache-control": f"private, max-age={seconds}", "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="image/jpeg")
