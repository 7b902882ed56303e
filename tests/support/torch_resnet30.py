"""ResNet30 and its parts in PyTorch, from the papers, with the names of the flax modules."""

import numpy as np
import torch
from torch import nn


class ChannelAttention(nn.Module):
    """CBAM eq. 2, for [B, C, H, W]."""

    def __init__(self, channels, reduction):
        super().__init__()
        self.hidden = nn.Linear(channels, channels // reduction)
        self.output = nn.Linear(channels // reduction, channels)

    def forward(self, x):
        average, maximum = x.mean((2, 3)), x.amax((2, 3))
        logits = self._mlp(average) + self._mlp(maximum)
        return x * torch.sigmoid(logits)[:, :, None, None]

    def _mlp(self, x):
        return self.output(torch.relu(self.hidden(x)))


class SpatialAttention(nn.Module):
    """CBAM eq. 3."""

    def __init__(self):
        super().__init__()
        self.conv_scaled = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv_scaled(pooled) / 98**0.5)


class CBAM(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention()

    def forward(self, x):
        return self.spatial(self.channel(x))


class SeparableConv(nn.Module):
    """Keras's SeparableConv2D: the stride is the depthwise convolution's."""

    def __init__(self, channels, features, kernel=1, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )
        self.pointwise = nn.Conv2d(channels, features, 1, bias=False)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Block(nn.Module):
    """Conv block with a stride, identity block without (DAH, left of Table 1)."""

    def __init__(self, channels, widths, stride=None):
        super().__init__()
        narrow, middle, wide = widths
        self.first = SeparableConv(channels, narrow, stride=stride or 1)
        self.second = SeparableConv(narrow, middle, 3)
        self.third = SeparableConv(middle, wide)
        self.first_norm, self.second_norm = batch_norm(narrow), batch_norm(middle)
        self.third_norm = batch_norm(wide)
        if stride:
            self.shortcut = SeparableConv(channels, wide, stride=stride)
            self.shortcut_norm = batch_norm(wide)

    def forward(self, x):
        y = torch.relu(self.first_norm(self.first(x)))
        y = torch.relu(self.second_norm(self.second(y)))
        y = self.third_norm(self.third(y))
        shortcut = self.shortcut_norm(self.shortcut(x)) if hasattr(self, "shortcut") else x
        return torch.relu(y + shortcut)


class ResNet30(nn.Module):
    """DAH, Table 1, row by row."""

    def __init__(self, bits, classes, reduction, channels=3):
        super().__init__()
        self.input_norm = batch_norm(channels)
        self.stem = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        self.stem_norm = batch_norm(64)
        self.pool = nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3, 1))
        self.attention_0 = CBAM(64, reduction)
        self.stage_1_block_0 = Block(64, (64, 64, 256), 2)
        self.stage_1_block_1 = Block(256, (64, 64, 256))
        self.stage_1_block_2 = Block(256, (64, 64, 256))
        self.attention_1 = CBAM(256, reduction)
        self.stage_2_block_0 = Block(256, (128, 128, 512), 2)
        self.stage_2_block_1 = Block(512, (128, 128, 512))
        self.stage_2_block_2 = Block(512, (128, 128, 512))
        self.attention_2 = CBAM(512, reduction)
        self.stage_3_block_0 = Block(512, (256, 256, 1024), 2)
        self.stage_3_block_1 = Block(1024, (256, 256, 1024))
        self.stage_3_block_2 = Block(1024, (256, 256, 1024))
        self.hash = nn.Linear(1024, bits)
        self.classes = nn.Linear(bits, classes)

    def forward(self, x):
        x = torch.relu(self.stem_norm(self.stem(self.input_norm(x))))
        x = self.attention_0(self.pool(x))
        x = self.stage_1_block_2(self.stage_1_block_1(self.stage_1_block_0(x)))
        x = self.attention_1(x)
        x = self.stage_2_block_2(self.stage_2_block_1(self.stage_2_block_0(x)))
        x = self.attention_2(x)
        x = self.stage_3_block_2(self.stage_3_block_1(self.stage_3_block_0(x)))
        hashed = self.hash(x.mean((2, 3)))
        return {"hash": hashed, "classes": self.classes(1 / 4 + 1 / (2 * (1 + torch.exp(-hashed))))}


def batch_norm(channels):
    """With flax's momentum; the running variance, which PyTorch takes unbiased, differs."""
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.01)


def load(module, variables):
    """Puts flax variables into the module, every one of both, and makes it float64."""
    state = named(variables["params"]) | named(variables.get("batch_stats", {}))
    result = module.double().load_state_dict(
        {name: torch.tensor(value) for name, value in state.items()}, strict=False
    )
    assert not result.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in result.missing_keys)
    return module


def named(tree, prefix=""):
    """A tree of flax's parameters, statistics or gradients by PyTorch's names and layout."""
    found = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= named(value, f"{prefix}{name}.")
            continue
        value = np.asarray(value, np.float64)
        if value.ndim == 2:
            value = value.T
        elif value.ndim == 4:
            value = value.transpose(3, 2, 0, 1)
        elif value.ndim == 3:
            value = value.transpose(2, 0, 1)[:, None]
        if name == "pointwise":
            value = value[:, :, None, None]
        tail = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
        of_layer = name in ("stem", "depthwise", "pointwise") or name.startswith("conv")
        found[prefix + (f"{name}.weight" if of_layer else tail.get(name, name))] = value
    return found


def gradients(module):
    """The gradients of the module's parameters by name."""
    return {name: value.grad.numpy() for name, value in module.named_parameters()}


def to_torch(x):
    """[B, H, W, C] -> a leaf [B, C, H, W]."""
    return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2), requires_grad=True)


def from_torch(x):
    """[B, C, H, W] -> [B, H, W, C]."""
    return x.detach().numpy().transpose(0, 2, 3, 1)


def random_like(shapes, seed=0):
    """Variables of the given shapes that keep the activations' size, as training leaves them."""
    rng = np.random.default_rng(seed)

    def draw(name, shape):
        if name in ("scale", "var"):
            return rng.uniform(0.5, 1.5, shape)
        if name in ("bias", "mean"):
            return 0.1 * rng.normal(size=shape)
        if name == "depthwise":
            return rng.uniform(0.5, 1.5, shape) / shape[0]
        if name == "conv_scaled":
            return rng.normal(size=shape) * np.sqrt(2)
        return rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))

    def fill(tree):
        return {
            name: fill(value) if isinstance(value, dict) else draw(name, value.shape)
            for name, value in tree.items()
        }

    return fill(shapes)
