"""A tiny index of photos with names that want to do harm, and a client of its page."""

import json
import threading
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from jhash.commands import main
from jhash.encoding import fitted
from jhash.serve import application, collection, guard, server
from tests.support.served import HANDLER, SCRIPT, draw

HOST = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The index that no test changes, and the folder of its photos."""
    folder = tmp_path_factory.mktemp("served")
    names = [f"{folder}/{n}.png" for folder in ("cats", "dogs") for n in range(20)]
    for seed, name in enumerate([*names, SCRIPT, HANDLER]):
        draw(folder / "photos" / name, seed)
    path = folder / "photos.index"
    with pytest.MonkeyPatch.context() as patch:
        # Features without weights: the mean of each row.
        patch.setattr(fitted, "_BACKBONE", "row_means.RowMeans")
        arguments = ["index", "build", "--images", folder / "photos", "--output", path]
        assert main.main([*map(str, arguments), "--bits", "16"]) == 0
    return path, folder / "photos"


@pytest.fixture(scope="session")
def watched(made):
    """What is served of it."""
    return collection.Watched(collection.Source(str(made[0])))


@pytest.fixture
def client_of(watched, made):
    """Makes clients within this process."""
    clients = []

    def make(rules=guard.Rules(), watched=watched, index=made[0], **options):  # noqa: B008
        app = application.build(watched, str(index), rules, look=0.02)
        client = TestClient(app, HOST, follow_redirects=False, **options)
        clients.append(client)
        return client.__enter__()

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(client_of):
    """A client of the index that no test changes."""
    return client_of()


@pytest.fixture
def jhash(capsys):
    """Runs `python -m jhash ...` in this process, and returns the lines of JSON that it prints."""

    def call(*arguments):
        capsys.readouterr()
        assert main.main([str(argument) for argument in arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call


@pytest.fixture(scope="module")
def running(watched, made):
    """A server on a port of its own: `address`, and `app` with its parts."""
    app = application.build(watched, str(made[0]), guard.Rules())
    place = server.take_place("127.0.0.1", 0, None)
    ready = threading.Event()
    process = server.Server(app, ready.set)
    thread = threading.Thread(target=process.run, args=([place.socket],))
    thread.start()
    assert ready.wait(60)
    yield SimpleNamespace(address=place.address().rstrip("/"), port=place.port)
    process.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    place.socket.close()
