"""The form of a computation: that of CPUs or that of accelerators, decided here alone.

XLA's CPU backend is slow at some of its own operations, and fast at loops over what fits into a
cache. GPUs and TPUs are the other way round. Code that has two forms asks `for_cpu` while it is
traced. The answer is that of the platform that JAX computes on by default, unless `use` chooses
another: in tests, in comparisons, and in a program that is lowered for several platforms.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jhash.errors import InputError

# "auto" is the form of the platform.
FORMS = ("auto", "cpu", "accelerator")
_form = contextvars.ContextVar("form", default="auto")


@contextlib.contextmanager
def use(form: str) -> Iterator[None]:
    """Chooses the form of what is traced in the block.

    Args:
      form: One of `FORMS`.

    Raises:
      InputError: The form is unknown.
    """
    if form not in FORMS:
        raise InputError(f"form: {form!r} given; allowed: {', '.join(FORMS)}.")
    token = _form.set(form)
    try:
        yield
    finally:
        _form.reset(token)


def for_cpu() -> bool:
    """Tells if a computation with two forms takes that of CPUs."""
    form = _form.get()
    return jax.default_backend() == "cpu" if form == "auto" else form == "cpu"


def jit(function: Callable | None = None, **options: Any) -> Callable:
    """Compiles as `jax.jit` does, anew for each form.

    It is for functions that are jitted where they are defined and that ask `for_cpu`, themselves or
    in what they call. A plain `jax.jit` would keep the form of its first call.

    Args:
      function: The function; without it, a decorator is returned.
      **options: Arguments of `jax.jit`. Names of static arguments are those of keywords.

    Returns:
      The function of the same arguments.
    """
    if function is None:
        return functools.partial(jit, **options)

    @functools.wraps(function)
    def in_form(form, *args, **kwargs):
        with use(form):
            return function(*args, **kwargs)

    numbers = (0, *(1 + number for number in options.pop("static_argnums", ())))
    # The signature is that of the wrapper, which has one argument more.
    del in_form.__wrapped__
    compiled = jax.jit(in_form, static_argnums=numbers, **options)

    @functools.wraps(function)
    def call(*args, **kwargs):
        return compiled("cpu" if for_cpu() else "accelerator", *args, **kwargs)

    return call


def for_platforms(function: Callable) -> Callable:
    """Makes a function that takes the form of the platform that it is lowered for.

    It is traced once in either form, so it is for whole programs that leave this machine.
    """

    def in_form(form):
        def traced(*args):
            with use(form):
                return function(*args)

        return traced

    return lambda *args: jax.lax.platform_dependent(
        *args, cpu=in_form("cpu"), default=in_form("accelerator")
    )
