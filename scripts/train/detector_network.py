"""The detector: a picture in, for every cell of three grids a score and the four corners of the plate around it out."""

import torch
from torch import nn

from layers import Residual, conv

STRIDES = (8, 16, 32)
# Corners are given as offsets from the cell's centre in units of this many strides.
OFFSET_STRIDES = 2.0
CHANNELS = 9  # score, then x and y of the corners from the top left clockwise


class Detector(nn.Module):
    """Input: N × 3 × H × W RGB, 0-255, H and W multiples of 32. Output: N × cells × 9, the grids of stride 8, 16, 32 one after another."""

    def __init__(self, widths=(16, 32, 48, 64, 96), neck=48, probabilities=False):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(conv(3, a, 2), conv(a, b, 2))
        self.stage8 = nn.Sequential(conv(b, c, 2), Residual(c), Residual(c))
        self.stage16 = nn.Sequential(conv(c, d, 2), Residual(d), Residual(d))
        self.stage32 = nn.Sequential(conv(d, e, 2), Residual(e))
        self.side8, self.side16, self.side32 = nn.Conv2d(c, neck, 1), nn.Conv2d(d, neck, 1), nn.Conv2d(e, neck, 1)
        self.smooth16 = conv(neck, neck)
        self.head = conv(neck, neck)
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
