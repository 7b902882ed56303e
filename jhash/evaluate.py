"""Encodes both sets, searches, and writes codes and results of a run."""

import math
import os
import time

import jax
import numpy as np

from jhash import experiment, files, parallel, provenance, retrieval, workdirs
from jhash.checkpoint import Checkpoints
from jhash.data import augment, batches


class Encoder:
    """The network in evaluation mode, on all devices.

    Called with (state, indices): `state` replicated, `indices` int [N] of images of the source.
    Gives the model's outputs, NumPy, in their order.
    """

    def __init__(self, run: experiment.Experiment):
        """Compiles nothing yet; the first call does."""

        def apply(state, images):
            x = augment.eval_images(images, run.mean, **run.config.image)
            variables = {"params": state.params, "batch_stats": state.batch_stats}
            return run.model.apply(variables, x, train=False)

        self._source, self._size = run.data.source, run.config.eval_batch_size
        self._apply = parallel.map_devices(apply)

    def __call__(self, state, indices):
        """See the class."""
        parts = []
        for batch in batches.read(self._source, batches.split(indices, self._size)):
            outputs = self._apply(state, parallel.shard(batch["images"]))
            parts.append(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs))
        parts = jax.device_get(parts)
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(indices)], *parts)


def fresh(run: experiment.Experiment):
    """What a run's checkpoint holds, before the first epoch: state, extra, seconds of training."""
    return {"state": run.initial_state(), "extra": run.extra, "seconds": np.zeros(())}


def evaluate_workdir(workdir: str) -> dict:
    """Evaluates the last checkpoint of a run again; see `evaluate`."""
    run = experiment.build(workdirs.load(workdir))
    with Checkpoints(os.path.join(workdir, "checkpoints"), run.config.keep_checkpoints) as saved:
        _, tree = saved.restore(fresh(run))
    state = parallel.replicate(tree["state"])
    return evaluate(run, Encoder(run), state, tree["extra"], workdir, float(tree["seconds"]))


def evaluate(run, encode, state, extra, workdir: str, train_seconds: float) -> dict:
    """Metrics of a trained network; writes `codes/` and `results.json`.

    `encoded` are the metrics with the database encoded by the network, as the queries are;
    `learned` those with the database's codes learned in training (FDAH's B), if the method has any.
    The two are different experiments and have different names everywhere: `map_encoded`,
    `map_learned`.

    Args:
      run: The experiment.
      encode: Its Encoder.
      state: Replicated over the devices.
      extra: The method's pytree.
      workdir: The run's folder.
      train_seconds: Time spent in training, over all processes that had a share in it.

    Returns:
      The content of `results.json`.
    """
    config, data = run.config, run.data
    steps = int(parallel.first(state).step)
    codes = {}
    codes["queries"], _ = _encode(run, encode, state, data.queries)
    codes["database"], encode_seconds = _encode(run, encode, state, data.database)
    learned = run.method.learned_codes(config, data, extra)
    if learned is not None:
        codes["database_learned"] = np.asarray(retrieval.pack_codes(learned))
    _save_codes(workdir, data, codes, config.bits)

    results = {
        "method": config.method.name,
        "bits": config.bits,
        "seed": config.seed,
        "data": {
            "source": config.data.source,
            "split": config.data.split,
            "train": len(data.train),
            "database": len(data.database),
            "queries": len(data.queries),
        },
        "epochs": steps // run.steps_per_epoch,
        "steps": steps,
    }
    for name, key in (("learned", "database_learned"), ("encoded", "database")):
        if key in codes:
            began = time.perf_counter()
            metrics = _metrics(config, data, codes["queries"], codes[key])
            results[f"map_{name}"] = metrics["map"]
            results[name] = {**metrics, "seconds": time.perf_counter() - began}
    results["train_seconds"] = train_seconds
    results["encode_seconds_per_image"] = encode_seconds / len(data.database)
    results["eval_batch_size"] = config.eval_batch_size
    results |= provenance.describe()
    files.write_json(os.path.join(workdir, "results.json"), results)
    return results


def _encode(run, encode, state, indices):
    began = time.perf_counter()
    logits = run.method.logits(encode(state, indices))
    return np.asarray(retrieval.pack_codes(logits)), time.perf_counter() - began


def _metrics(config, data, queries, database):
    query_labels, labels = data.labels(data.queries), data.labels(data.database)
    total, relevant = retrieval.distance_histograms(
        queries, database, query_labels, labels, config.bits
    )
    return {
        **retrieval.summarize(total, relevant, **config.metrics),
        # None where a bit is 1 in every code: JSON has no infinity.
        "ones_to_zeros": [
            ratio if math.isfinite(ratio) else None
            for ratio in retrieval.bit_balance(database, config.bits).tolist()
        ],
        "distinct_codes": len(np.unique(database, axis=0)),
    }


def _save_codes(workdir, data, codes, bits):
    for name, packed in codes.items():
        indices = data.queries if name == "queries" else data.database
        with files.replacing(os.path.join(workdir, "codes", f"{name}.npz"), "wb") as file:
            np.savez(file, codes=packed, labels=data.labels(indices), ids=indices, bits=bits)
