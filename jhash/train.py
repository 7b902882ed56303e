"""The training loop that all methods share: prepare, epochs, evaluate. It names no method."""

import contextlib
import functools
import json
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jhash import evaluate, optimizers, parallel, rng
from jhash.data import Data, augment, batches, in_memory, preprocess
from jhash.encoding import SourceEncoder, kept_features, warm_start
from jhash.errors import InputError
from jhash.experiment import Experiment, TrainState, build
from jhash.optimizers import parts
from jhash.pretrained import features
from jhash.runs import best as bests
from jhash.runs import epochs as runs_epochs
from jhash.runs import image_record, paths, profile, workdirs
from jhash.runs.epochs import Epochs
from jhash.system import faults, interrupts


def train(config, workdir: str | os.PathLike[str], data: Data | None = None) -> dict:
    """Trains as the config says, or continues where an earlier process stopped; then evaluates.

    Ctrl-C and SIGTERM stop the training after the current step and save it; see
    `interrupts.held`. The next call continues with the next step, and ends with the same bits.

    Args:
      config: A config like those in `configs/`.
      workdir: Folder of the run. If it holds a run of the same config, that run is continued. Of
        several processes, the main one alone uses it; see `jhash.parallel.processes`.
      data: Data in place of those that the config names, such as arrays of a notebook; see
        `jhash.data.from_arrays`. The run's config then names a digest of them, and the run can be
        continued or evaluated again only where they are passed again.

    Returns:
      The results, as in `results.json`.

    Raises:
      InputError: The config cannot be built, the folder cannot hold its run, a file cannot be
        written, or memory is short.
      NonFiniteError: A metric became NaN or infinite; the last good checkpoint stays.
      KeyboardInterrupt: Ctrl-C has stopped the call.
    """
    if data is not None:
        config = in_memory.named(config, data)
    with workdirs.of_process(workdirs.as_path(workdir)) as folder:
        return _train_in(folder, config, data)


def _train_in(workdir, config, data):
    """Does the work of `train` in a folder of this process."""
    workdirs.check_writable(workdir)
    if data is None:
        _refuse_missing_data(workdir)
    config = workdirs.check(workdir, config)
    begun = bool(parallel.from_main(np.asarray(os.path.exists(paths.config(workdir)))))
    # The images of a run that has begun were checked then.
    examined = image_record.read_for_all(workdir) if begun else None
    experiment = build(config, check_images=not begun, given=data, examined=examined)
    _check_equal(config, experiment)
    if not begun:
        experiment.method.check(config, experiment.data)
    _check_profile(config, experiment)
    evaluate.check_keep_metric(experiment)
    first = experiment.first()
    kept_there = runs_epochs.kept(workdir, experiment.steps_per_epoch)
    if config.init_from and not kept_there and parallel.is_main():
        first = _started(experiment, first)

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
        _check_lengthening(config, experiment, workdir)
        if not begun:
            image_record.write(workdir, experiment.examined)
        workdirs.claim(workdir, config)
        encode = SourceEncoder(experiment, workdir)
        saved = _train(experiment, first, encode, workdir)
        with interrupts.at_once(), workdirs.evaluating(workdir):
            return evaluate.evaluate(experiment, encode, saved, workdir)


def _check_equal(config, experiment):
    """Checks that all processes have the same config and the same labels."""
    if parallel.process_count() == 1:
        return
    text = json.dumps(workdirs.plain(config), sort_keys=True)
    parallel.check_equal("--config", text.encode())
    data = experiment.data
    # An image that one of them cannot read is in none of these.
    for array in (data.source.labels, data.train, data.database, data.queries, data.validation):
        parallel.check_equal("config.data.source", np.ascontiguousarray(array).tobytes())


def _refuse_missing_data(workdir):
    """Refuses to continue a run whose data were passed to it, and are not passed now."""
    if os.path.exists(paths.config(workdir)):
        there = workdirs.load(workdir).get("data")
        source = there.get("source") if hasattr(there, "get") else None
        if str(source).startswith(in_memory.PREFIX):
            raise InputError(
                f"data: none given for {workdir}, a run whose data a program had in memory "
                f"({source}); allowed: the same data, as data=... of train.train."
            )


def _check_profile(config, experiment):
    """Checks that the run has the steps of which a trace is to be written."""
    steps = config.epochs * experiment.steps_per_epoch
    if config.profile_steps and config.profile_from > steps:
        raise InputError(
            f"config.profile_from: {config.profile_from} given; allowed: 1 to {steps}, as the run "
            f"has {steps} steps, or config.profile_steps=0."
        )


