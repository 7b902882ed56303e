"""Weights of torchvision's and timm's networks: names, shapes and outputs, and files of others."""

import re

import jax
import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from jhash import models, pretrained
from jhash.errors import InputError
from jhash.pretrained import named_weights, normalization, shapes
from jhash.pretrained import resnet as folded
from tests.support import torchvision_twins as twins

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Of each network with a sixteenth of the channels: the model, its fields, the side of the images,
# and the layer that the hash layer replaces. Residual networks have one block in each stage.
RESIDUAL = {"widths": (4, 8, 16, 32), "blocks": (1, 1, 1, 1)}
NETWORKS = {
    "alexnet": (
        "alexnet.AlexNet",
        {"widths": (4, 12, 24, 16, 16), "hidden": 256},
        224,
        "classifier.6",
    ),
    "vgg16": ("vgg.VGG16", {"widths": (4, 8, 16, 32, 32), "hidden": 256}, 224, "classifier.6"),
    "BasicBlock": ("resnet.ResNet18", RESIDUAL, 64, "fc"),
    "Bottleneck": ("resnet.ResNet50", RESIDUAL, 64, "fc"),
}
# The models of whole networks, and their last layers.
WHOLE = {
    "alexnet": ("alexnet.AlexNet", "classifier.6"),
    "vgg16": ("vgg.VGG16", "classifier.6"),
    "resnet18": ("resnet.ResNet18", "fc"),
    "resnet34": ("resnet.ResNet34", "fc"),
    "resnet50": ("resnet.ResNet50", "fc"),
    "vit_b_16": ("vit.ViTB16", "heads.head"),
}
VIT = {"width": 16, "depth": 2, "heads": 2, "hidden": 24, "grid": 2}


def images(side, batch=2):
    return np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)


def start(name, path, side, **fields):
    """A model, its variables with the weights of a file, and its inputs of random images."""
    model = models.build(name, 5, **fields)
    weights = pretrained.load(name, path, module=model)
    x = np.float32((images(side) - np.float32(weights.mean)) * weights.scale)
    wanted = jax.eval_shape(lambda: model.init(jax.random.key(0), x, train=False))
    rng = np.random.default_rng(0)
    fresh = jax.tree.map(lambda leaf: np.float32(0.1 * rng.normal(size=leaf.shape)), wanted)
    params = pretrained.merge(fresh["params"], weights.params)
    stats = pretrained.merge(fresh.get("batch_stats", {}), weights.batch_stats)
    # Nothing but the hash layer keeps its first values.
    assert weights.params.keys() == fresh["params"].keys() - {"hash"}
    assert jax.tree.structure(weights.batch_stats) == jax.tree.structure(dict(stats))
    return model, {"params": params, "batch_stats": stats}, x


def hashed(features, variables):
    layer = variables["params"]["hash"]
    return features @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


def twin(key):
    """A narrow network of torchvision's."""
    networks = twins.networks()
    if key in ("BasicBlock", "Bottleneck"):
        resnet = networks.resnet
        return twins.narrow(lambda: resnet.ResNet(getattr(resnet, key), [1, 1, 1, 1]), 16)
    return twins.narrow(getattr(networks, key), 16)


@pytest.mark.slow
@pytest.mark.parametrize("key", NETWORKS)
def test_outputs_equal_torchvision_s(key, tmp_path):
    name, fields, side, last = NETWORKS[key]
    network = twin(key)
    path = twins.save(tmp_path / "w.pth", network)
    model, variables, x = start(name, path, side, **fields)
    network.set_submodule(last, nn.Identity())
    colors = normalization.IMAGENET_MEAN, normalization.IMAGENET_STD
    features = twins.outputs(network, images(side), *colors)
    found = jax.jit(lambda variables, x: model.apply(variables, x, train=False))(variables, x)
    assert np.std(features, axis=0).max() > 0.01, "images must make a difference"
    np.testing.assert_allclose(found, hashed(features, variables), rtol=1e-4, atol=1e-4)
    assert found.shape == (2, 5)
    if key != "BasicBlock":
        return
    # With BatchNorm folded.
    model = folded.ResNet18(**fields)
    params = folded.load(path, model)
    assert not any(name.endswith("_norm") for name in params)
    found = jax.jit(model.apply)({"params": params}, x)
    np.testing.assert_allclose(found, features, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("key", WHOLE)
def test_names_and_shapes_are_torchvision_s(key, monkeypatch):
    """Those of the whole networks: nothing is missing, left over or of another shape."""
    with torch.device("meta"):
        state = getattr(twins.networks(), key)().state_dict()
    arrays = {
        name: np.broadcast_to(np.float32(0), values.shape)  # It takes no memory.
        for name, values in state.items()
    }
    monkeypatch.setattr(named_weights, "read", lambda path: arrays)
    name, last = WHOLE[key]
    weights = pretrained.load(name, "w.pth")
    wanted = shapes.of(models.build(name, 5))
    wanted["params"].pop("hash")
    assert jax.tree.map(np.shape, weights.params) == jax.tree.map(np.shape, wanted["params"])
    stats = wanted.get("batch_stats", {})
    assert jax.tree.map(np.shape, dict(weights.batch_stats)) == jax.tree.map(np.shape, stats)
    classes = state[f"{last}.weight"].numel() + 1000
    floats = sum(values.numel() for values in state.values() if values.is_floating_point())
    assert models.count_parameters([weights.params, dict(weights.batch_stats)]) == floats - classes


def torchvision_vit():
    transformer = twins.networks().vision_transformer.VisionTransformer
    network = transformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24
    )
    nn.init.normal_(network.class_token)
    network = twins.randomized(network)
    for values in (network.class_token, network.encoder.pos_embedding):
        nn.init.normal_(values, std=0.5)
    return network


