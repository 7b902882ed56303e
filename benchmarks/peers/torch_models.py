"""Models of jhash in PyTorch, for their speed: the peers of `gpu.py`.

They have the layers and the number of parameters of jhash's models, and random weights. ResNet30,
of which outputs and gradients are compared as well, is in `dah_torch`.
"""

import torch
from torch import nn
from torch.nn import functional


class SmallCNN(nn.Module):
    """The peer of `models.small_cnn.SmallCNN`, for sides that `2^len(widths)` divides."""

    def __init__(self, bits, channels, side, widths=(64, 128), hidden=256):
        super().__init__()
        narrow = [4 * channels, *widths]
        self.stages = nn.ModuleList(
            _normalized(nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
            for before, width in zip(narrow, widths, strict=False)
        )
        pixels = (side // 2 ** len(widths)) ** 2
        dense = nn.Linear(widths[-1] * pixels, hidden, bias=False)
        self.top = nn.Sequential(
            nn.Flatten(), _normalized(dense, nn.BatchNorm1d(hidden)), nn.Linear(hidden, bits)
        )

    def forward(self, x):
        x = self.stages[0](functional.pixel_unshuffle(x, 2))
        for stage in self.stages[1:]:
            x = stage(functional.max_pool2d(x, 2))
        return self.top(x)


class SmallResNet(nn.Module):
    """The peer of `models.small_resnet.SmallResNet`."""

    def __init__(self, bits, channels, side, stem=32, widths=(64, 128, 256)):
        super().__init__()
        del side

        def layer(before, width):
            conv = nn.Conv2d(before, width, 3, padding=1, bias=False)
            return _normalized(conv, nn.BatchNorm2d(width))

        self.stem = layer(channels, stem)
        narrow = [stem, *widths]
        self.first = nn.ModuleList(map(layer, narrow, widths))
        self.second = nn.ModuleList(map(layer, widths, widths))
        self.top = nn.Linear(widths[-1], bits)

    def forward(self, x):
        x = self.stem(x)
        for first, second in zip(self.first, self.second, strict=True):
            x = first(functional.max_pool2d(x, 2, ceil_mode=True))
            x = x + second(x)
        return self.top(x.amax((2, 3)))


class EightLayers(nn.Module):
    """Five convolutions with pools after the first, second and fifth, and three dense layers."""

    def __init__(self, bits, channels, side, widths, hidden, first, pool, norm, dropout):
        super().__init__()
        self.pool, self.norm = pool, norm
        narrow = [channels, *widths]
        kernels = [first, (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, width, kernel, stride, padding)
            for before, width, (kernel, stride, padding) in zip(
                narrow[:-1], widths, kernels, strict=True
            )
        )
        with torch.no_grad():
            inputs = self.pixels(torch.zeros(1, channels, side, side)).shape[1]
        self.top = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(inputs, hidden), nn.ReLU()),
            *(nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU()),
            nn.Linear(hidden, bits),
        )

    def pixels(self, x):
        for number, conv in enumerate(self.convs):
            x = conv(x).relu()
            if self.norm and number < 2:
                x = functional.local_response_norm(x, 5, 5e-4, 0.75, 2.0)
            if number in (0, 1, 4):
                x = functional.max_pool2d(x, 3, 2, ceil_mode=self.pool == "padded")
        return x.flatten(1)

    def forward(self, x):
        return self.top(self.pixels(x))


def cnn_f(bits, channels, side, widths=(64, 256, 256, 256, 256), hidden=4096):
    """The peer of `models.cnn_f.CNNF`; below 39 pixels with the small stem."""
    first = (11, 4, 0) if side >= 39 else (3, 1, 1)
    return EightLayers(bits, channels, side, widths, hidden, first, "padded", True, 0.0)


def alexnet(bits, channels, side, widths=(64, 192, 384, 256, 256), hidden=4096):
    """The peer of `models.alexnet.AlexNet`; below 63 pixels with the small stem."""
    first = (11, 4, 2) if side >= 63 else (3, 1, 1)
    return EightLayers(bits, channels, side, widths, hidden, first, "none", False, 0.5)


def _normalized(layer, norm):
    return nn.Sequential(layer, norm, nn.ReLU())
