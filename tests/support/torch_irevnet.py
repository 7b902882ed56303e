"""i-RevNet in PyTorch, from the papers, with AIHN's attention if wanted; names of the flax module.

Weights are loaded by `torch_resnet30.load`, of variables that `unstack` took apart.
"""

import jax
import numpy as np
import torch
from torch import nn

from tests.support.torch_resnet30 import SpatialAttention


def psi(x):
    """[B, C, H, W] -> [B, 4 C, H/2, W/2]: channels by row, column, then C."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(batch, 4 * channels, height // 2, width // 2)


class F(nn.Module):
    """The residual function: BN and ReLU before each convolution, but for a network's first."""

    def __init__(self, channels, features, kernels, strides, attention, first, leading_norm):
        super().__init__()
        inputs = channels, first, features // 4
        outputs = first, features // 4, features
        for i, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
            if attention and i < 2:
                self.add_module(f"attention_{i}", SpatialAttention())
            if i or leading_norm:
                self.add_module(f"norm_{i}", nn.BatchNorm2d(inputs[i]))
                self.add_module(f"relu_{i}", nn.ReLU())
            self.add_module(
                f"conv_{i}",
                nn.Conv2d(inputs[i], outputs[i], kernel, stride, kernel // 2, bias=False),
            )

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class IRevNet(nn.Module):
    """psi, the blocks, and a head of BN, ReLU, average pooling and a linear layer."""

    def __init__(self, bits, stages, kernels, strides, attention, channels=3, narrow_first=True):
        super().__init__()
        self.strided, self.blocks = [], []
        half = 2 * channels
        for number, blocks in enumerate(stages, 1):
            for block in range(blocks):
                first = block == 0
                sizes = (half, 4 * half) if first else (4 * half, 4 * half)
                used = strides if first else (1, 1, 1)
                width = sizes[1] // 4 if narrow_first else sizes[1]
                f = F(*sizes, kernels, used, attention, width, leading_norm=bool(self.blocks))
                self.add_module(f"stage_{number}_block_{block}", f)
                self.strided.append(first)
                self.blocks.append(f)
            half *= 4
        self.norm = nn.BatchNorm2d(2 * half)
        self.hash = nn.Linear(2 * half, bits)

    def forward(self, x):
        x, y = psi(x).chunk(2, dim=1)
        for strided, f in zip(self.strided, self.blocks, strict=True):
            residual = f(y)
            if strided:
                x, y = psi(x), psi(y)
            x, y = y, residual + x
        x = torch.relu(self.norm(torch.cat([x, y], dim=1)))
        return self.hash(x.mean((2, 3)))


def unstack(tree):
    """Stages of flax's variables or gradients, apart by block: stage_1_block_0 and so on."""
    found = {}
    for name, value in tree.items():
        if not name.startswith("stage"):
            found[name] = value
            continue
        found[f"{name}_block_0"] = value["first"]
        for row in range(_blocks(value.get("rest"))):
            block = jax.tree.map(lambda leaf, row=row: leaf[row], value["rest"])
            found[f"{name}_block_{row + 1}"] = block
    return found


def restack(tree, like):
    """The inverse of `unstack`, in the structure of `like`."""
    found = {}
    for name, value in like.items():
        if not name.startswith("stage"):
            found[name] = tree[name]
            continue
        found[name] = {"first": tree[f"{name}_block_0"]}
        if "rest" in value:
            blocks = [tree[f"{name}_block_{row + 1}"] for row in range(_blocks(value["rest"]))]
            found[name]["rest"] = jax.tree.map(lambda *rows: np.stack(rows), *blocks)
    return found


def _blocks(rest):
    return len(jax.tree.leaves(rest)[0]) if rest else 0
