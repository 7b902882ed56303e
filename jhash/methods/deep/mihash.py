"""MIHash: hashing with mutual information (Cakir, He, Bargal and Sclaroff 2017, 2019).

Source: the paper, and fcakir/deep-mihash:mihash/mi_forward.m of its authors. The
loss is minus the mutual information of the distance from an image and of being similar to it, where
distances are counted in a soft histogram, on phi = 2 sigmoid(a u) - 1 for the real outputs u. (A
port, cisip-FIRe's, minimizes plus the information, counts an image among those dissimilar to itself
and leaves out the last bin.)

Pairs: each image of a batch with all others.

Sums and means: the mean over the images of a batch, in nats. (The authors sum over them, in bits.)

The histogram has half as many bins as bits, and a = 1, the authors' defaults; they also choose a
among 10 and 30.

The database's codes are those that the model gives, with sgn(0) = -1; none are learned apart.
"""

from jhash.losses import distance_histogram
from jhash.methods import histograms, pairs

FIELDS = histograms.FIELDS

prepare = pairs.prepare


def loss(outputs, batch, state, config):
    """Computes minus the mean mutual information over the images of the batch."""
    del state
    counts = histograms.of_batch(outputs, batch, config)
    information = distance_histogram.mutual_information(counts).mean()
    return -information, {"information": information}
