"""A model that was given away: the codes are the run's, and what is damaged or foreign is named."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import jhash
from jhash import encoding, runs
from jhash.errors import InputError
from tests.support import tiny
from tests.support.report import read_codes

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def model(given_away):
    return jhash.load(given_away)


def test_arrays_and_files_get_the_codes_of_the_run(trained, model, tmp_path):
    images = tiny.source().images(np.arange(200, 240))
    codes = model.encode(images)
    np.testing.assert_array_equal(codes, read_codes(trained, "queries")["codes"])
    np.testing.assert_array_equal(codes, encoding.load(str(trained)).encode_arrays(images))
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    np.testing.assert_array_equal(model.encode(paths, batch_size=16), codes)
    np.testing.assert_array_equal(model.encode(str(paths[3])), codes[3:4])
    np.testing.assert_array_equal(model.encode(paths[4].read_bytes()), codes[4:5])
    np.testing.assert_array_equal(model.encode(list(images[..., 0])), codes)
    assert model.encode([]).shape == (0, 1)
    assert (model.bits, model.image_shape) == (12, (8, 8, 1))


def test_its_codes_are_searched(trained, given_away, model):
    index = model.index()
    expected = runs.load_index(str(trained)).search(read_codes(trained, "queries")["codes"], k=5)
    for found, right in zip(
        index.search(model.encode(tiny.source().images(np.arange(200, 240))), k=5),
        expected,
        strict=True,
    ):
        np.testing.assert_array_equal(found, right)
    assert index.metadata == {"run": str(given_away), "network": model.encoder.digest}


def test_images_that_are_none_are_refused(model, tmp_path):
    (tmp_path / "no.png").write_text("no image")
    with pytest.raises(InputError, match=r"images: 1 files given that cannot .*no\.png"):
        model.encode(str(tmp_path / "no.png"))
    with pytest.raises(InputError, match="images: float64"):
        model.encode(np.zeros((2, 8, 8)))
    with pytest.raises(InputError, match="images: list of arrays of several shapes given"):
        model.encode([np.zeros((8, 8), np.uint8), np.zeros((9, 8), np.uint8)])


def change(name, **fields):
    def apply(folder):
        config = json.loads((folder / "config.json").read_text()) | fields
        (folder / name).write_text(json.dumps(config))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), r"given, without config\.json; allowed: the folder"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json: the file cannot"),
        (lambda folder: (folder / "config.json").write_text("[]"), "not that of a model of jhash"),
        (change("config.json", library_name="torch"), "not that of a model of jhash"),
        (change("config.json", format=2), r"config\.json: format: 2 given; allowed: 1"),
        (change("config.json", format=True), "format: True given"),
        (change("config.json", digest="../x"), "digest: '../x' given; allowed: a SHA-256"),
        (change("config.json", digest="0" * 64), r"encoder\.bin: another model than that of"),
        (lambda folder: (folder / "encoder.bin").unlink(), r"encoder\.bin: there is no such file"),
        (
            lambda folder: (folder / "encoder.bin").write_bytes(b"x" * 99),
            r"encoder\.bin: the file is damaged; python -m jhash export RUN",
        ),
    ],
)
def test_a_damaged_or_foreign_folder_is_named(given_away, tmp_path, damage, message):
    folder = tmp_path / "model"
    shutil.copytree(given_away, folder)
    damage(folder)
    with pytest.raises(InputError, match=message):
        jhash.load(folder)


def test_damaged_or_foreign_codes_are_named(given_away, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(given_away, folder)
    loaded = jhash.load(folder)
    path = folder / "codes" / "database.npz"
    np.savez(path, **(read_codes(folder, "database") | {"network": "0" * 64}))
    with pytest.raises(InputError, match=r"database\.npz: codes of another model given"):
        loaded.index()
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"database\.npz: .*damaged"):
        loaded.index()
    path.unlink()
    with pytest.raises(InputError, match=r"a model without codes; allowed: .* --codes"):
        loaded.index()
