"""AIHN on the embedded images: the ablation at all code lengths, with paired tests.

python -m jhash sweep configs/tables/aihn_embedded.py --quick

It is no table of the paper. Without --quick two cores make it in hours.
"""

from configs.tables import aihn
from configs.tables.common import OWN_EMBEDDED
from jhash.sweeps import Metric, Table


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "AIHN on the embedded images",
        "The paper has no such table; aihn_table2.py has its numbers on CIFAR-10.",
        aihn.ABLATION,
        (OWN_EMBEDDED,),
        aihn.COLUMNS,
        (Metric("encoded.map", "MAP"),),
        pairs=aihn.PAIRS,
    )
