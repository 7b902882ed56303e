"""PCAH (Wang, Kumar and Chang 2010): signs of principal components; see `fitted`.

python launch.py --config=configs/baselines/pcah.py
configs/baselines/pcah.py:fashion_mnist,bits=48
"""

from configs.baselines import fitted


def get_config(argument=None):
    """The config; `argument` is what follows the file's name and a colon."""
    return fitted.get_config("pcah", argument)