def _check_lengthening(config, experiment, workdir):
    """Checks that a run that gets more epochs ends as one that had them from the start.

    It does if the steps that were planned have the same learning rates as before, and the same
    loss. A cosine and a warm-up are stretched by more epochs, so the steps that are done would have
    had other rates.
    """
    steps, planned = experiment.steps_per_epoch, workdirs.planned_epochs(workdir)
    if planned is None or planned == config.epochs:
        return
    before, now = (
        jax.vmap(optimizers.schedule(config.optimizer, epochs * steps, steps))
        for epochs in (planned, config.epochs)
    )
    numbers = jnp.arange(planned * steps)
    if experiment.method.reads_epochs:
        why = f"the loss of {config.method.name} depends on the number of epochs"
    elif plain := config.augment.get("plain", 0.0):
        why = f"its end had plain images (config.augment.plain is {plain:g})"
    elif not np.array_equal(before(numbers), now(numbers)):
        why = (
            "the learning rates of its steps depend on the number of epochs "
            f"(config.optimizer.schedule is {config.optimizer.schedule}, warmup "
            f"{config.optimizer.warmup:g})"
        )
    else:
        return
    raise InputError(
        f"config.epochs: {config.epochs} given for {workdir}, a run of {planned}; allowed: "
        f"{planned}, as {why}; or a new run with config.init_from={workdir}."
    )


def _started(experiment, first):
    """Replaces the start of a run by the model of the run `config.init_from`."""
    there = warm_start.read(experiment, first["train_state"].variables)
    train_state = experiment.start(there["params"], there["batch_stats"])
    return jax.device_get({**first, "train_state": train_state})


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
    """Trains to the end, and returns the content of the last checkpoint."""
    config, method = experiment.config, experiment.method
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
        if not epochs.begun and (method.pretrain or config.init_from):
            if method.pretrain:
                with interrupts.at_once():
                    saved = _pretrain(experiment, saved, workdir)
            epochs.save(0, saved)
        done = epochs.done * experiment.steps_per_epoch + epochs.within
        traced = config.profile_from, config.profile_steps
        with profile.traced(_map_step(experiment), workdir, done, *traced) as step:
            return _run_epochs(experiment, step, saved, indices, encode, epochs)


def _run_epochs(experiment, step, saved, indices, encode, epochs):
    """Runs the remaining epochs.

    Args:
      experiment: The experiment.
      step: The training step, mapped over the devices.
      saved: The content of the newest checkpoint.
      indices: The order of the samples of the epoch that a signal has cut short, or None.
      encode: The SourceEncoder of the experiment.
      epochs: The `Epochs` of the run.

    Returns:
      The content of the last checkpoint.
    """
    config, method = experiment.config, experiment.method
    train_state = parallel.replicate(saved["train_state"], experiment.devices)
    state, seconds, best = saved["state"], saved["seconds"], saved.get("best")
    for epoch in epochs:
        if bests.exhausted(best, config.patience):
            break
        began = time.perf_counter()
        # A restored state has NumPy arrays, whose arithmetic in the method's hooks rounds
        # differently from that of JAX. So every epoch begins with JAX arrays.
        state = jax.tree.map(jnp.asarray, state)
        if indices is None:
            indices = experiment.epoch_indices(state, epoch)
        train_state, state, done = _run_epoch(
            experiment, encode.training_source, step, train_state, state, indices, epoch, epochs
        )
        try:
            if done < experiment.steps_per_epoch or parallel.any_process(interrupts.requested()):
                raise interrupts.Interrupted
            with _at_once():
                # A copy of the containers, in case the method changes them before a signal.
                new_state, metrics = method.end_epoch(
                    config,
                    experiment.data,
                    jax.tree.map(lambda leaf: leaf, state),
                    indices,
                    functools.partial(encode.of_one_view, train_state),
                )
                new_state, metrics = parallel.from_main((new_state, metrics))
                trained = time.perf_counter() - began
                validation = {}
                if config.eval_every and (epoch + 1) % config.eval_every == 0:
                    validation = parallel.from_main(
                        evaluate.validate(experiment, encode, train_state.averaged(), new_state)
                    )
        except interrupts.Interrupted:
            seconds = seconds + (time.perf_counter() - began)
            saved = _checkpoint(train_state, state, seconds, best)
            steps = epoch * experiment.steps_per_epoch + done
            epochs.log.check(steps, epoch, _totals(saved))
            epochs.stop(epoch, done, _with_order(experiment, saved, indices))
        state, indices = new_state, None
        seconds = seconds + trained
        steps = (epoch + 1) * experiment.steps_per_epoch
        metrics = {**metrics, **{f"validation/{name}": validation[name] for name in validation}}
        if metrics:
            epochs.log.write(steps, epoch + 1, jax.device_get(metrics))
        if validation and best is not None:
            content = functools.partial(_checkpoint, train_state, state, seconds)
            best = bests.update(best, epoch + 1, validation[config.keep_metric], content)
        last = epoch + 1 == config.epochs or bests.exhausted(best, config.patience)
        due = last or (epoch + 1) % config.checkpoint_every == 0
        stop = parallel.any_process(interrupts.requested())
        if not due and not stop:
            continue
        saved = _checkpoint(train_state, state, seconds, best)
        # A value that is not finite may show in no metric; the last good checkpoint must not be
        # replaced by one that holds it.
        epochs.log.check(steps, epoch + 1, _totals(saved))
        epochs.save(epoch + 1, saved)
        if stop:
            raise interrupts.Interrupted
    return saved


