"""A method that goes wrong after two epochs: in its loss, or in what `end_epoch` gives."""

import jax.numpy as jnp


def prepare(config, data, key):
    del config, key
    return data, {"left": jnp.ones(()), "value": jnp.zeros(())}


def loss(outputs, batch, extra, config):
    del batch, config
    return jnp.mean(jnp.square(outputs)) / extra["left"], {}


def end_epoch(config, data, extra, indices, encode):
    del data, indices, encode
    count = extra["value"] + 1
    if config.method.poison == "loss":
        return {"left": jnp.where(count < 2, 1.0, 0.0), "value": count}, {}
    return {"left": jnp.ones(()), "value": jnp.where(count < 3, count, jnp.nan)}, {}
