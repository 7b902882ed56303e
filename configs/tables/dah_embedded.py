"""DAH on the embedded images: attention against none at all code lengths, with a paired test.

python -m jhash sweep configs/tables/dah_embedded.py --quick

It is no table of the paper. Without --quick two cores make it in hours.
"""

from configs.tables import dah
from configs.tables.common import OWN_EMBEDDED
from jhash.sweeps import Metric, Table


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DAH on the embedded images",
        "The paper has no such table; dah_table2.py has its numbers on CIFAR-10.",
        dah.OWN,
        (OWN_EMBEDDED,),
        dah.COLUMNS,
        (Metric("encoded.map", "MAP"),),
        notes=dah.NOTES[:1],
        pairs=dah.PAIRS,
    )
