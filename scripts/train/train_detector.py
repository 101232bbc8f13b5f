"""Trains the detector on scenes that are made as it goes. Stops and goes on from its checkpoint; see README.

    python3 train_detector.py --minutes 60 --photographs DIR... [--plates DIR] [--rate 2e-3] [--decay]
"""

import math
import pathlib
import random

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from detector_network import OFFSET_STRIDES, Detector, cells
from scenes import SCENE, Stock, load_photographs, sample
from training import arguments, train

HERE = pathlib.Path(__file__).parent
CHECKPOINT = HERE / "checkpoints" / "detector.pt"
BATCH = 16
# Of a plate's cells together, and of a cell without one.
PLATE_WEIGHT, NO_PLATE_WEIGHT = 3.0, 0.5
# Of how well the corners are placed beside whether the plate is found.
CORNERS_WEIGHT = 8.0
# Widest plate, px in the network's picture, that the grids of stride 8 and 16 look for; both look for those near the border.
BORDERS = (60.0, 130.0)
BORDER_OVERLAP = 1.15


def targets_of(plates, rough, ignored, centres, strides):
    """Per cell: above 0 a plate, 0 none, -1 not counted; the corners for the cells with a plate, and the plate's size (infinite where its box is rough: nothing is
    learnt from those corners).

    The cells of one plate share a weight of 1, so that a small plate, which has one cell, counts as much as a large one with nine.
    """
    wanted = torch.zeros(centres.shape[0])
    corners = torch.zeros(centres.shape[0], 8)
    sizes = torch.ones(centres.shape[0])
    for x0, y0, x1, y1 in ignored:
        inside = (centres[:, 0] > x0) & (centres[:, 0] < x1) & (centres[:, 1] > y0) & (centres[:, 1] < y1)
        wanted[inside] = -1
    for plate, is_rough in zip(plates, rough):
        plate = torch.from_numpy(plate)
        middle = plate.mean(0)
        low, high = plate.min(0).values, plate.max(0).values
        width, height = (high - low).tolist()
        spans = ((0, BORDERS[0]), (BORDERS[0], BORDERS[1]), (BORDERS[1], 1e9))
        for stride, (least, most) in zip((8.0, 16.0, 32.0), spans):
            here = strides == stride
            inside = here & (centres[:, 0] > low[0]) & (centres[:, 0] < high[0]) & (centres[:, 1] > low[1]) & (centres[:, 1] < high[1])
            if not least / BORDER_OVERLAP <= width <= most * BORDER_OVERLAP:
                # Seen, but it is another grid's: not held against this one.
                wanted[inside & (wanted == 0)] = -1
                continue
            offset = (centres - middle).abs()
            near = here & (offset[:, 0] < max(0.51 * stride, min(1.5 * stride, 0.3 * width))) & (offset[:, 1] < max(0.51 * stride, min(1.5 * stride, 0.3 * height)))
            wanted[inside & (wanted == 0)] = -1
            wanted[near] = 1 / max(1, int(near.sum()))
            corners[near] = plate.reshape(8)
            sizes[near] = math.inf if is_rough else math.sqrt(width * height)
    return wanted, corners, sizes


class Made(torch.utils.data.IterableDataset):
    def __init__(self, seed, photographs):
        self.seed, self.photographs = seed, photographs

    def __iter__(self):
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(f"{self.seed}/{worker.id if worker else 0}")
        stock = Stock(rng)
        centres, strides = cells(SCENE, SCENE)
        while True:
            scenes, wanted = [], []
            for _ in range(BATCH):
                scene, plates, rough, ignored = sample(rng, stock, self.photographs)
                scenes.append(scene)
                wanted.append(targets_of(plates, rough, ignored, centres, strides))
            yield torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).contiguous(), *(torch.stack(each) for each in zip(*wanted))