def _at_once():
    """Lets a signal end the block at once, unless other processes would wait for this one."""
    return interrupts.at_once() if parallel.process_count() == 1 else contextlib.nullcontext()


def _checkpoint(train_state, state, seconds, best=None):
    """Returns the content of a checkpoint, on the host; see `Experiment.first`."""
    train_state = parallel.unreplicate(train_state)
    content = {"train_state": train_state, "state": state, "seconds": seconds}
    return jax.device_get(content if best is None else {**content, "best": best})


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
    began, of_features = time.perf_counter(), features.seconds()
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
    train_state = experiment.start(params, train_state.batch_stats)
    of_features = features.seconds() - of_features
    seconds = np.asarray(time.perf_counter() - began - of_features)
    content = {"train_state": train_state, "state": state, "seconds": seconds}
    return jax.device_get(parallel.from_main({**first, **content}))


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
    method, forward = experiment.method, make_forward(experiment)
    step = (method.make_step or _gradient_step)(experiment, forward)
    decay = experiment.config.optimizer.average
    return _averaging(step, decay) if decay else step


def _averaging(step, decay):
    """Makes a training step that also advances the moving average of the weights."""

    def averaging(train_state, state, batch):
        new, new_state, metrics = step(train_state, state, batch)
        return train_state.advanced(new, decay), new_state, metrics

    return averaging


def _gradient_step(experiment, forward):
    """Makes the training step of methods that have a loss."""
    config, method = experiment.config, experiment.method

    def step(train_state: TrainState, state, batch):
        def objective(params):
            params = parts.stop_gradients(config.optimizer.rates, params)
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
        train_state = train_state.replace(
            step=train_state.step + 1, params=params, batch_stats=batch_stats, opt_state=opt_state
        )
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
    make_views = _make_views(experiment)

    def apply(params, batch_stats, step, images, keys, dropout):
        x = make_views(images, keys, step)
        outputs, changed = experiment.model.apply(
            {"params": params, "batch_stats": batch_stats},
            x if views == 1 else x.reshape(-1, *x.shape[2:]),
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout},
        )
        if views > 1:
            outputs = jax.tree.map(lambda leaf: leaf.reshape(views, -1, *leaf.shape[1:]), outputs)
        return outputs, changed.get("batch_stats", {})

    def forward(params, train_state, batch):
        key = rng.stream(config.seed, "step", train_state.step)
        # The augmentation of a sample depends on its place in the global batch, not on its device.
        places = parallel.positions(len(batch["images"]))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, places)
        # Dropout draws one mask for the share of a device, so it depends on the number of devices.
        dropout = rng.stream(config.seed, "dropout", train_state.step)
        dropout = jax.random.fold_in(dropout, places[0])
        with_stats = functools.partial(apply, params, train_state.batch_stats, train_state.step)
        if config.accumulate > 1:
            with_stats = _in_parts(with_stats, config.accumulate, batch_axis=int(views > 1))
        outputs, batch_stats = with_stats(batch["images"], keys, dropout)
        outputs = parallel.all_gather(outputs, axis=0 if views == 1 else 1)
        global_batch = parallel.all_gather({"labels": batch["labels"], "index": batch["index"]})
        global_batch["key"] = rng.stream(config.seed, "loss", train_state.step)
        global_batch["step"] = train_state.step
        return outputs, global_batch, batch_stats

    return forward


