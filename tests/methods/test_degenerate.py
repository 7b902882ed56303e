"""Methods on data that teach nothing, or too little: a right number or a clear word, never NaN."""

import io
import itertools
import json
import math

import numpy as np
import pytest
from PIL import Image

from jhash import train
from jhash.encoding import encoder
from jhash.errors import InputError, NonFiniteError
from jhash.methods.deep import fdah
from jhash.methods.embeddings import sae
from tests.methods.deep import test_dstgeh
from tests.methods.shallow import test_fitting
from tests.support import degenerate, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

DATABASE = degenerate.IMAGES - degenerate.QUERIES
METHODS = {
    "fdah": tiny.get_config,
    "aihn": tiny.get_config,
    "dstgeh": test_dstgeh.tiny_config,
    **dict.fromkeys(test_fitting.METHODS, None),
}


def config_of(method, **fields):
    config = METHODS[method]() if METHODS[method] else test_fitting.tiny_config(method)
    if method == "aihn":
        config.method = {"name": "aihn", "quantization": 0.1}
    if method == "fdah":
        config.method.queries = 16
    if method == "dstgeh":
        config.method.embedding.batch = 16
    config.bits = 8
    config.epochs = min(config.epochs, 2)
    config.data.source = "tests.support.degenerate.source"
    config.data.split = "tests.support.degenerate.split"
    config.data.options = {"images": "noise", "labels": "four"}
    config.metrics.update(precision_ranks=(10, 5000), map_at=5000, lookup_radius=300)
    config.update_from_flattened_dict(fields)
    return config


def run(folder, method, **fields):
    """Trains, and returns the results as they lie in the folder, which are finite numbers."""
    train.train(config_of(method, **fields), str(folder))

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads((folder / "results.json").read_text(), parse_constant=refuse)


def expected_map(items, relevant):
    """The mean average precision of a random order."""
    before = np.arange(items)
    return np.mean((1 + before * (relevant - 1) / (items - 1)) / (1 + before))


@pytest.mark.parametrize(
    ("method", "images"),
    [("fdah", "gray"), *itertools.product(test_fitting.METHODS, ("gray", "black"))],
)
def test_identical_images_are_ranked_at_random(method, images, tmp_path, capsys):
    results = run(tmp_path, method, **{"data.options.images": images})
    encoded = results["encoded"]
    lost = [encoded[name] for name in ("distinct_codes", "constant_bits", "duplicate_bits")]
    assert lost == [1, 8, 0]
    assert encoded["map"] == pytest.approx(expected_map(DATABASE, DATABASE // 4), abs=1e-12)
    for rank in (10, DATABASE):
        assert encoded[f"precision_at_{rank}"] == pytest.approx(0.25)
        assert encoded[f"recall_at_{rank}"] == pytest.approx(rank / DATABASE)
    assert encoded["precision_radius_8"] == pytest.approx(0.25)
    message = f"jhash: the encoded codes have collapsed: all {DATABASE} database images have the"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("method", "labels"), [("fdah", "one"), ("itq", "one"), ("lsh", "alike")])
def test_with_one_class_everything_is_relevant(method, labels, tmp_path, capsys):
    results = run(tmp_path, method, **{"data.options.labels": labels})
    for kind in {"learned", "encoded"} & results.keys():
        assert results[kind]["map"] == results[kind][f"map_at_{DATABASE}"] == 1
        assert results[kind]["precision_at_10"] == 1
        assert results[kind]["recall_at_10"] == pytest.approx(10 / DATABASE)
    assert "collapsed" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("lsh", {"bits": 512}),
        ("sh", {"bits": 512}),
        ("sh", {"bits": 1}),
        ("pcah", {"bits": 1}),
        ("itq", {"bits": 2}),
        ("itq", {"data.options.labels": "lone"}),
        ("lsh", {"data.split": "tests.support.degenerate.one_query"}),
        ("pcah", {"data.split": "tests.support.degenerate.sixteen"}),
        pytest.param("fdah", {"data.options.labels": "empty"}, marks=pytest.mark.slow),
    ],
)
def test_numbers_stay_finite(method, fields, tmp_path):
    results = run(tmp_path, method, **fields)
    assert 0 < results["map_encoded"] < 1
    found = results["encoded"]
    assert found[f"map_at_{DATABASE}"] == pytest.approx(found["map"], rel=1e-12)
    bits = fields.get("bits", 8)
    assert len(found["ones_to_zeros"]) == bits
    assert len(found["curve_radius_precision"]) == bits + 1
    if fields.get("data.options.labels") == "empty":
        assert found["queries_without_relevant"] == degenerate.QUERIES // 2


