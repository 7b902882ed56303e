"""FDAH, Table 2: MAP and training time on CIFAR-10, with the whole training set.

python -m jhash sweep configs/tables/fdah_table2.py --quick
"""

from configs.tables import fdah
from configs.tables.common import on_features
from jhash.sweeps import Metric, Printed, Table

# Percent.
_MAP = Printed("""
ADSH   87.06 91.20 92.93 93.46
FDAH   93.66 93.32 93.59 94.31
""")
_MAP_OTHERS = Printed("""
DPSH-A 92.01 92.95 93.16 92.95
DSDH-A 92.94 93.83 93.65 94.25
DDSH-A 75.89 86.79 90.85 93.36
""")
_MINUTES = Printed("""
DPSH-A 334.2 337.5 348.1 368.3
DSDH-A 327.4 350.6 362.2 391.6
DDSH-A 276.2 282.1 292.7 310.8
ADSH   24.7  30.9  35.8  47.6
FDAH   10.5  11.5  11.7  12.1
""")


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "FDAH, Table 2: MAP and training time with the whole training set",
        "The paper's numbers are those of Lin et al. 2021, Table 2.",
        [
            on_features("DPSH-A", "dpsh"),
            on_features("DSDH-A", "dsdh"),
            on_features("DDSH-A", "ddsh"),
            fdah.ADSH,
            fdah.FROZEN,
            fdah.FDAH,
        ],
        (fdah.CIFAR10_OR_OTHERS,),
        fdah.COLUMNS,
        (
            Metric(
                "learned.map", "MAP, learned codes", paper={"CIFAR-10": _MAP}, rows=fdah.LEARNED
            ),
            Metric("encoded.map", "MAP, encoded codes", paper={"CIFAR-10": _MAP_OTHERS}),
            Metric(
                "train_seconds", "training time", "min", best="min", paper={"CIFAR-10": _MINUTES}
            ),
        ),
        notes=(
            *fdah.NOTES[:2],
            "Times are of other machines and cannot be compared. Those of hash layers are without "
            "the features, which are computed once.",
        ),
    )
