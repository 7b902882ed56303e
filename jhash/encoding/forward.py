"""The one forward pass from bytes of images to a model's outputs, in evaluation mode."""

import jax

from jhash import parallel
from jhash.data import preprocess


def build_forward(image, model, mean, devices=None):
    """Builds the forward pass.

    Args:
      image: `config.image`.
      model: The model.
      mean: The mean image, float32 [H, W, channels].
      devices: How many devices share a batch; by default all.

    Returns:
      (variables, images) -> outputs: the variables replicated, images uint8 [B, H, W, channels]
      with B a multiple of the number of devices, outputs [B, ...] as the model has them.
    """

    def apply(variables, images):
        x = preprocess.eval_images(images, mean, **image)
        return model.apply(variables, x, train=False)

    mapped = parallel.map_devices(apply)

    def forward(variables, images):
        outputs = mapped(variables, parallel.shard(images, devices))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)

    return forward
