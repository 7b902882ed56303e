"""CNNH (Xia et al. 2014): codes from the similarity of labels, then a model that learns them.

    python launch.py --config=configs/baselines/cnnh.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "cnnh",
        # Number of sweeps of coordinate descent over the relaxed codes.
        sweeps=10,
    )
