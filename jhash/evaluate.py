"""Evaluation: encodes queries and database, searches, and writes codes and results of a run."""

import math
import os
import sys
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from jhash import models, parallel, retrieval
from jhash.data import Data, in_memory
from jhash.encoding import SourceEncoder, encoder, kept_neighbors, reconstruction
from jhash.errors import InputError, in_config
from jhash.experiment import Experiment, build
from jhash.retrieval.metrics import collapse
from jhash.runs import best, code_files, image_record, log, paths, provenance, schema, workdirs
from jhash.runs.checkpoints import Checkpoints
from jhash.system import imports

# The images of which codes have these names, for messages.
_IMAGES = {"queries": "the queries", "encoded": "the database", "learned": "the database"}


def evaluate_workdir(
    workdir: str | os.PathLike[str],
    trust_modules: Collection[str] = (),
    metrics: Mapping[str, Any] | None = None,
    data: Data | None = None,
    mirror: bool | None = None,
) -> dict:
    """Evaluates the newest checkpoint of a run, whether the run is finished or not; see `evaluate`.

    Args:
      workdir: Folder of the run, which may be somebody else's.
      trust_modules: Modules of the user's own that the run may name; see `imports.opening`.
      metrics: Fields of `config.metrics` that replace those of the run, from now on.
      data: The data of a run to which they were passed, as to `train.train`.
      mirror: Replaces `config.image.mirror` of the run, from now on; None keeps it.

    Raises:
      InputError: There is no run in the folder, it has no checkpoint yet, or it names a module that
        is not trusted.
    """
    given = workdirs.as_path(workdir)
    with imports.opening(trust_modules), workdirs.of_process(given) as workdir:
        config = _changed(workdirs.load_for_all(workdir), metrics or {}, mirror)
        workdirs.check_writable(workdir)
        if data is not None:
            in_memory.check(config.data, data)
        experiment = build(config, given=data, examined=image_record.read_for_all(workdir))
        with workdirs.evaluating(workdir):
            with Checkpoints(paths.checkpoints(workdir)) as checkpoints:
                saved = checkpoints.restore(experiment.first())
                if checkpoints.newest is None:
                    raise InputError(
                        f"--workdir: {workdir} given, whose run has no checkpoint yet; allowed: "
                        "runs with at least one."
                    )
            workdirs.claim(workdir, config)
            return evaluate(experiment, SourceEncoder(experiment, workdir), saved, workdir)


def _changed(config, metrics, mirror):
    """Replaces what an evaluation may; the values are checked when the config is built."""
    changed = ml_collections.ConfigDict(config.to_dict())
    if isinstance(changed.get("metrics"), ml_collections.ConfigDict):
        for name, value in metrics.items():
            with changed.metrics.ignore_type():
                changed.metrics[name] = value
    if mirror is not None and isinstance(changed.get("image"), ml_collections.ConfigDict):
        with changed.image.ignore_type():
            changed.image.mirror = mirror
    return ml_collections.FrozenConfigDict(changed)


