"""Resumed runs: the same bits as runs without a break, with deterministic kernels.

`gpu.py` starts the process with XLA_FLAGS=--xla_gpu_deterministic_ops=true. A run of several epochs
is compared with one that was begun with fewer and then continued, and with a second one without a
break.
"""

import os
import tempfile
from pathlib import Path

import jax
import numpy as np

EPOCHS = 4
# `--quick` trains two batches an epoch.
IMAGES = {True: 40, False: 2000}


def rows(quick):
    """Yields one row."""
    from configs import fdah
    from jhash.data import in_memory
    from jhash.runs import paths
    from jhash.train import train

    images, labels = _images(IMAGES[quick])
    data = in_memory.from_arrays((images[20:], labels[20:]), (images[:20], labels[:20]))

    def trained(folder, *epochs):
        for number in epochs:
            config = fdah.get_config("smoke" if quick else "")
            config.image.size = 16
            config.method.queries = 20 if quick else 1000
            config.optimizer.schedule, config.optimizer.warmup = "constant", 0.0
            config.batch_size = config.eval_batch_size = 20 if quick else 100
            config.epochs = number
            train(config, folder, data=data)
        log = Path(paths.metrics(folder)).read_text()
        return Path(paths.encoder(folder)).read_bytes(), log

    with tempfile.TemporaryDirectory() as folder:
        half, whole = (EPOCHS // 4, EPOCHS // 2) if quick else (EPOCHS // 2, EPOCHS)
        runs = {
            name: trained(str(Path(folder) / name), *epochs)
            for name, epochs in (
                ("whole", (whole,)),
                ("resumed", (half, whole)),
                ("again", (whole,)),
            )
        }
    yield {
        "table": "resuming",
        "platform": jax.default_backend(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "epochs": whole,
        "resumed_after": half,
        "resumed_encoder_same_bits": runs["resumed"][0] == runs["whole"][0],
        "resumed_log_same": runs["resumed"][1] == runs["whole"][1],
        "second_run_encoder_same_bits": runs["again"][0] == runs["whole"][0],
    }


def _images(count):
    """Makes images of four classes, each a bright quadrant in noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 4
    images = rng.integers(0, 120, (count, 16, 16, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(label, 2)
        image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 100
    return images, labels
