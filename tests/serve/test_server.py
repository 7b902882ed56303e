"""The process: its address, its time limits, and the command that starts it."""

import contextlib
import importlib
import json
import socket
import sys
import time
import urllib.request
from concurrent import futures

import pytest

from jhash.commands import main
from jhash.errors import InputError
from jhash.serve import application, limits, server

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_the_loopback_address_needs_no_token():
    for host in ("127.0.0.1", "localhost"):
        place = server.take_place(host, 0, None)
        with place.socket:
            assert place.token is None
            assert place.address() == f"http://{host}:{place.port}/"


def test_any_other_address_needs_one():
    place = server.take_place("0.0.0.0", 0, None)
    with place.socket:
        assert len(place.token) >= 32
        assert place.address() == f"http://localhost:{place.port}/login?token={place.token}"
    place = server.take_place("0.0.0.0", 0, "my/own&token-of-22")
    with place.socket:
        assert place.address().endswith("/login?token=my/own%26token-of-22")


@pytest.mark.parametrize(
    "token", ["short", "", "a token with blanks", "tökentökentökentöken", "a\n" * 9]
)
def test_tokens_that_are_refused(token):
    with pytest.raises(InputError, match=r"^token: one of \d+ characters given; allowed: 16"):
        server.take_place("127.0.0.1", 0, token)


def test_an_address_that_cannot_be_had():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"^host: 127.0.0.1, port {port} given, which cannot"):
            server.take_place("127.0.0.1", port, None)
    with pytest.raises(InputError, match=r"^host: 203\.0\.113\.7, port 80 given, whi"):
        server.take_place("203.0.113.7", 80, None)


def fetch(address):
    with urllib.request.urlopen(address, timeout=60) as response:
        return json.loads(response.read())


def test_twenty_clients_at_once(running):
    addresses = [f"{running.address}/api/search?id=dogs/{n}.png" for n in range(20)]
    alone = [fetch(address) for address in addresses]
    with futures.ThreadPoolExecutor(20) as pool:
        assert list(pool.map(fetch, addresses)) == alone
    assert [found["results"][0]["distance"] for found in alone] == [0] * 20


def send(port, *pieces, pause=0.05):
    """Sends pieces of a request; returns the answer, and the seconds until the server hung up."""
    began = time.monotonic()
    received = b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                connection.settimeout(pause)
                with contextlib.suppress(TimeoutError):
                    received += connection.recv(65536)
            connection.settimeout(20)
            while chunk := connection.recv(65536):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    return received, time.monotonic() - began


def test_clients_that_send_their_headers_slowly(running, monkeypatch):
    monkeypatch.setattr(limits, "HEADER_SECONDS", 0.3)
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    received, seconds = send(running.port, *[b"G"] + [b"E"] * 30)
    assert received == b""
    assert seconds < 1.6
    # The second request of a connection, too.
    received, seconds = send(running.port, whole + b"\r\n", whole, *[b"X-A: b\r\n"] * 30)
    assert received.count(b"200 OK") == 1
    assert seconds < 1.8
    received, _ = send(running.port, whole + b"Connection: close\r\n", b"\r\n")
    assert received.endswith(b'{"status":"ok"}')


def test_what_is_no_http(running):
    received, _ = send(running.port, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400")
    received, _ = send(running.port, b"GET / HTTP/1.1\r\n\r\n")  # Without a host.
    assert received.startswith(b"HTTP/1.1 4")


@pytest.fixture
def command(capsys):
    """Runs `python -m jhash serve ...` in this process: (exit status, stdout, stderr)."""

    def call(*arguments):
        capsys.readouterr()
        try:
            status = main.main(["serve", *map(str, arguments)])
        except SystemExit as wrong_use:
            status = wrong_use.code
        return status, *capsys.readouterr()

    return call


def test_the_command(command, made, monkeypatch):
    def run(app, place, when_ready):
        with place.socket:
            when_ready()

    monkeypatch.setattr(server, "run", run)
    monkeypatch.setattr("jhash.serve.batching.compile_all", lambda served: None)
    status, out, err = command("--index", made[0], "--port", 0)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{made[0]}: 42 codes of 16 bits."
    assert lines[1].startswith("The page is at http://127.0.0.1:")
    told = json.loads(command("--index", made[0], "--port", 0, "--json")[1])
    assert (told["codes"], told["bits"]) == (42, 16)
    assert f"The page is at {told['address'][:17]}" in out
    monkeypatch.setenv("JHASH_TOKEN", "from-the-environment")
    assert "/login?token=from-the-environment " in command("--index", made[0], "--port", 0)[1]
    monkeypatch.delenv("JHASH_TOKEN")
    status, out, err = command("--index", made[0], "--port", 0, "--host", "0.0.0.0")
    assert "/login?token=" in out
    assert "this machine's name or address in the place of localhost" in out


def test_the_rules_that_the_command_makes(command, made, monkeypatch):
    built = []
    monkeypatch.setattr(
        application, "build", lambda *given, verify: built.append((given[2], verify))
    )
    monkeypatch.setattr(server, "run", lambda app, place, when_ready: place.socket.close())
    monkeypatch.setattr("jhash.serve.batching.compile_all", lambda served: None)
    given = (
        "--index",
        made[0],
        "--port",
        0,
        "--allow-host",
        "a.example",
        "--allow-host",
        "b.example",
    )
    assert command(*given, "--token", "correct-horse-battery")[0] == 0
    assert command(*given, "--no-verify")[0] == 0
    (rules, verify), (_, verify_without) = built
    assert rules.hosts == {"127.0.0.1", "a.example", "b.example"}
    assert rules.token == "correct-horse-battery"
    assert (verify, verify_without) == (True, False)


def test_what_the_command_refuses(command, made, tmp_path, monkeypatch):
    for given, said in (
        (("--images", tmp_path / "gone"), f"--images: {tmp_path}/gone given; allowed: folders"),
        (("--token", "short"), "--token: one of 5 characters given"),
        (("--host", "203.0.113.7"), "--host: 203.0.113.7, port 0 given, which cannot be used"),
        (("--run", tmp_path / "gone"), f"--run: {tmp_path}/gone given, which is no folder"),
    ):
        status, out, err = command("--index", made[0], "--port", 0, *given)
        assert (status, out) == (1, "")
        assert err.startswith(f"jhash: {said}")
        assert len(err.splitlines()) == 1
    status, _, err = command("--index", tmp_path / "gone", "--port", 0)
    assert (status, len(err.splitlines())) == (1, 1)
    assert command("--index", made[0], "--port", "70000")[0] == 2
    assert "jhash serve --index" in command("--help")[1]


def test_without_its_packages_the_command_names_the_extra(command, made, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("jhash.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("jhash.serve", raising=False)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    status, out, err = command("--index", made[0])
    assert (status, out) == (1, "")
    assert err.startswith("jhash: serve: starlette.applications is not installed; allowed: an inst")
    assert "pip install 'jhash[serve]'" in err
    monkeypatch.undo()
    importlib.import_module("jhash.serve.application")
