"""CIBHash: contrastive learning of codes with an information bottleneck (Qiu et al. 2021).

Source: zexuanqiu/CIBHash:model/CIBHash.py and utils/data.py, by the authors. Of all views of a
batch the codes of the two views of an image should be nearest to each other (NT-Xent), and the
probabilities of their bits should agree. No teacher is needed, and no label.

Pairs: all views of a batch. There are two views of each image, `config.augment.views`.

Sums and means: the mean over the 2 B views of the cross-entropy, and the mean over images of the
divergences between the views, summed over the bits, with its published weight of 0.001. The
divergence is taken both ways and averaged; the view that is compared with has no gradient.

The codes are sgn(sigmoid(u) - 1/2), which is sgn(u); backward, the sign is the identity, so that
the gradient passes the sigmoid. There sgn(0) is 0. Here it is -1.

There the network is a frozen VGG16 of which the features pass two trained layers, 1,024 wide. Here
it is any model; configs/baselines/unlabeled.py has a frozen one with one layer as `model=frozen`.

The database's codes are those that the model gives; none are learned apart.
"""

import jax

from jhash import config_fields
from jhash.errors import InputError
from jhash.losses import contrastive
from jhash.models.heads import straight_through

FIELDS = {"temperature": config_fields.positive(100), "divergence": config_fields.number()}


def prepare(config, data, key):
    """Checks that there are two views of each image; there is no state."""
    del key
    if config.augment.views != 2:
        raise InputError(
            f"config.augment.views: {config.augment.views} given; allowed: 2, as cibhash compares "
            "two views of each image."
        )
    return data, {}


def loss(outputs, batch, state, config):
    """Computes the mean of NT-Xent plus the weighted mean of the divergences."""
    del batch, state
    codes_VxBxL = straight_through.sign(jax.nn.sigmoid(outputs) - 0.5)
    contrast = contrastive.nt_xent(*codes_VxBxL, temperature=config.method.temperature).mean()
    fixed_VxBxL = jax.lax.stop_gradient(outputs)
    divergences = [
        contrastive.bernoulli_divergence(outputs[view], fixed_VxBxL[1 - view]).mean()
        for view in (0, 1)
    ]
    divergence = config.method.divergence * (divergences[0] + divergences[1]) / 2
    return contrast + divergence, {"contrast": contrast, "divergence": divergence}
