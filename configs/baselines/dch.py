"""DCH (Cao, Long, Liu and Wang 2018): Cauchy distribution of Hamming distances.

    python launch.py --config=configs/baselines/dch.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco or
flickr25k; see `configs/baselines/dpsh.py`. The model and the schedule are those of
`configs/baselines/common.py`.
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, data=common.DATA_SETS, bits=32)
    config = baselines.base(arguments, "dch")
    config.method.update(
        # Distance in bits at which a pair is similar with probability 1/2.
        gamma=20.0,
        # Weight of the quantization loss; see the method.
        quantization=0.05,
    )
    baselines.smoke(config, arguments)
    return config
