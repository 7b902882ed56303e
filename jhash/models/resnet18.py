"""ResNet-18 with leaky ReLUs, the model that DSTGeH trains on its pseudo labels."""

from jhash.models.layers.batch_norm import BatchNorm
from jhash.models.resnet import ResNet


class ResNet18(ResNet):
    """ResNet-18 with a leaky ReLU in place of each ReLU, and a hash layer.

    Its running statistics keep 0.99 of their value, and the running variance is biased, as in flax.
    The published weights are for `resnet.ResNet18`.

    Attributes:
      blocks: Basic blocks of each stage.
      slope: Slope of the leaky ReLU below 0; the paper's lambda.

    References:
      He et al. 2016, table 1; DSTGeH (Liu et al. 2020), eq. 10.
    """

    blocks: int = 2
    slope: float = 0.2

    def _batch_norm(self, relu, name):
        return BatchNorm(relu, self.axis_name, name=name)
