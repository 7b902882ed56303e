"""What methods share that compute a measure of the ranking from histograms of relaxed distances."""

import jax

from jhash import config_fields
from jhash.losses import distance_histogram, pairwise

FIELDS = {"bins": config_fields.integer(1, 512).or_none(), "slope": config_fields.positive()}


def of_batch(outputs: jax.Array, batch, config) -> jax.Array:
    """Computes the histograms of the distances of each image of a batch to the others.

    Args:
      outputs: Hash outputs u, float [B, bits]; the relaxed codes are 2 sigmoid(slope u) - 1.
      batch: The batch, with its labels.
      config: The config, with the FIELDS above; without bins there are half as many as bits.

    Returns:
      What `distance_histogram.histogram` returns.
    """
    phi = 2 * jax.nn.sigmoid(config.method.slope * outputs) - 1
    bins = config.method.bins or max(1, config.bits // 2)
    return distance_histogram.histogram(phi, pairwise.similar(batch["labels"]), bins=bins)
