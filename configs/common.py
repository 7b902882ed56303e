"""Parts that all configs share: the parser of arguments, the data sets, and the common fields.

A config depends on its *parsed* arguments only, not on their order. `parse` reads the text after
the colon of `FILE.py:ARGUMENT` into a namespace with defaults, from which `get_config` builds the
config.
"""

import types

import ml_collections
from ml_collections.config_dict import placeholder

from jhash.errors import InputError

# Source, split and side of the images in pixels for each data set. If the split is None, the config
# of the method names it.
DATA = {
    "embedded": ("embedded", "embedded", 28),
    "fashion_mnist": ("fashion_mnist", "fashion_mnist", 28),
    "scenes": ("scenes", "official", 56),
    "cifar10": ("tfds:cifar10", None, 32),
    "nus_wide": ("lists", "nus_wide21", 256),
    "nus_wide81": ("lists", "nus_wide81", 256),
    "coco": ("lists", "coco", 256),
    "flickr25k": ("lists", "flickr25k", 256),
    "folder": ("folder", "folder", 96),
}
DATA_SETS = tuple(DATA)
# Data sets of photos, which have several labels.
PHOTOS = ("nus_wide", "nus_wide81", "coco", "flickr25k")


def parse(
    argument: str | None,
    *,
    data: tuple[str, ...],
    variant: tuple[str, ...] = (),
    method: tuple[str, ...] = (),
    **options: int | tuple[str, ...],
) -> types.SimpleNamespace:
    """Reads the text after the colon of `--config=FILE.py:ARGUMENT`.

    The text is a list of arguments, separated by commas, in any order. An argument is a word or
    `name=value`.

    Args:
      argument: The text; None or empty gives the defaults.
      data: Data sets that the config knows, keys of `DATA`; the first is the default.
      variant: Words of which at most one may be given, such as `paper`.
      method: Words of which exactly one must be given, for a config of several methods.
      **options: Names that `name=value` may set. An int is the default of an integer; a tuple holds
        the allowed words, the default first. Every config also has `seed=0` and the word `smoke`.

    Returns:
      A namespace with `data`, `variant` (None if not given), `method` (if there are any), `smoke`
      (a bool) and every option.

    Raises:
      InputError: An argument is unknown, missing, given twice, or has a bad value.
    """
    groups = {"method": method, "data": data, "variant": variant, "smoke": ("smoke",)}
    options = {**options, "seed": 0}
    given = {}
    for text in filter(None, (argument or "").split(",")):
        name, value = _read(text, groups, options)
        if name in given:
            raise InputError(
                f"--config: {text!r} given beside {given[name][0]!r}; allowed: one of them."
            )
        given[name] = text, value
    if method and "method" not in given:
        raise InputError(f"--config: no method given; allowed: {', '.join(method)}.")
    values = {"data": data[0], "variant": None, "smoke": False}
    for name, default in options.items():
        values[name] = default[0] if isinstance(default, tuple) else default
    for name, (_, value) in given.items():
        values[name] = value
    return types.SimpleNamespace(**values)


def refuse(first: str, second: str, why: str) -> None:
    """Raises InputError for two arguments that exclude each other."""
    raise InputError(f"--config: {first!r} given with {second!r}; allowed: one of them, as {why}.")


def base(arguments: types.SimpleNamespace, cifar10: str = "") -> ml_collections.ConfigDict:
    """Makes a config with the fields of every method, and seed, bits and data from the arguments.

    Args:
      arguments: The arguments as `parse` returns them, `bits` among them.
      cifar10: Name of the split of CIFAR-10 in the method's paper, if the config knows CIFAR-10.

    Returns:
      A config whose values suit the embedded data on two cores.
    """
    config = _fields()
    config.seed, config.bits = arguments.seed, arguments.bits
    config.data.source, split, config.image.size = DATA[arguments.data]
    config.data.split = split or cifar10
    if arguments.data == "scenes":
        config.data.options = {
            "count": 10_000,
            "image_size": 56,
            "scene_seed": 0,
            "base": "embedded",
        }
    if arguments.data == "folder":
        # The option `folder` has no default.
        config.data.options = {"image_size": config.image.size}
    return config


