"""FDAH, Table 1: MAP by code length on Fashion-MNIST, CIFAR-10 and NUS-WIDE.

python -m jhash sweep configs/tables/fdah_table1.py --quick
"""

from configs.tables import fdah
from jhash.sweeps import Metric, Printed, Table, split

# Percent, with 12, 24, 32 and 48 bits on each of the three data sets.
_OTHERS = """
LSH  22.46 24.56 27.35 33.08  15.21 15.68 14.40 16.27  39.44 41.87 41.07 45.68
SH   35.56 31.57 31.84 29.46  20.27 18.27 17.94 17.53  41.91 41.00 40.63 43.21
BRE  33.85 42.90 42.41 44.33  18.26 21.26 23.13 23.80  46.03 47.49 46.68 51.72
ITQ  36.94 39.68 40.23 40.31  21.76 19.03 19.85 20.53  53.53 53.70 53.17 53.88
SDH  62.91 79.10 80.43 80.14  54.02 66.94 67.40 68.33  64.86 65.45 65.10 67.10
FSDH 77.70 79.86 80.69 81.10  60.95 65.73 66.38 68.41  57.64 58.21 67.19 58.33
DPSH 77.81 79.97 80.72 82.16  69.01 72.70 71.38 73.35  68.43 71.39 72.32 72.88
DSDH 79.67 81.58 82.40 82.59  72.02 77.41 79.86 80.72  67.18 69.34 70.13 70.12
DDSH 77.32 84.82 85.82 85.91  71.37 81.08 81.73 81.94  65.95 68.81 68.86 69.42
"""
_LEARNED = """
ADSH 91.36 93.35 93.93 94.22  87.06 91.20 92.93 93.46  76.70 80.28 81.23 83.16
FDAH 94.18 94.19 94.39 94.48  93.66 93.32 93.59 94.31  78.77 80.34 80.65 81.66
"""


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "FDAH, Table 1: MAP by code length",
        "The paper's numbers are those of Lin et al. 2021, Table 1.",
        fdah.ROWS,
        fdah.DATA,
        fdah.COLUMNS,
        (
            Metric(
                "learned.map", "MAP, learned codes", paper=_by_data(_LEARNED), rows=fdah.LEARNED
            ),
            Metric("encoded.map", "MAP, encoded codes", paper=_by_data(_OTHERS)),
        ),
        notes=fdah.NOTES,
    )


def _by_data(text: str) -> dict[str, Printed]:
    names = [data.name for data in fdah.DATA]
    return dict(zip(names, split(text, 4, 4, 4), strict=True))
