"""DAH (Li et al. 2020): separable ResNet30 with attention, shrink sigmoid, pairwise log loss.

    python launch.py --config=configs/dah.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST) in about four minutes on two cores; its MAP was not recorded. All of Fashion-MNIST
takes 26 minutes:

    configs/dah.py:fashion_mnist,bits=36                   MAP 0.910 (12 to 48 bits: 0.90 to 0.91)
    configs/dah.py:fashion_mnist,bits=48,attention=none    MAP 0.907 (NoneA-DAH)

`bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and there are these arguments:

    fashion_mnist      all 70,000 images: 60,000 for training and database, 10,000 queries
    cifar10            50,000 images for training and database, 10,000 queries, as in the paper;
                       needs the data set, prepared by TFDS; was not run
    folder             photos of your own in a folder, at 64 x 64, whose subfolders are classes;
                       needs --config.data.options.folder, and the two fields below. Some hundreds
                       of photos are few for a model that starts from random weights
    paper              the paper's rate, 1e-3 from the first step to the last, products in float32,
                       and 100 epochs; meant for a GPU, was not run in full
    attention=none     NoneA-DAH, without attention; the default is attention=cbam
    dissimilar=abs     another reading of eq. 2; the default is dissimilar=hinge, the third reading
                       is dissimilar=printed

From the paper are Adam with learning rate 1e-3, phi1 = phi2 = 1, t = bits / 4.8, and batches of two
images per class. Eight devices cannot share a batch of 20 equally, so only five of them are used;
see `idle_devices` in configs/common.py. The paper names no schedule, which `paper` takes for a
constant rate; without `paper` it is a cosine, which gets more out of six epochs. The paper gives
neither CBAM's reduction nor the number of epochs; the 100 of `paper`, 250,000 steps on CIFAR-10,
are our choice.

For data with another number of classes, set --config.model.classes to that number, and
--config.batch_size to twice that number or another multiple.
"""

import ml_collections

from configs import common
from jhash.losses import pairwise
from jhash.models import resnet30


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(
        argument,
        data=("embedded", "fashion_mnist", "cifar10", "folder"),
        variant=("paper",),
        attention=resnet30.ATTENTIONS,
        dissimilar=tuple(pairwise.DISSIMILAR),
        bits=32,
    )
    config = common.base(arguments, cifar10="cifar10_dah")
    config.method = {
        "name": "dah",
        # The reading of eq. 2 for dissimilar pairs: "hinge", "abs" or "printed".
        "dissimilar": arguments.dissimilar,
        # The threshold t of eq. 2, as a share of the bits.
        "threshold": 1 / 4.8,
        # Weight of the similarity term.
        "phi1": 1.0,
        # Weight of the balance term.
        "phi2": 1.0,
    }
    config.model = {
        "name": "resnet30.ResNet30",
        # Number of outputs of the classification layer: the number of classes in the data.
        "classes": 10,
        # "cbam" or "none".
        "attention": arguments.attention,
        # Factor by which CBAM's channel attention narrows its hidden layer.
        "reduction": 16,
        # Dtype of the factors in 1 x 1 convolutions; "float32" is slower.
        "dtype": "bfloat16",
    }
    if arguments.data == "folder":
        config.image.size = config.data.options.image_size = 64
    config.batch_size = 20
    config.idle_devices = True
    config.augment.update(pad=0, flip=False)
    config.epochs = 6
    # Small, so that the activations stay in the cache of a processor.
    config.eval_batch_size = 100
    config.optimizer.update(name="adam", weight_decay=0.0)
    if arguments.variant == "paper":
        config.model.dtype = "float32"
        config.optimizer.schedule = "constant"
        config.epochs = 100
    if arguments.smoke:
        common.smoke(config, arguments)
        config.batch_size = config.eval_batch_size = 20
        config.model.update(stages=((8, 8, 16), (8, 8, 16)), identity_blocks=0)
    return config
