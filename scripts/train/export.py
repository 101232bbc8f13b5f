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
    (MODELS / "plate-reader.json").write_text(json.dumps({"characters": ALPHABET, "jurisdictions": JURISDICTIONS}) + "\n")


def write_detector():
    network = _averaged(Detector(probabilities=True), "detector")
    torch.onnx.export(network, torch.zeros(1, 384, 640, 3, dtype=torch.uint8), str(MODELS / "plate-detector.onnx"), opset_version=13,
                      input_names=["pixels"], output_names=["cells"], dynamic_axes={"pixels": {1: "height", 2: "width"}, "cells": {1: "cells"}})
    _halve(MODELS / "plate-detector.onnx")


if __name__ == "__main__":
    for name in sys.argv[1:] or ["reader", "detector"]:
        {"reader": write_reader, "detector": write_detector}[name]()
