from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import scipy.io
import torch
from torch.nn import functional

from jhash import pretrained
from jhash.errors import InputError
from jhash.models.cnn_f import CNNF
from jhash.pretrained import cnn_f, features
from jhash.pretrained.cnn_f import load, load_mean

WIDTHS, HIDDEN, BITS = (6, 8, 10, 12, 8), 20, 12
SHAPES = {
    "conv1": (11, 11, 3, 6),
    "conv2": (5, 5, 6, 8),
    "conv3": (3, 3, 8, 10),
    "conv4": (3, 3, 10, 12),
    "conv5": (3, 3, 12, 8),
    "fc6": (6, 6, 8, 20),
    "fc7": (1, 1, 20, 20),
    "fc8": (1, 1, 20, 7),
}
PIECES = ("weights cell", "filters and biases")
LAYOUTS = ("top", "meta", "net", "net with meta")


@pytest.fixture(scope="module")
def arrays():
    """Random filters [height, width, in, out] and biases [1, out], as MatConvNet has them."""
    rng = np.random.default_rng(0)
    return {
        name: (
            rng.normal(size=shape, scale=np.sqrt(2 / np.prod(shape[:3]))).astype(np.float32),
            rng.normal(size=(1, shape[3]), scale=0.1).astype(np.float32),
        )
        for name, shape in SHAPES.items()
    }


def write(path, arrays, layout="top", pieces="weights cell", mean=None):
    layers = []
    for name, (filters, biases) in arrays.items():
        layer = {"type": "conv", "name": name, "stride": np.array([[1.0, 1.0]])}
        if pieces == "weights cell":
            cell = np.empty((1, 2), object)
            cell[0, 0], cell[0, 1] = filters, biases
            layer["weights"] = cell
        else:
            layer |= {"filters": filters, "biases": biases}
        layers += [layer, {"type": "relu", "name": f"relu{name[-1]}"}]
    layers.append({"type": "softmax", "name": "prob"})
    cell = np.empty((1, len(layers)), object)
    cell[0, :] = layers
    mean = np.zeros((1, 1, 3)) if mean is None else mean
    normalization = {"averageImage": mean, "imageSize": np.array([[224.0, 224.0, 3.0]])}
    content = {"layers": cell, "classes": {"name": "a"}}
    if "meta" in layout:
        content["meta"] = {"normalization": normalization, "inputs": {"name": "data"}}
    else:
        content["normalization"] = normalization
    scipy.io.savemat(path, {"net": content} if "net" in layout else content)
    return path


def parameter_shapes(model, side=224):
    image = jnp.zeros((1, side, side, 3))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), image, False))["params"]


@pytest.fixture(scope="module")
def fresh():
    """A narrow CNN-F and parameters for it at 224."""
    model = CNNF(bits=BITS, widths=WIDTHS, hidden=HIDDEN)
    rng = np.random.default_rng(3)
    return model, jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), parameter_shapes(model)
    )


def torch_layers(x, arrays, hash_layer):
    """The network in PyTorch's own operations, with fc6 and fc7 as convolutions: every stage."""

    def conv(x, name, stride=1, padding=0):
        filters, biases = arrays[name]
        weight = torch.tensor(filters.transpose(3, 2, 0, 1))
        y = functional.conv2d(x, weight, torch.tensor(biases[0]), stride, padding)
        stages[name] = y
        return functional.relu(y)

    def norm(x):
        return functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)

    def pool(x):
        return functional.max_pool2d(x, 3, 2, ceil_mode=True)

    stages = {}
    x = pool(norm(conv(x, "conv1", stride=4)))
    x = pool(norm(conv(x, "conv2", padding=2)))
    x = conv(conv(x, "conv3", padding=1), "conv4", padding=1)
    x = pool(conv(x, "conv5", padding=1))
    x = conv(conv(x, "fc6"), "fc7")
    kernel, bias = hash_layer["kernel"], hash_layer["bias"]
    stages["hash"] = x[:, :, 0, 0] @ torch.tensor(np.array(kernel)) + torch.tensor(np.array(bias))
    return stages


