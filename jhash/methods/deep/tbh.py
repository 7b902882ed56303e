"""TBH: twin-bottleneck hashing, an autoencoder with two critics (Shen et al. 2020).

Source: ymcidence/TBH: model/tbh.py, train/tbh_train.py and layer/, by the authors. The model gives
each image a code and 512 latent values in (0, 1). The latent values of a batch are mixed on the
graph of its codes, in which two images are joined by the share of equal bits to the power 1.4, and
a decoder reconstructs features of a frozen network, the teacher, from the mixed values. A critic
tells the codes from random bits, another the mixed values from uniform noise. The critics learn to
tell them apart, all else learns to deceive them. Both players step at once.

Sums and means: half of the squared error of the reconstruction, summed over features and images,
minus the critics' mean cross-entropies, as in that code. There a batch has 400 images; here the
error is a mean over images times `reconstruction`, 400 by default. (There the features have their
own lengths and here the length 1, as the teacher's directions.)

Noise: that code sets the noise of the codes to 1/2, so that bit = u > 0 in training as well.
Backward, a bit is sigmoid(u). The draws of the priors are new in every step.

In that code the model is two layers on fixed features of the images. Here any model sees the
images, and its number of outputs is `config.model.bits`: the bits and the latent values. What tells
the players apart is their loss, so one optimizer serves both.

The database's codes are those that the model gives; none are learned apart.
"""

import jax
import jax.numpy as jnp
import optax

from jhash import config_fields, parallel
from jhash.methods import teachers
from jhash.models.heads import TwinBottleneck, straight_through

FIELDS = {
    **teachers.FIELDS,
    "reconstruction": config_fields.number(),
    "hidden": config_fields.integer(1, 10**5),
    # Number of features of the teacher. The head needs it where there is no teacher.
    "width": config_fields.integer(1, 10**6),
}
_CRITICS = ("critic_code", "critic_latent")


pretrain = teachers.pretrain


def prepare(config, data, key):
    """Makes room for the directions, and checks their number; see `teachers.prepare`."""
    data, state = teachers.prepare(config, data, key)
    width = state["directions"].shape[1]
    with_field = {"method.width": config_fields.integer(width, width)}
    config_fields.check_group({"method.width": config.method.width}, with_field, "config")
    return data, state


def head(config, data):
    """Returns the bottlenecks, the decoder and the critics."""
    del data
    return TwinBottleneck(config.bits, config.method.hidden, config.method.width)


def hash_outputs(outputs):
    """Returns the outputs of the hash layer."""
    return outputs["hash"]


def players(head_params, outputs, batch, state, config):
    """Computes what either player minimizes.

    Args:
      head_params: Parameters of the head.
      outputs: Those of the model with its head, of the global batch.
      batch: The batch; its key draws the priors.
      state: The method's state.
      config: The config.

    Returns:
      (loss of the model and the decoder, loss of the critics, error of the reconstruction).
    """
    apply = lambda method, *arguments: head(config, None).apply(  # noqa: E731
        {"params": head_params}, *arguments, method=method
    )
    bits_BxL = straight_through.bernoulli(outputs["hash"])
    mixed_BxD = apply("mix", bits_BxL, outputs["latent"])
    error_Bxz = apply("reconstruct", mixed_BxD) - teachers.of_batch(state, batch)
    error = jnp.square(error_Bxz).sum(1).mean() / 2
    code_key, latent_key = jax.random.split(batch["key"])
    priors = {
        "code": jax.random.bernoulli(code_key, shape=bits_BxL.shape).astype(jnp.float32),
        "latent": jax.random.uniform(latent_key, mixed_BxD.shape),
    }
    critics = 0.0
    for of, values in (("code", bits_BxL), ("latent", mixed_BxD)):
        critics += jax.nn.softplus(-apply("judge", priors[of], of)).mean()
        critics += jax.nn.softplus(apply("judge", values, of)).mean()
    return config.method.reconstruction * error - critics, critics, error


def make_step(experiment, forward):
    """Makes a step in which both players descend at once."""
    config = experiment.config

    def step(train_state, state, batch):
        def of_players(params):
            outputs, seen, batch_stats = forward(params, train_state, batch)
            model, critics, error = players(params["head"], outputs, seen, state, config)
            return (model, critics), (error, batch_stats)

        losses, descend, (error, batch_stats) = jax.vjp(
            of_players, train_state.params, has_aux=True
        )
        one, zero = jnp.ones(()), jnp.zeros(())
        gradients, of_critics = descend((one, zero))[0], descend((zero, one))[0]
        critics = {name: of_critics["head"][name] for name in _CRITICS}
        gradients = parallel.pmean({**gradients, "head": {**gradients["head"], **critics}})
        updates, opt_state = experiment.optimizer.update(
            gradients, train_state.opt_state, train_state.params
        )
        train_state = train_state.replace(
            step=train_state.step + 1,
            params=optax.apply_updates(train_state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )
        metrics = {"loss": losses[0], "critics": losses[1], "reconstruction": error}
        return train_state, state, {**metrics, "grad_norm": optax.tree.norm(gradients)}

    return step
