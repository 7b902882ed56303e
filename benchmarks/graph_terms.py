"""Says what each term of DSTGeH's stage 1 weighs, and what each step of it adds to the codes.

    python benchmarks/graph_terms.py [--images 1000 3000 9000] [--plot=FILE] [--json]

Images of the embedded training set are the nodes of the graph. The stack is looked at as it starts,
after its layers were trained one by one, and after the whole of it was trained, with beta = 1e-5,
the default, and 0.099, the paper's. For each there is, per node,

    the value and the length of the gradient of every term of eq. 7, weight included;
    the mean absolute correlation of two bits, of the real codes h;
    mAP@20 % of the codes, a sixth of the images being queries to the others, for which alone labels
    are used.

First come the weights u_ij of the graph, and those without centering of the features: their mean,
that of their absolute values, and the share that is negative.

The gradient is that in the codes h, where the first-order and the second-order terms meet. The test
queries take no part. `--features` names a folder that keeps the features for the next call.
`--smoke` takes 64 random images and cheap features, to see that everything runs.
"""

import argparse
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from output import Output, add_switch

from configs import dstgeh
from jhash import data as datasets
from jhash import retrieval, rng
from jhash.losses import graph as losses
from jhash.methods import graph_autoencoder
from jhash.models import stacked_autoencoder
from jhash.pretrained import features
from jhash.solvers import factored_graph

TERMS = ("rows", "hidden", "first order", "weights")
PAPER = 0.099


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 3000, 9000])
    parser.add_argument("--bits", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=20, help="of the whole stack; default: 20")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", help="a folder for features; default: they are not kept")
    parser.add_argument("--plot", metavar="FILE", help="a picture of the gradients, PNG or SVG")
    parser.add_argument("--smoke", action="store_true", help="random images and cheap features")
    add_switch(parser)
    options = parser.parse_args()

    config = dstgeh.get_config(f"bits={options.bits}{',smoke' if options.smoke else ''}")
    data = datasets.load_config(config.data)
    v_Nxz = features.load(config.method.features, data.source, data.train, options.features)
    fields = config.method.embedding.to_dict()
    del fields["name"]
    given = graph_autoencoder.Options(**fields)
    order = np.random.default_rng(options.seed).permutation(len(v_Nxz))
    counts = [min(count, len(order)) for count in options.images]
    drawn = []
    with Output(options.json) as output:
        for images in counts:
            chosen_Nxz = v_Nxz[order[:images]]
            _weights(output, "centered", chosen_Nxz - chosen_Nxz.mean(0))
            _weights(output, "not centered", chosen_Nxz)
        output.line()
        titles = ("nodes", "stack", "beta", *(f"{term}: value, gradient" for term in TERMS))
        output.line(f"| {' | '.join((*titles, 'correlation', 'mAP@20 %'))} |")
        output.line("| --- " * (len(titles) + 2) + "|")
        for images in counts:
            chosen = order[:images]
            nodes_Nxz = v_Nxz[chosen] - v_Nxz[chosen].mean(0)
            labels = data.labels(data.train[chosen])
            for name, changed in _stages(given, options.epochs):
                with tempfile.TemporaryDirectory() as folder:
                    key = rng.stream(options.seed, "embedding")
                    fitted = graph_autoencoder.fit(nodes_Nxz, config.bits, key, folder, changed)
                values, gradients, h_NxL = _terms(*fitted, changed)
                score = 100 * _score(h_NxL, labels, config.bits)
                alike = _correlation(h_NxL)
                terms = zip(values, gradients, strict=True)
                cells = " | ".join(f"{value:.3g}, {gradient:.2g}" for value, gradient in terms)
                row = (
                    f"{images:,} | {name} | {changed.beta:g} | {cells} | {alike:.2f} | {score:.1f}"
                )
                output.row(
                    "stacks",
                    f"| {row} |",
                    nodes=images,
                    stack=name,
                    beta=changed.beta,
                    values=dict(zip(TERMS, values, strict=True)),
                    gradients=dict(zip(TERMS, gradients, strict=True)),
                    correlation=alike,
                    map_top_20_percent=score,
                )
                drawn.append((images, name, changed.beta, gradients))
    if options.plot:
        _plot(drawn, options.plot)


def _stages(given, epochs):
    """Yields (name, options) of each state of the stack that is looked at."""
    for beta in (given.beta, PAPER):
        yield "start", given._replace(pretrain_epochs=0, epochs=0, beta=beta)
    yield "layers trained", given._replace(epochs=0)
    for beta in (0.0, given.beta, PAPER):
        yield "trained", given._replace(epochs=epochs, beta=beta)