@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_layout(tmp_path, arrays, layout, pieces):
    mean = np.random.default_rng(1).uniform(0, 255, size=(224, 224, 3))
    path = write(tmp_path / "f.mat", arrays, layout, pieces, mean)
    params, found_mean = load(path), load_mean(path)
    assert list(params) == [name for name in SHAPES if name != "fc8"]
    for name, leaves in params.items():
        filters, biases = arrays[name]
        flat = filters if name.startswith("conv") else filters.reshape(-1, HIDDEN)
        np.testing.assert_array_equal(leaves["kernel"], flat)
        np.testing.assert_array_equal(leaves["bias"], biases[0])
    assert found_mean.dtype == np.float32
    np.testing.assert_array_equal(found_mean, mean.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 1), (1, 3)])
def test_reads_an_average_color(tmp_path, arrays, shape):
    mean = np.array([123.7, 116.8, 103.9]).reshape(shape)
    found = load_mean(write(tmp_path / "f.mat", arrays, mean=mean))
    np.testing.assert_array_equal(found, np.float32([123.7, 116.8, 103.9]))


def test_loaded_network_is_pytorchs_layer_by_layer(tmp_path, arrays, fresh):
    model, params = fresh
    merged = pretrained.merge(params, load(write(tmp_path / "f.mat", arrays)))
    x = np.random.default_rng(2).normal(size=(2, 224, 224, 3), scale=60).astype(np.float32)
    outputs, seen = jax.jit(
        lambda params: model.apply({"params": params}, x, False, capture_intermediates=True)
    )(merged)
    expected = torch_layers(torch.tensor(x.transpose(0, 3, 1, 2)), arrays, params["hash"])
    for name, y in expected.items():
        y = y.numpy()
        y = y if y.ndim == 2 else y.transpose(0, 2, 3, 1)
        found = np.asarray(seen["intermediates"][name]["__call__"][0])
        if name.startswith("conv"):
            assert found.shape == y.shape, name
        found = found.reshape(y.shape)
        np.testing.assert_allclose(found, y, atol=2e-5 * np.abs(y).max(), err_msg=name)
        assert y.std() > 1e-2, f"{name} is dead: equality would say nothing"
    np.testing.assert_array_equal(outputs, seen["intermediates"]["hash"]["__call__"][0])


class NarrowFeatures(cnn_f.CNNF):
    """Features of narrow files; it says that it is of the module with the weights' contract."""

    __module__ = cnn_f.__name__
    widths: Sequence[int] = WIDTHS
    hidden: int = HIDDEN


def test_features_are_pytorchs_fc7(tmp_path, arrays, monkeypatch):
    rng = np.random.default_rng(4)
    mean = rng.uniform(90, 160, size=(224, 224, 3)).astype(np.float32)
    path = write(tmp_path / "f.mat", arrays, "net with meta", mean=mean)
    monkeypatch.setattr(cnn_f, "CNNF", NarrowFeatures)
    config = ml_collections.ConfigDict(
        {"name": "cnn_f.CNNF", "weights": str(path), "size": 224, "channels": 3}
    )
    apply, variables, _ = features.extractor(config)
    images = rng.integers(0, 256, size=(2, 224, 224, 3), dtype=np.uint8)
    found = jax.jit(apply)(variables, images)
    x = torch.tensor((images - mean).transpose(0, 3, 1, 2))
    no_hash = {"kernel": np.zeros((HIDDEN, 1), np.float32), "bias": np.zeros(1, np.float32)}
    expected = functional.relu(torch_layers(x, arrays, no_hash)["fc7"])[:, :, 0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5 * expected.max())
    assert found.dtype == jnp.float32
    assert (expected > 0).mean() > 0.2
    assert np.abs(expected[0] - expected[1]).max() > 1e-2 * expected.max()


