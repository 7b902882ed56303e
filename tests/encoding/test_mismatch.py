"""When a run sees less than there is in the images."""

import types

import numpy as np
import pytest
from PIL import Image

from jhash.encoding import mismatch


@pytest.fixture
def photos(tmp_path):
    paths = []
    for number, (width, height) in enumerate([(80, 60), (400, 300), (500, 400)]):
        pixels = np.full((height, width, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    (tmp_path / "broken.png").write_text("no image")
    return [*paths, str(tmp_path / "broken.png")]


def describe(shape, paths, as_shown=False):
    run = types.SimpleNamespace(image_shape=shape, as_shown=as_shown)
    return mismatch.describe(run, "RUN", paths)


def test_gray_and_small_runs(photos):
    end = "It may find little; without --run an encoder is fitted to these images."
    assert describe((28, 28, 1), photos) == [
        "RUN was trained on gray images of 28 x 28; these are color, median 400 x 300 (of 3 looked "
        f"at). {end}"
    ]
    assert describe((30, 32, 3), photos) == [
        "RUN was trained on color images of 32 x 30; these are color, median 400 x 300 (of 3 "
        f"looked at). {end}"
    ]
    (line,) = describe((224, 224, 1), photos)
    assert line.startswith("RUN was trained on gray images of 224 x 224")


def test_images_that_are_stored_sideways(photos, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 300)).save(tmp_path / "sideways.jpg", exif=exif)
    paths = [*photos, str(tmp_path / "sideways.jpg")]
    (line,) = describe((96, 96, 3), paths)
    assert line.startswith("RUN reads images as they are stored, and 1 of 4 looked at are stored s")
    assert describe((96, 96, 3), paths, as_shown=True) == []


def test_runs_that_fit(photos, tmp_path):
    assert describe((96, 96, 3), photos) == []
    assert describe((28, 28, 3), photos[:1]) == []
    assert describe((28, 28, 1), photos[3:]) == []
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "gray.png")
    assert describe((28, 28, 1), [str(tmp_path / "gray.png")]) == []


def test_fifty_of_many_are_looked_at(photos):
    assert "(of 50 looked at)" in describe((28, 28, 1), photos[:3] * 100)[0]
