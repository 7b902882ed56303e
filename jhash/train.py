"""The training loop that all methods share: prepare, epochs, evaluate. It names no method."""

import contextlib
import functools
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jhash import evaluate, parallel, rng
from jhash.data import augment, batches
from jhash.encoding import SourceEncoder
from jhash.errors import InputError
from jhash.experiment import Experiment, TrainState, build
from jhash.runs import epochs as runs_epochs
from jhash.runs import paths, workdirs
from jhash.runs.epochs import Epochs
from jhash.system import faults, interrupts


def train(config, workdir: str | os.PathLike[str]) -> dict:
    """Trains as the config says, or continues where an earlier process stopped; then evaluates.

    Ctrl-C and SIGTERM stop the training after the current step and save it; see
    `interrupts.held`. The next call continues with the next step, and ends with the same bits.

    Args:
      config: A config like those in `configs/`.
      workdir: Folder of the run. If it holds a run of the same config, that run is continued.

    Returns:
      The results, as in `results.json`.

    Raises:
      InputError: The config cannot be built, the folder cannot hold its run, a file cannot be
        written, or memory is short.
      NonFiniteError: A metric became NaN or infinite; the last good checkpoint stays.
      KeyboardInterrupt: Ctrl-C has stopped the call.
    """
    workdir = workdirs.as_path(workdir)
    workdirs.check_writable(workdir)
    config = workdirs.check(workdir, config)
    begun = os.path.exists(paths.config(workdir))
    # The images of a run that has begun were checked then.
    experiment = build(config, check_images=not begun)
    if not begun:
        experiment.method.check(config, experiment.data)
    first = experiment.first()

    def kept():
        saved = runs_epochs.kept(workdir, experiment.steps_per_epoch)
        if saved:
            return f"{workdir} keeps {saved}; the same command goes on from there."
        return f"{workdir} has no checkpoint yet; the same command begins anew" + (
            f", but takes what {paths.pretrain(workdir)} keeps."
            if os.path.isdir(paths.pretrain(workdir))
            else "."
        )

    # The folder is claimed only now, since a config that cannot be built should leave no folder.
    with interrupts.held(kept), _faults_explained(config, kept), workdirs.lock(workdir):
        workdirs.claim(workdir, config)
        encode = SourceEncoder(experiment)
        saved = _train(experiment, first, encode, workdir)
        with interrupts.at_once(), workdirs.evaluating(workdir):
            return evaluate.evaluate(experiment, encode, saved, workdir)


@contextlib.contextmanager
def _faults_explained(config, kept):
    """Turns errors that the system causes in the block into InputErrors that say what is kept."""
    try:
        yield
    except Exception as error:
        line = faults.explain(error)
        if line is None:
            raise
        if faults.is_memory(error):
            line += (
                f" A lower config.batch_size ({config.batch_size} here) or config.eval_batch_size "
                f"({config.eval_batch_size} here) needs less."
            )
        raise InputError(f"{line} {kept()}") from error


def _train(experiment, first, encode, workdir):
    """Runs the remaining epochs, and returns the content of the last checkpoint."""
    config, method = experiment.config, experiment.method
    step = _map_step(experiment)
    images = experiment.steps_per_epoch * config.batch_size
    with Epochs(
        workdir,
        total=config.epochs,
        steps=experiment.steps_per_epoch,
        keep=config.keep_checkpoints,
        scale=images,
        desc="train",
        unit="img",
        unit_scale=True,
    ) as epochs:
        indices = None
        if epochs.within:
            saved, indices = _split_order(epochs.restore(_with_order(experiment, first)))
        else:
            saved = epochs.restore(first)
        if method.pretrain and not epochs.begun:
            with interrupts.at_once():
                saved = _pretrain(experiment, saved, workdir)
            epochs.save(0, saved)
        train_state = parallel.replicate(saved["train_state"], experiment.devices)
        state, seconds = saved["state"], saved["seconds"]
        for epoch in epochs:
            began = time.perf_counter()
            # A restored state has NumPy arrays, whose arithmetic in the method's hooks rounds
            # differently from that of JAX. So every epoch begins with JAX arrays.
            state = jax.tree.map(jnp.asarray, state)
            if indices is None:
                indices = experiment.epoch_indices(state, epoch)
            train_state, state, done = _run_epoch(
                experiment, step, train_state, state, indices, epoch, epochs
            )
            try:
                if done < experiment.steps_per_epoch:
                    raise interrupts.Interrupted
                with interrupts.at_once():
                    # A copy of the containers, in case the method changes them before a signal.
                    new_state, metrics = method.end_epoch(
                        config,
                        experiment.data,
                        jax.tree.map(lambda leaf: leaf, state),
                        indices,
                        functools.partial(encode, train_state),
                    )
            except interrupts.Interrupted:
                seconds = seconds + (time.perf_counter() - began)
                saved = _checkpoint(train_state, state, seconds)
                steps = epoch * experiment.steps_per_epoch + done
                epochs.log.check(steps, epoch, _totals(saved))
                epochs.stop(epoch, done, _with_order(experiment, saved, indices))
            state, indices = new_state, None
            steps = (epoch + 1) * experiment.steps_per_epoch
            if metrics:
                epochs.log.write(steps, epoch + 1, jax.device_get(metrics))
            seconds = seconds + (time.perf_counter() - began)
            due = (epoch + 1) % config.checkpoint_every == 0 or epoch + 1 == config.epochs
            if not due and not interrupts.requested():
                continue
            saved = _checkpoint(train_state, state, seconds)
            # A value that is not finite may show in no metric; the last good checkpoint must not be
            # replaced by one that holds it.
            epochs.log.check(steps, epoch + 1, _totals(saved))
            epochs.save(epoch + 1, saved)
            interrupts.stop_if_requested()
    return saved


