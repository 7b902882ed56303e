"""DAH, Figure 4: precision within Hamming radius 2 by code length, on CIFAR-10.

python -m jhash sweep configs/tables/dah_figure4.py --quick
"""

from configs.tables import dah
from jhash.sweeps import Metric, Table


def get_table() -> Table:
    """Returns the table."""
    return dah.figure(
        "DAH, Figure 4: precision within Hamming radius 2",
        "Its text says that DAH's precision is always above 90 %.",
        [Metric("encoded.precision_radius_2", "precision within radius 2")],
        [],
        own=False,
    )
