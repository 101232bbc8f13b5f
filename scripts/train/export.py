"""Writes the trained networks as ONNX for the camera.

    python3 export.py [--only reader] [--photographs DIR...] [--exact DIR]

The pictures go in as bytes (uint8, rows × columns × RGB) so that the camera need not touch each pixel. Convolutions compute in 8 bits (quantise.py); the ranges
are taken from drawn pictures, with `--photographs` behind them as in training. `--exact DIR` also writes the networks in single precision, to compare with.
"""

import argparse
import json
import pathlib
import random

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import nn

from crops import load_backgrounds, samples
from detector_network import Detector
from issue_schemes import JURISDICTIONS
from lettering import ALPHABET
from quantise import quantised, with_byte_weights
from reader_network import Reader
from scenes import Stock, load_photographs, sample

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


def averaged(network, name):
    saved = torch.load(HERE / "checkpoints" / f"{name}.pt", map_location="cpu")
    network.load_state_dict(saved["average"])
    print(name, saved["state"])
    return network.eval()


def _halve(model):
    """Stores the weights that are not bytes in 16 bits; the runtime widens them once while it loads. Half of them in the repository and on the camera's card."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if values.size < LEAST_HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(onnx.helper.make_node("Cast", [name + "_half"], [name], name=name + "_widened", to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    return model


# Weights of a tensor from which halving it is worth a node of the graph.
LEAST_HALVED = 512
# Pictures that ranges are taken from.
RANGE_SCENES, RANGE_CROPS, RANGE_BATCH = 48, 1024, 64
# In single precision: small, and what comes out of them is a probability or a place.
READER_EXACT = ("line_of", "looked_at", "corners")
DETECTOR_EXACT = ("out",)


def write(network, path, pixels, outputs, axes):
    torch.onnx.export(_FromBytes(network), pixels, str(path), opset_version=13, input_names=["pixels"], output_names=outputs, dynamic_axes=axes)


def _describe(name, about):
    # As the project's formatter writes it.
    (MODELS / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n")


def _crops(folders):
    rng, backgrounds, crops = random.Random("ranges"), load_backgrounds(folders), []
    while len(crops) < RANGE_CROPS:
        crops += [crop for crop, *_ in samples(rng, backgrounds)]
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    return pixels.split(RANGE_BATCH)


def _scenes(folders):
    rng, photographs = random.Random("ranges"), load_photographs(folders)
    stock = Stock(rng)
    for _ in range(RANGE_SCENES):
        yield torch.from_numpy(sample(rng, stock, photographs)[0]).permute(2, 0, 1)[None].float()


def _export(name, network, pictures, kept, pixels, outputs, axes, exact, about):
    """One network: in 8 bits for the camera, and as it was trained where `exact` names a folder."""
    if exact is not None:
        exact.mkdir(parents=True, exist_ok=True)
        write(network, exact / f"{name}.onnx", pixels, outputs, axes)
    path = MODELS / f"{name}.onnx"
    write(quantised(network, pictures, exact=kept), path, pixels, outputs, axes)
    onnx.save(_halve(with_byte_weights(onnx.load(str(path)))), str(path))
    _describe(name, about | _size(_FromBytes(network), pixels))


def write_reader(folders, exact):
    outputs = ["characters", "jurisdictions", "corners"]
    axes = {name: {0: "plates"} for name in ["pixels", *outputs]}
    about = {"characters": ALPHABET, "jurisdictions": JURISDICTIONS}
    _export("plate-reader", averaged(Reader(probabilities=True), "reader"), _crops(folders), READER_EXACT, torch.zeros(1, 48, 160, 3, dtype=torch.uint8), outputs, axes, exact, about)


def write_detector(folders, exact):
    axes = {"pixels": {1: "height", 2: "width"}, "cells": {1: "cells"}}
    pixels = torch.zeros(1, 384, 640, 3, dtype=torch.uint8)
    _export("plate-detector", averaged(Detector(probabilities=True), "detector"), _scenes(folders), DETECTOR_EXACT, pixels, ["cells"], axes, exact, {"widthPx": 640, "heightPx": 384})


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=["reader", "detector"])
    options.add_argument("--photographs", nargs="*", default=[])
    options.add_argument("--exact", type=pathlib.Path)
    options = options.parse_args()
    for name, writes in {"reader": write_reader, "detector": write_detector}.items():
        if options.only in (None, name):
            writes(options.photographs, options.exact)


if __name__ == "__main__":
    main()
