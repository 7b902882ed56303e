"""A linear classifier on hash outputs."""

import jax
from flax import linen as nn

from jhash.models.heads import straight_through

# What the classifier is given in place of the hash outputs.
INPUTS = {
    "tanh": nn.tanh,
    "sign": straight_through.sign,
    "sigmoid": nn.sigmoid,
    "bernoulli": straight_through.bernoulli,
}


class HashClassifier(nn.Module):
    """Predicts classes from codes, relaxed or binary.

    Attributes:
      classes: Number of classes, C.
      classifier_input: Name of the function of the hash outputs that is classified, of `INPUTS`.
      classifier_bias: Whether the classifier has a bias.
      noise: Whether "bernoulli" draws the bits in training, each with the probability of a one. The
        noise is the stream of dropout, which depends on the number of devices.
    """

    classes: int
    classifier_input: str = "tanh"
    classifier_bias: bool = True
    noise: bool = False

    @nn.compact
    def __call__(self, outputs: jax.Array, train: bool) -> dict[str, jax.Array]:
        """Adds logits of the classes to hash outputs.

        Args:
          outputs: Hash outputs, float32 [B, bits].
          train: Whether there is noise, if the head has any.

        Returns:
          {"hash": the hash outputs, "classes": logits, float32 [B, C]}.
        """
        arguments = [outputs]
        if self.noise and train:
            arguments.append(jax.random.uniform(self.make_rng("dropout"), outputs.shape))
        codes_BxL = INPUTS[self.classifier_input](*arguments)
        classifier = nn.Dense(self.classes, use_bias=self.classifier_bias, name="classes")
        return {"hash": outputs, "classes": classifier(codes_BxL)}
