"""DPSH (Li, Wang and Kang 2016): pairwise likelihood of real outputs that are kept near codes.

    python launch.py --config=configs/baselines/dpsh.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and there are
these arguments:

    fashion_mnist    all 70,000 images: 60,000 for training and database, 10,000 queries
    cifar10          5,000 of the 59,000 images of the database for training, 1,000 queries; needs
                     the data set, prepared by TFDS. Training on the whole database, as DPSH-A in
                     FDAH's tables, is --config.data.split=cifar10_fdah
    scenes           images with two to four items of the embedded data
    nus_wide, nus_wide81, coco, flickr25k
                     need --config.data.options.folder
    folder           photos of your own in a folder, whose subfolders are classes; needs
                     --config.data.options.folder, and the extra `features` for ImageNet weights
    pairs=table      pairs of a batch with all training images, by a table of their last outputs, as
                     published; the default is pairs=batch

The model and the schedule are those of `configs/baselines/common.py`.
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines
from jhash.methods.deep import dpsh


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, data=common.DATA_SETS, pairs=dpsh.PAIRS, bits=32)
    config = baselines.base(arguments, "dpsh")
    config.method.update(
        # "batch": the images of a batch with each other. "table": with all training images.
        pairs=arguments.pairs,
        # Weight of the quantization loss: 50 / 5,000, see the method.
        quantization=0.01,
    )
    baselines.smoke(config, arguments)
    return config
