"""The only training loop: prepare, epochs, evaluate. No method is named in it."""

import os
import sys
import time

import jax
import numpy as np
import optax
import tqdm

from jhash import evaluate, experiment, parallel, rng, workdirs
from jhash.checkpoint import Checkpoints
from jhash.data import augment, batches
from jhash.state import TrainState
from jhash.writer import Writer


def train(config, workdir: str) -> dict:
    """Trains as the config says, or goes on where an earlier process stopped, then evaluates.

    Args:
      config: A config as those in `configs/`.
      workdir: The run's folder; a run of the same config in it is continued.

    Returns:
      The results, as in `results.json`.

    Raises:
      InputError: The config or the workdir is bad.
      NonFiniteError: A metric became NaN or infinite; the last good checkpoint stays.
    """
    config = workdirs.check(workdir, config)
    run = experiment.build(config)
    workdirs.claim(workdir, config)  # Not before: a config that cannot be built claims nothing.
    step = parallel.map_devices(make_step(run), donate=(0,))
    encode = evaluate.Encoder(run)
    with Checkpoints(os.path.join(workdir, "checkpoints"), config.keep_checkpoints) as checkpoints:
        done, saved = checkpoints.restore(evaluate.fresh(run))
        state, extra, seconds = parallel.replicate(saved["state"]), saved["extra"], saved["seconds"]
        with Writer(workdir, int(saved["state"].step)) as writer, _bar(run, done) as bar:
            for epoch in range(done, config.epochs):
                began = time.perf_counter()
                indices = run.epoch_indices(extra, epoch)
                state = _run_epoch(run, step, state, extra, indices, epoch, writer, bar)
                extra, metrics = run.method.end_epoch(
                    config,
                    run.data,
                    extra,
                    indices,
                    lambda chosen: encode(state, chosen),  # noqa: B023
                )
                writer.write((epoch + 1) * run.steps_per_epoch, epoch + 1, jax.device_get(metrics))
                seconds = seconds + (time.perf_counter() - began)
                if (epoch + 1) % config.checkpoint_every == 0 or epoch + 1 == config.epochs:
                    tree = {"state": parallel.first(state), "extra": extra, "seconds": seconds}
                    tree = jax.device_get(tree)
                    # A bad value that no metric shows must not replace the last good checkpoint.
                    writer.check((epoch + 1) * run.steps_per_epoch, epoch + 1, _totals(tree))
                    writer.flush()
                    checkpoints.save(epoch + 1, tree)
    return evaluate.evaluate(run, encode, state, extra, workdir, float(seconds))


def make_step(run: experiment.Experiment):
    """The training step of an experiment, to be mapped over the devices.

    Returns:
      (state, extra, batch) -> (state, metrics), where `batch` is a device's share.
    """
    config = run.config

    def step(state: TrainState, extra, batch):
        key = jax.random.fold_in(rng.stream(config.seed, "step"), state.step)
        # A sample's augmentation depends on its place in the global batch, not on its device.
        places = parallel.positions(len(batch["images"]))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, places)
        x = augment.train_images(batch["images"], keys, run.mean, **config.image, **config.augment)
        seen = parallel.gather({"labels": batch["labels"], "index": batch["index"]})

        def objective(params):
            outputs, changed = run.model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                x,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": keys[0]},
            )
            loss, aux = run.method.loss(parallel.gather(outputs), seen, extra, config)
            return loss, (aux, changed.get("batch_stats", {}))

        (loss, (aux, batch_stats)), gradients = jax.value_and_grad(objective, has_aux=True)(
            state.params
        )
        gradients = parallel.mean(gradients)
        updates, opt_state = run.optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {"loss": loss, **aux, "grad_norm": optax.tree.norm(gradients)}
        return TrainState(state.step + 1, params, batch_stats, opt_state), metrics

    return step


def _run_epoch(run, step, state, extra, indices, epoch, writer, bar):
    """The steps of one epoch; metrics are fetched a step late, so that devices need not wait."""
    extra = parallel.replicate(extra)
    orders = batches.split(indices, run.config.batch_size)
    number, late = epoch * run.steps_per_epoch, None
    for batch in batches.read(run.data.source, orders):
        state, metrics = step(state, extra, parallel.shard(batch))
        number += 1
        if late:
            _report(run, writer, bar, epoch, *late)
        late = number, metrics
    _report(run, writer, bar, epoch, *late)
    return state


def _report(run, writer, bar, epoch, number, metrics):
    metrics = jax.device_get(parallel.first(metrics))
    writer.check(number, epoch, metrics)
    if number % run.config.log_every == 0:
        writer.write(number, epoch, metrics)
        rate = bar.format_dict["rate"]
        if rate:
            writer.write_events(number, {"images_per_second": rate})
    progress = f"{epoch + 1}/{run.config.epochs}"
    bar.set_postfix(refresh=False, epoch=progress, loss=f"{metrics['loss']:.4g}")
    bar.update(run.config.batch_size)


def _totals(tree):
    """The sum of every real leaf, by its path: not finite if one of its elements is not."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        "checkpoint" + jax.tree_util.keystr(path): np.sum(leaf, dtype=np.float64)
        for path, leaf in leaves
        if np.issubdtype(leaf.dtype, np.floating)
    }


def _bar(run, epochs_done):
    images = run.steps_per_epoch * run.config.batch_size
    return tqdm.tqdm(
        total=run.config.epochs * images,
        initial=epochs_done * images,
        desc="train",
        unit="img",
        unit_scale=True,
        # A log file gets a line now and then, a terminal a living bar.
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )
