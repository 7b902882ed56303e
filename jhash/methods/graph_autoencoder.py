"""Training of a stacked autoencoder on the rows of a graph: the embeddings `sae` and `sdne`.

First each layer learns to give back its own inputs, one after another; then the whole stack is
tuned with alpha L_so + beta L_fo + gamma L_r (eq. 7). L_fo is over the whole graph in every step:
its gradient needs of the other nodes' codes only the sums right'H, kept up to date as batches pass.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jhash.errors import InputError
from jhash.losses import graph as losses
from jhash.models import stacked_autoencoder
from jhash.runs.epochs import Epochs
from jhash.solvers import factored_graph

# Nearly linear, for tanh.
HIDDEN_GAIN = 0.5
STARTS = ("principal", "random")


class Options(NamedTuple):
    """Options of `train`; the defaults are DSTGeH's.

    Attributes:
      metric: Of the graph, a function of `solvers.factored_graph`.
      hidden: Widths of the layers between the rows and the codes.
      slope: Of the activation tanh(slope x), in (0, 1].
      start: Of the layers: "principal", as `stacked_autoencoder.later_layer` says, or "random".
      gain: Of the code layer that starts so; of the others `HIDDEN_GAIN`.
      mu: Weight of the rows in L_so, in [0, 1].
      alpha: Weight of L_so.
      beta: Weight of L_fo. The paper's 0.099 makes the codes much worse: L_fo is a sum over pairs
        and bits, and codes far from 0 make it thousands of times L_so.
      gamma: Weight of L_r.
      pretrain_epochs: Of each layer alone.
      pretrain_rate: Adam's learning rate in these; kernels move by the root of their inputs less.
      epochs: Of the whole stack.
      learning_rate: Adam's in these, with cosine decay to 0.
      batch: Nodes.
    """

    metric: str = "cosine"
    hidden: tuple[int, ...] = (256,)
    slope: float = 0.2
    start: str = "principal"
    gain: float = 2.0
    mu: float = 0.7
    alpha: float = 0.9
    beta: float = 1e-5
    gamma: float = 0.001
    pretrain_epochs: int = 2
    pretrain_rate: float = 1e-2
    epochs: int = 3
    learning_rate: float = 1e-3
    batch: int = 256


def train(
    v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str, options: Options
) -> np.ndarray:
    """Codes of the nodes of a graph, trained in epochs that survive a kill.

    Args:
      v_Nxz: Features of the nodes.
      bits: Code length.
      key: PRNG key.
      folder: For checkpoints and the log; a call that was killed is continued.
      options: Graph, widths, weights and schedule.

    Returns:
      float32 [N, bits] in (-1, 1); bit = value >= 0 (eq. 8).

    Raises:
      InputError: An option is out of range.
      NonFiniteError: A loss became NaN or infinite.
    """
    nodes = len(v_Nxz)
    _check(options, nodes)
    graph = factored_graph.METRICS[options.metric](jnp.asarray(v_Nxz, jnp.float32))
    widths = (nodes, *options.hidden, bits)
    layers, steps = len(widths) - 1, -(-nodes // options.batch)
    init_key, start_key, order_key = jax.random.split(key, 3)
    init = functools.partial(stacked_autoencoder.init, widths=widths, slope=options.slope)
    params, phase = jax.jit(init)(init_key), None
    phases = [*range(layers)] * (options.pretrain_epochs > 0) + [None] * (options.epochs > 0)
    lengths = [options.epochs if each is None else options.pretrain_epochs for each in phases]
    plan = [each for each, length in zip(phases, lengths, strict=True) for _ in range(length)]
    with Epochs(
        folder,
        total=len(plan),
        steps=steps,
        keep=1,
        desc="pseudo labels",
        unit="epoch",
        disable=None,
    ) as epochs:
        if epochs.begun:
            phase = _Phase(graph, options, plan[epochs.done - 1], steps)
            saved = epochs.restore({"params": params, "state": phase.empty(params)})
            saved = jax.tree.map(jnp.asarray, saved)
            params, state = saved["params"], saved["state"]
        for epoch in epochs:
            if phase is None or phase.layer != plan[epoch]:
                phase = _Phase(graph, options, plan[epoch], steps)
                new = range(layers) if phase.layer is None else [phase.layer]
                new = [layer for layer in new if layer not in plan[:epoch]]
                params = _start(params, new, graph, start_key, options)
                state = phase.begin(params)
            order = jax.random.permutation(jax.random.fold_in(order_key, epoch), nodes)
            params, state, metrics = phase.epoch(params, state, np.asarray(order))
            epochs.log.write((epoch + 1) * steps, epoch + 1, metrics)
            epochs.save(epoch + 1, jax.device_get({"params": params, "state": state}))
            epochs.bar.update()
    if not plan:
        params = _start(params, range(layers), graph, start_key, options)
    return _outputs(params, graph, options)


class _Phase:
    """The training of one layer, or, where `layer` is None, of the whole stack."""

    def __init__(self, graph, options, layer, steps):
        self.layer, self._graph, self._batch = layer, graph, options.batch
        if layer is None:
            rate = optax.cosine_decay_schedule(options.learning_rate, options.epochs * steps)
        else:
            rate = options.pretrain_rate
        optimizer = optax.chain(optax.adam(rate), optax.stateless(_by_inputs))
        degrees_N = jax.jit(factored_graph.degrees)(graph)
        slope, nodes = options.slope, len(degrees_N)
        encode = functools.partial(stacked_autoencoder.encode, slope=slope)
        decode = functools.partial(stacked_autoencoder.decode, slope=slope)

        def empty(params):
            if layer is not None:
                return {"optimizer": optimizer.init(params[layer])}
            bits = params[-1]["bias"].size
            # The codes of all nodes as they were last computed, and right'H.
            codes, sums = jnp.zeros((nodes, bits)), jnp.zeros((graph.right.shape[1], bits))
            return {"optimizer": optimizer.init(params), "codes": codes, "sums": sums}

        def put(state, graph, nodes_B, h_BxL):
            change = h_BxL - state["codes"][nodes_B]
            return {
                **state,
                "codes": state["codes"].at[nodes_B].set(h_BxL),
                "sums": state["sums"] + graph.right[nodes_B].T @ change,
            }

        def begin(params, state, graph, nodes_B):
            return put(
                state, graph, nodes_B, encode(params, factored_graph.rows(graph, nodes_B))[-1]
            )

        def of_layer(trained, params, graph, nodes_B):
            x = encode(params[:layer], factored_graph.rows(graph, nodes_B))[-1]
            found = decode([trained], encode([trained], x)[-1])[0]
            return jnp.square(x - found).sum(1).mean()

        def of_stack(params, graph, nodes_B, pull_BxL):
            outputs = encode(params, factored_graph.rows(graph, nodes_B))
            found = decode(params, outputs[-1])
            second = losses.second_order_loss(outputs[:-1], found[:-1], mu=options.mu).mean()
            first = losses.first_order_share(outputs[-1], degrees_N[nodes_B], pull_BxL).mean()
            kernels = [each[name] for each in params for name in ("kernel", "kernel_back")]
            weights = sum(jnp.square(kernel).sum() for kernel in kernels) / 2 / nodes
            loss = options.alpha * second + options.beta * first + options.gamma * weights
            return loss, (outputs[-1], {"second_order": second, "weights": weights})

        def train_layer(params, state, graph, nodes_B):
            loss, gradient = jax.value_and_grad(of_layer)(params[layer], params, graph, nodes_B)
            updates, moments = optimizer.update(gradient, state["optimizer"])
            trained = optax.apply_updates(params[layer], updates)
            params = [*params[:layer], trained, *params[layer + 1 :]]
            return params, {"optimizer": moments}, {f"reconstruction_{layer}": loss}

        def train_stack(params, state, graph, nodes_B):
            pull_BxL = graph.left[nodes_B] @ state["sums"]
            gradient, (h_BxL, metrics) = jax.grad(of_stack, has_aux=True)(
                params, graph, nodes_B, pull_BxL
            )
            updates, moments = optimizer.update(gradient, state["optimizer"])
            state = put({**state, "optimizer": moments}, graph, nodes_B, h_BxL)
            return optax.apply_updates(params, updates), state, metrics

        self.empty = jax.jit(empty)
        self._begin = jax.jit(begin, donate_argnums=1)
        step = train_stack if layer is None else train_layer
        self._step = jax.jit(step, donate_argnums=(0, 1))

    def begin(self, params):
        """The state before the phase's first epoch: the optimiser's, and codes of all nodes."""
        state = self.empty(params)
        if self.layer is None:
            for nodes in _batches(np.arange(len(self._graph.left)), self._batch):
                state = self._begin(params, state, self._graph, nodes)
        return state

    def epoch(self, params, state, order):
        """One pass over the nodes in that order; the metrics are per node."""
        logged = []
        for nodes in _batches(order, self._batch):
            params, state, metrics = self._step(params, state, self._graph, nodes)
            logged.append(metrics)
        logged = jax.device_get(logged)
        metrics = {name: float(np.mean([each[name] for each in logged])) for name in logged[0]}
        if self.layer is None:
            # Of the codes as the epoch's batches gave them.
            first = losses.first_order_loss(state["codes"], *self._graph)
            metrics["first_order"] = float(first) / len(order)
        return params, state, metrics


def _by_inputs(updates, _):
    """Kernels move by the root of their inputs less.

    Adam moves every entry alike, and a row of the graph has N inputs that are alike, too: together
    they would saturate all units of the first layer in a few steps.
    """
    return jax.tree.map(lambda leaf: leaf / len(leaf) ** 0.5 if leaf.ndim > 1 else leaf, updates)


def _batches(order, size):
    """Of one size, so that nothing is compiled anew; the last takes nodes from the start."""
    return np.resize(order, (-(-len(order) // size), size))


def _start(params, layers, graph, key, options):
    """The parameters with those layers' first ones; those before them are trained, or started."""
    for layer in layers if options.start == "principal" else ():
        layer_key, slope = jax.random.fold_in(key, layer), options.slope
        outputs, last = params[layer]["bias"].size, layer + 1 == len(params)
        gain = options.gain if last else HIDDEN_GAIN
        if layer == 0:
            start = stacked_autoencoder.first_layer(graph, outputs, layer_key, slope, gain)
        else:
            x_NxW = jnp.asarray(_outputs(params[:layer], graph, options))
            start = stacked_autoencoder.later_layer(
                x_NxW, outputs, layer_key, slope, gain, codes=last
            )
        params = [*params[:layer], start, *params[layer + 1 :]]
    return params


