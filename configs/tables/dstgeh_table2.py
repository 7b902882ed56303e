"""DSTGeH, Table 2: precision at recall and F1 with 48 bits, by embedding and by loss.

python -m jhash sweep configs/tables/dstgeh_table2.py --quick
"""

from configs.tables import dstgeh
from jhash.sweeps import Metric, Table, bits, split

# Fractions: precision at recall 10, 20, 40, 60 and 80 %, and F1.
_CIFAR10 = """
LE (BCEL)        0.3944 0.3302 0.2835 0.2397 0.2086 0.2828
Word2Vec (BCEL)  0.5623 0.5037 0.4193 0.3025 0.2343 0.3260
SDNE (BCEL)      0.5919 0.5578 0.4573 0.3604 0.2673 0.3487
SDNE+SAE (BCEL)  0.5804 0.5601 0.4848 0.3962 0.2885 0.3610
SDNE+SAE (MLML)  0.4311 0.3534 0.2942 0.2599 0.2217 0.2933
SDNE+SAE (MLSML) 0.2319 0.2206 0.2032 0.1623 0.1303 0.1197
"""
_COCO = """
LE (BCEL)        0.3120 0.2402 0.2001 0.1657 0.1304 0.2241
Word2Vec (BCEL)  0.5509 0.5050 0.4001 0.3075 0.2265 0.3231
SDNE (BCEL)      0.5932 0.5215 0.4188 0.3070 0.2173 0.3235
SDNE+SAE (BCEL)  0.6136 0.5223 0.4347 0.3552 0.2709 0.3458
SDNE+SAE (MLML)  0.3561 0.2437 0.2074 0.1763 0.1410 0.2322
SDNE+SAE (MLSML) 0.2019 0.1882 0.1724 0.1592 0.1333 0.2098
"""
_KEYS = [f"{dstgeh.AT_RECALL}{recall}" for recall in (10, 20, 40, 60, 80)] + ["encoded.f1"]
_NAMES = [f"precision at recall {recall} %" for recall in (10, 20, 40, 60, 80)] + ["F1"]


def get_table() -> Table:
    """Returns the table."""
    cifar10, coco = (split(text, *[1] * 6, fractions=True) for text in (_CIFAR10, _COCO))
    metrics = [
        Metric(key, name, paper={"CIFAR-10": cifar10[n], "MS-COCO": coco[n]})
        for n, (key, name) in enumerate(zip(_KEYS, _NAMES, strict=True))
    ]
    return Table(
        "DSTGeH, Table 2: embeddings and losses, 48 bits",
        "The paper's numbers are those of Liu et al. 2020, Table 2. BCEL is the binary "
        "cross-entropy, MLML the multi-label margin loss, and MLSML its soft version.",
        [
            dstgeh.variant("LE (BCEL)", "embedding=laplacian"),
            dstgeh.variant("Word2Vec (BCEL)", "embedding=walks"),
            dstgeh.variant("SDNE (BCEL)", "embedding=sdne"),
            dstgeh.variant("SDNE+SAE (BCEL)"),
            dstgeh.variant("SDNE+SAE (MLML)", "loss=margin"),
            dstgeh.variant("SDNE+SAE (MLSML)", "loss=soft_margin"),
        ],
        (dstgeh.CIFAR10, dstgeh.COCO),
        bits(48),
        metrics,
        notes=(
            *dstgeh.NOTES,
            "The paper does not define F1; ours is the highest F-measure of any Hamming radius, of "
            "averages over queries.",
        ),
    )
