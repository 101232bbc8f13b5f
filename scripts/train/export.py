"""Writes the trained networks as ONNX for the camera: `python3 export.py [reader] [detector]`; both by default.

The pictures go in as bytes (uint8, rows × columns × RGB) so that the camera need not touch each pixel; batch normalisation is folded into the
convolutions by the camera's runtime.
"""

import copy
import pathlib
import sys

import torch
from torch import nn

from detector_network import Detector
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


def write_reader():
    network = _averaged(Reader(probabilities=True), "reader")
    torch.onnx.export(network, torch.zeros(1, 48, 160, 3, dtype=torch.uint8), str(MODELS / "plate-reader.onnx"), opset_version=13,
                      input_names=["pixels"], output_names=["probabilities"], dynamic_axes={"pixels": {0: "plates"}, "probabilities": {0: "plates"}})


def write_detector():
    network = _averaged(Detector(probabilities=True), "detector")
    torch.onnx.export(network, torch.zeros(1, 384, 640, 3, dtype=torch.uint8), str(MODELS / "plate-detector.onnx"), opset_version=13,
                      input_names=["pixels"], output_names=["cells"], dynamic_axes={"pixels": {1: "height", 2: "width"}, "cells": {1: "cells"}})


if __name__ == "__main__":
    for name in sys.argv[1:] or ["reader", "detector"]:
        {"reader": write_reader, "detector": write_detector}[name]()