def _weights(output, name, vectors_Nxz):
    """Prints what the weights of a graph are like, themselves left out."""
    graph = factored_graph.cosine(jnp.asarray(vectors_Nxz))
    nodes = len(vectors_Nxz)
    sums = np.zeros(3)
    for batch in np.array_split(np.arange(nodes), -(-nodes // 256)):
        u_BxN = np.array(factored_graph.rows(graph, batch))
        u_BxN[np.arange(len(batch)), batch] = 0
        sums += u_BxN.sum(), np.abs(u_BxN).sum(), (u_BxN < 0).sum()
    mean, size, negative = sums / (nodes * (nodes - 1))
    output.row(
        "weights",
        f"{nodes:,} nodes, {name}: mean u_ij {mean:.2g}, mean |u_ij| {size:.2g}, "
        f"{100 * negative:.0f} % negative",
        nodes=nodes,
        features=name,
        mean=mean,
        mean_absolute=size,
        negative=negative,
    )


def _terms(params, graph, options):
    """Returns the value of each term per node, the gradients' lengths per node, and the codes."""
    nodes = len(graph.left)
    batches = np.array_split(np.arange(nodes), -(-nodes // options.batch))

    def second(h_BxL, outputs, mu):
        reconstructions = stacked_autoencoder.decode(params, h_BxL, options.slope)
        return losses.second_order_loss(outputs[:-1], reconstructions[:-1], mu=mu).sum()

    @jax.jit
    def seconds(params, graph, batch):
        outputs = stacked_autoencoder.encode(
            params, factored_graph.rows(graph, batch), options.slope
        )
        terms = [jax.value_and_grad(second)(outputs[-1], outputs, mu) for mu in (1.0, 0.0)]
        return outputs[-1], terms

    codes, by_batch = zip(*(seconds(params, graph, batch) for batch in batches), strict=True)
    h_NxL = np.concatenate(jax.device_get(codes))
    first, first_NxL = jax.value_and_grad(losses.first_order_loss)(jnp.asarray(h_NxL), *graph)
    kernels = [layer[name] for layer in params for name in ("kernel", "kernel_back")]
    weights = sum(float(jnp.square(kernel).sum()) for kernel in kernels) / 2
    weighted = []
    for term, share in enumerate((options.mu, 1 - options.mu)):
        value = sum(float(batch[term][0]) for batch in by_batch)
        gradient_NxL = np.concatenate([np.asarray(batch[term][1]) for batch in by_batch])
        weighted.append((options.alpha * share, value, gradient_NxL))
    weighted.append((options.beta, float(first), np.asarray(first_NxL)))
    # The weights' own term does not depend on the codes.
    weighted.append((options.gamma, weights, np.zeros_like(h_NxL)))
    values = [factor * value / nodes for factor, value, _ in weighted]
    lengths = [
        float(factor * np.sqrt(np.square(gradient_NxL).sum(1).mean()))
        for factor, _, gradient_NxL in weighted
    ]
    return values, lengths, h_NxL


def _correlation(h_NxL):
    """Computes the mean absolute correlation of two different bits; constant bits have none."""
    varying_NxL = h_NxL[:, h_NxL.std(0) > 0]
    correlations_LxL = np.abs(np.corrcoef(varying_NxL, rowvar=False))
    return float(correlations_LxL[~np.eye(len(correlations_LxL), dtype=bool)].mean())


def _score(h_NxL, labels, bits):
    """Computes mAP@20 % with a sixth of the nodes as queries to the others."""
    packed = np.asarray(retrieval.pack_codes(h_NxL))
    queries = len(packed) // 6
    at = retrieval.top_percent(20, len(packed) - queries)
    sides = (packed[:queries], packed[queries:], labels[:queries], labels[queries:])
    return retrieval.mean_average_precision(*sides, bits, at=at)


def _plot(drawn, path):
    """Draws the gradients of the terms by the number of nodes, as the stack starts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    starts = [row for row in drawn if row[1] == "start"]
    default = [row for row in starts if row[2] != PAPER]
    nodes = [row[0] for row in default]
    for term in (0, 1):
        lengths = [row[3][term] for row in default]
        axes.loglog(nodes, lengths, marker="o", label=f"second order, {TERMS[term]}")
    for beta in sorted({row[2] for row in starts}):
        lengths = [row[3][2] for row in starts if row[2] == beta]
        axes.loglog(nodes, lengths, marker="s", label=f"first order, beta = {beta:g}")
    axes.set(xlabel="nodes of the graph", ylabel="length of a node's gradient in its code")
    figure.legend(loc="outside upper center", ncols=2)
    figure.savefig(path)


if __name__ == "__main__":
    main()
