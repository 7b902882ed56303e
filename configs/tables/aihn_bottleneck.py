"""AIHN, which convolutions of a block are narrow, on the embedded images, 32 bits.

python -m jhash sweep configs/tables/aihn_bottleneck.py --quick

It is no table of the paper, which says that the second convolution alone is narrow.
"""

from configs.tables.common import OWN_EMBEDDED
from jhash.sweeps import Metric, Row, Table, bits


def _row(name, argument, epochs):
    overrides = {"data.validation": 1000, "epochs": epochs}
    return Row(name, "configs/aihn.py", argument, overrides=overrides, quick={"epochs": 2})


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "AIHN's bottleneck",
        "The paper has no such table.",
        (
            _row("both", "bottleneck=both", 4),
            _row("second", "bottleneck=second", 4),
            _row("both, longer", "bottleneck=both", 7),
        ),
        (OWN_EMBEDDED,),
        bits(32),
        (Metric("validation.metrics.map_encoded", "MAP of the validation"),),
        seeds=2,
    )
