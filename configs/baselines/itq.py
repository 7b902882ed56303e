"""PCA-ITQ (Gong et al. 2013): principal components, rotated; see `fitted`.

python launch.py --config=configs/baselines/itq.py
configs/baselines/itq.py:fashion_mnist,bits=48
"""

from configs.baselines import fitted


def get_config(argument=None):
    """The config; `argument` is what follows the file's name and a colon."""
    return fitted.get_config("itq", argument)
