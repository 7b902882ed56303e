"""The server as an ASGI application, without a port of its own."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from concurrent import futures

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jhash.errors import InputError
from jhash.serve import limits, pages, routes
from jhash.serve.batching import Batcher, BusyError, UnknownImageError
from jhash.serve.collection import Watched
from jhash.serve.guard import Guard, Rules
from jhash.serve.metrics import Metrics
from jhash.serve.pages import Pages
from jhash.serve.thumbnails import Thumbnails
from jhash.serve.uploads import Decoder, Recent
from jhash.serve.verifying import Verifier

# Seconds between two looks at the file of the index.
_LOOK = 1.0

_ROUTES = (
    ("/", routes.start, "GET"),
    ("/search", routes.search, "GET"),
    ("/search", routes.upload, "POST"),
    ("/thumbnail", routes.thumbnail, "GET"),
    ("/upload", routes.uploaded, "GET"),
    ("/login", routes.login, "GET"),
    ("/login", routes.login, "POST"),
    ("/api/search", routes.api_search, "GET"),
    ("/api/search", routes.api_search, "POST"),
    ("/health", routes.health, "GET"),
    ("/metrics", routes.show_metrics, "GET"),
)
_WORDS = {
    404: "There is no such page here.",
    405: "This address does not take such a request.",
}


def build(
    watched: Watched, index_path: str, rules: Rules, look: float = _LOOK, verify: bool = True
) -> Guard:
    """Builds the application.

    Args:
      watched: What is served.
      index_path: The file of the index, beside which thumbnails are kept.
      rules: What clients need, and what they may send.
      look: Seconds between two looks at the file of the index.
      verify: Whether results that show the same picture as the query come first.

    Returns:
      The application. Its lifespan runs the tasks that answer queries and follow the file.
    """
    metrics = Metrics()
    thumbnails = Thumbnails(index_path)
    parts = routes.Parts(
        watched=watched,
        batcher=Batcher(lambda: watched.served, metrics),
        thumbnails=thumbnails,
        verifier=Verifier(watched, thumbnails, verify),
        painters=futures.ThreadPoolExecutor(limits.THREADS, thread_name_prefix="jhash-thumbnail"),
        decoder=Decoder(),
        recent=Recent(),
        uploads=asyncio.Semaphore(limits.MAX_UPLOADS),
        pages=Pages(watched.name),
        metrics=metrics,
        token=rules.token,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app):
        tasks = [
            asyncio.create_task(parts.batcher.run()),
            asyncio.create_task(_follow(watched, parts.thumbnails, look)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            parts.painters.shutdown(wait=False)
            parts.decoder.close()
            parts.verifier.close()

    app = Starlette(
        routes=[
            *(Route(path, function, methods=[method]) for path, function, method in _ROUTES),
            Mount("/static", StaticFiles(directory=os.path.join(pages.FOLDER, "static"))),
        ],
        exception_handlers={
            HTTPException: _handler(parts.pages, lambda error: error.status_code),
            InputError: _handler(parts.pages, lambda error: 400),
            UnknownImageError: _handler(parts.pages, lambda error: 404),
            BusyError: _handler(parts.pages, lambda error: 503),
            ClientDisconnect: _handler(parts.pages, lambda error: 400),
            Exception: _handler(parts.pages, lambda error: 500),
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.parts = parts
    # Around all of it, so that the pages of faults have its headers, too.
    return Guard(app, rules, metrics, {path for path, _, _ in _ROUTES}, parts.pages.error)


def _handler(
    all_pages: Pages, status_of: Callable[[Exception], int]
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Makes the function that answers a request for which an exception was raised."""

    async def handle(request: Request, error: Exception) -> Response:
        status = status_of(error)
        if status == 500:
            words = "Something went wrong in the server. Its own output says what."
        elif isinstance(error, BusyError):
            words = "The server has too much to do at the moment. Try again in a few seconds."
        elif isinstance(error, HTTPException):
            words = _WORDS.get(status, str(error.detail))
        else:
            words = str(error)
        return all_pages.error(request, status, words)

    return handle


async def _follow(watched: Watched, thumbnails: Thumbnails, look: float) -> None:
    """Follows the file of the index, in a thread, until it is cancelled."""
    loop = asyncio.get_running_loop()
    thread = futures.ThreadPoolExecutor(1, thread_name_prefix="jhash-index")
    try:
        await loop.run_in_executor(thread, _forget, watched, thumbnails)
        while True:
            await asyncio.sleep(look)
            if await loop.run_in_executor(thread, watched.look):
                await loop.run_in_executor(thread, _forget, watched, thumbnails)
    finally:
        thread.shutdown(wait=False)


def _forget(watched, thumbnails):
    index = watched.served.index
    if os.path.isdir(thumbnails.folder) and index.id_kind == "string":
        thumbnails.forget_others(index.ids.tolist())
