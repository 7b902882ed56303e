"""Spectral hashing (Weiss, Torralba and Fergus 2008); see `fitted`.

python launch.py --config=configs/baselines/sh.py
configs/baselines/sh.py:fashion_mnist,bits=48
"""

from configs.baselines import fitted


def get_config(argument=None):
    """The config; `argument` is what follows the file's name and a colon."""
    return fitted.get_config("spectral", argument)
