"""jit and XLA_FLAGS for tests whose examples run for less time than XLA takes to optimise them."""

import functools

import jax

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
FLAGS = "--xla_backend_optimization_level=0"
