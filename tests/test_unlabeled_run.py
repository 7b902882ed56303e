"""A run on a folder of images without labels, one of which is broken, from start to evaluation."""

import json

import numpy as np
import pytest
from PIL import Image

from configs.baselines import itq, shallow
from jhash import data, evaluate, train
from jhash.encoding import encoder
from jhash.errors import InputError
from jhash.report import summary

ALL = ("neighbors_kept_10", "distinct_codes", "constant_bits", "ones_to_zeros_mean")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(30):
        pixels = rng.integers(0, 256, (5, 8, 3), np.uint8).repeat(4, 0).repeat(4, 1)
        Image.fromarray(pixels).save(folder / f"{number:02}.jpg", exif=exif)
    (folder / "30.jpg").write_bytes((folder / "07.jpg").read_bytes()[:300])
    return folder


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    config = itq.get_config("folder,bits=6")
    shallow.smoke_features(config.method.features)
    config.method.features.channels = 3
    config.model.backbone = shallow.SMOKE_BACKBONE
    config.data.options = {"folder": str(photos), "image_size": 16}
    config.image.update(size=16, resize="crop")
    config.eval_batch_size = 16
    folder = tmp_path_factory.mktemp("unlabeled") / "run"
    return str(folder), train.train(config, str(folder)), config


def test_it_reports_what_needs_no_labels(run):
    folder, results, _ = run
    assert results["data"] == {
        **{"source": "folder", "split": "folder", "train": 27, "database": 27, "queries": 3},
        **{"left_out": 1, "labeled": False},
    }
    assert "map_encoded" not in results
    assert set(ALL) < set(results["encoded"])
    assert not [name for name in results["encoded"] if "map" in name or "precision" in name]
    assert 10 / 27 + 0.1 < results["encoded"]["neighbors_kept_10"] <= 1  # By chance 10 / 27.
    assert results["encoded"]["neighbors_by"] == shallow.SMOKE_BACKBONE
    with open(f"{folder}/images.json") as file:
        assert list(json.load(file)["unreadable"]) == ["30"]
    words = summary.table(results)
    assert "neighbors_kept_10" in words
    assert "The images have no labels, so there is no MAP." in words


def test_its_encoder_reads_files_as_training_did(run, photos):
    folder, _, config = run
    loaded = data.load_config(config.data, config.image)
    paths = [loaded.source.paths[index] for index in loaded.database[:5]]
    pixels = loaded.source.images(loaded.database[:5])
    run_encoder = encoder.load(folder)
    np.testing.assert_array_equal([run_encoder.decode(path) for path in paths], pixels)
    # Turned upright they are 20 wide and 32 high, of which the middle is taken.
    whole = np.asarray(Image.open(paths[0]).transpose(Image.Transpose.ROTATE_270))
    assert np.abs(pixels[0, 0].mean(0) - whole[6:8].mean((0, 1))).max() < 40


def test_it_is_evaluated_again_and_a_changed_folder_is_refused(run, photos, capsys):
    folder, results, config = run
    again = evaluate.evaluate_workdir(folder)
    assert again["encoded"] == results["encoded"]
    assert train.train(config, folder)["encoded"] == results["encoded"]
    assert "left out" not in capsys.readouterr().err  # It was said when the run began.
    (photos / "new.jpg").write_bytes((photos / "07.jpg").read_bytes())
    message = r"^config.data.source: 32 images given, which are not those with which the run began"
    for call in (evaluate.evaluate_workdir, lambda folder: train.train(config, folder)):
        with pytest.raises(InputError, match=message):
            call(folder)
    (photos / "new.jpg").unlink()


def test_a_method_that_needs_labels_says_so(photos, tmp_path):
    config = shallow.get_config("sdh,folder,bits=6")
    shallow.smoke_features(config.method.features)
    config.model.backbone = shallow.SMOKE_BACKBONE
    config.data.options = {"folder": str(photos), "image_size": 16}
    config.image.update(size=16, channels=None)
    with pytest.raises(InputError, match=r"^config.data.source: 'folder' .* no training image has"):
        train.train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