# torchvision's names of a block, and timm's, as its `vit_small_patch16_224` lists them.
BLOCK = {
    "ln_1.": "norm1.",
    "self_attention.in_proj_": "attn.qkv.",
    "self_attention.out_proj.": "attn.proj.",
    "ln_2.": "norm2.",
    "mlp.0.": "mlp.fc1.",
    "mlp.3.": "mlp.fc2.",
}
AROUND = {
    "class_token": "cls_token",
    "conv_proj.": "patch_embed.proj.",
    "encoder.pos_embedding": "pos_embed",
    "encoder.ln.": "norm.",
    "heads.head.": "head.",
}


def timm_names(state):
    """The same arrays under timm's names."""

    def renamed(name):
        block = re.fullmatch(r"encoder\.layers\.encoder_layer_(\d+)\.(.+)", name)
        table, place, rest = (
            (BLOCK, f"blocks.{block[1]}.", block[2]) if block else (AROUND, "", name)
        )
        (start,) = (theirs for theirs in table if rest.startswith(theirs))
        return place + table[start] + rest.removeprefix(start)

    return {renamed(name): values.numpy() for name, values in state.items()}


@pytest.mark.parametrize("names", ["torchvision", "timm"])
def test_outputs_of_a_vision_transformer_equal_torchvision_s(tmp_path, names):
    network = torchvision_vit()
    state, path = network.state_dict(), str(tmp_path / "vit")
    if names == "timm":
        # Two forms of a file and two normalizations: timm's is from -1 to 1.
        safetensors.numpy.save_file(timm_names(state), path)
        mean, std = normalization.HALF, normalization.HALF
    else:
        # Two names that torchvision changed after it had published its file.
        for new, old in (("mlp.0", "mlp.linear_1"), ("mlp.3", "mlp.linear_2")):
            state = {name.replace(new, old): values for name, values in state.items()}
        torch.save(state, path)
        mean, std = normalization.IMAGENET_MEAN, normalization.IMAGENET_STD
    model, variables, x = start("vit.ViTB16", path, 32, **VIT)
    network.heads = nn.Identity()
    features = twins.outputs(network, images(32), mean, std)
    found = jax.jit(lambda variables, x: model.apply(variables, x, train=False))(variables, x)
    np.testing.assert_allclose(found, hashed(features, variables), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_gradients_of_a_vision_transformer_equal_torchvision_s(tmp_path):
    network = torchvision_vit()
    model, variables, x = start("vit.ViTB16", twins.save(tmp_path / "vit", network), 32, **VIT)
    layer = jax.tree.map(torch.from_numpy, variables["params"]["hash"])

    def loss(params, x):
        return (model.apply({"params": params}, x, train=True) ** 2).mean()

    found = jax.jit(jax.grad(loss))(variables["params"], x)
    network.heads = nn.Identity()
    mean, std = normalization.IMAGENET_MEAN, normalization.IMAGENET_STD
    inputs = np.float32((np.float64(images(32)) / 255 - mean) / std)
    outputs = network(torch.from_numpy(inputs).permute(0, 3, 1, 2)) @ layer["kernel"]
    (outputs + layer["bias"]).square().mean().backward()
    block = network.encoder.layers[1]
    for ours, theirs in (
        (found["positions"], network.encoder.pos_embedding.grad),
        (found["blocks"]["norm1"]["scale"][1], block.ln_1.weight.grad),
        (found["blocks"]["qkv"]["kernel"][1], block.self_attention.in_proj_weight.grad.T),
        (found["blocks"]["fc1"]["bias"][1], block.mlp[0].bias.grad),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(found))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return twins.save(tmp_path_factory.mktemp("residual") / "basic.pth", twin("BasicBlock"))


def test_other_networks_files_are_refused_with_all_that_differs(path):
    for name, changed, differences in (
        (
            "resnet.ResNet50",
            RESIDUAL,
            [
                r"no array layer1\.0\.downsample\.0\.weight, .* and \d+ more",
                r"layer1\.0\.conv1\.weight has shape \(4, 4, 3, 3\) in place of \(4, 4, 1, 1\)",
            ],
        ),
        (
            "resnet.ResNet18",
            RESIDUAL | {"blocks": (1, 1, 1, 0)},
            [r"it has layer4\.0\.bn1\.bias, .* more, which ResNet18 has not"],
        ),
        (
            "resnet.ResNet18",
            {},
            [r"layer1\.0\.conv1\.weight has shape \(4, 4, 3, 3\) in place of \(64, 64, 3, 3"],
        ),
        (
            "vit.ViTS16",
            {},
            [r"no array patch_embed\.proj\.weight", "it has bn1.bias, .* ViTS16 has"],
        ),
    ):
        with pytest.raises(InputError, match=r"^path: .* given; allowed: files with") as caught:
            pretrained.load(name, path, module=models.build(name, 5, **changed))
        for difference in differences:
            assert re.search(difference, str(caught.value)), str(caught.value)


def test_numbers_that_are_not_finite_are_refused(path, tmp_path):
    state = torch.load(path, weights_only=True)
    state["bn1.bias"][1] = np.nan
    torch.save(state, tmp_path / "nan.pth")
    model = models.build("resnet.ResNet18", 5, **RESIDUAL)
    with pytest.raises(InputError, match=r"bn1\.bias has numbers that are not finite\.$"):
        pretrained.load("resnet.ResNet18", str(tmp_path / "nan.pth"), module=model)
