"""Two processes that train or search together, against one process."""

import io
import json
import signal
import socket

import numpy as np
import pytest

from jhash.commands import main, together
from jhash.errors import InputError
from jhash.parallel import devices
from jhash.retrieval import HammingIndex
from tests.support import child_search
from tests.support.child import Child
from tests.support.fork_server import context

pytestmark = pytest.mark.slow


def start(folder, name, count, config="tests.support.tiny", of_last=(), **fields):
    """Starts the processes of a run; all but the first are given a folder that nobody has.

    Args:
      folder: Folder of the test.
      name: Name of the run.
      count: Number of processes.
      config: The config.
      of_last: Fields of the last process's config that differ from the others'.
      **fields: Fields of the config.
    """
    coordinator = free_address()
    children = []
    for number in range(count):
        run = folder / name if number == 0 else folder / "nobody" / "has" / "it"
        place = (coordinator, count, number) if count > 1 else None
        own = dict(of_last) if number == count - 1 else {}
        output = folder / f"{name}-{number}.txt"
        children.append(
            Child(run, folder / "cache", output, config=config, place=place, **fields | own)
        )
    return children


def free_address():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return f"localhost:{free.getsockname()[1]}"


def finish(children):
    for child in children:
        status, output = child.end()
        assert status == 0, output


def files(run):
    """The files of a run that do not depend on time."""
    found = {name: (run / name).read_bytes() for name in ("metrics.jsonl", "encoder.bin")}
    for path in sorted((run / "codes").iterdir()):
        with np.load(path) as archive:
            found[path.name] = {key: archive[key].tobytes() for key in archive.files}
    return found


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("dead", [0, 1])
def test_a_run_whose_process_dies_goes_on_and_ends_with_the_bits_of_one_process(dead, tmp_path):
    whole, broken = tmp_path / "one", tmp_path / "two"
    alone = start(tmp_path, "one", 1)
    two = start(tmp_path, "two", 2)
    log = broken / "metrics.jsonl"
    two[dead].wait_until(lambda: log.exists() and '"epoch": 1,' in log.read_text())
    two[dead].signal(signal.SIGKILL)
    assert two[dead].end()[0] == -signal.SIGKILL
    status, output = two[1 - dead].end()
    # JAX may be faster, and abort.
    if status != -signal.SIGABRT:
        assert status == 1, output
        expected = f"process {1 - dead} of 2 stops, as another one has stopped before ("
        assert expected in output
        assert "The same commands go on from the last checkpoint." in output
    assert not (broken / "results.json").exists()
    finish(start(tmp_path, "two", 2))
    finish(alone)
    assert files(broken) == files(whole)
    assert not (tmp_path / "nobody").exists()


def test_a_signal_to_one_process_stops_both_after_the_same_step(tmp_path):
    two = start(tmp_path, "run", 2, epochs=50)
    log = tmp_path / "run" / "metrics.jsonl"
    two[1].wait_until(lambda: log.exists() and '"epoch": 1,' in log.read_text())
    two[1].signal(signal.SIGTERM)
    status, output = two[0].end()
    assert status == 143, output
    assert "jhash: stopped by a signal to another process. " in output
    assert "keeps the checkpoint after " in output
    assert two[1].end()[0] == 143


@pytest.mark.parametrize("config", ["configs.dah", "configs.aihn", "configs.dstgeh"])
def test_other_methods_train_as_in_one_process(config, tmp_path):
    runs = [start(tmp_path, name, count, f"{config}:smoke") for name, count in (("a", 1), ("b", 2))]
    for children in runs:
        finish(children)
    one, two = (lines(tmp_path / name) for name in "ab")
    assert [line.keys() for line in one] == [line.keys() for line in two]
    for first, second in zip(one, two, strict=True):
        np.testing.assert_allclose(list(first.values()), list(second.values()), rtol=1e-4)


def test_processes_with_different_configs_are_refused(tmp_path):
    main, other = start(tmp_path, "run", 2, of_last={"epochs": 2}, epochs=1)
    status, output = other.end()
    assert status == 1
    assert "--config: process 1 of 2 was given others than process 0" in output
    assert main.end()[0] != 0
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_search_of_two_processes_finds_what_one_finds(tmp_path, capsys):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**32, (5001, 2), np.uint32)
    codes[::3] = codes[0]  # Ties on both sides of the border.
    ids = rng.permutation(5001) + 2**40  # Beyond what JAX has integers for.
    ids[[10, 4000]] = 4, 7
    path = str(tmp_path / "an.index")
    built = HammingIndex.build(codes, 64, ids)
    built.save(path)
    queries = codes[2000:2003]
    outputs = [tmp_path / f"{number}.txt" for number in range(2)]
    address = free_address()
    children = []
    for number, output in enumerate(outputs):
        arguments = str(output), path, queries, (address, 2, number)
        children.append(context.Process(target=child_search.search, args=arguments))
        children[-1].start()
    assert main.main(["search", "--index", path, "--id", "4", "7", "-k", "2500", "--json"]) == 0
    by_command = capsys.readouterr().out
    by_library = io.StringIO()
    for array in (*built.search(queries, 30), *built.search_radius(queries, 25)):
        np.savetxt(by_library, array, "%d")
    for child, output in zip(children, outputs, strict=True):
        child.join(100)
        assert child.exitcode == 0, (tmp_path / f"{output.name}.err").read_text()
    # The first alone prints the results of the command; both have those of the library.
    assert outputs[0].read_text() == by_command + by_library.getvalue()
    assert outputs[1].read_text() == by_library.getvalue()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("localhost:1", None, 0), "^--processes: none given; allowed: all of --coordinator, "),
        (("localhost:1", 2, 2), "^--process: 2 given; allowed: 0 to 1, as --processes is 2"),
    ],
)
def test_places_that_are_no_places_are_refused(place, message):
    with pytest.raises(InputError, match=message):
        together.run(lambda: None, *place)


def test_a_limit_of_the_devices():
    assert devices.training_devices(16, False, limit=2) == 2
    assert devices.training_devices(6, True, limit=4) == 3
    with pytest.raises(InputError, match=r"^devices: 9 given; allowed: 0 for all 8 devices, or a"):
        devices.training_devices(16, False, limit=9)