def evaluate(experiment: Experiment, encode: SourceEncoder, saved, workdir: str) -> dict:
    """Measures a trained model; writes `encoder.bin`, `codes/` and `results.json`.

    It also writes `reconstruction.npz` if the model has an inverse; see `encoding.reconstruction`.

    Queries are always encoded by the model. The database has up to two kinds of codes, and the
    results keep them apart by name: `encoded` and `map_encoded` are the metrics with the database
    encoded by the model, `learned` and `map_learned` those with codes of the database that the
    method learned in training (such as FDAH's B), if it has any. Without labels there are no
    rankings to measure, so no MAP, but the bits and the neighbors that codes keep.

    With `config.keep` "best" this is the model of the best epoch by `config.keep_metric`, if there
    was a validation. If there are validation images, `validation` has their metrics for the model
    that is evaluated; see `validate`.

    Args:
      experiment: The experiment.
      encode: The SourceEncoder of the experiment.
      saved: The content of a checkpoint; see `Experiment.first`.
      workdir: Folder of the run.

    Returns:
      The content of `results.json`. Times are in seconds. `train_seconds` is the time of
      `pretrain` and of all epochs, whichever process ran them, without those of features by a
      pretrained network and of writing checkpoints.
      `encode_seconds_per_image` is the wall time from reading an image to its outputs, without
      compilation, averaged over the database; for shallow methods, over a few batches of it.
    """
    config, data = experiment.config, experiment.data
    content, chosen_epoch = best.chosen(saved)
    state = jax.tree.map(jnp.asarray, content["state"])
    evaluated = content["train_state"].averaged()
    train_state = parallel.replicate(evaluated, experiment.devices)
    codes, seconds_per_image = _codes(experiment, data, encode, train_state, state)
    # The encoder is written before the codes, and these before the results; both name its digest.
    # If the process is killed in between, the old ones name another digest, so nobody mixes them.
    variables = evaluated.variables
    digest = encoder.save(experiment, variables, workdir)
    _save_codes(workdir, data, codes, bits=config.bits, network=digest)

    results = _description(experiment, saved["train_state"])
    for kind in paths.DATABASES:
        if kind in codes:
            if data.has_labels:
                results[kind] = _metrics(config, data, codes["queries"], codes[kind])
                results[f"map_{kind}"] = results[kind]["map"]
            else:
                kept = kept_neighbors.measure(config, data, codes["queries"], codes[kind], workdir)
                results[kind] = {"queries": len(data.queries), **kept}
                results[kind] |= _bits(config, codes[kind])
            _warn_of_collapse(kind, results[kind], data)
    if len(data.validation):
        # No image is encoded twice where the database is the training set.
        known = codes["encoded"] if np.array_equal(data.train, data.database) else None
        results["validation"] = {
            "metrics": validate(experiment, encode, train_state, state, known),
            "size": len(data.validation),
            "epoch": results["epochs"] if chosen_epoch is None else chosen_epoch,
            "chosen_by": None if chosen_epoch is None else config.keep_metric,
            "stopped_early": best.exhausted(saved.get("best"), config.patience),
        }
    results |= experiment.method.extra_results(config, experiment.data, state)
    reconstructed = reconstruction.measure(experiment, variables, workdir)
    if reconstructed is not None:
        results["reconstruction"] = reconstructed
    results |= {
        "network": digest,
        "last_line": log.last_line(workdir),
        "train_seconds": float(saved["seconds"]),
        "encode_seconds_per_image": seconds_per_image,
        "eval_batch_size": config.eval_batch_size,
        "config": workdirs.plain(config),
        **provenance.describe(experiment.devices),
    }
    schema.write_results(workdir, results)
    return results


def validate(
    experiment: Experiment, encode: SourceEncoder, train_state, state, encoded=None
) -> dict[str, float]:
    """Measures a model with the validation images as queries of the training set.

    The model encodes both; that is the kind `encoded`. The kind `learned` has the codes that the
    method has learned for the training images, if it has any. The test queries and the rest of the
    database take no part.

    Args:
      experiment: The experiment, whose data has validation images.
      encode: The SourceEncoder of the experiment.
      train_state: TrainState, replicated over the devices.
      state: State of the method.
      encoded: Packed codes of the training set by this model, if they are known.

    Returns:
      Metrics as METRIC_KIND, such as `map_encoded`; the larger, the better.
    """
    data = experiment.data.of_validation
    codes, _ = _codes(experiment, data, encode, train_state, state, encoded)
    return _means(experiment.config, data, codes)


