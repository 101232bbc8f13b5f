"""The detector: a picture in, for every cell of three grids a score and the four corners of the plate around it out."""

import torch
from torch import nn

STRIDES = (8, 16, 32)
# Corners are given as offsets from the cell's centre in units of this many strides.
OFFSET_STRIDES = 2.0
CHANNELS = 9  # score, then x and y of the corners from the top left clockwise


def _conv(inputs, outputs, stride=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return torch.relu(x + self.conv(x))


class Detector(nn.Module):
    """Input: N × 3 × H × W RGB, 0-255, H and W multiples of 32. Output: N × cells × 9, the grids of stride 8, 16, 32 one after another."""

    def __init__(self, widths=(16, 32, 48, 64, 96), neck=48, probabilities=False):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(_conv(3, a, 2), _conv(a, b, 2))
        self.stage8 = nn.Sequential(_conv(b, c, 2), _Residual(c), _Residual(c))
        self.stage16 = nn.Sequential(_conv(c, d, 2), _Residual(d), _Residual(d))
        self.stage32 = nn.Sequential(_conv(d, e, 2), _Residual(e))
        self.side8, self.side16, self.side32 = nn.Conv2d(c, neck, 1), nn.Conv2d(d, neck, 1), nn.Conv2d(e, neck, 1)
        self.smooth16 = _conv(neck, neck)
        self.head = _conv(neck, neck)
        self.out = nn.Conv2d(neck, CHANNELS, 1)
        # Few cells hold a plate: the score begins at 1 %.
        nn.init.constant_(self.out.bias, 0.0)
        self.out.bias.data[0] = -4.6
        self.scales = nn.Parameter(torch.ones(3))
        self.probabilities = probabilities

    def forward(self, pixels):
        x = self.stem((pixels - 127.5) / 64)
        c8 = self.stage8(x)
        c16 = self.stage16(c8)
        c32 = self.stage32(c16)
        p32 = self.side32(c32)
        p16 = self.smooth16(self.side16(c16) + nn.functional.interpolate(p32, scale_factor=2.0, mode="nearest"))
        p8 = self.side8(c8) + nn.functional.interpolate(p16, scale_factor=2.0, mode="nearest")
        grids = []
        for i, p in enumerate((p8, p16, p32)):
            out = self.out(self.head(p)).flatten(2).transpose(1, 2).float()
            score = torch.sigmoid(out[..., :1]) if self.probabilities else out[..., :1]
            grids.append(torch.cat([score, out[..., 1:] * self.scales[i]], 2))
        return torch.cat(grids, 1)


def cells(height, width):
    """Centres (cells × 2: x, y px) and strides of all cells, in the order of the output."""
    centres, strides = [], []
    for stride in STRIDES:
        ys, xs = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        centres.append(torch.stack([xs.flatten(), ys.flatten()], 1) * stride + (stride - 1) / 2)
        strides.append(torch.full((xs.numel(),), float(stride)))
    return torch.cat(centres), torch.cat(strides)
