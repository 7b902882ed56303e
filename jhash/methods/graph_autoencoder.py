"""Training of a stacked autoencoder on the rows of a graph: the embeddings `sae` and `sdne`.

First the layers are trained one after another, each to reconstruct its own inputs. Then the whole
stack is trained on alpha L_so + beta L_fo + gamma L_r (eq. 7 of DSTGeH): the second-order loss, the
first-order loss and half the squared kernels of the layers. See `losses.graph`.

L_fo is over all pairs of nodes of the graph, in every step. Its gradient depends on the codes of
nodes outside the batch only through the sums right'H, where H are the codes of all nodes and u =
left right' the weights of the graph. The sums are kept, and updated with the codes of each batch.
With `first_order="neighbors"` L_fo has the pairs of nearest neighbors alone, and each step adds up
the codes of the neighbors as they were last computed.

The devices of a machine share the nodes of a batch, as many of them as can do so equally. Every
device has the graph's factors, the parameters, and the sums or the lists of neighbors. Of several
processes each trains alone, on one device.

Shapes in names: N nodes, z features, B nodes of a batch, L bits, W inputs of a layer.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jhash import config_fields, parallel
from jhash.errors import InputError
from jhash.losses import graph as losses
from jhash.methods import diffused_codes
from jhash.models import stacked_autoencoder
from jhash.runs.epochs import Epochs
from jhash.solvers import factored_graph, knn_graph
from jhash.system import interrupts

# The gain of layers before the codes, at which tanh is nearly linear.
HIDDEN_GAIN = 0.5
STARTS = ("principal", "random")
# The graph of L_fo: that of the rows, as in the paper, or that of nearest neighbors, normalized.
FIRST_ORDERS = ("graph", "neighbors")
# Functions from features to a graph. The paper's is that of cosines.
METRICS = {**factored_graph.METRICS, "diffused": diffused_codes.graph}
_FIELDS = {
    "first_order": config_fields.choice(*FIRST_ORDERS),
    "hidden": config_fields.integers(1),
    "slope": config_fields.positive(1),
    "start": config_fields.choice(*STARTS),
    "mu": config_fields.number(0, 1),
    "pretrain_epochs": config_fields.integer(0, 10**6),
    "epochs": config_fields.integer(0, 10**6),
    "batch": config_fields.integer(1),
    **dict.fromkeys(
        ("alpha", "beta", "gamma", "gain", "pretrain_rate", "learning_rate"),
        config_fields.number(),
    ),
}


class Options(NamedTuple):
    """Options of `train`; the defaults are DSTGeH's.

    Attributes:
      metric: Name of the graph's metric, a key of `METRICS`.
      first_order: The graph of L_fo: "graph", that of the metric, which is the paper's, or
        "neighbors", that of the `diffused_codes.NEIGHBORS` nearest neighbors by cosine with the
        symmetric normalized Laplacian, which is jhash's own. A node that is a neighbor of many
        makes its lists long: see `knn_graph.lists`.
      hidden: Widths of the layers between the rows and the codes. The paper does not give them.
        L_so has a term for every second one, so with fewer than two its eq. 4 is 0.
      slope: Slope of the activation tanh(slope x), in (0, 1].
      start: Initial parameters of the layers: "principal", principal components as in
        `stacked_autoencoder.later_layer`, or "random".
      gain: Gain of the layer of codes where it starts from principal components. The other layers
        have `HIDDEN_GAIN`.
      mu: Weight of the reconstruction of the rows within L_so, in [0, 1].
      alpha: Weight of L_so.
      beta: Weight of L_fo. The paper has 0.099, with which the codes are worse. With neighbors the
        gradient of a node does not grow with the graph, and beta has to be 10 or more.
      gamma: Weight of L_r.
      pretrain_epochs: Number of epochs in which each layer is trained alone.
      pretrain_rate: Learning rate of Adam in these epochs. That of a kernel is divided by the root
        of its number of inputs; see `_by_inputs`.
      epochs: Number of epochs in which the whole stack is trained.
      learning_rate: Learning rate of Adam in these epochs, divided likewise; cosine decay to 0.
      batch: Number of nodes in a batch.
    """

    metric: str = "cosine"
    first_order: str = "graph"
    hidden: tuple[int, ...] = (256, 128)
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
    """Trains an autoencoder on the rows of a graph and returns the codes of its nodes.

    Args:
      v_Nxz: Features of the nodes.
      bits: Code length.
      key: PRNG key for weights and batches.
      folder: As for `fit`.
      options: Graph, widths, weights and schedule.

    Returns:
      float32 [N, bits] in (-1, 1); bit = value > 0 (eq. 8 has >= 0).

    Raises:
      InputError: As `fit` does.
      NonFiniteError: As `fit` does.
    """
    return _outputs(*fit(v_Nxz, bits, key, folder, options), options)


def fit(
    v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str, options: Options
) -> tuple[list[dict[str, jax.Array]], factored_graph.Graph]:
    """Trains an autoencoder on the rows of a graph.

    Args:
      v_Nxz: Features of the nodes.
      bits: Code length.
      key: PRNG key for weights and batches.
      folder: Folder of the checkpoints and the log, from which a call that was killed continues.
      options: Graph, widths, weights and schedule.

    Returns:
      (parameters of the layers, graph); see `models.stacked_autoencoder`.

    Raises:
      InputError: An option is not allowed; the message names it.
      NonFiniteError: A loss became NaN or infinite.
    """
    nodes = len(v_Nxz)
    check(options, nodes, bits)
    graph = METRICS[options.metric](jnp.asarray(v_Nxz, jnp.float32))
    near = _neighbors(v_Nxz) if options.first_order == "neighbors" else None
    widths = (nodes, *options.hidden, bits)
    layers = len(widths) - 1
    steps = -(-nodes // options.batch)
    init_key, start_key, order_key = jax.random.split(key, 3)
    init = functools.partial(stacked_autoencoder.init, widths=widths, slope=options.slope)
    params = jax.jit(init)(init_key)
    # For each epoch the layer that is trained, or None for the whole stack.
    plan = [layer for layer in range(layers) for _ in range(options.pretrain_epochs)]
    plan += [None] * options.epochs
    phase = None
    with Epochs(
        folder,
        total=len(plan),
        steps=steps,
        keep=1,
        desc="pseudo labels",
        unit="epoch",
        disable=None,
    ) as epochs:
        metrics_by_step = []  # In the epoch that a signal has cut short.
        if epochs.begun:
            newest = epochs.done if epochs.within else epochs.done - 1
            phase = _Phase(graph, near, options, plan[newest], steps)
            fresh = {"params": params, "state": phase.empty(params)}
            if epochs.within:
                fresh["metrics"] = phase.stack_metrics([], steps)
            saved = epochs.restore(fresh)
            metrics_by_step = phase.split_metrics(saved.pop("metrics", {}), epochs.within)
            saved = jax.tree.map(jnp.asarray, saved)
            params, state = saved["params"], saved["state"]
        for epoch in epochs:
            if phase is None or phase.layer != plan[epoch]:
                phase = _Phase(graph, near, options, plan[epoch], steps)
                trained = range(layers) if phase.layer is None else [phase.layer]
                untouched = [layer for layer in trained if layer not in plan[:epoch]]
                params = _start(params, untouched, graph, start_key, options)
                state = phase.begin(params)
            order = jax.random.permutation(jax.random.fold_in(order_key, epoch), nodes)
            params, state, metrics_by_step = phase.epoch(
                params, state, np.asarray(order), metrics_by_step
            )
            tree = jax.device_get({"params": params, "state": state})
            if len(metrics_by_step) < steps:
                tree["metrics"] = phase.stack_metrics(metrics_by_step, steps)
                epochs.stop(epoch, len(metrics_by_step), tree)
            epochs.log.write((epoch + 1) * steps, epoch + 1, phase.means(state, metrics_by_step))
            metrics_by_step = []
            epochs.save(epoch + 1, tree)
            epochs.bar.update()
            interrupts.stop_if_requested()
    if not plan:
        params = _start(params, range(layers), graph, start_key, options)
    return params, graph


def _neighbors(v_Nxz):
    """Makes the normalized graph of nearest neighbors, as lists."""
    neighbors = min(diffused_codes.NEIGHBORS, len(v_Nxz) - 1)
    return knn_graph.lists(knn_graph.normalized(knn_graph.build(v_Nxz, neighbors)))


def _degrees(graph, near):
    """Computes the diagonal of the Laplacian of L_fo, [N]."""
    return jax.jit(factored_graph.degrees)(graph) if near is None else knn_graph.joined(near)


class _Phase:
    """The training of one layer, or of the whole stack if `layer` is None.

    Its state has the optimizer's, and for the whole stack also `codes` [N, L], the codes of all
    nodes as they were last computed. Without `near`, the lists of neighbors for L_fo, it has `sums`
    as well, right'codes.
    """

    def __init__(self, graph, near, options, layer, steps):
        self.layer = layer
        self._names = ("second_order", "weights") if layer is None else (f"reconstruction_{layer}",)
        self._graph, self._near = graph, near
        self._batch = options.batch
        if layer is None:
            rate = optax.cosine_decay_schedule(options.learning_rate, options.epochs * steps)
        else:
            rate = options.pretrain_rate
        optimizer = optax.chain(optax.adam(rate), optax.stateless(_by_inputs))
        self._devices = 1
        if parallel.process_count() == 1:
            self._devices = parallel.training_devices(options.batch, idle=True)
        several = self._devices > 1
        gather = parallel.all_gather if several else lambda tree: tree
        mean = parallel.pmean if several else lambda tree: tree
        nodes = len(graph.left)
        degrees_N = _degrees(graph, near)
        encode = functools.partial(stacked_autoencoder.encode, slope=options.slope)
        decode = functools.partial(stacked_autoencoder.decode, slope=options.slope)

        def empty(params):
            if layer is not None:
                return {"optimizer": optimizer.init(params[layer])}
            bits = params[-1]["bias"].size
            state = {"optimizer": optimizer.init(params), "codes": jnp.zeros((nodes, bits))}
            if near is None:
                state["sums"] = jnp.zeros((graph.right.shape[1], bits))
            return state

        def with_codes(state, graph, nodes_B, h_BxL):
            nodes_B, h_BxL = gather((nodes_B, h_BxL))
            codes_NxL = state["codes"].at[nodes_B].set(h_BxL)
            if near is not None:
                return {**state, "codes": codes_NxL}
            change = h_BxL - state["codes"][nodes_B]
            sums = state["sums"] + graph.right[nodes_B].T @ change
            return {**state, "codes": codes_NxL, "sums": sums}

        def begin(params, state, graphs, nodes_B):
            graph, _ = graphs
            h_BxL = encode(params, factored_graph.rows(graph, nodes_B))[-1]
            return with_codes(state, graph, nodes_B, h_BxL)

        def layer_loss(trained, params, graph, nodes_B):
            x_BxW = encode(params[:layer], factored_graph.rows(graph, nodes_B))[-1]
            reconstruction_BxW = decode([trained], encode([trained], x_BxW)[-1])[0]
            return jnp.square(x_BxW - reconstruction_BxW).sum(1).mean()

        def stack_loss(params, graph, nodes_B, pull_BxL):
            # Means over the batch of terms per node. Only the gradient of `first` is that of L_fo,
            # not its value, so it is not logged here; `epoch` logs the loss itself.
            outputs = encode(params, factored_graph.rows(graph, nodes_B))
            reconstructions = decode(params, outputs[-1])
            second = losses.second_order_loss(
                outputs[:-1], reconstructions[:-1], mu=options.mu
            ).mean()
            first = losses.first_order_share(outputs[-1], degrees_N[nodes_B], pull_BxL).mean()
            names = ("kernel", "kernel_back")
            kernels = [layer_params[name] for layer_params in params for name in names]
            weights = sum(jnp.square(kernel).sum() for kernel in kernels) / 2 / nodes
            loss = options.alpha * second + options.beta * first + options.gamma * weights
            return loss, (outputs[-1], {"second_order": second, "weights": weights})

        def train_layer(params, state, graphs, nodes_B):
            graph, _ = graphs
            loss, gradient = mean(
                jax.value_and_grad(layer_loss)(params[layer], params, graph, nodes_B)
            )
            updates, moments = optimizer.update(gradient, state["optimizer"])
            trained = optax.apply_updates(params[layer], updates)
            params = [*params[:layer], trained, *params[layer + 1 :]]
            return params, {"optimizer": moments}, {f"reconstruction_{layer}": loss}

        def train_stack(params, state, graphs, nodes_B):
            graph, near = graphs
            if near is None:
                pull_BxL = graph.left[nodes_B] @ state["sums"]
            else:
                pull_BxL = knn_graph.sums(near, state["codes"], nodes_B)
            gradient, (h_BxL, metrics) = jax.grad(stack_loss, has_aux=True)(
                params, graph, nodes_B, pull_BxL
            )
            gradient, metrics = mean((gradient, metrics))
            updates, moments = optimizer.update(gradient, state["optimizer"])
            state = with_codes({**state, "optimizer": moments}, graph, nodes_B, h_BxL)
            return optax.apply_updates(params, updates), state, metrics

        self.empty = jax.jit(empty)
        step = train_stack if layer is None else train_layer
        if several:
            left = self._on_devices(graph.left)
            # Where both factors are one array, a device has it once, too.
            one = graph.right is graph.left
            right = left if one else self._on_devices(graph.right)
            self._graphs = type(graph)(left, right), self._on_devices(near)
            self._begin = parallel.map_devices(begin, donate=(1,))
            self._step = parallel.map_devices(step, donate=(0, 1))
        else:
            self._graphs = graph, near
            self._begin = jax.jit(begin, donate_argnums=1)
            self._step = jax.jit(step, donate_argnums=(0, 1))

    def begin(self, params):
        """Returns the state before the first epoch of the phase."""
        state = self.empty(params)
        if self.layer is not None:
            return state
        params, state = self._on_devices((params, state))
        for nodes in _batches(np.arange(len(self._graph.left)), self._batch):
            state = self._begin(params, state, self._graphs, self._shared(nodes))
        return self._of_one(state)

    def _on_devices(self, tree):
        return parallel.replicate(tree, self._devices) if self._devices > 1 else tree

    def _of_one(self, tree):
        return parallel.unreplicate(tree) if self._devices > 1 else tree

    def _shared(self, nodes):
        return parallel.shard(nodes, self._devices) if self._devices > 1 else nodes

    def epoch(self, params, state, order, metrics_by_step):
        """Trains on all nodes once, in the given order, or on fewer if a signal asks to stop.

        Args:
          params: Parameters of all layers.
          state: State of the phase.
          order: Order of the nodes, int [N].
          metrics_by_step: Metrics of the steps of this epoch that are done.

        Returns:
          (params, state, metrics_by_step): the metrics of all steps that are done now.
        """
        done, metrics_of_steps = list(metrics_by_step), []
        params, state = self._on_devices((params, state))
        for nodes in _batches(order, self._batch)[len(done) :]:
            params, state, metrics = self._step(params, state, self._graphs, self._shared(nodes))
            metrics_of_steps.append(metrics)
            if interrupts.requested():
                break
        params, state = self._of_one((params, state))
        fetch = parallel.fetch if self._devices > 1 else jax.device_get
        return params, state, done + [fetch(metrics) for metrics in metrics_of_steps]

    def means(self, state, metrics_by_step):
        """Returns the metrics of an epoch; they are means over its steps."""
        metrics = {}
        for name in self._names:
            metrics[name] = float(np.mean([step_metrics[name] for step_metrics in metrics_by_step]))
        if self.layer is None:
            # The loss of the codes as they were computed in the steps of this epoch.
            metrics["first_order"] = float(self._first_order(state["codes"])) / len(state["codes"])
        return metrics

    def _first_order(self, h_NxL):
        if self._near is None:
            return losses.first_order_loss(h_NxL, *self._graph)
        batches = _batches(np.arange(len(h_NxL)), self._batch)
        pulls = [knn_graph.sums(self._near, h_NxL, nodes_B) for nodes_B in batches]
        pull_NxL = jnp.concatenate(pulls)[: len(h_NxL)]
        return losses.normalized_first_order_loss(h_NxL, knn_graph.joined(self._near), pull_NxL)

    def stack_metrics(self, metrics_by_step, steps):
        """Returns the metrics of steps as float32 [steps] by name, for a checkpoint."""
        stacked = {name: np.zeros(steps, np.float32) for name in self._names}
        for step, metrics in enumerate(metrics_by_step):
            for name in self._names:
                stacked[name][step] = metrics[name]
        return stacked

    def split_metrics(self, stacked, steps):
        """Undoes `stack_metrics` for the steps that were done."""
        return [{name: stacked[name][step] for name in self._names} for step in range(steps)]


def _by_inputs(updates, _):
    """Divides the updates of a kernel by the root of its number of inputs.

    Adam moves every weight by about as much, and the N inputs of the first layer, a row of the
    graph, are much alike. Without the division the moves would add up, and saturate all units of
    that layer within a few steps.
    """
    return jax.tree.map(lambda leaf: leaf / len(leaf) ** 0.5 if leaf.ndim > 1 else leaf, updates)


def _batches(order, size):
    """Splits an order of nodes into batches, int [ceil(N / size), size].

    All have one size, so that nothing is compiled anew; the last is filled up from the start.
    """
    return np.resize(order, (-(-len(order) // size), size))


def _start(params, layers, graph, key, options):
    """Replaces random parameters of some layers by principal components, if the options say so.

    Args:
      params: Parameters of all layers.
      layers: Numbers of the layers, rising. A layer's components are those of its inputs, so the
        layers before it have been trained, or are among them.
      graph: The graph.
      key: PRNG key.
      options: See `Options`.

    Returns:
      The parameters of all layers.
    """
    if options.start != "principal":
        return params
    for layer in layers:
        layer_key = jax.random.fold_in(key, layer)
        width = params[layer]["bias"].size
        is_last = layer + 1 == len(params)
        gain = options.gain if is_last else HIDDEN_GAIN
        if layer == 0:
            start = stacked_autoencoder.first_layer(graph, width, layer_key, options.slope, gain)
        else:
            x_NxW = jnp.asarray(_outputs(params[:layer], graph, options))
            start = stacked_autoencoder.later_layer(
                x_NxW, width, layer_key, options.slope, gain, codes=is_last
            )
        params = [*params[:layer], start, *params[layer + 1 :]]
    return params


def _outputs(params, graph, options):
    """Computes the outputs of the last layer for all nodes, float32 [N, width]."""

    @jax.jit
    def forward(params, graph, nodes_B):
        return stacked_autoencoder.encode(
            params, factored_graph.rows(graph, nodes_B), options.slope
        )[-1]

    nodes = len(graph.left)
    batches = _batches(np.arange(nodes), options.batch)
    outputs = [np.asarray(forward(params, graph, nodes_B)) for nodes_B in batches]
    return np.concatenate(outputs)[:nodes]


def check(options: Options, nodes: int, bits: int) -> None:
    """Checks options for a graph of a number of nodes, and the code length.

    Raises:
      InputError: An option is not allowed; the message names it.
    """
    # Looked up now, since further metrics may have been added.
    fields = _FIELDS | {"metric": config_fields.choice(*METRICS)}
    config_fields.check_group(options._asdict(), fields)
    if options.batch > nodes:
        raise InputError(
            f"batch: {options.batch} given; allowed: 1 to {nodes}, the number of nodes."
        )
    # The layer of codes begins only when those before it have been trained, which is late to fail.
    if options.start == "principal" and options.hidden:
        most = min(nodes, options.hidden[-1])
        if bits > most:
            raise InputError(
                f"bits: {bits} given; allowed: 1 to {most}, as each bit starts as a principal "
                f"component of the {options.hidden[-1]} last hidden units of {nodes} nodes."
            )
