"""FDAH's rows, data sets and numbers, for the files `fdah_*.py`; no table itself.

The paper is Lin, Lai, Lu and Zhou, Fast Deep Asymmetric Hashing for Image Retrieval, 2021. It
evaluates FDAH and ADSH with the codes that training learned for the database, and the other methods
with codes of their hash functions. These are two experiments, so they have a table each.
"""

from configs.tables.common import FASHION_MNIST, deep, shallow
from jhash.sweeps import DataSet, Row, bits

COLUMNS = bits(12, 24, 32, 48, quick=(12, 48))
DATA = (
    FASHION_MNIST,
    DataSet("CIFAR-10", "cifar10"),
    DataSet("NUS-WIDE", "nus_wide"),
)
ADSH = deep("ADSH", "adsh")
FDAH = Row("FDAH", "configs/fdah.py")
ROWS = [
    shallow("LSH", "lsh"),
    shallow("SH", "sh"),
    shallow("BRE", "bre"),
    shallow("ITQ", "itq"),
    shallow("SDH", "sdh"),
    shallow("FSDH", "fsdh"),
    deep("DPSH", "dpsh"),
    deep("DSDH", "dsdh"),
    deep("DDSH", "ddsh"),
    ADSH,
    FDAH,
]
# The rows that have learned codes in the paper.
LEARNED = ("ADSH", "FDAH")
NOTES = (
    "FDAH is its default config: a small network from random weights, not CNN-F with weights from "
    "ImageNet. docs/reproduce/fdah.md lists what else differs.",
    "The other deep methods have the model of FDAH, and the schedule of "
    "configs/baselines/common.py. On CIFAR-10 and NUS-WIDE they train on the images of their "
    "papers.",
    "LSH, SH, BRE, ITQ, SDH and FSDH are fitted to features of EfficientNet-Lite0, in the paper to "
    "those of CNN-F.",
)
