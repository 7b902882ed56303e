"""The forward pass in evaluation mode, from the bytes of images to the outputs of a model."""

import jax

from jhash import models, parallel
from jhash.data import preprocess


def build_forward(image, model, mean, devices=None):
    """Builds the forward pass.

    Args:
      image: The fields of `config.image`, which describe preprocessing.
      model: The model.
      mean: The mean image, float32 [H, W, channels].
      devices: Number of devices that share a batch; by default all.

    Returns:
      A function (variables, images) -> outputs. The variables are replicated over the devices. The
      images are uint8 [B, H, W, channels], where B is a multiple of the number of devices. The
      outputs are those of the model, arrays [B, ...]. See `parallel.map_batch` for several
      processes.
    """
    return parallel.map_batch(_forward(image, model, mean), devices)


def on_one_device(image, model, mean):
    """Builds the same function for one device, which JAX can trace; see `build_forward`."""
    return _forward(image, models.without_axis(model), mean)


def _forward(image, model, mean):
    def apply(variables, images):
        x = preprocess.eval_images(images, mean, **image)
        outputs = model.apply(variables, x, train=False)
        if not image.get("mirror", False):
            return outputs
        mirrored = model.apply(variables, x[:, :, ::-1], train=False)
        return jax.tree.map(lambda one, other: (one + other) / 2, outputs, mirrored)

    return apply
