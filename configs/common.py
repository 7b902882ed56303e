"""What configs share: fields that every method has, data sets, and the parser of arguments.

A config is a function of its *parsed* arguments, never of their order: `parse` reads
`FILE.py:ARGUMENT` into a namespace with defaults, and `get_config` builds one config from it.
"""

import types

import ml_collections
from ml_collections.config_dict import placeholder

from jhash.errors import InputError

# Data sets: source, split, side of the images in pixels. The split None depends on the method.
DATA = {
    "embedded": ("embedded", "embedded", 28),
    "fashion_mnist": ("fashion_mnist", "fashion_mnist", 28),
    "scenes": ("scenes", "official", 56),
    "cifar10": ("tfds:cifar10", None, 32),
    "nus_wide": ("lists", "nus_wide21", 256),
    "nus_wide81": ("lists", "nus_wide81", 256),
    "coco": ("lists", "coco", 256),
    "flickr25k": ("lists", "flickr25k", 256),
}
# Multi-label data sets of three channels.
_LARGE = ("nus_wide", "nus_wide81", "coco", "flickr25k")


def parse(
    argument: str | None,
    *,
    data: tuple[str, ...],
    variant: tuple[str, ...] = (),
    method: tuple[str, ...] = (),
    **options: int | tuple[str, ...],
) -> types.SimpleNamespace:
    """Reads the text after the colon of `--config=FILE.py:ARGUMENT`.

    The text is a list of words and of `name=value`, separated by commas, in any order.

    Args:
      argument: The text; None or empty gives the defaults.
      data: Names of `DATA` that the config knows, as words; the first is the default.
      variant: Words of which at most one may be given, such as `paper`.
      method: Words of which exactly one must be given, for a config of several methods.
      **options: What `name=value` may set. An int is a default; a tuple holds the allowed words,
        the default first. Every config also has `seed=0`.

    Returns:
      A namespace with `data`, `variant` (None if not given), `method`, `smoke` and every option.

    Raises:
      InputError: An argument is unknown, missing, given twice, or cannot be read.
    """
    groups = {"method": method, "data": data, "variant": variant, "smoke": ("smoke",)}
    options = {**options, "seed": 0}
    given = {}
    for part in filter(None, (argument or "").split(",")):
        name, value = _read(part, groups, options)
        if name in given:
            raise InputError(
                f"--config: {part!r} given beside {given[name][0]!r}; allowed is one of them."
            )
        given[name] = part, value
    if method and "method" not in given:
        raise InputError(f"--config: no method given; allowed are {', '.join(method)}.")
    defaults = {"data": data[0], "variant": None, "smoke": False}
    for name, default in options.items():
        defaults[name] = default[0] if isinstance(default, tuple) else default
    found = {name: value for name, (_, value) in given.items()}
    return types.SimpleNamespace(**(defaults | found))


def refuse(first: str, second: str, why: str) -> None:
    """Raises InputError for two arguments that exclude each other."""
    raise InputError(f"--config: {first!r} given with {second!r}; {why}.")


def base(arguments: types.SimpleNamespace, cifar10: str = "") -> ml_collections.ConfigDict:
    """The fields of every run, with seed, bits and data set as the arguments say.

    Args:
      arguments: As `parse` returns them, `bits` among them.
      cifar10: The split of CIFAR-10 that the method's paper uses, if the config knows the data.

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
    return config


def smoke(config: ml_collections.ConfigDict, arguments: types.SimpleNamespace) -> None:
    """Replaces the data by 64 random images of its shape, and makes the run an epoch long.

    `get_config` calls it last, and makes the model small itself.
    """
    side = 256 if arguments.data in _LARGE else DATA[arguments.data][2]
    config.data.source, config.data.split = "random", "official"
    config.data.options = {
        "side": side,
        "channels": 3 if arguments.data in ("cifar10", *_LARGE) else 1,
        "multi_label": arguments.data in ("scenes", *_LARGE),
    }
    config.epochs = min(config.epochs, 1)
    config.batch_size = config.eval_batch_size = 16


def _read(part, groups, options):
    """The name and the value of one argument."""
    name, equals, value = part.partition("=")
    if not equals:
        for group, words in groups.items():
            if part in words:
                return group, True if group == "smoke" else part
    elif name in options:
        allowed = options[name]
        if isinstance(allowed, tuple):
            if value in allowed:
                return name, value
        else:
            try:
                return name, int(value)
            except ValueError as error:
                message = f"--config: {part!r} given; {name} must be an integer."
                raise InputError(message) from error
    words = [word for group in groups.values() for word in group]
    for name, allowed in options.items():
        choices = "|".join(allowed) if isinstance(allowed, tuple) else "INTEGER"
        words.append(f"{name}={choices}")
    raise InputError(
        f"--config: unknown argument {part!r}; allowed are {', '.join(words)}. Other fields are "
        "set by --config.field=value."
    )


def _fields():
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "bits": 32,
            "method": {"name": ""},
            # `module.function` that replaces the method's loss; empty: the method's own.
            "loss": "",
            "model": {"name": "small_cnn.SmallCNN"},
            # A file of published weights for the model (imagenet-vgg-f.mat for cnn_f.CNNF).
            "weights": "",
            "data": {
                "source": "embedded",
                "split": "embedded",
                # Of the split; apart from `seed`, so that runs of several seeds share a split.
                "seed": 0,
                # Arguments of the source, such as `folder`; what is missing is its own default.
                "options": {},
            },
            # What is subtracted from the bytes; None: the mean image of the training set.
            "mean": placeholder(float),
            # The model's input: side in pixels, factor of (bytes - mean image), middle or random
            # window, channels (3 repeats grey); None leaves a thing as it is.
            "image": {
                "size": 28,
                "scale": 1 / 64,
                "crop": placeholder(int),
                "channels": placeholder(int),
            },
            # In training alone: shifts by up to `pad` pixels, mirror images, views of each image.
            "augment": {"pad": 2, "flip": True, "views": 1},
            "epochs": 50,
            "batch_size": 128,
            "eval_batch_size": 1000,
            # Where the devices cannot share a training batch equally: refuse it (False), or train
            # and evaluate on as many of them as can (True).
            "idle_devices": False,
            "optimizer": {
                "name": "adamw",
                "learning_rate": 1e-3,
                "weight_decay": 1e-4,
                "schedule": "cosine",
                "warmup": 0.0,
                # Of the schedule `step`.
                "decay": 0.1,
                "decay_epochs": 50,
                # Further arguments of the optax function, such as `momentum`.
                "arguments": {},
            },
            # See jhash.retrieval.summarize.
            "metrics": {
                "precision_ranks": (100, 500, 1000),
                "lookup_radius": 2,
                "map_at": placeholder(int),
                "map_at_percent": placeholder(float),
            },
            "log_every": 10,
            "checkpoint_every": 1,
            "keep_checkpoints": 2,
        }
    )
