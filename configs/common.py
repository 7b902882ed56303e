"""What configs share: the fields that every method has, data presets, and the argument parser."""

from collections.abc import Callable, Mapping

import ml_collections
from ml_collections.config_dict import placeholder

from jhash.errors import InputError


def base() -> ml_collections.ConfigDict:
    """Every field of the loop, with the values that suit the embedded data on two cores."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "bits": 32,
            "method": {"name": ""},
            # `module.function` that replaces the method's loss; empty: the method's own.
            "loss": "",
            "model": {"name": "small_cnn.SmallCNN"},
            # A file of pretrained weights (imagenet-vgg-f.mat for cnn_f.CNNF); empty: none.
            "weights": "",
            "data": {
                "source": "embedded",
                "split": "embedded",
                # Of the split; apart from `seed`, so that runs of several seeds share a split.
                "seed": 0,
                # Arguments of the source; None is its own default.
                "options": {
                    "folder": placeholder(str),
                    "root": placeholder(str),
                    "data_dir": placeholder(str),
                    "image_size": placeholder(int),
                    "image_key": placeholder(str),
                    "label_key": placeholder(str),
                },
            },
            # What is taken off the bytes; None: the mean image of the training set.
            "mean": placeholder(float),
            # The network's input: side in pixels, factor of (bytes - mean image), middle or random
            # window, channels (3 repeats grey); None leaves a thing as it is.
            "image": {
                "size": 28,
                "scale": 1 / 64,
                "crop": placeholder(int),
                "channels": placeholder(int),
            },
            # In training alone: shifts by up to `pad` pixels, mirror images.
            "augment": {"pad": 2, "flip": True},
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
                # Further arguments of the optax function.
                "arguments": {},
            },
            # See jhash.retrieval.summarize.
            "metrics": {
                "ranks": (100, 500, 1000),
                "radius": 2,
                "at": placeholder(int),
                "percent": placeholder(float),
            },
            "log_every": 10,
            "checkpoint_every": 1,
            "keep_checkpoints": 2,
        }
    )


def apply_argument(
    config: ml_collections.ConfigDict,
    argument: str | None,
    presets: Mapping[str, Callable[[ml_collections.ConfigDict], None]],
    **fields: Callable[[str], object],
) -> ml_collections.ConfigDict:
    """Applies `preset,name=value,...`, the text after the colon of `--config=file.py:...`.

    Args:
      config: The config to change.
      argument: The text; None or empty changes nothing.
      presets: What each preset does to the config; several are applied in their order. A name
        may hold `=`.
      **fields: Top-level fields that may be set, with the function that reads their value.

    Returns:
      The config.

    Raises:
      InputError: An unknown preset or field, or a value that cannot be read.
    """
    for part in filter(None, (argument or "").split(",")):
        name, equals, value = part.partition("=")
        if part in presets:
            presets[part](config)
        elif equals and name in fields:
            try:
                config[name] = fields[name](value)
            except ValueError as error:
                raise InputError(f"--config: {name}={value!r} cannot be read: {error}.") from error
        else:
            raise InputError(
                f"--config: unknown argument {part!r}; allowed are {', '.join(presets)} and "
                f"{', '.join(f'{field}=...' for field in fields)}. Other fields are set by "
                "--config.field=value."
            )
    return config
