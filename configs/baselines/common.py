"""The model, the data and the schedule that all configs of deep baselines share.

Methods are compared by their losses, while the networks and optimizers of their papers differ. So
all of them have one model and one schedule, chosen here: that of `configs/common.py` for small
images, CNN-F at 224 x 224 for photos. Fields of a method that do not depend on the network are the
published ones where a config says nothing else.

A config trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco,
flickr25k or folder; `configs/baselines/dpsh.py` says what they are.
"""

import types

import ml_collections

from configs import common


def make(
    argument: str | None, name: str, batch_size: int | None = None, **fields
) -> ml_collections.ConfigDict:
    """Makes the config of a method that has no arguments of its own.

    Args:
      argument: The text after the colon.
      name: Name of the method.
      batch_size: Number of images in a batch; None for the default.
      **fields: The other fields of `config.method`.

    Returns:
      The config.
    """
    arguments = common.parse(argument, data=common.DATA_SETS, bits=32)
    config = base(arguments, name)
    config.method.update(fields)
    config.batch_size = batch_size or config.batch_size
    smoke(config, arguments)
    return config


def base(
    arguments: types.SimpleNamespace, name: str, cifar10: str = "cifar10_dhn59k"
) -> ml_collections.ConfigDict:
    """Makes a config with everything but the fields of the method.

    Args:
      arguments: The arguments as `common.parse` returns them, `bits` among them.
      name: Name of the method.
      cifar10: Name of the split of CIFAR-10.

    Returns:
      A config whose `method` has the name alone.
    """
    config = common.base(arguments, cifar10)
    config.method = {"name": name}
    config.epochs = 30
    if arguments.data == "fashion_mnist":
        # The model of `configs/fdah.py`, which sees as many images.
        common.large(config)
        config.epochs = 25
        config.augment.pad = 1
    if arguments.data == "cifar10":  # 5,000 images for training.
        common.large(config)
        config.epochs = 100
        config.augment.pad = 4
    if arguments.data == "folder":
        common.fine_tuned(config)
    if arguments.data in common.PHOTOS:
        config.epochs = 50
        config.model = {"name": "cnn_f.CNNF"}
        config.image.update(size=224, channels=3)
        config.augment.pad = 0
        config.optimizer.learning_rate = 1e-4
        config.checkpoint_every = 5  # A checkpoint has 0.6 GB.
    return config


def smoke(config: ml_collections.ConfigDict, arguments: types.SimpleNamespace) -> None:
    """Makes the run tiny, if `smoke` is one of the arguments."""
    if not arguments.smoke:
        return
    common.smoke(config, arguments)
    config.bits = min(config.bits, 8)
    if config.model.name == "cnn_f.CNNF":
        config.model.update(widths=(4, 4, 4, 4, 4), hidden=8)
    elif config.model.name == "small_resnet.SmallResNet":
        config.model.update(stem=4, widths=(4, 4))
    else:
        config.model.update(widths=(4,), convolutions=(1,), hidden=4)