def _checkpoint(train_state, state, seconds):
    """Returns the content of a checkpoint, on the host; see `Experiment.first`."""
    return jax.device_get(
        {"train_state": parallel.unreplicate(train_state), "state": state, "seconds": seconds}
    )


def _with_order(experiment, saved, indices=()):
    """Adds the order of an epoch's samples to the content of a checkpoint within the epoch.

    The method may have drawn the order from a state that has changed since.

    Args:
      experiment: The experiment.
      saved: The content of a checkpoint at the end of an epoch.
      indices: The order, int [N]; it may be empty if only structure, shapes and dtypes matter.

    Returns:
      The content, with the order filled up to a length that every epoch has.
    """
    order = np.zeros(experiment.steps_per_epoch * experiment.config.batch_size, np.int64)
    order[: len(indices)] = indices
    return {**saved, "order": order, "samples": np.asarray(len(indices))}


def _split_order(saved):
    """Undoes `_with_order`; returns (saved, indices)."""
    saved = dict(saved)
    order, samples = saved.pop("order"), saved.pop("samples")
    return saved, order[: int(samples)]


def _pretrain(experiment, first, workdir):
    """Runs the method's `pretrain`, and returns the content of the checkpoint after it."""
    began = time.perf_counter()
    name = experiment.config.method.name
    train_state = first["train_state"]
    params, state = experiment.method.pretrain(
        experiment.config,
        experiment.data,
        train_state.params,
        first["state"],
        paths.pretrain(workdir),
    )
    _check_structure(name, "params", train_state.params, params)
    _check_structure(name, "state", first["state"], state)
    train_state = train_state.replace(params=params, opt_state=experiment.optimizer.init(params))
    seconds = np.asarray(time.perf_counter() - began)
    return jax.device_get({"train_state": train_state, "state": state, "seconds": seconds})


def _check_structure(method, name, before, after):
    kind = lambda leaf: (np.shape(leaf), np.result_type(leaf))  # noqa: E731
    if jax.tree.map(kind, before) != jax.tree.map(kind, after):
        raise InputError(
            f"config.method.name: {method!r} given, whose pretrain returned {name} of another "
            f"structure, shape or dtype; allowed: {name} like those it was called with."
        )


def _map_step(experiment):
    """Maps the training step over the devices; it reuses the memory of what it replaces."""
    method = experiment.method
    stateful = method.after_step or method.make_step
    return parallel.map_devices(make_step(experiment), donate=(0, 1) if stateful else (0,))


def make_step(experiment: Experiment):
    """Makes the training step of an experiment, to be mapped over the devices.

    Returns:
      A function (train_state, state, batch) -> (train_state, state, metrics). `batch` is the share
      of one device, with `images`, `labels` and `index`. The returned state is None if the method
      has neither `after_step` nor `make_step`: the state is unchanged.
    """
    config, method, forward = experiment.config, experiment.method, make_forward(experiment)
    if method.make_step:
        return method.make_step(experiment, forward)

    def step(train_state: TrainState, state, batch):
        def objective(params):
            outputs, global_batch, batch_stats = forward(params, train_state, batch)
            loss, aux = method.loss(outputs, global_batch, state, config)
            return loss, (aux, outputs, global_batch, batch_stats)

        (loss, (aux, outputs, global_batch, batch_stats)), gradients = jax.value_and_grad(
            objective, has_aux=True
        )(train_state.params)
        gradients = parallel.pmean(gradients)
        updates, opt_state = experiment.optimizer.update(
            gradients, train_state.opt_state, train_state.params
        )
        params = optax.apply_updates(train_state.params, updates)
        metrics = {"loss": loss, **aux, "grad_norm": optax.tree.norm(gradients)}
        new_state = (
            method.after_step(outputs, global_batch, state, config) if method.after_step else None
        )
        train_state = TrainState(train_state.step + 1, params, batch_stats, opt_state)
        return train_state, new_state, metrics

    return step


