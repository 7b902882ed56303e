"""BiHalf: bits of which each divides every batch in halves (Li and van Gemert 2021).

Source: liyunqianggyn/Deep-Unsupervised-Image-Hashing:ImageHashing/Cifar10_I.py, by the authors. The
cosine of two codes should be that of the features that a frozen network, the teacher, gives the two
images. The codes are those of the bi-half layer: for each bit, the half of the batch with the
largest outputs has +1. Backward, the gradient of the codes is passed on to the outputs, and a pull
of the outputs to the codes is added; the value of the loss does not show it.

Pairs: with `pairs = "halves"`, as published, each image of the first half of a batch with one of
the second. With "all", all pairs of a batch.

Sums and means: a mean over pairs, and the pull gamma (u - b) / (B L) of each output. That code has
gamma = 6. A whole model that begins with random weights learned less with it than with 0.05 here:
the pull fixes the first codes, which are random.

There the network is a VGG16 whose last layer alone is trained, so that teacher and model are one.
Here any model may learn from any teacher; configs/baselines/unlabeled.py has that as
`model=frozen`. The features are centered there only if `center` says so; published they are not.

A code outside of training is sgn(u) with sgn(0) = -1. The database's codes are those that the model
gives; none are learned apart.
"""

from jhash import config_fields
from jhash.methods import teachers
from jhash.models.heads import straight_through

FIELDS = {
    **teachers.FIELDS,
    "pairs": config_fields.choice(*teachers.PAIRS),
    "gamma": config_fields.number(),
}


prepare = teachers.prepare
pretrain = teachers.pretrain


def loss(outputs, batch, state, config):
    """Computes the mean squared error of the cosines of the codes."""
    codes_BxL = straight_through.bi_half(outputs, config.method.gamma)
    error = teachers.cosine_error(codes_BxL, teachers.of_batch(state, batch), config.method.pairs)
    return error, {}
