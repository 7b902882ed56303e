"""DAH, Figure 2: curves of precision and recall for each code length, on CIFAR-10.

python -m jhash sweep configs/tables/dah_figure2.py --quick
"""

from configs.tables import dah
from jhash.sweeps import Curve, Table


def get_table() -> Table:
    """Returns the table."""
    return dah.figure(
        "DAH, Figure 2: precision and recall",
        "",
        dah.at_recalls(),
        [Curve("precision_recall")],
        own=False,
    )
