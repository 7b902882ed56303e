"""DAH, Figure 3: precision of the first n results for each code length, on CIFAR-10.

python -m jhash sweep configs/tables/dah_figure3.py --quick
"""

from configs.tables import dah
from jhash.sweeps import Curve, Table


def get_table() -> Table:
    """Returns the table."""
    return dah.figure(
        "DAH, Figure 3: precision of the first n results",
        "Its text says that DAH's precision exceeds 91 % with every code length.",
        dah.at_ranks(),
        [Curve("precision_at_n")],
        own=False,
    )
