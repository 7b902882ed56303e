"""The frame of a training when the system fails at any place, without a model."""

import errno
import json
import os
import resource

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.runs.epochs import Epochs, kept
from jhash.system import faults

EPOCHS, STEPS = 3, 2


def training(folder):
    """A training whose state is all that it has ever logged; returns the state."""
    with Epochs(str(folder), total=EPOCHS, steps=STEPS, keep=2, disable=True) as epochs:
        tree = epochs.restore({"seen": np.zeros(EPOCHS * STEPS), "large": np.zeros(20_000)})
        for epoch in epochs:
            seen = tree["seen"].copy()
            for step in range(epochs.steps_done(epoch), STEPS):
                number = epoch * STEPS + step + 1
                seen[number - 1] = 1 + seen.sum()
                epochs.log.write(number, epoch, {"loss": seen[number - 1]})
            noise = np.random.default_rng(epoch).normal(size=len(tree["large"]))
            tree = {"seen": seen, "large": noise}
            epochs.save(epoch + 1, tree)
    return tree


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The state and the log of a training that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    return training(folder), (folder / "metrics.jsonl").read_bytes()


def check_end(folder, whole, error):
    """Checks that an error is explained, and that the next process ends as if there were none."""
    line = str(error) if isinstance(error, InputError) else faults.explain(error)
    assert line is not None, repr(error)
    assert line.startswith(str(folder)), line
    text = kept(str(folder), STEPS)
    for line in (folder / "metrics.jsonl").read_text().splitlines()[:-1]:
        json.loads(line)
    tree = training(folder)
    np.testing.assert_array_equal(tree["seen"], whole[0]["seen"])
    np.testing.assert_array_equal(tree["large"], whole[0]["large"])
    assert (folder / "metrics.jsonl").read_bytes() == whole[1]
    assert kept(str(folder), STEPS) == f"the checkpoint after epoch {EPOCHS}"
    left = [path.name for path in folder.rglob("*") if "tmp" in path.name]
    assert not left
    return text


def limited(kind, soft, function):
    """Runs a function under a limit of the system; returns its exception, or None."""
    before = resource.getrlimit(kind)
    try:
        resource.setrlimit(kind, (soft, before[1]))
        function()
    except Exception as error:
        return error
    finally:
        resource.setrlimit(kind, before)


def test_a_file_that_cannot_grow(tmp_path, whole):
    """As on a full disk, for Python and for the C++ of orbax."""
    texts = set()
    for size in (0, 10, 100, 300, 1_000, 10_000, 100_000):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "metrics.jsonl").touch()
        error = limited(resource.RLIMIT_FSIZE, size, lambda folder=folder: training(folder))
        texts.add(check_end(folder, whole, error))
    assert None in texts


def test_too_many_open_files(tmp_path, whole):
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    ends = []
    for more in (0, 1, 2, 3, 4, 6, 8, 12, 16, 100):
        folder = tmp_path / str(more)
        folder.mkdir()
        (folder / "metrics.jsonl").touch()
        error = limited(
            resource.RLIMIT_NOFILE, lowest + more, lambda folder=folder: training(folder)
        )
        ends.append(error is None)
        if error is not None:
            assert "Too many open files" in (faults.explain(error) or str(error))
            check_end(folder, whole, error)
    assert not ends[0]
    assert ends[-1]


@pytest.mark.parametrize("name", ["fsync", "replace", "rename", "mkdir", "open"])
def test_every_call_of_the_system_may_fail(tmp_path, whole, monkeypatch, name):
    """The first call fails, in another training the second, and so on."""
    function, kept_texts = getattr(os, name), []
    for failing in range(100):
        folder = tmp_path / str(failing)
        folder.mkdir()
        (folder / "metrics.jsonl").touch()
        calls = []

        def fail(*arguments, failing=failing, calls=calls, **more):
            calls.append(arguments)
            if len(calls) == failing + 1:
                paths = [os.fspath(a) for a in arguments[:1] if isinstance(a, str | os.PathLike)]
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *paths)
            return function(*arguments, **more)

        error = None
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            try:
                training(folder)
            except Exception as caught:
                error = caught
        if len(calls) <= failing:
            break  # No call of this training has failed.
        if error is not None:
            kept_texts.append(check_end(folder, whole, error))
    assert len(calls) <= failing
    assert kept_texts
