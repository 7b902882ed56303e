"""The gate of the server: every request passes it before anything else looks at it.

- A host by name must be an allowed one. So a stranger's page cannot reach a server on the loopback
  address by a name of its own that leads there (DNS rebinding).
- Browsers say from which site a request comes. Other sites may link to a page, and nothing else.
- With a token, a request needs it: in the header `Authorization: Bearer TOKEN`, or in a cookie,
  which the page sets when it is told the token.
- Requests have a time limit, and bodies a size limit.
- All responses say what browsers may do with them: no scripts, styles or images but the server's,
  no frames around them, no guessing of types, no word to other sites about where a link was.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jhash.serve import limits
from jhash.serve.metrics import Metrics

# Size of a body that needs no token: strangers send no files.
_OPEN_BYTES = 16 << 10
# What needs no token: health, and what the page that asks for it consists of.
_OPEN = ("/health", "/login")
_OPEN_FOLDER = "/static/"
# A body that is too large is read and dropped up to this, as browsers show an error of the network
# if the server answers before they have sent all of it.
_DROPPED = 256 << 20

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Rules(NamedTuple):
    """What the gate lets in.

    Attributes:
      hosts: Names under which the server may be reached besides `localhost` and IP addresses.
      token: What a client has to know, or None if nothing.
      max_bytes: Size of a request's body.
      seconds: Time limit of a request.
    """

    hosts: Collection[str] = ()
    token: str | None = None
    max_bytes: int = limits.MAX_BYTES + (64 << 10)  # The fields and boundaries of a form besides.
    seconds: float = limits.REQUEST_SECONDS


class Guard:
    """The gate, as ASGI middleware around an application."""

    def __init__(
        self,
        app: ASGIApp,
        rules: Rules,
        metrics: Metrics,
        routes: Collection[str],
        refuse: Callable[[Request, int, str], Response],
    ):
        """Puts the gate around an application.

        Args:
          app: The application.
          rules: What is let in.
          metrics: Where requests are counted.
          routes: Paths under which requests are counted; all others are counted as `other`.
          refuse: Makes the response of an error from the request, its status and its words.
        """
        self._app = app
        self._rules = rules
        self._metrics = metrics
        self._routes = frozenset(routes)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = None

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # Files of the page are asked for again by their tags, all else is not kept.
                keeping = "no-cache" if scope["path"].startswith(_OPEN_FOLDER) else "no-store"
                headers.setdefault("cache-control", keeping)
            await send(message)

        route = scope["path"] if scope["path"] in self._routes else "other"
        try:
            await self._answer(scope, receive, send_on, lambda: status is not None)
        finally:
            self._metrics.requests.labels(route, status or 500).inc()
            self._metrics.request_seconds.labels(route).observe(time.perf_counter() - began)

    async def _answer(self, scope, receive, send, has_started):
        request = Request(scope)

        async def refuse(reason, code, words):
            self._metrics.refused.labels(reason).inc()
            if not has_started():
                await self._refuse(request, code, words)(scope, receive, send)

        headers = request.headers
        if not is_allowed_host(headers.get("host", ""), self._rules.hosts):
            words = (
                f"This server is not known as {headers.get('host', '')[:200]!r}. Use its address, "
                "or start it with --allow-host NAME."
            )
            await refuse("host", 421, words)
            return
        if is_of_another_site(request):
            await refuse("site", 403, "Another site must not use this server through your browser.")
            return
        is_open = scope["path"] in _OPEN or scope["path"].startswith(_OPEN_FOLDER)
        if self._rules.token and not is_open and not knows_token(request, self._rules.token):
            await refuse("token", 401, "This server needs its token.")
            return
        limit = min(_OPEN_BYTES, self._rules.max_bytes) if is_open else self._rules.max_bytes
        try:
            async with asyncio.timeout(self._rules.seconds):
                await self._app(scope, self._bounded(headers, receive, limit), send)
        except TimeoutError:
            words = f"The request took longer than {self._rules.seconds:g} seconds."
            await refuse("time", 503, words)

    def _bounded(self, headers: Headers, receive: Receive, limit: int) -> Receive:
        """Returns a `receive` that raises HTTPException for a body that is too large."""
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0
        size = 0

        async def refuse(message):
            dropped = size
            while dropped < _DROPPED and declared < _DROPPED and message.get("more_body"):
                message = await receive()
                dropped += len(message.get("body", b""))
            self._metrics.refused.labels("bytes").inc()
            most = megabytes() if limit == self._rules.max_bytes else f"{limit >> 10} kB"
            raise HTTPException(413, f"The file is too large: at most {most} are allowed.")

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit or declared > limit:
                await refuse(message)
            return message

        return receive_some


def megabytes() -> str:
    """Returns the size of the largest upload, for people."""
    return f"{limits.MAX_BYTES >> 20} MB"


def cookie_of(token: str) -> str:
    """Returns the cookie of a client that has given the token, from which nobody learns it."""
    return hmac.new(token.encode(), b"jhash cookie", hashlib.sha256).hexdigest()


def cookie_name(token: str) -> str:
    """Returns the name of that cookie: browsers send cookies to all ports of a host."""
    return f"jhash-{hmac.new(token.encode(), b'jhash cookie name', hashlib.sha256).hexdigest()[:8]}"


def same(given: str, expected: str) -> bool:
    """Compares texts in a time that does not tell how much of them is equal."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def knows_token(request: Request, token: str) -> bool:
    """Tells if a request has the token in its header, or the cookie of it."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and same(given.strip(), token):
        return True
    return same(request.cookies.get(cookie_name(token), ""), cookie_of(token))


def is_allowed_host(header: str, hosts: Collection[str]) -> bool:
    """Tells if a server may be addressed by a name.

    Args:
      header: The Host header: a name or an IP address, with or without a port.
      hosts: Names that are allowed besides `localhost`.
    """
    name, bracket, port = header.lower().rpartition("]")
    if bracket:
        name = name.removeprefix("[")
    else:
        name, _, port = header.lower().partition(":")
        port = f":{port}" if _ else ""
    if port and not (port[0] == ":" and (port[1:].isdecimal() or port == ":")):
        return False
    name = name.removesuffix(".")
    if name == "localhost" or name in {host.lower() for host in hosts}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_of_another_site(request: Request) -> bool:
    """Tells if a browser sends a request for a page of another site, other than by a link."""
    headers = request.headers
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    is_link = (
        headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and request.method in ("GET", "HEAD")
    )
    return not is_link
