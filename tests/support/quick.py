"""Little compilation, for tests whose programs run for less time than XLA takes to optimise them.

For whole files of tests there is the fixture `quick_compilation`.
"""

import functools

import jax

quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
# Of a process.
ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "XLA_FLAGS": ""}
