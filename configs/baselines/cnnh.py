"""CNNH (Xia et al. 2014): codes from the similarity of labels, then a model that learns them.

    python launch.py --config=configs/baselines/cnnh.py

`configs/baselines/common.py` has the arguments, the model and the schedule, and there is one more:

    plus             CNNH+, which learns the classes beside the bits
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines

# Number of classes of each data set that has not ten. Data of your own need config.model.bits.
_CLASSES = {"nus_wide": 21, "nus_wide81": 81, "coco": 80, "flickr25k": 24}


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, data=common.DATA_SETS, variant=("plus",), bits=32)
    config = baselines.base(arguments, "cnnh")
    config.method.update(
        # Number of sweeps of coordinate descent over the relaxed codes.
        sweeps=10,
        # Weight of the cross-entropy of the classes; 0: the model has outputs for the bits alone.
        classification=0.0,
    )
    baselines.smoke(config, arguments)
    if arguments.variant == "plus":
        config.method.classification = 1.0
        classes = 10 if arguments.smoke else _CLASSES.get(arguments.data, 10)
        config.model.bits = config.bits + classes
    return config
