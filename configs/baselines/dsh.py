"""DSH (Liu, Wang, Shan and Chen 2016): deep supervised hashing, a contrastive loss.

    python launch.py --config=configs/baselines/dsh.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "dsh",
        # Squared distance per bit that dissimilar pairs should have.
        margin=2.0,
        # Weight of the quantization loss: twice the paper's alpha, see the method.
        quantization=0.02,
    )
