"""`make_step`: a critic tells outputs from random codes, and the model learns to deceive it."""

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from jhash import parallel


class Critic(nn.Module):
    """Scores codes; a head whose parameters are trained against those of the model."""

    @nn.compact
    def __call__(self, outputs, train):
        del train
        return {"hash": outputs, "score": self.score(jnp.tanh(outputs))}

    @nn.compact
    def score(self, codes):
        hidden = nn.tanh(nn.Dense(8, name="hidden")(codes))
        return nn.Dense(1, name="score")(hidden)[..., 0]


def head(config, data):
    del config, data
    return Critic()


def hash_outputs(outputs):
    return outputs["hash"]


def prepare(config, data, key):
    del config, key
    return data, {"steps": jnp.zeros((), jnp.int32)}


def make_step(experiment, forward):
    """One step of gradient descent for the critic and one for the model, at once."""

    def step(train_state, state, batch):
        def losses(params):
            outputs, seen, batch_stats = forward(params, train_state, batch)
            codes = jax.random.rademacher(seen["key"], outputs["hash"].shape, jnp.float32)
            of_random = Critic().apply({"params": params["head"]}, codes, method="score")
            critic = jax.nn.softplus(-of_random).mean() + jax.nn.softplus(outputs["score"]).mean()
            return critic, jax.nn.softplus(-outputs["score"]).mean(), batch_stats

        critic_gradient = jax.grad(lambda params: losses(params)[0])(train_state.params)
        model_gradient, (critic, model, batch_stats) = jax.grad(
            lambda params: (losses(params)[1], losses(params)), has_aux=True
        )(train_state.params)
        gradients = {"model": model_gradient["model"], "head": critic_gradient["head"]}
        gradients = parallel.pmean(gradients)
        updates, opt_state = experiment.optimizer.update(
            gradients, train_state.opt_state, train_state.params
        )
        train_state = train_state.replace(
            step=train_state.step + 1,
            params=optax.apply_updates(train_state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )
        metrics = {"loss": model, "critic": critic}
        return train_state, {"steps": state["steps"] + 1}, metrics

    return step