def fine_tuned(config: ml_collections.ConfigDict) -> None:
    """Sets up a model with ImageNet weights for some hundreds of photos or more.

    The hash layer learns ten times as fast as the rest. There are few steps, as each takes about a
    second on two cores.
    """
    config.model = {
        "name": "fine_tuned.FineTuned",
        "backbone": "efficientnet_lite.EfficientNetLite0",
    }
    config.weights = "published"
    # The preprocessing of EfficientNet-Lite0: (bytes - 127) / 128.
    config.image.update(scale=1 / 128, channels=3)
    config.optimizer.update(learning_rate=1e-3)
    config.optimizer.rates = {"*backbone": 0.1}
    config.epochs = 10
    config.batch_size = 32
    config.eval_batch_size = 64


def freeze(config: ml_collections.ConfigDict) -> None:
    """Trains hash layers alone, on features of a `FineTuned` that are computed once."""
    config.model.hidden = 512
    config.optimizer.rates = {"*backbone": 0.0}
    config.optimizer.warmup = 0.0
    # Another image would have other features.
    config.image.mirror = False
    config.augment.update(pad=0, flip=False, erase=0)
    config.epochs = 15 if config.data.source == "fashion_mnist" else 30
    # A checkpoint has the whole model, and an epoch takes a second.
    config.checkpoint_every = 10


def large(config: ml_collections.ConfigDict) -> None:
    """Makes the model of a config larger, for tens of thousands of small images."""
    config.model = {"name": "small_resnet.SmallResNet"}
    config.optimizer.weight_decay = 0.05
    config.optimizer.warmup = 0.1
    config.optimizer.average = 0.999
    # Chosen by validation: docs/reproduce/fdah.md.
    config.image.mirror = True


def smoke(config: ml_collections.ConfigDict, arguments: types.SimpleNamespace) -> None:
    """Replaces the data by 64 random images of the same shape, and limits the run to one epoch.

    A `get_config` calls it last, and then makes the model small itself.
    """
    side = DATA[arguments.data][2]
    config.data.source, config.data.split = "random", "official"
    config.data.options = {
        "side": side,
        "channels": 3 if arguments.data in ("cifar10", "folder", *PHOTOS) else 1,
        "multi_label": arguments.data in ("scenes", *PHOTOS),
    }
    if arguments.data == "folder" and config.weights:
        config.model, config.weights = {"name": "small_cnn.SmallCNN"}, ""
        config.optimizer.rates = {}
    config.epochs = min(config.epochs, 1)
    config.optimizer.warmup = 0.0  # Its first step changes nothing.
    config.batch_size = config.eval_batch_size = 16


def _read(text, groups, options):
    """Reads one argument, and returns its name and its value."""
    name, equals, value = text.partition("=")
    if not equals:
        for group, words in groups.items():
            if text in words:
                return group, True if group == "smoke" else text
    elif name in options:
        allowed = options[name]
        if isinstance(allowed, tuple):
            if value in allowed:
                return name, value
        else:
            try:
                return name, int(value)
            except ValueError as error:
                message = f"--config: {text!r} given; allowed: {name}=INTEGER."
                raise InputError(message) from error
    words = [word for group in groups.values() for word in group]
    for name, allowed in options.items():
        choices = "|".join(allowed) if isinstance(allowed, tuple) else "INTEGER"
        words.append(f"{name}={choices}")
    raise InputError(
        f"--config: {text!r} given; allowed: {', '.join(words)}. Other fields are set by "
        "--config.FIELD=VALUE."
    )


