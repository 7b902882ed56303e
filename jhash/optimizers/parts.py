"""Learning rates for parts of a model: patterns over the paths of its parameters.

The path of a parameter has the names of the modules around it, such as `Dense_1/kernel`, or
`model/Dense_1/kernel` where a method puts a head behind the model. A pattern, such as `Dense_1`,
`Conv_*` or `*/bias`, is one of the shell, case-sensitive: `*` stands for any text, slashes
included. It matches a parameter if it matches the parameter's path, or the path of a module around
it. So `Dense_1` does not match `Dense_10`. Of several patterns that match, the longest counts.

Patterns of the shell and not regular expressions, since a pattern may come from a run of somebody
else's, and some regular expressions take years on a short text.
"""

import fnmatch
from collections.abc import Mapping
from typing import Any

import jax
import optax

from jhash import config_fields
from jhash.errors import InputError
from jhash.system import text

_FACTOR = config_fields.number(0, 1e6)
# Max number of modules that an error lists.
_SHOWN = 100


def check_values(rates: Mapping[str, Any]) -> None:
    """Checks the factors alone.

    Raises:
      InputError: One is no number of 0 or more.
    """
    config_fields.check_group(rates, dict.fromkeys(rates, _FACTOR), "config.optimizer.rates")


def check(rates: Mapping[str, float], params: Any) -> None:
    """Checks the patterns against a model.

    Args:
      rates: The factor of each pattern.
      params: Parameters, or their shapes.

    Raises:
      InputError: A pattern matches no parameter, or none for which it counts; two of one length
        match the same one; or no parameter is left to train.
    """
    paths = [path for path, _ in _paths(params)]
    used = set()
    for path in paths:
        matching = _matching(rates, path)
        if len(matching) > 1 and len(matching[0]) == len(matching[1]):
            raise InputError(
                f"config.optimizer.rates: {matching[0]!r} and {matching[1]!r} given, which both "
                f"match {path}; allowed: patterns of different lengths; the longest counts."
            )
        used.update(matching[:1])
    for pattern in rates:
        if pattern not in used:
            longer = any(pattern in _matching(rates, path) for path in paths)
            given = "whose parameters longer patterns match" if longer else "that matches nothing"
            raise InputError(
                f"config.optimizer.rates: the pattern {text.shortened(pattern, 100)!r} given, "
                f"{given}; allowed: patterns of paths of parameters: {_listed(paths)}."
            )
    if not any(jax.tree.leaves(factors(rates, params))):
        raise InputError(
            f"config.optimizer.rates: {dict(rates)!r:.200} given, with which all is frozen; "
            "allowed: a factor above 0 for a part at least."
        )


def factors(rates: Mapping[str, float], params: Any) -> Any:
    """Returns the factor of each parameter, floats in the structure of the parameters."""
    leaves = [
        rates[matching[0]] if (matching := _matching(rates, path)) else 1.0
        for path, _ in _paths(params)
    ]
    return jax.tree.unflatten(jax.tree.structure(params), [float(leaf) for leaf in leaves])


def freezes(rates: Mapping[str, float]) -> bool:
    """Tells if a part is frozen."""
    return any(factor == 0 for factor in rates.values())


def stop_gradients(rates: Mapping[str, float], params: Any) -> Any:
    """Returns the parameters for a loss; its gradient is 0 in frozen ones, and costs nothing."""
    if not freezes(rates):
        return params
    return jax.tree.map(
        lambda leaf, factor: leaf if factor else jax.lax.stop_gradient(leaf),
        params,
        factors(rates, params),
    )


def apply(rates: Mapping[str, float], optimizer: optax.GradientTransformation):
    """Multiplies the updates of an optimizer by the factors.

    The optimizer neither sees frozen parameters, so that they do not count in a norm, nor keeps a
    state for them.
    """
    if not rates:
        return optimizer

    def scale(updates, params):
        del params
        return jax.tree.map(lambda leaf, factor: leaf * factor, updates, factors(rates, updates))

    scaled = optax.chain(optimizer, optax.stateless(scale))
    if not freezes(rates):
        return scaled

    def labels(params):
        return jax.tree.map(
            lambda factor: "trained" if factor else "frozen", factors(rates, params)
        )

    return optax.partition({"trained": scaled, "frozen": optax.set_to_zero()}, labels)


def _matching(rates, path):
    """Returns the patterns that match a path or the path of a module around it, longest first."""
    names = path.split("/")
    around = ["/".join(names[: count + 1]) for count in range(len(names))]
    matching = [
        pattern for pattern in rates if any(fnmatch.fnmatchcase(name, pattern) for name in around)
    ]
    return sorted(matching, key=lambda pattern: (-len(pattern), pattern))


def _paths(params):
    """Returns (path, leaf) of all parameters, in the order of `jax.tree.leaves`."""
    return [
        ("/".join(str(getattr(entry, "key", entry)) for entry in path), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    ]


def _listed(paths):
    modules: dict[str, list[str]] = {}
    for path in paths:
        module, _, name = path.rpartition("/")
        modules.setdefault(module, []).append(name)
    shown = [f"{module}/({'|'.join(names)})" for module, names in modules.items()]
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more:,} more modules" if more > 0 else "")
