"""DAH, Figure 6: precision of the first n results with attention and without, on CIFAR-10.

python -m jhash sweep configs/tables/dah_figure6.py --quick
"""

from configs.tables import dah
from jhash.sweeps import Curve, Table


def get_table() -> Table:
    """Returns the table."""
    return dah.figure(
        "DAH, Figure 6: precision of the first n results with attention and without",
        "Its text says that attention is better in most cases.",
        dah.at_ranks(),
        [Curve("precision_at_n")],
        own=True,
    )
