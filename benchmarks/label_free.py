"""Compares hash functions on features without labels, to choose one for images of one's own.

    python benchmarks/label_free.py [--json]
    python benchmarks/label_free.py --data=scenes --labels
    python benchmarks/label_free.py --data=folder --folder=PHOTOS

A fifth of the training images (at most 2,000) is set aside, and each function is fitted twice, to
one half of the others each. A quarter of the images set aside are queries to the rest of them:

    stable   the share of a query's nearest fifth (`--nearest`, in percent) by one function that is
             among that by the other
    kept     the share of its 10 nearest images by features that are among the 10 nearest by codes

The most stable function is chosen, and marked. Where groups of like images are smaller than the
nearest fifth, less is better: a fifth rewards how groups lie to one another. `--labels` adds
mAP@20 % of the same queries in one half, which shows what the choice is worth where there are
labels; the choice does not see it. The test queries take no part. All numbers are percent, means
over `--seeds` draws. `--features` names a folder that keeps the features for the next call.
`--smoke` takes 64 random images and cheap features, to see that everything runs.
"""

import argparse
import functools
import importlib

import numpy as np
from output import Output, add_switch

from configs.baselines import shallow
from jhash import data as datasets
from jhash import retrieval, rng
from jhash.pretrained import features

DATA = ("embedded", "fashion_mnist", "scenes", "folder")
# The methods without labels, and the settings of neighbor diffusion that are compared.
CANDIDATES = [
    *(("lsh", {}), ("pcah", {}), ("sh", {}), ("itq", {}), ("density_sensitive", {})),
    *(
        ("neighbor_diffusion", {"neighbors": neighbors, "weight": weight})
        for neighbors in (5, 15, 50)
        for weight in (0.5, 0.9, 0.98)
    ),
]
ASIDE = 2000
SMOKE = [("lsh", {}), ("itq", {}), ("neighbor_diffusion", {"neighbors": 2, "rounds": 1})]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=DATA, default="embedded")
    parser.add_argument("--folder", help="the folder of --data=folder")
    parser.add_argument("--bits", type=int, default=48)
    parser.add_argument("--nearest", type=float, default=20, help="percent; default: 20")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--labels", action="store_true", help="show what the labels say, too")
    parser.add_argument("--features", help="a folder for features; default: they are not kept")
    parser.add_argument("--smoke", action="store_true", help="random images and cheap features")
    add_switch(parser)
    options = parser.parse_args()
    if (options.data == "folder") != bool(options.folder) or (options.folder and options.smoke):
        parser.error("--folder goes with --data=folder, which needs it, and not with --smoke")

    words = f"itq,{options.data},bits={options.bits}{',smoke' if options.smoke else ''}"
    config = shallow.get_config(words)
    if options.folder:
        config.data.options.folder = options.folder
    data = datasets.load_config(config.data, config.image)
    if options.labels and not data.has_labels:
        raise SystemExit("--labels: given for images without labels; allowed: images with classes.")
    v_Nxz = features.load(config.method.features, data.source, data.train, options.features)
    labels = data.labels(data.train)
    # ITQ and neighbor diffusion need as many images in each half as bits.
    least = 2 * config.bits * 5 // 4 + 2
    if len(v_Nxz) < least:
        parser.error(f"{len(v_Nxz)} images given for {config.bits} bits; allowed: {least} and more")
    candidates = SMOKE if options.smoke else CANDIDATES
    measured = functools.partial(
        _measured, v_Nxz, labels if options.labels else None, config.bits, options.nearest
    )
    draws = [
        [measured(seed, *candidate) for candidate in candidates] for seed in range(options.seeds)
    ]
    means = 100 * np.mean(draws, axis=0)
    best = int(means[:, 0].argmax())
    names = ("stable", "kept", "map_top_20_percent")[: means.shape[1]]
    with Output(options.json) as output:
        output.line(
            f"{options.data}: {len(v_Nxz):,} images, {config.bits} bits, {options.seeds} draws\n",
            data=options.data,
            images=len(v_Nxz),
            bits=config.bits,
            draws=options.seeds,
        )
        titles = ("stable", "kept", "mAP@20 %")[: means.shape[1]]
        output.line(f"| method | {' | '.join(titles)} |")
        output.line("| --- " * (1 + len(titles)) + "|")
        for row, ((method, fields), values) in enumerate(zip(candidates, means, strict=True)):
            chosen = row == best
            shown = ", ".join([method, *(f"{name} {value:g}" for name, value in fields.items())])
            cells = " | ".join(f"{value:.1f}" for value in values)
            output.row(
                "methods",
                f"| {f'**{shown}**' if chosen else shown} | {cells} |",
                method=method,
                fields=fields,
                chosen=chosen,
                **dict(zip(names, values, strict=True)),
            )


def _measured(v_Nxz, labels_N, bits, percent, seed, method, fields):
    """Fits a method to two halves; returns `stable` and `kept`, and with labels mAP@20 %."""
    order = np.random.default_rng(seed).permutation(len(v_Nxz))
    aside, rest = np.split(order, [min(ASIDE, len(order) // 5)])
    queries, database = np.split(aside, [len(aside) // 4])
    halves = np.array_split(rest, 2)
    module = importlib.import_module(f"jhash.methods.shallow.{method}")
    codes = []
    for number, half in enumerate(halves):
        key = rng.stream(seed, "fit", number)
        params = module.fit(v_Nxz[half], None, bits, key, **fields)
        codes.append(np.asarray(retrieval.pack_codes(module.encode(params, v_Nxz))))
    one, other = codes
    nearest = retrieval.top_percent(percent, len(database))
    stable = retrieval.neighbors_shared(
        one[queries], one[database], other[queries], other[database], bits, nearest
    )
    ten = min(10, len(database))
    kept = retrieval.neighbors_kept(
        one[queries], one[database], v_Nxz[queries], v_Nxz[database], bits, ten
    )
    measured = [stable.mean(), kept.mean()]
    if labels_N is not None:
        sides = queries, halves[0]
        coded, labeled = ([array[side] for side in sides] for array in (one, labels_N))
        at = retrieval.top_percent(20, len(halves[0]))
        measured.append(retrieval.mean_average_precision(*coded, *labeled, bits, at=at))
    return measured


if __name__ == "__main__":
    main()
