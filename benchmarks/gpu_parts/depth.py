"""AIHN's largest batch: what fits by the compiled program, and a step with as much of it.

The model is the paper's, 100 blocks at 224 x 224; see `reversible_training`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from reversible_training import BITS, FORMS, STAGES, Form

from jhash.models import count_parameters
from jhash.models.invertible_net import InvertibleNet

# Bytes that are assumed of a device that does not tell its memory, such as a CPU.
_UNKNOWN = 4 << 30
# Share of the memory that programs may use.
_SHARE = 0.9


def rows(quick):
    """Yields what fits by form of the gradient, then the step that was run."""
    blocks, side, batch = (2, 16, 4) if quick else (100, 224, 8)
    stats = jax.local_devices()[0].memory_stats() or {}
    memory = stats.get("bytes_limit", _UNKNOWN) * _SHARE
    fits = {}
    for name in ("reversible",) if quick else ("reversible", "plain"):
        net = InvertibleNet(BITS, stages=STAGES[blocks], **FORMS[name])
        shape = (batch, side, side, 3)
        init = functools.partial(net.init, train=False)
        variables = jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float32))
        form = Form(net, variables, shape)
        fixed = 3 * 4 * count_parameters(variables["params"])
        base = form.temporary - form.per_image * batch
        fits[name] = max(0, int((memory - fixed - base) // form.per_image))
        yield {
            "table": "depth",
            "blocks": blocks,
            "image": f"{side} x {side}",
            "gradient": name,
            "mib_per_image": round(form.per_image / 2**20, 2),
            "fits_in_gib": round(memory / 2**30, 1),
            "largest_batch_by_the_program": fits[name],
            "compile_seconds": round(form.seconds, 1),
        }
    # The largest power of two that fits, but no more than a GPU finishes in seconds.
    largest = 1 << max(fits["reversible"], 1).bit_length() - 1
    yield {"table": "depth_run", **_run(blocks, side, min(largest, batch if quick else 1024))}


def _run(blocks, side, batch):
    """Runs a step, and measures it once it is compiled."""
    import time

    net = InvertibleNet(BITS, stages=STAGES[blocks], **FORMS["reversible"])
    shape = (batch, side, side, 3)
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    variables = jax.jit(functools.partial(net.init, train=False))(jax.random.key(0), x[:2])
    form = Form(net, variables, shape, per_image=False)
    labels = jnp.arange(batch) % 10
    jax.block_until_ready(form.step(variables, x, labels))
    began = time.perf_counter()
    loss, _ = jax.block_until_ready(form.step(variables, x, labels))
    stats = jax.local_devices()[0].memory_stats() or {}
    return {
        "blocks": blocks,
        "image": f"{side} x {side}",
        "batch": batch,
        "loss": float(loss),
        "step_seconds": round(time.perf_counter() - began, 4),
        "peak_gib": round(stats.get("peak_bytes_in_use", 0) / 2**30, 2),
    }
