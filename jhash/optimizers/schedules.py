"""Learning rates as functions of the step."""

import math

import jax
import jax.numpy as jnp
import optax

from jhash import config_fields
from jhash.errors import InputError
from jhash.system import imports, text

# Max number of characters of another's error within an error.
_REASON = 200


def schedule(config, total_steps, steps_per_epoch):
    """Builds the learning rate as a function of the step.

    Args:
      config: The fields of `config.optimizer`. `learning_rate` is the max. `schedule` is
        `constant`, `cosine` (decay to 0), `step` (multiplication by `decay` after every
        `decay_epochs` epochs), or `my_module.my_schedule`, a function of the user's own: called
        with these fields, the number of steps that follow the warm-up, and the number of steps per
        epoch, it returns a function from the step, int32 [], to the rate. `warmup` is the share of
        the run in which the rate rises linearly from 0; the schedule begins after it.
      total_steps: Number of steps of the whole run.
      steps_per_epoch: Number of steps per epoch.

    Returns:
      An optax schedule.

    Raises:
      InputError: A value is not allowed, or the user's function makes no schedule.
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
        case name:
            main = _own(name, config, max(1, total_steps - warmup), steps_per_epoch)
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), main], [warmup])


def _own(name, config, steps, steps_per_epoch):
    """Calls a user's function that makes a schedule, and checks what it makes."""
    function = imports.find_attribute(name, (), "config.optimizer.schedule")
    try:
        made = function(config, steps, steps_per_epoch)
        shape = jax.eval_shape(made, jax.ShapeDtypeStruct((), jnp.int32)).shape
        first = float(made(jnp.zeros((), jnp.int32))) if shape == () else math.nan
    except Exception as error:  # The function may raise anything.
        reason = text.shortened(" ".join(f"{type(error).__name__}: {error}".split()), _REASON)
        raise _no_schedule(name, reason) from error
    if shape != () or not (math.isfinite(first) and first >= 0):
        raise _no_schedule(name, f"step 0: {first if shape == () else f'shape {list(shape)}'}")
    return made


def _no_schedule(name, reason):
    return InputError(
        f"config.optimizer.schedule: {name!r} given; allowed: functions of (config, steps, "
        "steps_per_epoch) that return a function, traced by JAX, from the step to a learning rate, "
        f"one number of 0 or more ({reason})."
    )