def _make_views(experiment):
    """Makes the function (images, keys, step) -> the model's input in training."""
    config = experiment.config
    if kept_features.trainable(experiment):
        # `SourceEncoder.training_source` has features in place of images.
        return lambda kept, keys, step: kept
    image, changes = config.image.to_dict(), config.augment.to_dict()
    plain = changes.pop("plain", 0.0)
    first_plain = round((1 - plain) * config.epochs * experiment.steps_per_epoch)

    def make_views(images, keys, step):
        if not plain:
            return augment.train_views(images, keys, experiment.mean, **image, **changes)
        # As the step is the same on all devices, each of them runs one branch alone.
        return jax.lax.cond(
            step < first_plain,
            lambda: augment.train_views(images, keys, experiment.mean, **image, **changes),
            lambda: preprocess.eval_images(images, experiment.mean, **image),
        )

    return make_views


def _in_parts(apply, count, batch_axis):
    """Makes a forward pass that runs the parts of a batch one after another.

    Only the activations of one part are in memory at a time. For the gradient, each part is
    computed a second time, once the loss has seen the outputs of all; so the loss and its gradient
    are those of the whole batch, also for losses over pairs (as in GradCache, Gao et al. 2021).
    BatchNorm normalizes by the statistics of each part, and the new running statistics are the
    means over the parts.

    Args:
      apply: The forward pass: (images, keys, dropout key) -> (outputs, BatchNorm statistics).
      count: Number of parts.
      batch_axis: The axis of samples in the outputs.

    Returns:
      A function like `apply`.
    """

    def one_part(arguments):
        images, keys, dropout = arguments
        return apply(images, keys, dropout)

    def join(leaf):
        leaf = jnp.moveaxis(leaf, 0, batch_axis)
        samples = leaf.shape[batch_axis] * leaf.shape[batch_axis + 1]
        return leaf.reshape(*leaf.shape[:batch_axis], samples, *leaf.shape[batch_axis + 2 :])

    def all_parts(images, keys, dropout):
        split = lambda x: x.reshape(count, -1, *x.shape[1:])  # noqa: E731
        dropouts = jax.vmap(jax.random.fold_in, (None, 0))(dropout, jnp.arange(count))
        outputs, batch_stats = jax.lax.map(
            jax.checkpoint(one_part), (split(images), split(keys), dropouts)
        )
        return jax.tree.map(join, outputs), jax.tree.map(lambda x: x.mean(axis=0), batch_stats)

    return all_parts


def _run_epoch(experiment, source, step, train_state, state, indices, epoch, epochs):
    """Runs the remaining steps of one epoch, or fewer if a signal asks to stop.

    The metrics of a step are fetched only when the next step has begun, so that no device waits.
    Nothing is computed for them then: a device would do that after the step that it has begun.

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
    late = None  # The number, the metrics and the learning rate of the previous step.
    stop = parallel.Agreement()
    left = parallel.share(orders[done:], axis=1)
    # Features are in memory, and need no processes that decode.
    workers = config.data.get("workers", 0) if source is experiment.data.source else 0
    for batch in batches.prefetch(source, left, workers=workers):
        share = parallel.shard(batch, experiment.devices)
        train_state, new_state, metrics = step(train_state, replicated, share)
        if new_state is not None:
            replicated = new_state
            changed = True
        number += 1
        if late:
            _report(experiment, epochs, epoch, *late)
        logged = number % config.log_every == 0
        # The rate of the step itself, before which there were fewer steps by one.
        rate = experiment.learning_rate(jnp.asarray(number - 1)) if logged else None
        late = number, metrics, rate
        if stop.ask(interrupts.requested()):
            break
    if late:
        _report(experiment, epochs, epoch, *late)
    state = parallel.unreplicate(replicated) if changed else state
    return train_state, state, number - epoch * steps


def _report(experiment, epochs, epoch, number, metrics, rate):
    """Checks and logs the metrics of a step, and moves the bar."""
    config = experiment.config
    metrics = parallel.fetch(metrics)
    bar = epochs.bar
    epochs.log.check(number, epoch, metrics)
    if rate is not None:
        rate = {"learning_rate": float(jax.device_get(rate))}
        epochs.log.write(number, epoch, rate | metrics)
        speed = bar.format_dict["rate"]
        if speed:
            epochs.log.write_events(number, {"images_per_second": speed})
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