def check_keep_metric(experiment: Experiment) -> None:
    """Checks that validation gives the metric by which the best epoch is kept.

    Raises:
      InputError: It does not; the message lists those that it gives.
    """
    config = experiment.config
    if config.keep != "best":
        return
    data = experiment.data.of_validation
    # Codes of zeros have the same metrics by name.
    words = -(-config.bits // 32)
    codes = {
        "queries": np.zeros((len(data.queries), words), np.uint32),
        "encoded": np.zeros((len(data.database), words), np.uint32),
    }
    if experiment.method.learned_codes(config, data, experiment.state) is not None:
        codes["learned"] = codes["encoded"]
    names = _means(config, data, codes)
    if config.keep_metric not in names:
        raise InputError(
            f"config.keep_metric: {config.keep_metric!r} given; allowed: {', '.join(names)}."
        )


def _means(config, data, codes):
    """Returns the metrics that are means over the queries, as METRIC_KIND.

    Those by recall are left out, as they are many, and curves rather than numbers to choose by.
    """
    if not data.has_labels:
        return {}
    summaries = {
        kind: _summary(config, data, codes["queries"], codes[kind])
        for kind in paths.DATABASES
        if kind in codes
    }
    return {
        f"{name}_{kind}": value
        for kind, summary in summaries.items()
        for name, value in summary.items()
        if isinstance(value, float) and "recall_at_" not in name and "_at_recall_" not in name
    }


def _codes(experiment, data, encode, train_state, state, encoded=None):
    """Computes all codes of queries and database.

    Args:
      experiment: The experiment.
      data: Its data, or its `of_validation`.
      encode: The SourceEncoder.
      train_state: TrainState, replicated over the devices.
      state: State of the method.
      encoded: Packed codes of the database by the model, if they are known.

    Returns:
      (codes, seconds): packed codes by the names of `paths.codes`, and the seconds that encoding
      an image of the database took; 0 if their codes are known.
    """
    method = experiment.method
    outputs = {"queries": encode(train_state, data.queries)}  # The first call compiles.
    seconds = 0.0
    if encoded is None:
        outputs["encoded"], seconds = encode.timed(train_state, data.database)
    codes = {
        name: _pack(f"hash outputs of {_IMAGES[name]}", method.hash_outputs(outputs_of_set))
        for name, outputs_of_set in outputs.items()
    }
    codes.setdefault("encoded", encoded)
    learned = method.learned_codes(experiment.config, data, state)
    if learned is not None:
        codes["learned"] = _pack(f"learned codes of {_IMAGES['learned']}", learned)
    return codes, seconds


def _pack(name, values):
    """Packs codes; errors call the values by a name."""
    with in_config({"values": name}):
        return np.asarray(retrieval.pack_codes(values))


def _warn_of_collapse(kind, metrics, data):
    """Says so if images that may differ all have one code, with which any order is random."""
    labels = data.labels(data.database)
    if metrics["distinct_codes"] == 1 and ((labels != labels[0]).any() or not data.has_labels):
        print(
            f"jhash: the {kind} codes have collapsed: all {len(labels)} database images have the "
            "same code, so that their ranking is random. The images are alike, or the training "
            "went wrong; a lower config.optimizer.learning_rate may help.",
            file=sys.stderr,
        )


def _save_codes(workdir, data, codes, **made_by):
    for name, packed in codes.items():
        indices = data.queries if name == "queries" else data.database
        path = paths.codes(workdir, name)
        code_files.write(path, packed, indices, labels=data.labels(indices), **made_by)


def _description(experiment, train_state):
    """Describes an experiment: the part of `results.json` that precedes the metrics."""
    config, data = experiment.config, experiment.data
    steps = int(train_state.step)
    return {
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
            **_facts_of_images(experiment),
        },
        "epochs": steps // experiment.steps_per_epoch,
        "epochs_planned": config.epochs,
        "steps": steps,
        "parameters": models.count_parameters(train_state.params),
    }


def _facts_of_images(experiment):
    """Returns what is not so for most runs: images were left out, there are no labels."""
    examined = experiment.examined
    facts = {"left_out": len(examined.unreadable)} if examined and examined.unreadable else {}
    return facts if experiment.data.has_labels else {**facts, "labeled": False}


def _summary(config, data, queries, database, **options):
    """Computes the metrics of the ranking of packed codes; see `retrieval.summarize`."""
    query_labels = data.labels(data.queries)
    database_labels = data.labels(data.database)
    total, relevant = retrieval.distance_histograms(
        queries, database, query_labels, database_labels, config.bits
    )
    with in_config("config.metrics."):
        return retrieval.summarize(total, relevant, **config.metrics, **options)


def _metrics(config, data, queries, database):
    """Computes the metrics of packed codes of the queries and of the database."""
    labels = data.labels(data.queries), data.labels(data.database)
    return {
        **_summary(config, data, queries, database, q_labels=labels[0]),
        **retrieval.summarize_within_categories(
            queries, database, *labels, config.bits, **config.metrics
        ),
        **_bits(config, database),
    }


def _bits(config, database):
    """Computes the metrics of packed codes of the database that need no labels."""
    ratios = retrieval.bit_balance(database, config.bits).tolist()
    return {
        # A bit that is 1 in every code has an infinite ratio, which JSON lacks: it becomes None.
        "ones_to_zeros": [_finite(ratio) for ratio in ratios],
        # DAH's Table 5 gives one number for all bits without saying how; this is their mean.
        "ones_to_zeros_mean": _finite(math.fsum(ratios) / len(ratios)),
        **collapse.count_lost_bits(retrieval.unpack_codes(database, config.bits) > 0),
    }


def _finite(ratio):
    return ratio if math.isfinite(ratio) else None
