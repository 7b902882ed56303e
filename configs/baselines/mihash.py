"""MIHash (Cakir et al. 2017, 2019): mutual information of distance and similarity.

    python launch.py --config=configs/baselines/mihash.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "mihash",
        # Histograms need many images.
        batch_size=256,
        # Number of bins of the histogram of distances less one; None: half as many as bits.
        bins=placeholder(int),
        # a of the relaxed code 2 sigmoid(a u) - 1.
        slope=1.0,
    )
