"""Trains the reader on plates that are drawn as it goes. Stops and goes on from its checkpoint; see README.

    python3 train_reader.py --minutes 60 --photographs DIR... [--plates DIR] [--rate 1.5e-3] [--decay]
"""

import collections
import pathlib
import random

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from crops import load_backgrounds, samples, straighten
from issue_schemes import JURISDICTIONS
from lettering import ALPHABET
from reader_network import STEPS, Reader
from training import arguments, load, train

HERE = pathlib.Path(__file__).parent
CHECKPOINT = HERE / "checkpoints" / "reader.pt"
BATCH = 128
# Of the loss of the jurisdiction beside that of the text.
JURISDICTION_WEIGHT = 0.3
CORNERS_WEIGHT = 20.0


class Drawn(torch.utils.data.IterableDataset):
    """Batches without end; `seed` and the worker decide them."""

    def __init__(self, seed, backgrounds):
        self.seed, self.backgrounds = seed, backgrounds

    def __iter__(self):
        cv2.setNumThreads(1)
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(f"{self.seed}/{worker.id if worker else 0}")
        crops, texts, codes, misses = [], [], [], []
        # Views of one plate are spread over many batches.
        pool = []
        while True:
            while len(pool) < 1500:
                pool += samples(rng, self.backgrounds)
            rng.shuffle(pool)
            for crop, lines, jurisdiction, missed in pool[:1000]:
                crops.append(crop)
                texts.append(lines)
                codes.append(JURISDICTIONS.index(jurisdiction))
                # Not counted where there is no plate.
                misses.append(np.full(8, np.nan, np.float32) if missed is None else missed)
                if len(crops) == BATCH:
                    yield *pack(crops, texts), torch.tensor(codes), torch.from_numpy(np.stack(misses))
                    crops, texts, codes, misses = [], [], [], []
            pool = pool[1000:]


def pack(crops, texts):
    """Crops as a uint8 tensor N × 3 × H × W; targets and lengths for CTC, two lines a crop."""
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
    lines = [line for both in texts for line in both]
    lengths = torch.tensor([len(line) for line in lines])
    targets = torch.tensor([ALPHABET.index(character) + 1 for line in lines for character in line])
    return pixels, targets, lengths


def loss_of(logits, targets, lengths):
    n = logits.shape[0]
    logs = F.log_softmax(logits.float().reshape(n * 2, STEPS, -1), 2).transpose(0, 1)
    steps = torch.full((n * 2,), STEPS, dtype=torch.long)
    return F.ctc_loss(logs, targets, steps, lengths, reduction="sum", zero_infinity=True) / n


def greedy(logits):
    """Texts of N × 2 × 40 × 37 logits, the lines joined."""
    texts = []
    for sample in logits.argmax(3).tolist():
        text = ""
        for line in sample:
            previous = 0
            for step in line:
                if step != previous and step:
                    text += ALPHABET[step - 1]
                previous = step
        texts.append(text)
    return texts


def fold(text):
    return text.replace("O", "0").replace("I", "1")


def measured_crops(plates):
    """Real plates by their labelled boxes: {set: [(crop, text)]}. Only ever measured with."""
    sets = {}
    for name in ("us", "eu", "br"):
        listing = pathlib.Path(plates) / name / "labels.tsv"
        rows = [row.split("\t") for row in listing.read_text().splitlines()[1:]]
        sets[name] = []
        for file, x, y, w, h, text in rows:
            picture = cv2.imread(str(listing.parent / file))[..., ::-1]
            x, y, w, h = (float(v) for v in (x, y, w, h))
            corners = np.float32([[x, y], [x + w, y], [x + w, y + h], [x, y + h]]) - 0.5
            sets[name].append((straighten(np.ascontiguousarray(picture), corners), text))
    return sets


def measure(model, sets, errors=False):
    model.eval()
    out = {}
    with torch.no_grad():
        for name, crops in sets.items():
            pixels = torch.from_numpy(np.stack([crop for crop, _ in crops])).permute(0, 3, 1, 2).float()
            logits, jurisdictions, _ = model(pixels)
            reads = greedy(logits)
            strict = sum(read == text for read, (_, text) in zip(reads, crops))
            folded = sum(fold(read) == fold(text) for read, (_, text) in zip(reads, crops))
            out[name] = f"{100 * strict / len(crops):.1f}/{100 * folded / len(crops):.1f}"
            sure, codes = torch.softmax(jurisdictions, 1).max(1)
            out[name + "_by_looks"] = collections.Counter(JURISDICTIONS[code] for code, p in zip(codes.tolist(), sure.tolist()) if p > 0.8).most_common(4)
            if errors:
                print(name, " ".join(f"{text}>{read}" for read, (_, text) in zip(reads, crops) if fold(read) != fold(text)))
    model.train()
    return out


def step_loss(model, drawn):
    pixels, targets, lengths, codes, misses = drawn
    pixels = pixels.float().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, jurisdictions, corners = model(pixels)
    off = F.smooth_l1_loss(corners.float(), misses.nan_to_num(), beta=0.02, reduction="none")[~misses.isnan()].mean()
    loss = loss_of(logits, targets, lengths) + JURISDICTION_WEIGHT * F.cross_entropy(jurisdictions.float(), codes) + CORNERS_WEIGHT * off
    return loss, {"loss": loss.item(), "off": off.item()}


def main():
    options = arguments(CHECKPOINT, rate=1.5e-3, workers=1)
    options.add_argument("--errors", action="store_true", help="only measure, and list what is misread")
    options = options.parse_args()
    model = Reader().to(memory_format=torch.channels_last)
    sets = measured_crops(options.plates) if options.plates else {}
    if options.errors:
        print(load(options.checkpoint, Reader(), model, None), measure(model, sets, errors=True))
        return
    backgrounds = load_backgrounds(options.photographs)
    train(options, model, (0.9, 0.98), 20.0, BATCH, lambda run: Drawn(f"reader/{run}", backgrounds), step_loss, lambda average: measure(average, sets))


if __name__ == "__main__":
    main()
