"""FDAH, Figure 3: precision, recall and F-measure by code length on Fashion-MNIST.

python -m jhash sweep configs/tables/fdah_figure3.py --quick
"""

from configs.tables.common import FASHION_MNIST
from configs.tables.fdah_figure2 import lookup_table
from jhash.sweeps import Table


def get_table() -> Table:
    """Returns the table."""
    return lookup_table(
        "FDAH, Figure 3: precision, recall and F-measure on Fashion-MNIST", FASHION_MNIST
    )
