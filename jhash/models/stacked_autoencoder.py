"""The stacked autoencoder of DSTGeH: rows of a graph's adjacency matrix to codes and back.

Shapes in names: N nodes, B nodes of a batch, L bits, W units of a layer (W1: and a constant), R
columns of a graph's factors, K principal components, V values that a decoder gives back.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jhash.solvers import factored_graph, pca, rotation

# The layers' "kernel" and "bias" of the encoder, "kernel_back" and "bias_back" of the decoder.
Params = list[dict[str, jax.Array]]
# Ridge on the decoder's equations, per node: keeps them solvable where codes are dependent.
_RIDGE = 1e-3
# Share of the largest eigenvalue up to which an eigenvalue counts as 0 in float32.
_RANK = 1e-6


def init(key: jax.Array, widths: Sequence[int], slope: float) -> Params:
    """Draws parameters for the encoder and the decoder.

    Kernels are normal with deviation 1 / (slope sqrt(inputs)), so that activations keep their size
    from layer to layer in spite of the slope. The paper does not say how they start.

    Args:
      key: PRNG key.
      widths: Widths N, ..., bits: of the rows, then of each layer's outputs.
      slope: Slope of the tanh at 0.

    Returns:
      Parameters of each layer; biases are 0.
    """
    params = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        encoder_key, decoder_key = jax.random.split(jax.random.fold_in(key, number))
        kernel = jax.random.normal(encoder_key, (inputs, outputs))
        kernel_back = jax.random.normal(decoder_key, (outputs, inputs))
        params.append(
            {
                "kernel": kernel / (slope * inputs**0.5),
                "bias": jnp.zeros(outputs),
                "kernel_back": kernel_back / (slope * outputs**0.5),
                "bias_back": jnp.zeros(inputs),
            }
        )
    return params


def encode(params: Params, rows_BxN: jax.Array, slope: float) -> list[jax.Array]:
    """Encodes rows of the adjacency matrix.

    Args:
      params: Parameters of the layers.
      rows_BxN: Rows of B nodes.
      slope: Slope of the tanh at 0.

    Returns:
      The rows, then every layer's outputs; the last are the codes h [B, L].

    References:
      DSTGeH (Liu et al. 2020), eq. 2.
    """
    outputs = [rows_BxN]
    for layer in params:
        outputs.append(jnp.tanh(slope * (outputs[-1] @ layer["kernel"] + layer["bias"])))
    return outputs


def decode(params: Params, h_BxL: jax.Array, slope: float) -> list[jax.Array]:
    """Decodes codes, layer by layer.

    Args:
      params: Parameters of the layers.
      h_BxL: Codes of B nodes.
      slope: Slope of the tanh at 0.

    Returns:
      Reconstructions of what `encode` returns, in the same order: of the rows [B, N] first; the
      codes themselves are last.
    """
    outputs = [h_BxL]
    for layer in reversed(params):
        outputs.append(jnp.tanh(slope * (outputs[-1] @ layer["kernel_back"] + layer["bias_back"])))
    return outputs[::-1]


@jax.default_matmul_precision("highest")
def first_layer(
    graph: factored_graph.Graph, width: int, key: jax.Array, slope: float, gain: float
) -> dict[str, jax.Array]:
    """Makes a first layer: the principal components of the graph's rows in a random rotation.

    It takes them from the graph's factors, without the N x N rows. `later_layer` says why a stack
    starts with principal components.

    Args:
      graph: Factors of R columns of a graph of N nodes.
      width: Width of the layer, W.
      key: PRNG key of the rotation, which makes all units alike in variance.
      slope: Slope of the tanh at 0.
      gain: Deviation of the tanh's arguments, slope included.

    Returns:
      Parameters of the layer; those of the decoder are the least-squares ones.
    """
    # No array here has more than N x max(R, W) numbers.
    gram_RxR = graph.right.T @ graph.right
    mean_R = graph.left.mean(0)
    values_R, vectors_RxR = jnp.linalg.eigh(gram_RxR)
    kept_R = values_R > _RANK * values_R[-1]
    roots_R = jnp.sqrt(jnp.where(kept_R, values_R, 1))
    # The columns of Q = right basis are an orthonormal basis of those of `right`, so that the rows
    # are left right' = left narrow Q'.
    basis_RxR = jnp.where(kept_R, vectors_RxR / roots_R, 0)
    narrow_RxR = jnp.where(kept_R, vectors_RxR * roots_R, 0)
    # The scatter of the rows in that basis is narrow' spread narrow.
    spread_RxR = graph.left.T @ graph.left - len(graph.left) * jnp.outer(mean_R, mean_R)
    scatter_RxR = narrow_RxR.T @ spread_RxR @ narrow_RxR
    components_RxK = jnp.linalg.eigh(scatter_RxR)[1][:, ::-1][:, :width]
    # The encoder is right inner; its bias takes away the mean of the rows.
    inner_RxW = basis_RxR @ components_RxK @ _rotation(key, components_RxK.shape[1], width)
    kernel_NxW = graph.right @ inner_RxW
    bias_W = -mean_R @ gram_RxR @ inner_RxW
    linear_NxW = graph.left @ (gram_RxR @ inner_RxW) + bias_W
    factor = gain / (slope * linear_NxW.std())
    # The decoder is fitted to the rows themselves: they are small, so their atanh is nearly they.
    h_NxW1 = _with_ones(jnp.tanh(slope * factor * linear_NxW))
    decoder_W1xN = _least_squares(h_NxW1, (h_NxW1.T @ graph.left) @ graph.right.T / slope)
    return _layer(kernel_NxW * factor, bias_W * factor, decoder_W1xN)


@jax.default_matmul_precision("highest")
def later_layer(
    x_NxW: jax.Array, outputs: int, key: jax.Array, slope: float, gain: float, codes: bool
) -> dict[str, jax.Array]:
    """Makes a later layer: the principal components of its inputs, rotated.

    The rotation is random or, for the layer of codes, that of ITQ. So the stack starts as a linear
    autoencoder at its minimum. Reconstruction leaves the rotation of the codes open, because an
    autoencoder reconstructs as well from any, but their signs depend on it. The paper says neither
    how the weights start nor how the signs come to keep what the codes know.

    Args:
      x_NxW: The layer's inputs for all nodes, in (-1, 1).
      outputs: Width of the layer; for the layer of codes at most W and N.
      key: PRNG key of the random rotation, from which ITQ starts as well.
      slope: Slope of the tanh at 0.
      gain: Deviation of the tanh's arguments, slope included; if it is large, outputs are nearly
        binary.
      codes: Whether this is the last layer.

    Returns:
      Parameters of the layer; those of the decoder are the least-squares ones.

    Raises:
      InputError: There are more bits than inputs or nodes.
    """
    count = outputs if codes else min(outputs, *x_NxW.shape)
    mean_W, components_WxK = pca.components(x_NxW, count)
    centered_NxK = (x_NxW - mean_W) @ components_WxK
    if codes:
        rotation_KxL = rotation.rotate(centered_NxK, key)[0]
    else:
        rotation_KxL = _rotation(key, count, outputs)
    factor = gain / (slope * centered_NxK.std())
    kernel_WxL = factor * components_WxK @ rotation_KxL
    h_NxL1 = _with_ones(jnp.tanh(slope * factor * centered_NxK @ rotation_KxL))
    wanted_NxW = jnp.arctanh(jnp.clip(x_NxW, -0.99, 0.99)) / slope
    decoder_L1xW = _least_squares(h_NxL1, h_NxL1.T @ wanted_NxW)
    return _layer(kernel_WxL, -mean_W @ kernel_WxL, decoder_L1xW)


def _rotation(key, inputs, outputs):
    """Draws a random matrix whose rows, or columns if they are fewer, are orthonormal."""
    tall = (max(inputs, outputs), min(inputs, outputs))
    orthonormal = jnp.linalg.qr(jax.random.normal(key, tall))[0]
    return orthonormal if inputs >= outputs else orthonormal.T


def _with_ones(x_NxW):
    """Appends a column of ones, of which a least-squares fit makes the bias."""
    return jnp.concatenate([x_NxW, jnp.ones((len(x_NxW), 1))], axis=1)


def _least_squares(h_NxW1, products_W1xV):
    """Fits a decoder [W1, V] to a layer's outputs and their products with its targets."""
    ridge_W1xW1 = _RIDGE * len(h_NxW1) * jnp.eye(h_NxW1.shape[1])
    return jnp.linalg.solve(h_NxW1.T @ h_NxW1 + ridge_W1xW1, products_W1xV)


def _layer(kernel, bias, decoder):
    """Packs a layer's parameters; the last row of the decoder is its bias."""
    return {
        "kernel": kernel,
        "bias": bias,
        "kernel_back": decoder[:-1],
        "bias_back": decoder[-1],
    }
