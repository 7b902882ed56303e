"""DCH (Cao, Long, Liu and Wang 2018): Cauchy distribution of Hamming distances.

    python launch.py --config=configs/baselines/dch.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "dch",
        # Distance in bits at which a pair is similar with probability 1/2.
        gamma=20.0,
        # Weight of the quantization loss; see the method.
        quantization=0.05,
    )
