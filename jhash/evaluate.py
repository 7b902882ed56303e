"""Encodes both sets, searches, and writes codes and results of a run."""

import math
import os
import time

import jax
import jax.numpy as jnp
import numpy as np

from jhash import (
    encoder,
    experiment,
    files,
    models,
    parallel,
    provenance,
    reconstruction,
    retrieval,
    workdirs,
    writer,
)
from jhash.checkpoint import Checkpoints
from jhash.data import batches
from jhash.errors import InputError


class SourceEncoder:
    """Encodes images of the run's source, on the run's devices.

    Called with (state, indices): `state` replicated, `indices` int [N] of images of the source.
    Gives the model's outputs, NumPy, in their order.
    """

    def __init__(self, run: experiment.Experiment):
        """Compiles nothing yet; the first call does."""
        self._source, self._size = run.data.source, run.config.eval_batch_size
        self._forward = encoder.build_forward(run.config.image, run.model, run.mean, run.devices)

    def __call__(self, state, indices):
        """See the class."""
        orders = batches.split(indices, self._size)
        parts = [
            self._forward(_variables(state), batch["images"])
            for batch in batches.read(self._source, orders)
        ]
        parts = jax.device_get(parts)
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(indices)], *parts)


def _variables(state):
    return {"params": state.params, "batch_stats": state.batch_stats}


def fresh(run: experiment.Experiment):
    """What a run's checkpoint holds, before the first epoch: state, extra, seconds of training."""
    return {"state": run.initial_state(), "extra": run.extra, "seconds": np.zeros(())}


def evaluate_workdir(workdir: str) -> dict:
    """Evaluates the last checkpoint of a run again, finished or not; see `evaluate`.

    Raises:
      InputError: There is no run in the folder, or no checkpoint yet.
    """
    run = experiment.build(workdirs.load(workdir))
    with Checkpoints(os.path.join(workdir, "checkpoints")) as checkpoints:
        saved = checkpoints.restore(fresh(run))
    if checkpoints.newest is None:
        raise InputError(f"--workdir: the run in {workdir} has no checkpoint yet.")
    return evaluate(run, SourceEncoder(run), saved, workdir)


def evaluate(run: experiment.Experiment, encode: SourceEncoder, saved, workdir: str) -> dict:
    """Metrics of a trained network; writes `encoder.bin`, `codes/` and `results.json`.

    Of a network with an inverse also `reconstruction.npz`; see `reconstruction.measure`.

    `encoded` are the metrics with the database encoded by the network, as the queries are;
    `learned` those with the database's codes learned in training (FDAH's B), if the method has
    any. The two are different experiments and have different names everywhere: `map_encoded`,
    `map_learned`.

    Args:
      run: The experiment.
      encode: Its SourceEncoder.
      saved: What a checkpoint holds: state, extra, seconds.
      workdir: The run's folder.

    Returns:
      The content of `results.json`. Times are in seconds: `train_seconds` of all epochs, whichever
      process ran them, without the writing of checkpoints; `encode_seconds_per_image` is the wall
      time from reading an image to its outputs, compiled, averaged over the database.
    """
    config, data, extra = run.config, run.data, jax.tree.map(jnp.asarray, saved["extra"])
    state = parallel.replicate(saved["state"], run.devices)
    outputs = {"queries": encode(state, data.queries)}  # The first call compiles.
    began = time.perf_counter()
    outputs["database"] = encode(state, data.database)
    encode_seconds = time.perf_counter() - began
    codes = {
        name: np.asarray(retrieval.pack_codes(run.method.logits(part)))
        for name, part in outputs.items()
    }
    learned = run.method.learned_codes(config, data, extra)
    if learned is not None:
        codes["database_learned"] = np.asarray(retrieval.pack_codes(learned))
    # Before the codes, which name the network: killed in between, old codes do not fit it.
    variables = _variables(saved["state"])
    network = encoder.save(run, variables, workdir)
    _save_codes(workdir, data, codes, bits=config.bits, network=network)

    steps = int(saved["state"].step)
    results = {
        "method": config.method.name,
        "model": config.model.name,
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
        "epochs_planned": config.epochs,
        "steps": steps,
        "parameters": models.count_parameters(saved["state"].params),
    }
    for name, key in (("learned", "database_learned"), ("encoded", "database")):
        if key in codes:
            results[name] = _metrics(config, data, codes["queries"], codes[key])
            results[f"map_{name}"] = results[name]["map"]
    results |= run.method.report(config, data, extra)
    if (reconstructed := reconstruction.measure(run, variables, workdir)) is not None:
        results["reconstruction"] = reconstructed
    results |= {
        "last_line": writer.last_line(workdir),
        "train_seconds": float(saved["seconds"]),
        "encode_seconds_per_image": encode_seconds / len(data.database),
        "eval_batch_size": config.eval_batch_size,
        "config": workdirs.plain(config),
        **provenance.describe(run.devices),
    }
    files.write_json(os.path.join(workdir, "results.json"), results)
    return results


def _metrics(config, data, queries, database):
    query_labels, labels = data.labels(data.queries), data.labels(data.database)
    total, relevant = retrieval.distance_histograms(
        queries, database, query_labels, labels, config.bits
    )
    ratios = retrieval.bit_balance(database, config.bits).tolist()
    return {
        **retrieval.summarize(total, relevant, **config.metrics),
        # None where a bit is 1 in every code: JSON has no infinity.
        "ones_to_zeros": [_finite(ratio) for ratio in ratios],
        # DAH's Table 5 has one number for all bits, and does not say how: here their mean.
        "ones_to_zeros_mean": _finite(math.fsum(ratios) / len(ratios)),
        "distinct_codes": len(np.unique(database, axis=0)),
    }


def _finite(ratio):
    return ratio if math.isfinite(ratio) else None


def _save_codes(workdir, data, codes, **made_by):
    for name, packed in codes.items():
        indices = data.queries if name == "queries" else data.database
        with files.replacing(os.path.join(workdir, "codes", f"{name}.npz"), "wb") as file:
            np.savez(file, codes=packed, labels=data.labels(indices), ids=indices, **made_by)
