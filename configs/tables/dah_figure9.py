"""DAH, Figure 9: precision within Hamming radius 2 with attention and without, on CIFAR-10.

python -m jhash sweep configs/tables/dah_figure9.py --quick
"""

from configs.tables import dah
from jhash.sweeps import Metric, Table


def get_table() -> Table:
    """Returns the table."""
    return dah.figure(
        "DAH, Figure 9: precision within Hamming radius 2 with attention and without",
        "Its text says that attention is slightly better with 12, 36 and 48 bits.",
        [Metric("encoded.precision_radius_2", "precision within radius 2")],
        [],
        own=True,
    )