def _outputs(params, graph, options):
    """The last layer's outputs for all nodes, float32 [N, width]."""

    @jax.jit
    def forward(params, graph, nodes_B):
        return stacked_autoencoder.encode(
            params, factored_graph.rows(graph, nodes_B), options.slope
        )[-1]

    nodes = len(graph.left)
    batches = _batches(np.arange(nodes), options.batch)
    return np.concatenate([np.asarray(forward(params, graph, each)) for each in batches])[:nodes]


def _check(options, nodes):
    finite = lambda value: 0 <= value < math.inf  # noqa: E731
    rules = {
        "hidden": (lambda widths: all(width >= 1 for width in widths), "widths of 1 or more"),
        "slope": (lambda value: 0 < value <= 1, "(0, 1]"),
        "metric": (
            lambda value: value in factored_graph.METRICS,
            ", ".join(factored_graph.METRICS),
        ),
        "start": (lambda value: value in STARTS, ", ".join(STARTS)),
        "mu": (lambda value: 0 <= value <= 1, "[0, 1]"),
        "pretrain_epochs": (lambda value: value >= 0, "0 or more"),
        "epochs": (lambda value: value >= 0, "0 or more"),
        "batch": (lambda value: 1 <= value <= nodes, f"1 to {nodes}, the number of nodes"),
    }
    for name in ("alpha", "beta", "gamma", "gain", "pretrain_rate", "learning_rate"):
        rules[name] = (finite, "a finite number >= 0")
    for name, (holds, words) in rules.items():
        given = getattr(options, name)
        if not holds(given):
            raise InputError(f"{name}: {given!r} given; allowed: {words}.")
