"""LSH (Charikar 2002): random hyperplanes; see `fitted`.

python launch.py --config=configs/baselines/lsh.py
configs/baselines/lsh.py:fashion_mnist,bits=48
"""

from configs.baselines import fitted


def get_config(argument=None):
    """The config; `argument` is what follows the file's name and a colon."""
    return fitted.get_config("lsh", argument)
