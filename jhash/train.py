"""The only training loop: prepare, epochs, evaluate. No method is named in it."""

import functools
import os
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from jhash import evaluate, experiment, parallel, rng, workdirs
from jhash.checkpoint import Checkpoints
from jhash.data import augment, batches
from jhash.errors import InputError
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
    # Not before: a config that cannot be built claims no folder.
    with workdirs.lock(workdir):
        workdirs.claim(workdir, config)
        encode = evaluate.SourceEncoder(run)
        saved = _train(run, encode, workdir)
        return evaluate.evaluate(run, encode, saved, workdir)


def _train(run, encode, workdir):
    """The epochs that are still to do; gives what the last checkpoint holds."""
    config, method = run.config, run.method
    step = parallel.map_devices(make_step(run), donate=(0,))
    folder = os.path.join(workdir, "checkpoints")
    with Checkpoints(folder, config.keep_checkpoints) as checkpoints:
        saved = checkpoints.restore(evaluate.fresh(run))
        if method.pretrain and checkpoints.newest is None:
            saved = _pretrain(run, saved, workdir)
            checkpoints.save(0, saved)
        state = parallel.replicate(saved["state"], run.devices)
        extra, seconds = saved["extra"], saved["seconds"]
        done = int(saved["state"].step) // run.steps_per_epoch
        with Writer(workdir, int(saved["state"].step)) as writer, _bar(run, done) as bar:
            for epoch in range(done, config.epochs):
                began = time.perf_counter()
                # As JAX arrays from the first epoch of a process on: NumPy would round otherwise.
                extra = jax.tree.map(jnp.asarray, extra)
                indices = run.epoch_indices(extra, epoch)
                state = _run_epoch(run, step, state, extra, indices, epoch, writer, bar)
                extra, metrics = method.end_epoch(
                    config, run.data, extra, indices, functools.partial(encode, state)
                )
                steps = (epoch + 1) * run.steps_per_epoch
                if metrics:
                    writer.write(steps, epoch + 1, jax.device_get(metrics))
                seconds = seconds + (time.perf_counter() - began)
                if (epoch + 1) % config.checkpoint_every and epoch + 1 < config.epochs:
                    continue
                saved = {"state": parallel.first(state), "extra": extra, "seconds": seconds}
                saved = jax.device_get(saved)
                # A bad value that no metric shows must not replace the last good checkpoint.
                writer.check(steps, epoch + 1, _totals(saved))
                writer.flush()
                checkpoints.save(epoch + 1, saved)
    return saved


def _pretrain(run, fresh, workdir):
    """What a checkpoint holds after the method's `pretrain`."""
    began = time.perf_counter()
    state = fresh["state"]
    params, extra = run.method.pretrain(
        run.config, run.data, state.params, fresh["extra"], os.path.join(workdir, "pretrain")
    )
    for name, old, new in (("params", state.params, params), ("extra", fresh["extra"], extra)):
        if jax.tree.map(_kind, old) != jax.tree.map(_kind, new):
            raise InputError(
                f"config.method.name: pretrain of {run.config.method.name} gave {name} of another "
                "structure, shape or dtype than it got."
            )
    state = state.replace(params=params, opt_state=run.optimizer.init(params))
    return jax.device_get(
        {"state": state, "extra": extra, "seconds": np.asarray(time.perf_counter() - began)}
    )


def _kind(leaf):
    return np.shape(leaf), np.result_type(leaf)


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
        # Dropout draws a mask for the device's whole share, so it does depend on their number.
        dropout = jax.random.fold_in(rng.stream(config.seed, "dropout"), state.step)
        dropout = jax.random.fold_in(dropout, places[0])
        seen = parallel.gather({"labels": batch["labels"], "index": batch["index"]})

        def objective(params):
            outputs, changed = run.model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                x,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": dropout},
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
    extra = parallel.replicate(extra, run.devices)
    orders = batches.split(indices, run.config.batch_size)
    if len(orders) != run.steps_per_epoch:
        raise InputError(
            f"config.method.name: begin_epoch of {run.config.method.name} gave {len(indices)} "
            f"samples in epoch {epoch}, {len(orders)} batches; every epoch must have as many "
            f"batches as the first, {run.steps_per_epoch}."
        )
    number, late = epoch * run.steps_per_epoch, None
    for batch in batches.read(run.data.source, orders):
        state, metrics = step(state, extra, parallel.shard(batch, run.devices))
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
        if jnp.issubdtype(leaf.dtype, jnp.floating)
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
