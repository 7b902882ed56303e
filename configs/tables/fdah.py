"""FDAH's rows, data sets and numbers, for the files `fdah_*.py`; no table itself.

The paper is Lin, Lai, Lu and Zhou, Fast Deep Asymmetric Hashing for Image Retrieval, 2021. It
evaluates FDAH and ADSH with the codes that training learned for the database, and the other methods
with codes of their hash functions. These are two experiments, so they have a table each.
"""

import dataclasses

from configs.tables.common import FASHION_MNIST, on_features, shallow
from jhash.sweeps import DataSet, Row, bits

COLUMNS = bits(12, 24, 32, 48, quick=(12, 48))
DATA = (
    FASHION_MNIST,
    DataSet("CIFAR-10", "cifar10"),
    DataSet("NUS-WIDE", "nus_wide"),
)
_BY = "map_learned"
ADSH = dataclasses.replace(on_features("ADSH", "adsh"), choose_by=_BY)
FDAH = Row("FDAH", "configs/fdah.py", choose_by=_BY)
# Like the other deep methods, for a comparison of losses and updates alone.
FROZEN = dataclasses.replace(on_features("FDAH, frozen", "fdah"), choose_by=_BY)
ROWS = [
    shallow("LSH", "lsh"),
    shallow("SH", "sh"),
    shallow("BRE", "bre"),
    shallow("ITQ", "itq"),
    shallow("SDH", "sdh"),
    shallow("FSDH", "fsdh"),
    on_features("DPSH", "dpsh"),
    on_features("DSDH", "dsdh"),
    on_features("DDSH", "ddsh"),
    ADSH,
    FROZEN,
    FDAH,
]
# The rows that have learned codes in the paper.
LEARNED = tuple(row.name for row in (ADSH, FDAH, FROZEN))
NOTES = (
    "FDAH is its default config: a small network from random weights, not CNN-F with weights from "
    "ImageNet. docs/reproduce/fdah.md lists what else differs.",
    "The other deep methods, and FDAH in the row that says frozen, train hash layers on features "
    "of EfficientNet-Lite0, all with one schedule; docs/pretrained.md describes them. On CIFAR-10 "
    "and NUS-WIDE the methods other than FDAH train on the images of their papers.",
    "LSH, SH, BRE, ITQ, SDH and FSDH are fitted to such features, in the paper to those of CNN-F.",
)
