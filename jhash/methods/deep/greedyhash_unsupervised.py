"""GreedyHash without labels (Su, Zhang, Han and Tian 2018).

Source: ssppp/GreedyHash:unsupervised_vgg.py, by the authors. The cosine of two codes should be that
of the features that a frozen network, the teacher, gives the two images. Backward, the sign is the
identity. A penalty keeps the outputs u near -1 and +1, so that this gradient is not far from the
truth.

Pairs: with `pairs = "halves"`, as published, each image of the first half of a batch with one of
the second. With "all", all pairs of a batch.

Sums and means: the mean over pairs, and the mean over images and bits of | |u| - 1 |^3 with its
published weight of 0.1.

There the network is a VGG16 whose last layer alone is trained, so that teacher and model are one.
Here any model may learn from any teacher. The features are centered only if `center` says so;
published they are not.

sgn(0) = -1. In that code it is 0, which is no bit. The database's codes are those that the model
gives; none are learned apart.
"""

from jhash import config_fields
from jhash.losses import quantization
from jhash.methods import teachers
from jhash.models.heads import straight_through

FIELDS = {
    **teachers.FIELDS,
    "pairs": config_fields.choice(*teachers.PAIRS),
    "quantization": config_fields.number(),
}


prepare = teachers.prepare
pretrain = teachers.pretrain


def loss(outputs, batch, state, config):
    """Computes the mean squared error of the cosines plus the weighted mean of the cubes."""
    codes_BxL = straight_through.sign(outputs)
    error = teachers.cosine_error(codes_BxL, teachers.of_batch(state, batch), config.method.pairs)
    cubes = quantization.magnitude_loss(outputs, power=3).mean() / config.bits
    terms = {"structure": error, "quantization": config.method.quantization * cubes}
    return terms["structure"] + terms["quantization"], terms
