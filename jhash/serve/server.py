"""The server as a process: a socket, uvicorn, and a line that says where it is."""

import ipaddress
import secrets
import socket
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from jhash.errors import InputError
from jhash.serve import limits
from jhash.serve.guard import Guard

_SHORTEST_TOKEN = 16
# Seconds for which requests that are going on may finish when the server is told to end.
_GRACE = 5


class Place(NamedTuple):
    """Where a server is to be reached.

    Attributes:
      socket: A socket with its address, which does not listen yet.
      host: The host as it was given.
      port: The port, also where any was asked for.
      token: What clients have to know, or None.
    """

    socket: socket.socket
    host: str
    port: int
    token: str | None

    @property
    def is_everywhere(self) -> bool:
        """Whether the host stands for all addresses of this machine."""
        return self.host in ("0.0.0.0", "::")

    def address(self) -> str:
        """Returns the address of the first page, with the token."""
        host = "localhost" if self.is_everywhere else self.host
        host = f"[{host}]" if ":" in host else host
        page = f"login?token={quote(self.token)}" if self.token else ""
        return f"http://{host}:{self.port}/{page}"


def take_place(host: str, port: int, token: str | None) -> Place:
    """Takes an address, and chooses a token where one is needed.

    Args:
      host: Name or IP address to bind to.
      port: Port; 0 for any that is free.
      token: The token; None for none, or for a random one if others than this machine can reach the
        address.

    Raises:
      InputError: There is no such address here, the port is taken, or the token is short.
    """
    if token is not None and not (
        len(token) >= _SHORTEST_TOKEN
        and token.isascii()
        and token.isprintable()
        and " " not in token
    ):
        raise InputError(
            f"token: one of {len(token)} characters given; allowed: {_SHORTEST_TOKEN} or more, "
            "letters, digits and signs of ASCII without blanks."
        )
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(
            f"host: {host}, port {port} given, which cannot be used ({error.strerror}); allowed: "
            "an address of this machine and a port that no other program has."
        ) from error
    address, port = bound.getsockname()[:2]
    if token is None and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        token = secrets.token_urlsafe(24)
    return Place(bound, host, port, token)


def run(app: Guard, place: Place, when_ready: Callable[[], None]) -> None:
    """Serves until the process is told to end.

    Args:
      app: The application.
      place: Where to serve.
      when_ready: Called when clients are answered.
    """
    with place.socket:
        Server(app, when_ready).run([place.socket])


class Server(uvicorn.Server):
    """uvicorn with the limits of `limits`, and a call when it is ready."""

    def __init__(self, app: Guard, when_ready: Callable[[], None]):
        """Configures the server; see `run`."""
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # Addresses may have the token and names of images in them.
            server_header=False,
            limit_concurrency=limits.MAX_CONNECTIONS,
            timeout_keep_alive=limits.IDLE_SECONDS,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets=None):
        """Begins to listen."""
        await super().startup(sockets)
        if not self.should_exit:
            self._when_ready()


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a time limit from a request's first byte to its last header."""

    _deadline = None

    def connection_made(self, transport):
        """Starts the time of the first request."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data):
        """Stops the time when the headers are there, and starts it with the next request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._deadline is None:
            self._start()

    def connection_lost(self, error):
        """Stops the time."""
        self._stop()
        super().connection_lost(error)

    def _start(self):
        self._deadline = self.loop.call_later(limits.HEADER_SECONDS, self._expire)

    def _stop(self):
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self):
        self._deadline = None
        self.transport.close()
