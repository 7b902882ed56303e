"""The optimiser that a config describes: any of optax by name, and a schedule over the run."""

import inspect

import optax

from jhash.errors import InputError

_SCHEDULES = ("constant", "cosine", "step")


def schedule(config, total_steps, steps_per_epoch):
    """Learning rate as a function of the step.

    Args:
      config: `config.optimizer`: `learning_rate`, `schedule` (`constant`, `cosine` to 0, or `step`:
        times `decay` every `decay_epochs` epochs) and `warmup`, the share of the run in which the
        rate rises linearly from 0.
      total_steps: Steps of the whole run.
      steps_per_epoch: Steps of an epoch.

    Returns:
      An optax schedule.

    Raises:
      InputError: Unknown schedule, or warm-up outside [0, 1).
    """
    rate, warmup = config.learning_rate, round(config.warmup * total_steps)
    if not 0 <= config.warmup < 1:
        raise InputError(f"config.optimizer.warmup: {config.warmup} given; allowed is [0, 1).")
    match config.schedule:
        case "constant":
            main = optax.constant_schedule(rate)
        case "cosine":
            main = optax.cosine_decay_schedule(rate, max(1, total_steps - warmup))
        case "step":
            main = optax.exponential_decay(
                rate, config.decay_epochs * steps_per_epoch, config.decay, staircase=True
            )
        case unknown:
            raise InputError(
                f"config.optimizer.schedule: {unknown!r} given; allowed are "
                f"{', '.join(_SCHEDULES)}."
            )
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), main], [warmup])


def build(config, learning_rate):
    """The optax optimiser `config.name` with `config.arguments`, after `config.weight_decay`.

    Weight decay is added to the gradient (L2, as the papers' SGD) except for optimisers that have a
    `weight_decay` argument of their own, such as adamw (decoupled), which are given it.

    Raises:
      InputError: optax has no such optimiser, or it does not take these arguments.
    """
    maker = getattr(optax, config.name, None)
    if not callable(maker) or "learning_rate" not in inspect.signature(maker).parameters:
        raise InputError(
            f"config.optimizer.name: {config.name!r} given; allowed are optax's optimisers, such "
            "as sgd, adam, adamw."
        )
    allowed = inspect.signature(maker).parameters
    arguments = dict(config.arguments)
    unknown = sorted(set(arguments) - set(allowed))
    if unknown:
        raise InputError(
            f"config.optimizer.arguments: optax.{config.name} takes no {', '.join(unknown)}; it "
            f"takes {', '.join(allowed)}."
        )
    if "weight_decay" in allowed:
        return maker(learning_rate, weight_decay=config.weight_decay, **arguments)
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay), maker(learning_rate, **arguments)
    )
