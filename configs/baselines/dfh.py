"""DFH (Li, Pei, Zha and van Gemert 2019): likelihood with a margin, and learned class centers.

    python launch.py --config=configs/baselines/dfh.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "dfh",
        # Margin of the likelihood.
        margin=3.0,
        # Weight of the distance from codes, a mean over bits.
        quantization=0.5,
        # Weight of an image's center, against its outputs, in its code.
        mu=1.0,
        # Weight of the distances between centers, against their fit.
        separation=1.0,
    )
