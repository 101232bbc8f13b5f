"""Writes the trained networks as ONNX for the camera: `python3 export.py [reader] [detector]`; both by default.

The pictures go in as bytes (uint8, rows × columns × RGB) so that the camera need not touch each pixel; batch normalisation is folded into the
convolutions by the camera's runtime.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import nn

from detector_network import Detector
from issue_schemes import JURISDICTIONS
from lettering import ALPHABET
from reader_network import Reader

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parent.parent / "edge" / "vision" / "models"


class _FromBytes(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixels):
        return self.network(pixels.permute(0, 3, 1, 2).float())


def _size(network, pixels):
    """Parameters, and multiply-adds of one run on `pixels`: convolutions, full layers and the GRU; what is left is under one in a hundred."""
    counted = []

    def count(module, inputs, output):
        if isinstance(module, nn.Conv2d):
            counted.append(output.numel() * module.in_channels * module.kernel_size[0] * module.kernel_size[1])
        elif isinstance(module, nn.Linear):
            counted.append(output.numel() * module.in_features)
        elif isinstance(module, nn.GRU):
            steps = inputs[0].shape[0] * inputs[0].shape[1]
            counted.append(steps * 2 * 3 * module.hidden_size * (module.input_size + module.hidden_size))

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network(pixels)
    for hook in hooks:
        hook.remove()
    return {"parameters": sum(p.numel() for p in network.parameters()), "multiplyAdds": int(sum(counted))}


def _averaged(network, name):
    saved = torch.load(HERE / "checkpoints" / f"{name}.pt", map_location="cpu")
    network.load_state_dict(saved["average"])
    print(name, saved["state"])
    return _FromBytes(network.eval())


def _halve(path):
    """Stores the weights in 16 bits; the runtime widens them once while it loads. Half the bytes in the repository and on the camera's card."""
    model = onnx.load(str(path))
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if values.size < 64:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(onnx.helper.make_node("Cast", [name + "_half"], [name], name=name + "_widened", to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_reader():
    network = _averaged(Reader(probabilities=True), "reader")
    torch.onnx.export(network, torch.zeros(1, 48, 160, 3, dtype=torch.uint8), str(MODELS / "plate-reader.onnx"), opset_version=13,
                      input_names=["pixels"], output_names=["characters", "jurisdictions", "corners"],
                      dynamic_axes={name: {0: "plates"} for name in ("pixels", "characters", "jurisdictions", "corners")})
    _halve(MODELS / "plate-reader.onnx")
    size = _size(network, torch.zeros(1, 48, 160, 3, dtype=torch.uint8))
    (MODELS / "plate-reader.json").write_text(json.dumps({"characters": ALPHABET, "jurisdictions": JURISDICTIONS, **size}) + "\n")


def write_detector():
    network = _averaged(Detector(probabilities=True), "detector")
    torch.onnx.export(network, torch.zeros(1, 384, 640, 3, dtype=torch.uint8), str(MODELS / "plate-detector.onnx"), opset_version=13,
                      input_names=["pixels"], output_names=["cells"], dynamic_axes={"pixels": {1: "height", 2: "width"}, "cells": {1: "cells"}})
    _halve(MODELS / "plate-detector.onnx")
    size = _size(network, torch.zeros(1, 384, 672, 3, dtype=torch.uint8))
    (MODELS / "plate-detector.json").write_text(json.dumps({"picture": [672, 384], **size}) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or ["reader", "detector"]:
        {"reader": write_reader, "detector": write_detector}[name]()