def test_features_have_the_published_width():
    image = jax.ShapeDtypeStruct((2, 224, 224, 3), np.float32)
    found, variables = jax.eval_shape(cnn_f.CNNF().init_with_output, jax.random.key(0), image)
    assert found.shape == (2, 4096)
    assert list(variables["params"]) == list(cnn_f.LAYERS)


def test_merge_keeps_the_hash_layer_and_the_arguments(tmp_path, arrays, fresh):
    _, params = fresh
    before = jax.tree.map(np.array, params)
    merged = pretrained.merge(params, load(write(tmp_path / "f.mat", arrays)))
    assert jax.tree.structure(merged) == jax.tree.structure(params)
    np.testing.assert_array_equal(merged["hash"]["kernel"], params["hash"]["kernel"])
    assert not np.array_equal(merged["conv1"]["kernel"], params["conv1"]["kernel"])
    jax.tree.map(np.testing.assert_array_equal, params, before)


@pytest.mark.parametrize(
    ("fields", "side", "message"),
    [
        ({"widths": (6, 8, 10, 12, 9)}, 224, r"conv5.kernel.*\(3, 3, 12, 8\).*\(3, 3, 12, 9\)"),
        ({}, 64, r"fc6.kernel.*\(288, 20\).*\(8, 20\)"),
        ({}, 28, r"conv1.kernel.*\(11, 11, 3, 6\).*\(3, 3, 3, 6\)"),
    ],
)
def test_merge_names_the_layer_that_does_not_fit(tmp_path, arrays, fields, side, message):
    model = CNNF(bits=BITS, **{"widths": WIDTHS, "hidden": HIDDEN, **fields})
    params = parameter_shapes(model, side)
    with pytest.raises(InputError, match=message):
        pretrained.merge(params, load(write(tmp_path / "f.mat", arrays)))


def test_merge_refuses_the_parameters_of_another_model(tmp_path, arrays):
    with pytest.raises(InputError, match=r"^loaded: a layer 'conv1' given; allowed: dense,"):
        pretrained.merge({"dense": {}}, load(write(tmp_path / "f.mat", arrays)))


def test_names_what_the_file_lacks(tmp_path, arrays):
    path = tmp_path / "f.mat"
    with pytest.raises(InputError, match="no layer conv3, fc7; its layers are conv1"):
        load(write(path, {k: v for k, v in arrays.items() if k not in ("conv3", "fc7")}))
    scipy.io.savemat(path, {"weights": np.zeros(3)})
    with pytest.raises(
        InputError, match=r"^path: .*f\.mat given; .* no field 'layers' beside weights"
    ):
        load(path)
    with pytest.raises(InputError, match=r"conv2 has filters .*\(5, 5, 6, 8\).*\(1, 7\)"):
        load(write(path, arrays | {"conv2": (arrays["conv2"][0], np.zeros((1, 7)))}))
    layers = scipy.io.loadmat(write(path, arrays))["layers"]
    scipy.io.savemat(path, {"layers": layers})
    with pytest.raises(InputError, match="no field 'normalization'"):
        load_mean(path)
    with pytest.raises(InputError, match=r"averageImage has shape \(224, 224\)"):
        load_mean(write(path, arrays, mean=np.zeros((224, 224))))


def test_names_a_file_that_cannot_be_read(tmp_path, arrays):
    with pytest.raises(InputError, match=r"^path: .*absent\.mat given; allowed: .* not readable"):
        load(tmp_path / "absent.mat")
    whole = write(tmp_path / "whole.mat", arrays).read_bytes()
    cut = tmp_path / "cut.mat"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"^path: .*cut\.mat given; allowed: .* not readable"):
        load(cut)
    hdf5 = tmp_path / "hdf5.mat"
    hdf5.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(InputError, match=r"^path: .*hdf5\.mat given; allowed: .* MATLAB 7\.3"):
        load(hdf5)
