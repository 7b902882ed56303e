"""GreedyHash, supervised (Su, Zhang, Han and Tian 2018): a classifier of binary codes.

    python launch.py --config=configs/baselines/greedyhash.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "greedyhash",
        # Weight of the cubes of the distance from codes; 1 is published for ImageNet.
        quantization=0.1,
    )
