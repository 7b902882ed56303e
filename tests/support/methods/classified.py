"""`head`: a trainable classifier behind any model."""

import jax.numpy as jnp
import optax

from jhash.models.heads import HashClassifier


def head(config, data):
    del config
    return HashClassifier(data.num_classes)


def loss(outputs, batch, state, config):
    del state, config
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels(
        outputs["classes"], batch["labels"]
    )
    correct = outputs["classes"].argmax(1) == batch["labels"]
    return cross_entropy.mean(), {"accuracy": jnp.mean(correct)}


def hash_outputs(outputs):
    return outputs["hash"]
