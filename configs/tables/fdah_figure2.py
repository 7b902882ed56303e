"""FDAH, Figure 2: precision, recall and F-measure by code length on CIFAR-10.

python -m jhash sweep configs/tables/fdah_figure2.py --quick
"""

from configs.tables import fdah
from jhash.sweeps import DataSet, Metric, Table


def lookup_table(title: str, data: DataSet) -> Table:
    """Makes the table of Figure 2 or 3, which differ in the data set."""
    metrics = [
        Metric(f"{kind}.{key}_radius_2", f"{words} within radius 2, {kind} codes", rows=rows)
        for kind, rows in (("learned", fdah.LEARNED), ("encoded", None))
        for key, words in (
            ("precision", "precision"),
            ("recall", "recall"),
            ("f_measure", "F-measure"),
        )
    ]
    return Table(
        title,
        "The paper (Lin et al. 2021) has plots and gives no numbers; its text says that FDAH is "
        "always around 90 %. It does not define the metrics. They are taken to be those of a hash "
        "lookup within Hamming radius 2.",
        fdah.ROWS,
        (data,),
        fdah.COLUMNS,
        metrics,
        notes=fdah.NOTES,
    )


def get_table() -> Table:
    """Returns the table."""
    return lookup_table(
        "FDAH, Figure 2: precision, recall and F-measure on CIFAR-10",
        fdah.CIFAR10_OR_OTHERS,
    )
