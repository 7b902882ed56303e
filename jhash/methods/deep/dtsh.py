"""DTSH: deep supervised hashing with triplet labels (Wang, Shi and Kitani 2016).

Source: the paper, and Minione/DTSH:DTSH.m and train_triplet.m of its authors. The
loss is the likelihood that an image is more like a similar one than like a dissimilar one, by a
margin, plus the distance of the real outputs u from the codes sgn(u), sgn(0) = -1.

Triplets: all those of a batch. With several labels, an image is similar if it shares one and
dissimilar if it shares none. (The authors take 22,500 triplets per image of a batch, with similar
and dissimilar ones from a table of all outputs.)

Sums and means: the mean over the triplets of each image, then over the images that have any, and
the mean over images of the distance, summed over bits. The authors weigh the distance by 100
against a sum over 22,500 triplets, so the weight here is 100 / 22,500 = 0.0044. There only the
anchor of a triplet has a gradient; here all three images have one.

The margin is half a unit per bit, as in the authors' code.

The database's codes are those that the model gives; none are learned apart.
"""

from jhash import config_fields
from jhash.losses import pairwise, quantization, triplet
from jhash.methods import pairs

FIELDS = {"margin": config_fields.number(), "quantization": config_fields.number()}

prepare = pairs.prepare


def loss(outputs, batch, state, config):
    """Computes the mean likelihood of triplets plus the weighted mean distance from codes."""
    del state
    similar = pairwise.similar(batch["labels"])
    margin = config.method.margin * config.bits
    likelihood = triplet.likelihood_loss(outputs, similar, margin=margin)
    terms = {
        "likelihood": triplet.mean_over_anchors(likelihood, similar),
        "quantization": config.method.quantization * quantization.sign_loss(outputs).mean(),
    }
    return terms["likelihood"] + terms["quantization"], terms
