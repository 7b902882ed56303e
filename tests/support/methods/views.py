"""Two views of each image, pulled together and apart from the other images of the batch."""

import jax
import jax.numpy as jnp


def loss(outputs, batch, state, config):
    """NT-Xent of one direction, with noise that depends on the step's key alone."""
    del state, config
    first, second = outputs / jnp.linalg.norm(outputs, axis=-1, keepdims=True)
    noise = 0.01 * jax.random.normal(batch["key"], first.shape)
    logits = (first + noise) @ second.T
    loss = -jnp.mean(jnp.diag(jax.nn.log_softmax(logits)))
    return loss, {"steps": batch["step"] / 1.0, "distance": jnp.mean(jnp.abs(first - second))}
