"""MIHash (Cakir et al. 2017, 2019): mutual information of distance and similarity.

    python launch.py --config=configs/baselines/mihash.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco or
flickr25k; see `configs/baselines/dpsh.py`. The model and the schedule are those of
`configs/baselines/common.py`.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs import common
from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, data=common.DATA_SETS, bits=32)
    config = baselines.base(arguments, "mihash")
    config.method.update(
        # Number of bins of the histogram of distances less one; None: half as many as bits.
        bins=placeholder(int),
        # a of the relaxed code 2 sigmoid(a u) - 1.
        slope=1.0,
    )
    # Histograms need many images.
    config.batch_size = 256
    baselines.smoke(config, arguments)
    return config