def make_forward(experiment: Experiment):
    """Makes the forward pass of a training step, on a device's share of the batch.

    Returns:
      A function (params, train_state, batch) -> (outputs, global_batch, batch_stats). `batch` is
      the share of one device. `outputs` are those of the *global* batch, [B, ...], or
      [views, B, ...] with several views. `global_batch` is the batch that a loss is given; see
      `jhash.methods`. `batch_stats` are the new BatchNorm statistics. The function is
      differentiable in `params`; the gradients are to be averaged over the devices by
      `parallel.pmean`.
    """
    config, views = experiment.config, experiment.config.augment.views

    def forward(params, train_state, batch):
        key = rng.stream(config.seed, "step", train_state.step)
        # The augmentation of a sample depends on its place in the global batch, not on its device.
        places = parallel.positions(len(batch["images"]))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, places)
        x = augment.train_views(
            batch["images"], keys, experiment.mean, **config.image, **config.augment
        )
        # Dropout draws one mask for the share of a device, so it depends on the number of devices.
        dropout = rng.stream(config.seed, "dropout", train_state.step)
        dropout = jax.random.fold_in(dropout, places[0])
        outputs, changed = experiment.model.apply(
            {"params": params, "batch_stats": train_state.batch_stats},
            x if views == 1 else x.reshape(-1, *x.shape[2:]),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout},
        )
        if views > 1:
            outputs = jax.tree.map(lambda leaf: leaf.reshape(views, -1, *leaf.shape[1:]), outputs)
        outputs = parallel.all_gather(outputs, axis=0 if views == 1 else 1)
        global_batch = parallel.all_gather({"labels": batch["labels"], "index": batch["index"]})
        global_batch["key"] = rng.stream(config.seed, "loss", train_state.step)
        global_batch["step"] = train_state.step
        return outputs, global_batch, changed.get("batch_stats", {})

    return forward


def _run_epoch(experiment, step, train_state, state, indices, epoch, epochs):
    """Runs the remaining steps of one epoch, or fewer if a signal asks to stop.

    The metrics of a step are fetched only when the next step has begun, so that no device waits.

    Returns:
      (train_state, state, steps): `steps` of the epoch are done and logged.
    """
    config = experiment.config
    steps = experiment.steps_per_epoch
    orders = batches.batch_indices(indices, config.batch_size)
    if len(orders) != steps:
        raise InputError(
            f"config.method.name: {config.method.name!r} given, whose begin_epoch returned "
            f"{len(indices)} samples in epoch {epoch}, {len(orders)} batches; allowed: as many "
            f"batches in every epoch as in the first, {steps}."
        )
    replicated = parallel.replicate(state, experiment.devices)
    changed = False
    done = epochs.steps_done(epoch)
    number = epoch * steps + done
    late = None  # The number and the metrics of the previous step.
    for batch in batches.prefetch(experiment.data.source, orders[done:]):
        share = parallel.shard(batch, experiment.devices)
        train_state, new_state, metrics = step(train_state, replicated, share)
        if new_state is not None:
            replicated = new_state
            changed = True
        number += 1
        if late:
            _report(config, epochs, epoch, *late)
        late = number, metrics
        if interrupts.requested():
            break
    if late:
        _report(config, epochs, epoch, *late)
    state = parallel.unreplicate(replicated) if changed else state
    return train_state, state, number - epoch * steps


def _report(config, epochs, epoch, number, metrics):
    """Checks and logs the metrics of a step, and moves the bar."""
    metrics = jax.device_get(parallel.unreplicate(metrics))
    bar = epochs.bar
    epochs.log.check(number, epoch, metrics)
    if number % config.log_every == 0:
        epochs.log.write(number, epoch, metrics)
        rate = bar.format_dict["rate"]
        if rate:
            epochs.log.write_events(number, {"images_per_second": rate})
    progress = f"{epoch + 1}/{config.epochs}"
    bar.set_postfix(refresh=False, epoch=progress, loss=f"{metrics['loss']:.4g}")
    bar.update(config.batch_size)


def _totals(tree):
    """Sums every real leaf, by its path; a sum is not finite if one of the elements is not."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        "checkpoint" + jax.tree_util.keystr(path): np.sum(leaf, dtype=np.float64)
        for path, leaf in leaves
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    }
