"""The forward pass in evaluation mode, from the bytes of images to the outputs of a model."""

from jhash import parallel
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

    def apply(variables, images):
        x = preprocess.eval_images(images, mean, **image)
        return model.apply(variables, x, train=False)

    return parallel.map_batch(apply, devices)
