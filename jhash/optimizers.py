"""The optimizer of a config: any optimizer of optax by name, with a learning-rate schedule."""

import inspect

import jax
import jax.numpy as jnp
import optax

from jhash import config_fields
from jhash.errors import InputError

# Max number of characters of an error of optax within an error.
_REASON = 200


def schedule(config, total_steps, steps_per_epoch):
    """Builds the learning rate as a function of the step.

    Args:
      config: The fields of `config.optimizer`. `learning_rate` is the max. `schedule` is
        `constant`, `cosine` (decay to 0) or `step` (multiplication by `decay` after every
        `decay_epochs` epochs). `warmup` is the share of the run in which the rate rises linearly
        from 0.
      total_steps: Number of steps of the whole run.
      steps_per_epoch: Number of steps per epoch.

    Returns:
      An optax schedule.

    Raises:
      InputError: A value is not allowed.
    """
    config_fields.check_group(config, config_fields.COMMON["optimizer"], "config.optimizer")
    rate = config.learning_rate
    warmup = round(config.warmup * total_steps)
    match config.schedule:
        case "constant":
            main = optax.constant_schedule(rate)
        case "cosine":
            main = optax.cosine_decay_schedule(rate, max(1, total_steps - warmup))
        case "step":
            main = optax.exponential_decay(
                rate, config.decay_epochs * steps_per_epoch, config.decay, staircase=True
            )
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), main], [warmup])


def build(config, learning_rate):
    """Builds an optax optimizer with weight decay.

    An optimizer with an argument `weight_decay`, such as adamw, is given `config.weight_decay` and
    does what it does with it (adamw: decoupled decay). For all others, weight decay is added to the
    gradient (L2, as in the papers' SGD).

    Args:
      config: The fields of `config.optimizer`. `name` is a function of optax, `arguments` are
        further arguments of that function.
      learning_rate: A number or an optax schedule.

    Returns:
      The optimizer.

    Raises:
      InputError: optax has no such optimizer, it does not take these arguments or their values, or
        it needs more than gradients, as lbfgs does.
    """
    maker = getattr(optax, config.name, None)
    if not callable(maker) or "learning_rate" not in inspect.signature(maker).parameters:
        raise InputError(
            f"config.optimizer.name: {config.name!r} given; allowed: optimizers of optax, such as "
            "sgd, adam, adamw."
        )
    parameters = inspect.signature(maker).parameters
    # Fields of their own say these two.
    allowed = [name for name in parameters if name not in ("learning_rate", "weight_decay")]
    arguments = dict(config.arguments)
    unknown = sorted(set(arguments) - set(allowed))
    if unknown:
        raise InputError(
            f"config.optimizer.arguments: {', '.join(unknown)} given; allowed: arguments of "
            f"optax.{config.name}, {', '.join(allowed)}."
        )
    try:
        if "weight_decay" in parameters:
            made = maker(learning_rate, weight_decay=config.weight_decay, **arguments)
        else:
            decay = optax.add_decayed_weights(config.weight_decay)
            made = optax.chain(decay, maker(learning_rate, **arguments))
        jax.eval_shape(lambda: _step_once(made))
    except Exception as error:  # Anything, as optax looks at few of its arguments.
        raise InputError(
            f"config.optimizer.name: {config.name!r} given with the arguments {arguments}; "
            "allowed: optimizers and arguments that make a step from gradients alone "
            f"({type(error).__name__}: {' '.join(str(error).split())[:_REASON]})."
        ) from error
    return made


def _step_once(optimizer):
    """Makes a step for a layer, only to see that the optimizer can."""
    params = {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}
    return optimizer.update(params, optimizer.init(params), params)
