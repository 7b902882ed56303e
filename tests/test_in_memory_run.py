"""As in a notebook: arrays and functions of the program itself, trained, resumed, and encoded."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from jhash import data, encoding, evaluate, retrieval, train
from jhash.errors import InputError
from jhash.methods.deep import aihn
from jhash.runs import code_files, paths
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


def halved(outputs, batch, state, config):
    """A loss of the notebook's own."""
    loss, aux = aihn.loss(outputs, batch, state, config)
    return loss / 2, {**aux, "halved": loss / 2}


def arrays():
    source = tiny.source()
    images, labels = source.images(np.arange(240)), source.labels
    return data.from_arrays((images[:200], labels[:200]), (images[200:], labels[200:]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, quick_compilation):
    workdir = str(tmp_path_factory.mktemp("notebook") / "run")
    config = tiny.get_config()
    config.method = {"name": "aihn", "quantization": 0.1}
    config.epochs, config.loss = 1, "__main__.halved"
    main = sys.modules["__main__"]
    main.halved = halved
    yield config, workdir, train.train(config, workdir, data=arrays())
    del main.halved


def test_a_run_of_arrays_goes_on_where_they_are_passed(trained):
    config, workdir, results = trained
    with open(paths.config(workdir)) as file:
        source = json.load(file)["data"]["source"]
    assert source.startswith("in_memory:")
    assert results["config"]["data"]["source"] == results["data"]["source"] == source
    assert results["last_line"]
    assert train.train(config, workdir, data=arrays())["map_encoded"] == results["map_encoded"]
    again = evaluate.evaluate_workdir(workdir, ["__main__"], data=arrays())
    assert again["map_encoded"] == results["map_encoded"]
    with pytest.raises(InputError, match=r"^config\.loss: module '__main__' given in a file that"):
        evaluate.evaluate_workdir(workdir, data=arrays())
    with pytest.raises(InputError, match=r"^config\.data\.source: 'in_memory:.*passed as data="):
        evaluate.evaluate_workdir(workdir, ["__main__"])
    with pytest.raises(InputError, match=r"^data: none given for .*had in memory \(in_memory:"):
        train.train(config, workdir)
    source = tiny.source()
    fewer = data.from_arrays(
        (source.images(np.arange(160)), source.labels[:160]),
        (source.images(np.arange(160, 240)), source.labels[160:]),
    )
    with pytest.raises(
        InputError, match=r"^data: in_memory:.* given; allowed: the data of the run"
    ):
        evaluate.evaluate_workdir(workdir, ["__main__"], data=fewer)
    with pytest.raises(InputError, match=r"config\.data\.source is 'in_memory:.*' there and 'in_"):
        train.train(config, workdir, data=fewer)


def test_arrays_have_the_codes_of_the_evaluation_and_of_files(trained, tmp_path):
    _, workdir, _ = trained
    model = encoding.load(workdir)
    queries = tiny.source().images(np.arange(200, 240))
    codes = model.encode_arrays(queries)
    assert codes.dtype == np.uint32
    np.testing.assert_array_equal(codes, code_files.read(paths.codes(workdir, "queries")).codes)
    assert retrieval.unpack_codes(codes, model.bits).shape == (40, 12)
    np.testing.assert_array_equal(codes, model.encode_arrays(queries[..., 0]))
    assert model.encode_arrays(queries[:0]).shape == (0, 1)
    # Color, and another size, like files of the same pixels.
    images = np.random.default_rng(0).integers(0, 256, (5, 11, 9, 3), np.uint8)
    files = [str(tmp_path / f"{number}.png") for number in range(5)]
    for image, file in zip(images, files, strict=True):
        Image.fromarray(image).save(file)
    [(of_files, errors)] = model.encode(files)
    assert errors == [None] * 5
    np.testing.assert_array_equal(model.encode_arrays(images), of_files)
    for bad in (queries / 255, queries.astype(int), queries[0, ..., 0], images[..., :2]):
        with pytest.raises(InputError, match=r"^images: \w+ \[.*\] given; allowed: uint8, 0 to"):
            model.encode_arrays(bad)
    with pytest.raises(InputError, match=r"images: an array \[40, 8, 8, 1\] given; .*encode_arr"):
        model.encode(queries)
