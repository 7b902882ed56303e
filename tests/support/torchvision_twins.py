"""torchvision's networks with few channels: its own code, layers and names, and random weights."""

import unittest.mock

import numpy as np
import torch
from torch import library, nn


def networks():
    """The module `torchvision.models`.

    torchvision's build for CUDA cannot load its operators beside PyTorch's build for CPUs, and then
    fails to describe them. The networks need none of them, so nothing is described.
    """
    try:
        import torchvision.models
    except RuntimeError:
        describe = unittest.mock.Mock(return_value=lambda function: function)
        with unittest.mock.patch.object(library, "register_fake", describe):
            import torchvision.models
    return torchvision.models


def narrow(make, divisor):
    """A network with that part of the channels in every layer, and random weights."""
    with torch.device("meta"):  # Without memory.
        network = make()
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d):
            colors = layer.in_channels if layer.in_channels == 3 else layer.in_channels // divisor
            new = nn.Conv2d(
                colors,
                layer.out_channels // divisor,
                layer.kernel_size,
                layer.stride,
                layer.padding,
                bias=layer.bias is not None,
            )
        elif isinstance(layer, nn.Linear):
            new = nn.Linear(layer.in_features // divisor, layer.out_features // divisor)
        elif isinstance(layer, nn.BatchNorm2d):
            new = nn.BatchNorm2d(layer.num_features // divisor)
        else:
            continue
        network.set_submodule(path, new)
    return randomized(network)


def randomized(network):
    """The network with weights that keep what passes through it of one size."""
    torch.manual_seed(0)
    for layer in network.modules():
        for name, values in [*layer.named_parameters(recurse=False)]:
            if values.ndim > 1:
                nn.init.normal_(values, std=(1.5 / values[0].numel()) ** 0.5)
            elif isinstance(layer, nn.BatchNorm2d | nn.LayerNorm) and name == "weight":
                nn.init.uniform_(values, 0.5, 1.0)
            else:
                nn.init.normal_(values, std=0.1)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return network.eval()


def outputs(network, images, mean, std):
    """The network's outputs for uint8 [B, H, W, 3], with the mean and std of colors from 0 to 1."""
    x = (np.float64(images) / 255 - mean) / std
    with torch.no_grad():
        return network(torch.from_numpy(np.float32(x)).permute(0, 3, 1, 2)).numpy()


def save(path, network):
    """Saves a network as people do; returns the path as text."""
    torch.save(network.state_dict(), path)
    return str(path)
