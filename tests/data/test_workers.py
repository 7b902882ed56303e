"""Worker processes that decode: the batches of the one process, and nothing is left behind."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import fdah
from jhash import experiment
from jhash.data import ArraySource, FolderSource, ImageListSource, batches, workers
from jhash.data.sources import RelabeledSource
from jhash.errors import InputError
from jhash.runs import workdirs

grain = pytest.importorskip("grain")

ROOT = Path(__file__).resolve().parents[2]
COUNT = 14


class Own:
    """A source of a user's own, which keeps nothing."""

    labels = np.arange(COUNT, dtype=np.int32) % 2
    class_names = ("even", "odd")
    image_shape = (2, 2, 1)
    parts = {}  # noqa: RUF012

    def __len__(self):
        return COUNT

    def images(self, indices):
        return np.asarray(indices, np.uint8)[:, None, None, None] * np.ones((2, 2, 1), np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    for part in ("train", "database", "test"):
        lines = [f"{number:02}.png 1 0" for number in range(part == "test", COUNT - 1, 2)]
        (folder / f"{part}.txt").write_text("\n".join(lines))
    return folder


def opened(folder):
    return FolderSource(folder, labels="none", image_size=6)


def prefetched(source, orders, count):
    return [
        {name: array.copy() for name, array in batch.items()}
        for batch in batches.prefetch(source, orders, workers=count)
    ]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
            assert one[name].dtype == other[name].dtype


def test_batches_are_those_of_one_process(photos):
    # The last batch is filled up, so that two images are in two batches.
    orders = batches.batch_indices(np.random.default_rng(0).permutation(COUNT), 4)
    expected = prefetched(opened(photos), orders, 0)
    source = opened(photos)
    assert_same(prefetched(source, orders, 2), expected)
    assert multiprocessing.active_children() == []
    # Now all are kept: nothing is decoded, and no process is started.
    for path in source.paths:
        assert source.kept.missing(np.arange(COUNT)).size == 0, path
    assert_same(prefetched(source, orders, 2), expected)
    # A run that goes on after two steps, as the second of two hosts.
    rest = np.split(orders[2:], 2, axis=1)
    second = [{name: array[2:] for name, array in batch.items()} for batch in expected[2:]]
    relabeled = opened(photos)
    relabeled = RelabeledSource(relabeled, relabeled.labels, relabeled.class_names)
    assert_same(prefetched(relabeled, rest[1], 1), second)
    both = np.concatenate([*rest[0].ravel(), *rest[1].ravel()], axis=None)
    assert sorted(both) == sorted(orders[2:].ravel())


def test_what_a_process_gets_reads_the_same_and_keeps_nothing(photos):
    for source in (opened(photos), ImageListSource(photos, image_size=6)):
        indices = np.arange(len(source))
        images = source.images(indices)
        assert source.kept.missing(indices).size == 0
        sent = pickle.dumps(source)
        copy = pickle.loads(sent)
        np.testing.assert_array_equal(copy.images(indices), images)
        np.testing.assert_array_equal(copy.kept.missing(indices), indices)
        assert images.tobytes()[:100] not in sent


def test_images_for_which_there_is_no_room_are_decoded_by_processes_again(photos, monkeypatch):
    started = []
    monkeypatch.setattr(workers, "_start", lambda source, given, _: started.append(given) or Fake())
    source = opened(photos)

    class Fake:
        def __next__(self):
            return source.images(started[-1].pop(0)), None

        def close(self):
            pass

    monkeypatch.setattr("jhash.system.memory.available", lambda: 4 * 5 * 6 * 6 * 3)
    orders = np.arange(12).reshape(3, 4)
    for _ in range(2):
        given = prefetched(source, orders, 3)
        assert_same(given, prefetched(opened(photos), orders, 0))
    assert [len(part) for part in started] == [0, 0], "all that was given was asked for"
    assert source.kept.missing(np.arange(12)).tolist() == list(range(5, 12))


def test_an_image_that_broke_and_a_process_that_died_end_in_one_line(photos, tmp_path):
    for name in ("a", "b"):
        Image.new("RGB", (6, 6), name == "a").save(tmp_path / f"{name}.png")
    source = opened(tmp_path)
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(InputError, match=r"^image .*b.png cannot be read: it is damaged"):
        prefetched(source, [[0], [1]], 1)
    assert multiprocessing.active_children() == []
    orders = [[3, 1, 3]] * 1000
    given = batches.prefetch(Own(), orders, workers=1)
    assert_same([next(given)], prefetched(Own(), orders[:1], 0))
    [process] = multiprocessing.active_children()
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(InputError, match=r"^config.data.workers: a worker process has ended"):
        list(given)
    assert multiprocessing.active_children() == []


def test_processes_end_with_the_one_that_trains_even_if_it_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, time\n"
        "from jhash.data import batches\n"
        "from tests.data.test_workers import Own\n"
        "if __name__ == '__main__':\n"
        "    given = batches.prefetch(Own(), [[0]] * 1000, workers=1)\n"
        "    next(given)\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(100)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True
    )
    with process:
        worker = int(process.stdout.readline())
        # As Ctrl-C and the end of a job do, which the process that trains heeds.
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker, number)
        time.sleep(0.2)
        os.kill(worker, 0)
        process.kill()
    end = time.monotonic() + 60
    while os.path.exists(f"/proc/{worker}"):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_where_processes_bring_nothing_they_are_refused(monkeypatch):
    config = fdah.get_config("smoke")
    config.data.workers = 2
    with pytest.raises(InputError, match=r"^config.data.workers: 2 given; allowed: 0, as the im"):
        experiment.build(config)
    source = ArraySource(np.zeros((2, 2, 2), np.uint8), np.arange(2))
    workers.check(source, 0)
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match=r"^workers: 3 given; allowed: 0, or an install"):
        workers.check(Own(), 3)


def test_a_run_may_go_on_with_other_processes(tmp_path):
    config = fdah.get_config("smoke")
    before = workdirs.default(config)
    workdirs.claim(tmp_path / "run", workdirs.check(str(tmp_path / "run"), config))
    config.data.workers = 2
    assert workdirs.check(str(tmp_path / "run"), config).data.workers == 2
    config.data.workers = 0
    assert workdirs.default(config) == before
    config.data.seed = 5
    with pytest.raises(InputError, match=r"config\.data\.seed"):
        workdirs.check(str(tmp_path / "run"), config)