def loss_of(out, wanted, corners, sizes, centres, strides):
    score = out[..., 0].float()
    counted = wanted >= 0
    positive = wanted > 0
    share = wanted[positive]
    number = share.sum().clamp(min=1)
    p = torch.sigmoid(score)
    bce = F.binary_cross_entropy_with_logits(score, positive.float(), reduction="none")
    # Focal loss (Lin et al. 2017): what is clear already weighs little.
    hit = (PLATE_WEIGHT * (1 - p[positive]) ** 2 * bce[positive] * share).sum()
    missed = (p ** 2 * bce * (counted & ~positive)).sum() * NO_PLATE_WEIGHT
    found = (hit + missed) / number
    n = out.shape[0]
    predicted = out[..., 1:].float() * (OFFSET_STRIDES * strides)[None, :, None] + centres.repeat(1, 4)[None]
    error = (predicted[positive] - corners[positive]) / sizes[positive][:, None]
    placed = (F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.05, reduction="none") * share[:, None]).sum() / number / 8
    return found + CORNERS_WEIGHT * placed, found.detach(), placed.detach()


# Area of the picture that the network is given, px; the camera's stage does the same.
INPUT_PIXELS = 640 * 384


def input_size(width, height):
    """Multiples of 32 with about INPUT_PIXELS in all and the picture's shape; small pictures are not enlarged."""
    scale = min(1.0, math.sqrt(INPUT_PIXELS / (width * height)))
    return max(32, round(width * scale / 32) * 32), max(32, round(height * scale / 32) * 32)


def detect(model, picture, threshold):
    """[(score, corners 4×2 in the picture's px)], best first: one for each place, corners averaged over the cells that agree. As the camera does."""
    height, width = picture.shape[:2]
    w, h = input_size(width, height)
    small = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if w < width else cv2.INTER_LINEAR)
    with torch.no_grad():
        out = model(torch.from_numpy(small).permute(2, 0, 1)[None].float())[0]
    centres, strides = cells(h, w)
    scores = torch.sigmoid(out[:, 0])
    corners = out[:, 1:] * (OFFSET_STRIDES * strides)[:, None] + centres.repeat(1, 4)
    keep = torch.nonzero(scores > threshold).flatten()
    keep = keep[scores[keep].argsort(descending=True)][:300]
    seen = []
    for i in keep.tolist():
        quad = (corners[i].reshape(4, 2).numpy() + 0.5) * np.float32([width / w, height / h]) - 0.5
        seen.append((scores[i].item(), quad, (*quad.min(0), *quad.max(0))))
    best = []
    for one in seen:
        if all(overlap(one[2], other[2]) <= 0.3 for other in best):
            best.append(one)
    out = []
    for score, quad, box in best:
        agreeing = [(s, q) for s, q, b in seen if s >= score * 0.5 and overlap(b, box) >= 0.6]
        out.append((score, sum(s * q for s, q in agreeing) / sum(s for s, _ in agreeing)))
    return out


def overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def measured_pictures(plates):
    sets = {}
    for name in ("us", "eu", "br"):
        listing = pathlib.Path(plates) / name / "labels.tsv"
        sets[name] = [(cv2.imread(str(listing.parent / row[0]))[..., ::-1].copy(), tuple(float(v) for v in row[1:5])) for row in (line.split("\t") for line in listing.read_text().splitlines()[1:])]
    return sets


def measure(model, sets, threshold=0.3):
    """Recall at IoU 0.5, and places a picture that lie on no label."""
    model.eval()
    out = {}
    for name, pictures in sets.items():
        hit = wrong = 0
        for picture, (x, y, w, h) in pictures:
            boxes = [(*quad.min(0), *quad.max(0)) for _, quad in detect(model, picture, threshold)]
            label = (x, y, x + w, y + h)
            hit += any(overlap(box, label) >= 0.5 for box in boxes)
            wrong += sum(overlap(box, label) == 0 for box in boxes)
        out[name] = f"{100 * hit / len(pictures):.1f}/{wrong / len(pictures):.2f}"
    model.train()
    return out


def main():
    options = arguments(CHECKPOINT, rate=2e-3, workers=2).parse_args()
    model = Detector().to(memory_format=torch.channels_last)
    sets = measured_pictures(options.plates) if options.plates else {}
    photographs = load_photographs(options.photographs)
    centres, strides = cells(SCENE, SCENE)

    def step_loss(model, made):
        pixels, wanted, corners, sizes = made
        pixels = pixels.float().contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(pixels)
        loss, found, placed = loss_of(out, wanted, corners, sizes, centres, strides)
        return loss, {"found": found.item(), "placed": placed.item()}

    train(options, model, (0.9, 0.999), 10.0, BATCH, lambda run: Made(f"detector/{run}", photographs), step_loss, lambda average: measure(average, sets))


if __name__ == "__main__":
    main()
