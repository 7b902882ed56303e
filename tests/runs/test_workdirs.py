"""Folders of runs: one config and one process at a time."""

import os
import threading
from unittest import mock

import pytest

from jhash import evaluate, train
from jhash.errors import InputError
from jhash.runs import paths, workdirs
from tests.support import tiny


def test_how_a_run_is_computed_names_no_other_folder():
    """The same command with more devices or workers goes on."""
    config = tiny.get_config()
    name = workdirs.default(config)
    config.devices, config.data.workers = 4, 2
    config.profile_from, config.profile_steps = 3, 2
    assert workdirs.default(config) == name
    config.seed = 1
    assert workdirs.default(config) != name


def test_the_encoder_that_chooses_the_best_epoch_stays(tmp_path):
    config, other = tiny.get_config(), tiny.get_config()
    other.image.mirror = True
    for keep, differs in (("last", False), ("best", True)):
        for one in (config, other):
            one.keep, one.eval_every, one.data.validation = keep, 1, 20
        workdir = str(tmp_path / keep)
        workdirs.claim(workdir, config)
        if differs:
            with pytest.raises(
                InputError, match=r"config\.image\.mirror is .* there and True here"
            ):
                workdirs.check(workdir, other)
        else:
            assert workdirs.check(workdir, other).image.mirror


def test_a_folder_that_another_process_claimed_meanwhile(tmp_path):
    """Both had checked the folder before; the first has ended when the second gets the lock."""
    workdir = str(tmp_path / "run")
    first, second = tiny.get_config(), tiny.get_config()
    second.epochs = 3
    for config in first, second:
        workdirs.check(workdir, config)
    with workdirs.lock(workdir):
        workdirs.claim(workdir, first)
    with (
        workdirs.lock(workdir),
        pytest.raises(InputError, match=r"config\.epochs is 4 there and 3 here"),
    ):
        workdirs.claim(workdir, second)
    assert workdirs.load(workdir).epochs == 4


def test_a_process_that_trains_is_noticed_without_its_lock(tmp_path):
    """Users remove the file of a lock that they take for a forgotten one."""
    workdir = str(tmp_path / "run")
    (tmp_path / "link").symlink_to("run")
    with workdirs.lock(workdir):
        (tmp_path / "run" / ".lock").unlink()
        for path in workdir, str(tmp_path / "link"):
            with (
                pytest.raises(InputError, match="another process is training"),
                workdirs.lock(path),
            ):
                pass
            (tmp_path / "run" / ".lock").unlink()
    with workdirs.lock(workdir):
        assert os.path.exists(paths.lock(workdir))


@pytest.mark.parametrize(
    "start",
    [
        lambda workdir: evaluate.evaluate_workdir(workdir, ["tests"]),
        lambda workdir: train.train(tiny.get_config(), workdir),
    ],
)
def test_an_evaluation_waits_for_another(tmp_path, monkeypatch, start):
    """Else that of an older checkpoint could replace some files of this one."""
    workdir = str(tmp_path)
    order = []
    held = threading.Event()

    go_on = threading.Event()

    def hold():
        with workdirs.evaluating(workdir):
            held.set()
            go_on.wait(20)
            order.append("ended")

    class Checkpoints:
        def __init__(self, _):
            order.append("read")
            raise InputError("enough")

    def evaluated(*_):
        order.append("read")
        raise InputError("enough")

    workdirs.claim(workdir, tiny.get_config())
    for room in evaluate, train:
        monkeypatch.setattr(room, "build", mock.MagicMock())
    monkeypatch.setattr(evaluate, "Checkpoints", Checkpoints)
    monkeypatch.setattr(evaluate, "evaluate", evaluated)
    monkeypatch.setattr(train, "SourceEncoder", lambda *_: None)
    monkeypatch.setattr(train, "_train", lambda *_: None)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    # The other one is let go once this one has had the time to go on without it.
    threading.Timer(0.5, lambda: order.append("waited") or go_on.set()).start()
    with pytest.raises(InputError, match="enough"):
        start(workdir)
    thread.join()
    assert order == ["waited", "ended", "read"]
