"""How fast OpenCV's DNN module runs the networks' convolutions, to compare with the camera's runtime: `python3 runtimes.py DIR` prints JSON.

OpenCV 4.6 takes neither the reader's GRU nor bytes, so the convolutions alone are compared (NAME-plain.onnx), which are nine tenths of the work. Also leaves the whole
networks in single precision in DIR (NAME.onnx). `candor bench reading --only runtimes` calls this and times both there too.
"""

import json
import pathlib
import sys
import time

import cv2
import numpy as np
import onnx
import torch
from torch import nn

from detector_network import Detector
from export import averaged, write
from reader_network import Reader

RUNS = 40


class Grids(nn.Module):
    """The detector up to what its grids say of each cell."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixels):
        network = self.network
        c8 = network.stage8(network.stem(pixels))
        c16 = network.stage16(c8)
        p32 = network.side32(network.stage32(c16))
        p16 = network.smooth16(network.side16(c16) + nn.functional.interpolate(p32, scale_factor=2.0, mode="nearest"))
        p8 = network.side8(c8) + nn.functional.interpolate(p16, scale_factor=2.0, mode="nearest")
        return tuple(network.out(network.head(p)) for p in (p8, p16, p32))


NETWORKS = {
    "plate-detector": (Detector, "detector", Grids, (384, 640), ["cells"]),
    "plate-reader": (Reader, "reader", lambda network: network.features, (48, 160), ["characters", "jurisdictions", "corners"]),
}


def without_identities(path):
    """Weights that are used more than once, by name: OpenCV's importer does not follow Identity to them."""
    model = onnx.load(str(path))
    same = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Identity"}
    kept = [node for node in model.graph.node if node.op_type != "Identity"]
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, str(path))


def median_ms(net, pixels):
    times = []
    for _ in range(RUNS):
        net.setInput(pixels)
        started = time.perf_counter()
        net.forward(net.getUnconnectedOutLayersNames())
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times))


def main():
    out = pathlib.Path(sys.argv[1])
    rows = []
    for name, (make, checkpoint, convolutions, (height, width), outputs) in NETWORKS.items():
        network = averaged(make(probabilities=True), checkpoint)
        write(network, out / f"{name}.onnx", torch.zeros(1, height, width, 3, dtype=torch.uint8), outputs, None)
        plain = out / f"{name}-plain.onnx"
        torch.onnx.export(convolutions(network), torch.zeros(1, 3, height, width), str(plain), opset_version=11, input_names=["pixels"])
        without_identities(plain)
        pixels = np.random.default_rng(1).standard_normal((1, 3, height, width)).astype(np.float32)
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            rows.append({"network": name, "threads": threads, "medianMs": median_ms(cv2.dnn.readNetFromONNX(str(plain)), pixels)})
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
