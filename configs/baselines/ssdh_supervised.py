"""SSDH, supervised (Yang, Lin and Chen 2018): a classifier of a latent binary layer.

    python launch.py --config=configs/baselines/ssdh_supervised.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "ssdh_supervised",
        # Weight of the term that makes activations binary.
        binary=1.0,
        # Weight of the term that makes a half of the bits of each image ones.
        balance=1.0,
    )
