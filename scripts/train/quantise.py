"""Makes a trained network compute in 8 bits: its convolutions' inputs, weights and outputs are rounded as the camera's runtime will.

`quantised(network, pictures)` folds batch normalisation into the convolutions, watches the range of every input on `pictures`, and gives a network whose ONNX
export holds QuantizeLinear and DequantizeLinear around each convolution. `with_byte_weights(model)` stores the weights themselves as bytes.
"""

import copy

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Weights have 7 bits: two products of 8 and 8 overflow what x86 processors without VNNI add up in, and the result would depend on the processor.
WEIGHT_LEVELS = 63
# Share of the values on each side that may be cut off: a few far ones would make all others coarse.
CUT_OFF = 2e-5
LEVELS = 255


class Rounded(nn.Module):
    """Rounds to one of 256 values; the range is what was seen while `watching`."""

    def __init__(self):
        super().__init__()
        self.watching = True
        self.low, self.high = [], []
        self.scale, self.zero = 1.0, 0

    def forward(self, x):
        if self.watching:
            few = x.detach().float().flatten()
            few = few[torch.randint(few.numel(), (200_000,))] if few.numel() > 200_000 else few
            self.low.append(torch.quantile(few, CUT_OFF).item())
            self.high.append(torch.quantile(few, 1 - CUT_OFF).item())
            return x
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero, 0, LEVELS)

    def settle(self):
        low, high = min(0.0, float(np.mean(self.low))), max(1e-6, float(np.mean(self.high)))
        self.scale = (high - low) / LEVELS
        self.zero = int(round(-low / self.scale))
        self.watching = False


class RoundedConv(nn.Module):
    """A convolution on rounded values; `out` rounds its result too, where what follows is a sum."""

    def __init__(self, conv, relu=False):
        super().__init__()
        self.conv, self.into, self.out, self.relu = conv, Rounded(), Rounded(), relu
        weight = conv.weight.detach()
        self.scales = (weight.abs().amax((1, 2, 3)) / WEIGHT_LEVELS).clamp(min=1e-8)
        self.zeros = torch.zeros(weight.shape[0], dtype=torch.int32)

    def forward(self, x):
        x = self.into(x)
        weight = torch.fake_quantize_per_channel_affine(self.conv.weight, self.scales, self.zeros, 0, -128, 127)
        x = nn.functional.conv2d(x, weight, self.conv.bias, self.conv.stride, self.conv.padding)
        return self.out(torch.relu(x) if self.relu else x)


def _rounding(module):
    """`module` with every convolution rounding; batch normalisation and ReLU right after one become part of it."""
    if isinstance(module, nn.Conv2d):
        return RoundedConv(module)
    if not isinstance(module, nn.Sequential):
        for name, child in list(module.named_children()):
            setattr(module, name, _rounding(child))
        return module
    layers, new = list(module), []
    while layers:
        layer = layers.pop(0)
        if not isinstance(layer, nn.Conv2d):
            new.append(_rounding(layer))
            continue
        if layers and isinstance(layers[0], nn.BatchNorm2d):
            layer = fuse_conv_bn_eval(layer, layers.pop(0))
        relu = bool(layers) and isinstance(layers[0], nn.ReLU)
        if relu:
            layers.pop(0)
        new.append(RoundedConv(layer, relu))
    return nn.Sequential(*new)


def quantised(network, pictures, exact=()):
    """`network` (eval) in 8 bits; ranges are taken from running it on each of `pictures`. Convolutions named in `exact` stay as they are."""
    network = copy.deepcopy(network).eval()
    kept = {name: getattr(network, name) for name in exact}
    for name in exact:
        setattr(network, name, nn.Identity())
    network = _rounding(network)
    for name, module in kept.items():
        setattr(network, name, module)
    with torch.no_grad():
        for pixels in pictures:
            network(pixels)
    for module in network.modules():
        if isinstance(module, Rounded):
            module.settle()
    return network


def with_byte_weights(model):
    """The weights that the exported `model` rounds each time, stored as bytes."""
    initial = {tensor.name: tensor for tensor in model.graph.initializer}
    constants = {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"}

    def value(name):
        tensor = initial.get(name, constants.get(name))
        return None if tensor is None else onnx.numpy_helper.to_array(tensor)

    gone, given = set(), []
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in initial:
            continue
        weight, scales, zeros = (value(name) for name in node.input)
        shape = (-1,) + (1,) * (weight.ndim - 1)
        rounded = np.clip(np.rint(weight / scales.reshape(shape)) + zeros.reshape(shape), -WEIGHT_LEVELS, WEIGHT_LEVELS).astype(np.int8)
        given.append(onnx.numpy_helper.from_array(rounded, node.output[0]))
        gone.add(node.input[0])
    kept = [node for node in model.graph.node if not (node.op_type == "QuantizeLinear" and node.input[0] in gone)]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    tensors = [tensor for tensor in model.graph.initializer if tensor.name not in gone] + given
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)
    onnx.checker.check_model(model)
    return model