def test_a_database_of_one_image(tmp_path):
    results = run(tmp_path, "itq", **{"data.split": "tests.support.degenerate.one_item"})
    assert results["map_encoded"] == results["encoded"]["precision_at_1"] == 0.25
    assert results["encoded"]["queries_without_relevant"] == 6


def test_a_graph_of_identical_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"method\.features: the same features for all 40 nodes"):
        run(tmp_path, "dstgeh", **{"data.options.images": "gray"})


def test_labels_without_any_label_are_refused(tmp_path, monkeypatch):
    source = degenerate.source(labels="empty")
    source.labels[:] = 0
    monkeypatch.setattr(degenerate, "source", lambda images, labels: source)
    with pytest.raises(InputError, match=r"^config\.data\.source: .* no training image has a lab"):
        run(tmp_path / "run", "fdah")
    assert not (tmp_path / "run").exists()


def test_a_learning_rate_that_diverges_ends_with_the_step(tmp_path):
    rate = {"optimizer.name": "sgd", "optimizer.learning_rate": 1e4}
    with pytest.raises(NonFiniteError, match=r"^step \d+ \(epoch 0\): \w+ is (nan|inf)\. .* lower"):
        run(tmp_path, "aihn", **rate)
    assert not (tmp_path / "results.json").exists()
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


def test_nan_outputs_become_no_codes(tmp_path, monkeypatch):
    """The model of a finished run gives NaN for an image: neither codes nor results change."""
    config = config_of("fdah")
    train.train(config, str(tmp_path))

    def evaluated():
        files = [tmp_path / "results.json", tmp_path / "encoder.bin", *tmp_path.glob("codes/*")]
        return {path.name: path.read_bytes() for path in files}

    before = evaluated()
    assert len(before) > 3

    def broken(outputs):
        outputs = np.array(outputs)
        outputs[0, 3] = math.nan
        return outputs

    monkeypatch.setattr(fdah, "hash_outputs", broken, raising=False)
    message = (
        r"^hash outputs of the queries: NaN given in 1 of 8 rows, first in row 0; allowed: num"
    )
    with pytest.raises(InputError, match=message):
        train.train(config, str(tmp_path))
    assert evaluated() == before
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "png")
    loaded = encoder.load(str(tmp_path), ["tests"])
    with pytest.raises(InputError, match=r"^outputs: NaN given in 1 of 1 rows"):
        loaded.encode_query(picture.getvalue())


def test_nan_of_an_embedding_is_no_pseudo_label(tmp_path, monkeypatch):
    def embed(v_Nxz, bits, key, folder, **options):
        outputs = np.ones((len(v_Nxz), bits), np.float32)
        outputs[[2, 7], 1] = math.nan
        return outputs

    monkeypatch.setattr(sae, "embed", embed)
    message = r"embedding\.name: 'sae' given, whose codes are NaN for 2 of 40 images; allowed"
    with pytest.raises(InputError, match=message):
        run(tmp_path, "dstgeh")


@pytest.mark.parametrize("fit", ["itq", "pcah", "sh"])
def test_a_fit_of_huge_features_is_refused(fit, tmp_path, monkeypatch):
    from tests.support import feature_source

    load = feature_source.load

    def huge(path):
        weights = load(path)
        weights["projection"]["kernel"] *= np.float32(1e25)
        return weights

    monkeypatch.setattr(feature_source, "load", huge)
    with pytest.raises(
        InputError, match=rf"method\.features: features up to .* the fit of {fit} is"
    ):
        run(tmp_path, fit)
    assert not (tmp_path / "results.json").exists()