def _fields():
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "bits": 32,
            # `name` is a module of jhash.methods.deep or .shallow, or of your own.
            "method": {"name": ""},
            # `module.function` that replaces the method's loss; empty: the loss of the method.
            "loss": "",
            # `name` is `module.Class` of jhash.models, or of your own; other fields are its fields.
            "model": {"name": "small_cnn.SmallCNN"},
            # A file of published weights for the model (imagenet-vgg-f.mat for cnn_f.CNNF), or
            # "published" for those of an installed package (fine_tuned.FineTuned).
            "weights": "",
            # docs/configs.md lists sources and splits.
            "data": {
                "source": "embedded",
                "split": "embedded",
                # Seed of the split's draws. The field `seed` above is for everything else, so runs
                # with several seeds share a split.
                "seed": 0,
                # Arguments of the source, such as `folder`; the others have their defaults.
                "options": {},
                # Number of images that are taken from the training set, by `data.seed`, to choose
                # settings and epochs with; 0: none. They leave the database, too.
                "validation": 0,
                # Whether that is the number per class, not that of all classes together.
                "validation_per_class": False,
                # Number of processes that decode image files, by Grain; 0: the one that trains
                # does, by threads.
                "workers": 0,
            },
            # The number that is subtracted from the bytes; None: the mean image of the training
            # set.
            "mean": placeholder(float),
            # Preprocessing, in training and in evaluation.
            "image": {
                # Side to which images are resized, in pixels.
                "size": 28,
                # Factor of (bytes - mean).
                "scale": 1 / 64,
                # Side of a window, random in training and central in evaluation; None: no window.
                "crop": placeholder(int),
                # Number of channels; 3 repeats the channel of gray images; None: as they are.
                "channels": placeholder(int),
                # The way of image files to a square: "stretch", "crop" the ends of the longer side,
                # or "pad" with gray.
                "resize": "stretch",
                # Whether an image's outputs are the mean of its own and of its mirror image's;
                # training does not see it.
                "mirror": False,
            },
            # Augmentation, in training only.
            "augment": {
                # Max shift in pixels.
                "pad": 2,
                # Whether to mirror images left to right with probability 1/2.
                "flip": True,
                # Side of the square that is set to the mean, in pixels; 0: there is none.
                "erase": 0,
                # Number of differently augmented views of each image in a batch.
                "views": 1,
                # Min area of a random window that is resized to the image, as a share; 1: none.
                "crop_area": 1.0,
                # Strength of random changes of brightness, contrast, saturation and hue; 0: none.
                "jitter": 0.0,
                # Probabilities that an image becomes gray and that it is blurred.
                "gray": 0.0,
                "blur": 0.0,
                # Angle in degrees between the views, which are turned by 0, 1, -1, 2, -2, ... of
                # it; 0: they are not turned.
                "rotate_step": 0.0,
                # Share of the steps, at the end, whose images are those of the evaluation.
                "plain": 0.0,
            },
            "epochs": 50,
            "batch_size": 128,
            # Number of parts of a batch that are computed one after another, for batches that do
            # not fit into memory. The loss sees the whole batch; BatchNorm sees the parts.
            "accumulate": 1,
            "eval_batch_size": 1000,
            # Max number of devices that train and evaluate; 0: all.
            "devices": 0,
            # What happens if the devices cannot share a training batch equally. False: an error.
            # True: as many devices as can share it train and evaluate; the others are idle.
            "idle_devices": False,
            # See jhash.optimizers.
            "optimizer": {
                # A function of optax, or `my_module.my_optimizer`.
                "name": "adamw",
                "learning_rate": 1e-3,
                "weight_decay": 1e-4,
                # "constant", "cosine", "step" or `my_module.my_schedule`.
                "schedule": "cosine",
                # The share of the run in which the learning rate rises linearly from 0.
                "warmup": 0.0,
                # The schedule "step" multiplies the learning rate by `decay` after every
                # `decay_epochs` epochs.
                "decay": 0.1,
                "decay_epochs": 50,
                # Further arguments of the optimizer's function, such as `momentum`.
                "arguments": {},
                # Max global norm of the gradient, to which a larger one is scaled; 0: no limit.
                "clip_norm": 0.0,
                # Decay of the moving average of the weights, such as 0.999, which is evaluated and
                # exported in their place; 0: there is none.
                "average": 0.0,
                # Factors of the learning rate for parts of the model, by pattern; 0 freezes a part.
                "rates": {},
            },
            # See jhash.retrieval.summarize.
            "metrics": {
                # Ranks n of precision@n.
                "precision_ranks": (100, 500, 1000),
                # Hamming radius of hash lookup.
                "lookup_radius": 2,
                # Ranks over which an additional MAP is taken; None: there is none.
                "map_at": placeholder(int),
                # Percent of the database over which an additional MAP is taken; None likewise.
                "map_at_percent": placeholder(float),
            },
            # Number of steps between two lines of the log.
            "log_every": 10,
            # Number of epochs between two checkpoints.
            "checkpoint_every": 1,
            # Number of newest checkpoints that are kept.
            "keep_checkpoints": 2,
            # Number of epochs between two validations; 0: only the trained model is validated.
            "eval_every": 0,
            # The epoch that is evaluated and exported: "last", or the "best" of all validations.
            "keep": "last",
            # The metric of validation by which "best" is meant, such as map_learned. The names are
            # those of the log, without "validation/".
            "keep_metric": "map_encoded",
            # With "best": the number of validations in a row without a better value after which the
            # training stops; 0: it never stops early.
            "patience": 0,
            # The folder of a finished run of the same model, with whose parameters this one starts.
            "init_from": "",
            # The first step, from 1, and the number of steps of which the profiler writes a trace;
            # 0: there is none. See docs/runs.md.
            "profile_from": 10,
            "profile_steps": 0,
        }
    )
