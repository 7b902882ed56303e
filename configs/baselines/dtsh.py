"""DTSH (Wang, Shi and Kitani 2016): likelihood of triplets.

    python launch.py --config=configs/baselines/dtsh.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "dtsh",
        # Margin per bit.
        margin=0.5,
        # Weight of the quantization loss: 100 / 22,500, see the method.
        quantization=0.0044,
    )
