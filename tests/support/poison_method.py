"""A method that goes wrong after two epochs: in its loss, or in the state of `end_epoch`."""

import jax.numpy as jnp


def prepare(config, data, key):
    del config, key
    return data, {"left": jnp.ones(()), "value": jnp.zeros(())}


def loss(outputs, batch, state, config):
    del batch, config
    return jnp.mean(jnp.square(outputs)) / state["left"], {}


def end_epoch(config, data, state, indices, encode):
    del data, indices, encode
    count = state["value"] + 1
    if config.method.poison == "loss":
        return {"left": jnp.where(count < 2, 1.0, 0.0), "value": count}, {}
    return {"left": jnp.ones(()), "value": jnp.where(count < 3, count, jnp.nan)}, {}
