"""The precisions of matrix products, which are all alike on a CPU."""

import jax


def of_products(function, *arguments):
    """Returns the precisions of the factors of each product that a function computes."""
    return list(_of(jax.make_jaxpr(function)(*arguments).jaxpr))


def _of(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", None)
            if inner is not None:
                yield from _of(inner)
