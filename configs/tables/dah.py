"""DAH's rows, data sets and numbers, for the files `dah_*.py`; no table itself.

The paper is Li, Xu, Xu, Weise, Zou, Sun and Wu, Image Retrieval Using a Deep Attention-Based Hash,
IEEE Access 2020. All of its tables are on CIFAR-10. All tables here have the same runs.
"""

from configs.tables.common import EMBEDDED, FASHION_MNIST, NO_FORMULA, missing, shallow
from jhash.sweeps import Curve, DataSet, Metric, Row, Table, bits

COLUMNS = bits(12, 24, 36, 48, quick=(12, 48))
# All rows have the images of DAH.
DATA = (
    DataSet(
        "CIFAR-10", "cifar10", {"data.split": "cifar10_dah"}, stand_in=FASHION_MNIST, quick=EMBEDDED
    ),
)
_QUICK = {"epochs": 3}
OWN = [
    Row("DAH", "configs/dah.py", quick=_QUICK),
    Row("NoneA-DAH", "configs/dah.py", "attention=none", quick=_QUICK),
]
PAIRS = (("DAH", "NoneA-DAH"),)
LSH = shallow("LSH", "lsh")
PCAH = shallow("PCAH", "pcah")
SH = shallow("SH", "sh")
ITQ = shallow("ITQ", "itq")
# The paper cites deep supervised hashing for its "DSH". The row's MAP is that of a method without
# labels, and its encoding time that of LSH, so it is density sensitive hashing.
DSH = shallow("DSH", "density_sensitive")
SDH = shallow("SDH", "sdh")
COSDISH = shallow("COSDISH", "cosdish")
NOTES = (
    "DAH has six epochs and a cosine schedule, which are ours; docs/reproduce/dah.md lists what "
    "the paper leaves open.",
    "LSH, PCAH, SH, ITQ, DSH, SDH and COSDISH are fitted to features of EfficientNet-Lite0; those "
    "of the paper are others.",
    "DSH is density sensitive hashing here. The paper cites deep supervised hashing for it, whose "
    "MAP is far higher and which takes far longer to encode an image.",
)


def figure(title: str, source: str, metrics: list[Metric], curves: list[Curve], own: bool) -> Table:
    """Makes the table of a figure, for which the paper gives no numbers.

    Args:
      title: Heading.
      source: What the paper's text says of the figure.
      metrics: Metrics.
      curves: Curves.
      own: Whether the figure compares DAH and NoneA-DAH alone.
    """
    others = [LSH, PCAH, SH, ITQ, DSH, SDH, COSDISH, *missing(NO_FORMULA, "SDHP")]
    return Table(
        title,
        f"The paper (Li et al. 2020) has plots and gives no numbers. {source}".rstrip(),
        OWN if own else [OWN[0], *others],
        DATA,
        COLUMNS,
        metrics,
        curves=curves,
        notes=NOTES[:1] if own else NOTES,
    )


def at_recalls() -> list[Metric]:
    """Makes metrics that a curve of precision and recall passes through."""
    return [
        Metric(f"encoded.precision_at_recall_{recall}", f"precision at recall {recall} %")
        for recall in (20, 40, 60, 80)
    ]


def at_ranks() -> list[Metric]:
    """Makes metrics that a curve of precision by rank passes through."""
    return [
        Metric(f"encoded.precision_at_{rank}", f"precision@{rank}") for rank in (100, 500, 1000)
    ]
