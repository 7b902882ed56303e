"""Optimizers by name."""

import contextlib
import inspect

import jax
import jax.numpy as jnp
import optax

from jhash.errors import InputError
from jhash.optimizers import parts
from jhash.system import imports

# Max number of characters of an error of optax within an error.
_REASON = 200


def is_own(config) -> bool:
    """Tells if the optimizer or the schedule is the user's own.

    Args:
      config: The fields of `config.optimizer`.
    """
    return "." in config.name or "." in config.schedule


def build(config, learning_rate):
    """Builds an optax optimizer with weight decay.

    An optimizer with an argument `weight_decay`, such as adamw, is given `config.weight_decay` and
    does what it does with it (adamw: decoupled decay). For all others, weight decay is added to the
    gradient (L2, as in the papers' SGD).

    With a `config.clip_norm` above 0, a gradient whose global norm is larger is first scaled to it,
    before weight decay is added (Pascanu et al. 2013). `config.rates` multiplies the updates of
    parts of the model, weight decay included; see `parts`. What is not used adds nothing to the
    optimizer's state.

    Args:
      config: The fields of `config.optimizer`. `name` is a function of optax, or
        `my_module.my_optimizer`, a function (learning_rate, ...) -> optax.GradientTransformation of
        the user's own; `arguments` are further arguments of that function.
      learning_rate: A number or an optax schedule.

    Returns:
      The optimizer.

    Raises:
      InputError: optax has no such optimizer, it does not take these arguments or their values, it
        needs more than gradients, as lbfgs does, or its state holds random keys, as that of
        noisy_sgd does; or a factor of `rates` is not allowed.
    """
    parts.check_values(config.rates)
    maker, parameters = _maker(config.name)
    arguments = _arguments(config, parameters)
    try:
        if "weight_decay" in parameters:
            made = maker(learning_rate, weight_decay=config.weight_decay, **arguments)
        else:
            decay = optax.add_decayed_weights(config.weight_decay)
            made = optax.chain(decay, maker(learning_rate, **arguments))
        _check_state(jax.eval_shape(lambda: _step_once(made)))
    except Exception as error:  # Anything, as optax looks at few of its arguments.
        raise InputError(
            f"config.optimizer.name: {config.name!r} given with the arguments {arguments}; "
            "allowed: optimizers and arguments that make a step from gradients alone "
            f"({type(error).__name__}: {' '.join(str(error).split())[:_REASON]})."
        ) from error
    if config.clip_norm:
        made = optax.chain(optax.clip_by_global_norm(config.clip_norm), made)
    return parts.apply(config.rates, made)


def _maker(name):
    """Finds the function that makes an optimizer, and its parameters by name."""
    if "." in name:
        maker = imports.find_attribute(name, (), "config.optimizer.name")
    else:
        maker = getattr(optax, name, None)
    parameters = {}
    if callable(maker):
        # A function of C may have no signature.
        with contextlib.suppress(ValueError):
            parameters = inspect.signature(maker).parameters
    if "learning_rate" not in parameters:
        raise InputError(
            f"config.optimizer.name: {name!r} given; allowed: optimizers of optax, such as sgd, "
            "adam, adamw, or my_module.my_optimizer, a function with an argument learning_rate."
        )
    return maker, parameters


def _arguments(config, parameters):
    """Returns the further arguments of the optimizer's function; refuses those it does not have."""
    arguments = dict(config.arguments)
    if any(item.kind is item.VAR_KEYWORD for item in parameters.values()):
        return arguments
    # Fields of their own say these two.
    allowed = [name for name in parameters if name not in ("learning_rate", "weight_decay")]
    unknown = sorted(set(arguments) - set(allowed))
    if unknown:
        name = config.name if "." in config.name else f"optax.{config.name}"
        raise InputError(
            f"config.optimizer.arguments: {', '.join(unknown)} given; allowed: arguments of "
            f"{name}, {', '.join(allowed)}."
        )
    return arguments


def _step_once(optimizer):
    """Makes a step for a layer, only to see that the optimizer can."""
    params = {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}
    return optimizer.update(params, optimizer.init(params), params)


def _check_state(made):
    """Refuses random keys, which are no arrays that a checkpoint or NumPy can hold."""
    if any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(made)):
        raise TypeError("its state holds random keys, which checkpoints cannot keep")
