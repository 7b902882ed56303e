"""The gate: hosts, other sites, and requests that take too long."""

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from jhash.serve import guard
from jhash.serve.metrics import Metrics


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("localhost.", True),
        ("127.0.0.1:8000", True),
        ("192.168.1.7", True),
        ("[::1]:8000", True),
        ("[fe80::1]", True),
        ("photos.example.org", True),
        ("Photos.Example.org:443", True),
        ("evil.example", False),
        ("photos.example.org.evil.example", False),
        ("evil.example:80@localhost", False),
        ("127.0.0.1.evil.example", False),
        ("localhost:80:90", False),
        ("[::1]evil.example", False),
        ("[::1", False),
        ("127.1", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_hosts(host, allowed):
    assert guard.is_allowed_host(host, ["photos.example.ORG"]) is allowed


@pytest.mark.parametrize(
    ("method", "site", "mode", "dest", "refused"),
    [
        ("GET", "same-origin", "cors", "empty", False),
        ("POST", "same-origin", "navigate", "document", False),
        ("GET", "none", "navigate", "document", False),
        ("GET", "cross-site", "navigate", "document", False),  # A link.
        ("POST", "cross-site", "navigate", "document", True),
        ("GET", "cross-site", "navigate", "iframe", True),
        ("GET", "cross-site", "no-cors", "image", True),
        ("GET", "same-site", "no-cors", "image", True),  # Another port of this machine.
        ("GET", "cross-site", "cors", "empty", True),
    ],
)
def test_other_sites(method, site, mode, dest, refused):
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": method, "headers": encoded})
    assert guard.is_of_another_site(request) is refused
    assert not guard.is_of_another_site(Request({"type": "http", "method": "GET", "headers": []}))


def through(app, **rules):
    def refuse(request, status, words):
        return PlainTextResponse(words, status)

    guarded = guard.Guard(app, guard.Rules(**rules), Metrics(), ["/"], refuse)
    return TestClient(guarded, "http://localhost")


def test_a_request_that_takes_too_long():
    async def app(scope, receive, send):
        await asyncio.sleep(60)

    refused = through(app, seconds=0.05).get("/")
    assert (refused.status_code, refused.text) == (
        503,
        "The request took longer than 0.05 seconds.",
    )


def test_a_body_that_is_too_large_is_read_to_its_end():
    """Up to a bound, so that browsers show the answer."""
    taken = []

    async def app(scope, receive, send):
        message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            taken.append(len(message["body"]))
        await PlainTextResponse("all")(scope, receive, send)

    client = through(app, max_bytes=100)
    assert client.post("/", content=b"0" * 100).text == "all"
    with pytest.raises(Exception, match="at most 32 MB"):
        client.post("/", content=b"0" * 101)
    assert taken == [100]


def test_the_pieces_of_a_body_are_counted_together():
    """A client may send it without a length, in pieces of which none is too large."""
    pieces = [(b"0" * 60, more) for more in (True, True, True, False)]
    read, taken = [], []

    async def receive():
        body, more = pieces[len(read)]
        read.append(len(body))
        return {"type": "http.request", "body": body, "more_body": more}

    async def app(scope, receive, send):
        while True:
            taken.append(len((await receive())["body"]))

    async def send(message):
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
    scope |= {"headers": [(b"host", b"localhost")], "scheme": "http", "server": ("localhost", 80)}
    rules = guard.Rules(max_bytes=100)
    guarded = guard.Guard(app, rules, Metrics(), ["/"], lambda *refused: None)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(guarded(scope, receive, send))
    assert refused.value.status_code == 413
    # The second one is too much; the rest is read and dropped.
    assert (taken, read) == ([60], [60] * 4)


def test_tokens_are_compared_whole():
    assert guard.same("é" * 20, "é" * 20)
    assert not guard.same("\udcff", "a")
    assert not guard.same("a", "ab")
    assert guard.cookie_of("one") != guard.cookie_of("two")
    assert guard.cookie_name("one") != guard.cookie_name("two")
