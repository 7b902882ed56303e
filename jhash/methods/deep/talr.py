"""TALR: hashing as tie-aware learning to rank, for average precision (He et al. 2018).

Source: the paper, and kunhe/TALR:apr_s_forward.m of its authors. The loss is minus
the average precision of the ranking of a batch by each of its images, with ties in random order.
Distances are counted in a soft histogram, on phi = 2 sigmoid(a u) - 1 for the real outputs u.

Pairs: each image of a batch with all others.

Sums and means: the mean over the images of a batch; an image to which no other is similar counts 0,
as in the authors' code. The ranking needs several similar images per image, so the batch has to be
large: 250 for ten classes, as the authors have it.

The histogram has half as many bins as bits, and a = 1, as in the authors' scripts for 32 bits and
more.

The database's codes are those that the model gives, with sgn(0) = -1; none are learned apart. MAP
in the results is the exact expectation over the orders of ties, to which this loss is close.
"""

from jhash.losses import distance_histogram
from jhash.methods import histograms, pairs

FIELDS = histograms.FIELDS

prepare = pairs.prepare


def loss(outputs, batch, state, config):
    """Computes minus the mean average precision over the images of the batch."""
    del state
    counts = histograms.of_batch(outputs, batch, config)
    precision = distance_histogram.average_precision(counts).mean()
    return -precision, {"precision": precision}
