"""DNNH or NINH (Lai, Pan, Liu and Yan 2015): divide-and-encode and a ranking of triplets.

    python launch.py --config=configs/baselines/dnnh.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco or
flickr25k; see `configs/baselines/dpsh.py`. The model and the schedule are those of
`configs/baselines/common.py`.
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines

# Number of outputs of the model for each bit: a choice made here, 50 in the published networks.
_SLICE = 16


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, data=common.DATA_SETS, bits=32)
    config = baselines.base(arguments, "dnnh")
    config.method.update(
        # Margin of the ranking, in bits.
        margin=1.0,
        # Distance of a sigmoid from 1/2 from which on it is rounded; 0.5: none is.
        epsilon=0.5,
    )
    baselines.smoke(config, arguments)
    config.model.bits = _SLICE * config.bits
    return config
