"""The reader: a straightened crop in; for each of two lines of text a row of character probabilities a step (CTC), and whose plate it looks like."""

import torch
from torch import nn

from issue_schemes import JURISDICTIONS
from layers import Residual, conv
from lettering import ALPHABET

CLASSES = len(ALPHABET) + 1  # 0 is CTC's blank
STEPS = 40


class Reader(nn.Module):
    """Input: N × 3 × 48 × 160 RGB, 0-255. Output: logits of N × 2 lines × 40 steps × 37 characters and of N × jurisdictions (`probabilities` softmaxes both); and
    N × 8, how far each corner of the plate is from where the crop has it, in widths and heights of the plate."""

    def __init__(self, channels=(32, 48, 64, 96), width=128, hidden=96, probabilities=False):
        super().__init__()
        a, b, c, d = channels
        self.features = nn.Sequential(
            conv(3, a, 2), conv(a, b, (2, 1)), conv(b, c, (1, 2)), Residual(c), conv(c, d, (2, 1)), Residual(d), Residual(d),
            nn.Conv2d(d, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
        )
        # Where each line lies is looked for in every column: a weight for each of the 6 rows, from what is there and from its height.
        self.line_of = nn.Conv2d(width, 2, 1)
        self.height_prior = nn.Parameter(torch.zeros(1, 2, 6, 1))
        self.line_code = nn.Parameter(torch.zeros(2, width))
        self.context = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.classes = nn.Linear(2 * hidden + width, CLASSES)
        # By its looks alone: the text's scheme would be a guess.
        self.looked_at = nn.Conv2d(width, 1, 1)
        self.jurisdiction = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(inplace=True), nn.Linear(width, len(JURISDICTIONS)))
        # Where the plate's corners really are in the crop: the detector saw it in a smaller picture.
        self.corners = nn.Sequential(nn.Conv2d(width, 12, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12 * 6 * STEPS, 64), nn.ReLU(inplace=True), nn.Linear(64, 8))
        self.dropout = nn.Dropout(0.1)
        self.probabilities = probabilities

    def forward(self, pixels):
        n = pixels.shape[0]
        mean = pixels.mean((1, 2, 3), keepdim=True)
        centred = pixels - mean
        spread = (centred * centred).mean((1, 2, 3), keepdim=True).sqrt()
        x = self.features(centred / (spread + 6.0))
        weights = torch.softmax((self.line_of(x) + self.height_prior).float(), 2).to(x.dtype)  # N × 2 × 6 × 40
        lines = torch.stack([(x * weights[:, i:i + 1]).sum(2) for i in range(2)], 1)  # N × 2 × C × 40
        lines = lines.permute(0, 1, 3, 2) + self.line_code[None, :, None, :]
        lines = lines.reshape(n * 2, STEPS, -1)
        context, _ = self.context(self.dropout(lines))
        logits = self.classes(torch.cat([context, lines], 2)).reshape(n, 2, STEPS, CLASSES)
        attention = torch.softmax(self.looked_at(x).flatten(2).float(), 2).to(x.dtype)
        looks = torch.cat([(x.flatten(2) * attention).sum(2), x.mean((2, 3))], 1)
        jurisdictions = self.jurisdiction(looks)
        corners = self.corners(x)
        if self.probabilities:
            return torch.softmax(logits, 3), torch.softmax(jurisdictions, 1), corners
        return logits, jurisdictions, corners
