"""A tiny run, its images as PNG files, and an index of them, made once."""

import functools

import numpy as np
import pytest
from PIL import Image

from jhash import train
from jhash.commands import main
from tests.support import command, tiny


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a trained run."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    config = tiny.get_config()
    config.optimizer.learning_rate = 1e-2
    train.train(config, str(folder))
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """All images of the run's source, 0.png to 239.png, the odd ones in a folder of their own."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "odd").mkdir()
    for number, image in enumerate(tiny.source().images(np.arange(240))):
        Image.fromarray(image[..., 0]).save(folder / f"{'odd/' * (number % 2)}{number}.png")
    return folder


@pytest.fixture(scope="session")
def index(run, photos, tmp_path_factory):
    """An index of the photos."""
    path = tmp_path_factory.mktemp("index") / "photos.index"
    arguments = ["index", "build", "--run", run, "--images", photos, "--output", path]
    assert main.main([str(argument) for argument in arguments]) == 0
    return path


@pytest.fixture
def jhash(capsys):
    """Runs `python -m jhash ...` in this process: (exit status, stdout, stderr)."""
    return functools.partial(command.call, capsys)
