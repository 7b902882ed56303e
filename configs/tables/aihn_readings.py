"""AIHN, the paper's schedule read in several ways, on the embedded images at 32 x 32, 16 bits.

python -m jhash sweep configs/tables/aihn_readings.py --quick

It is no table of the paper. Rows whose loss explodes fail, which is what they are there to show.
"""

from configs.tables.common import OWN_EMBEDDED
from jhash.sweeps import Metric, Row, Table, bits

# The paper's lambda of 10, of sums over a batch of 64.
_SUMS_OF_A_BATCH = {"method.quantization": 10 / 63}
_NO_MOMENTUM = {"optimizer.arguments.momentum": 0.0}
_WARMUP = {"optimizer.warmup": 0.1}
# 8,000 images train, and the 1,000 others ask.
_SMALL = {
    "image.size": 32,
    "image.crop": 32,
    "augment.flip": False,
    "data.validation": 1000,
    "eval_batch_size": 500,
}
_NARROW = {**_SMALL, "model.width": 0.25}


def _clipped(norm):
    return {"optimizer.clip_norm": norm}


def _blocks_4(name, **fields):
    overrides = {**_NARROW, "model.stages": (1, 1, 1, 1), "epochs": 2, **fields}
    return Row(f"4 blocks, {name}", "configs/aihn.py", "paper", overrides=overrides)


def _blocks_100(name, **fields):
    overrides = {**_NARROW, "epochs": 2, **fields}
    return Row(
        f"100 blocks, {name}", "configs/aihn.py", "paper", overrides=overrides, quick={"epochs": 1}
    )


def _alexnet(name, **fields):
    # AlexNet with a quarter of its widths is in the shallow variant, which has another schedule.
    schedule = {
        "optimizer.name": "sgd",
        "optimizer.learning_rate": 0.05,
        "optimizer.schedule": "step",
        "optimizer.weight_decay": 1e-4,
        "optimizer.clip_norm": 0.3,
        "optimizer.arguments.momentum": 0.9,
        "method.quantization": 10 / 4999,
    }
    overrides = {**_SMALL, **schedule, "epochs": 2, **fields}
    return Row(f"AlexNet, {name}", "configs/aihn.py", "backbone=alexnet", overrides=overrides)


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "AIHN's schedule, read in several ways",
        "The paper has no such table: it gives SGD with a rate of 0.05, and lambda = 10.",
        (
            _blocks_4("not clipped, lambda 10 / 63", **_clipped(0.0), **_SUMS_OF_A_BATCH),
            _blocks_4("not clipped", **_clipped(0.0)),
            _blocks_4("not clipped, momentum 0", **_clipped(0.0), **_NO_MOMENTUM),
            _blocks_4("a warm-up, momentum 0", **_clipped(0.0), **_NO_MOMENTUM, **_WARMUP),
            _blocks_4("a warm-up", **_clipped(0.0), **_WARMUP),
            _blocks_4("clipped to 1, momentum 0", **_clipped(1.0), **_NO_MOMENTUM),
            _blocks_4("clipped to 1", **_clipped(1.0)),
            _blocks_4("clipped to 0.3, as in the config"),
            _blocks_4("clipped to 0.1", **_clipped(0.1)),
            _blocks_4("clipped to 1, a warm-up", **_clipped(1.0), **_WARMUP),
            _blocks_4("clipped to 0.3, lambda 10 / 63", **_SUMS_OF_A_BATCH),
            _blocks_4("clipped to 1, lambda 10 / 63", **_clipped(1.0), **_SUMS_OF_A_BATCH),
            _blocks_100("not clipped", **_clipped(0.0)),
            _blocks_100("clipped to 0.3, as in the config"),
            _alexnet("not clipped", **_clipped(0.0)),
            _alexnet("clipped to 1", **_clipped(1.0)),
            _alexnet("clipped to 0.3, as in the config"),
            _alexnet("clipped to 0.1", **_clipped(0.1)),
        ),
        (OWN_EMBEDDED,),
        bits(16),
        (
            Metric("validation.metrics.map_encoded", "MAP of the validation"),
            Metric("last_line.loss", "loss, last logged step", unit="", best="none"),
            Metric("encoded.distinct_codes", "distinct codes", unit="count", best="none"),
        ),
        seeds=1,
        notes=("Momentum is 0.9 and lambda 10 / 4,999, where a row says nothing else.",),
    )
