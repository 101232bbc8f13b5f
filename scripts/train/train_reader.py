"""Trains the reader on plates that are drawn as it goes. Stops and goes on from its checkpoint; see README.

    python3 train_reader.py --minutes 60 --backgrounds DIR [--plates DIR] [--rate 1.5e-3] [--decay]
"""

import argparse
import collections
import copy
import json
import math
import os
import pathlib
import random
import signal
import sys
import time

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from crops import load_backgrounds, samples, straighten
from issue_schemes import JURISDICTIONS
from lettering import ALPHABET
from reader_network import STEPS, Reader

HERE = pathlib.Path(__file__).parent
CHECKPOINT = HERE / "checkpoints" / "reader.pt"
BATCH = 128
EMA = 0.999
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


class Stop:
    """True from SIGTERM or SIGINT on: the step in hand is finished and what was learnt is saved."""

    def __init__(self):
        self.asked, self.pid = False, os.getpid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_):
        # The drawing processes inherit this and end with the training, not before it.
        if os.getpid() == self.pid:
            self.asked = True

    def __bool__(self):
        return self.asked


def save(path, model, average, optimiser, state):
    path.parent.mkdir(exist_ok=True)
    half = {key: {name: value.bfloat16() if torch.is_tensor(value) and value.dim() else value for name, value in entry.items()} for key, entry in optimiser.state_dict()["state"].items()}
    torch.save({"model": model.state_dict(), "average": average.state_dict(), "optimiser": half, "state": state}, f"{path}.new")
    os.replace(f"{path}.new", path)


def load(path, model, average, optimiser):
    """The state saved there, or None. A network that has grown takes what fits."""
    if not path.exists():
        return None
    saved = torch.load(path, map_location="cpu")
    grown = model.load_state_dict(saved["model"], strict=False).missing_keys
    average.load_state_dict(saved["average"], strict=False)
    if optimiser is not None and not grown:
        whole = optimiser.state_dict()
        whole["state"] = {key: {name: value.float() if torch.is_tensor(value) else value for name, value in entry.items()} for key, entry in saved["optimiser"].items()}
        optimiser.load_state_dict(whole)
    return saved["state"]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--backgrounds", nargs="*", default=[])
    options.add_argument("--plates")
    options.add_argument("--rate", type=float, default=1.5e-3)
    options.add_argument("--decay", action="store_true", help="let the rate fall to nothing over these minutes")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--checkpoint", type=pathlib.Path, default=CHECKPOINT)
    options.add_argument("--errors", action="store_true", help="only measure, and list what is misread")
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(7)
    model = Reader().to(memory_format=torch.channels_last)
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.01, betas=(0.9, 0.98))
    state = load(options.checkpoint, model, average, optimiser) or {"step": 0, "runs": 0, "minutes": 0.0}
    sets = measured_crops(options.plates) if options.plates else {}
    if options.errors:
        print(state, measure(average, sets, errors=True))
        return
    state["runs"] += 1
    print(f"parameters {sum(p.numel() for p in model.parameters())}, from step {state['step']}", flush=True)
    backgrounds = load_backgrounds(options.backgrounds)
    drawn = torch.utils.data.DataLoader(Drawn(f"reader/{state['runs']}", backgrounds), batch_size=None, num_workers=options.workers, prefetch_factor=4 if options.workers else 2)
    started, told, saved, losses, first = time.time(), time.time(), time.time(), [], state["step"]
    earlier, measured = state["minutes"], 0.0
    stop = Stop()
    for pixels, targets, lengths, codes, misses in drawn:
        done = (time.time() - started) / 60 / options.minutes
        if done >= 1 or stop:
            break
        rate = options.rate * min(1, (state["step"] + 1) / 300, (state["step"] - first + 1) / 50)
        if options.decay:
            rate *= 0.5 + 0.5 * math.cos(math.pi * done)
        for group in optimiser.param_groups:
            group["lr"] = rate
        pixels = pixels.float().contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, jurisdictions, corners = model(pixels)
        off = F.smooth_l1_loss(corners.float(), misses.nan_to_num(), beta=0.02, reduction="none")[~misses.isnan()].mean()
        loss = loss_of(logits, targets, lengths) + JURISDICTION_WEIGHT * F.cross_entropy(jurisdictions.float(), codes) + CORNERS_WEIGHT * off
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 20.0)
        if torch.isfinite(norm):
            optimiser.step()
        state["step"] += 1
        losses.append((loss.item(), off.item()))
        keep = min(EMA, state["step"] / (state["step"] + 10))
        with torch.no_grad():
            for mean, now in zip(average.state_dict().values(), model.state_dict().values()):
                if mean.dtype.is_floating_point:
                    mean.mul_(keep).add_(now.detach(), alpha=1 - keep)
                else:
                    mean.copy_(now)
        state["minutes"] = earlier + (time.time() - started) / 60
        if time.time() - told > 60:
            speed = (state["step"] - first) * BATCH / (time.time() - started)
            line = {"step": state["step"], "samples": state["step"] * BATCH, "loss": round(float(np.mean(losses, 0)[0]), 4), "off": round(float(np.mean(losses, 0)[1]), 5), "rate": round(rate, 6), "per_s": round(speed), "minutes": round(state["minutes"], 1)}
            if sets and time.time() - measured > 240:
                measured = time.time()
                line |= measure(average, sets)
            print(json.dumps(line), flush=True)
            told, losses = time.time(), []
        if time.time() - saved > 300:
            save(options.checkpoint, model, average, optimiser, state)
            saved = time.time()
    save(options.checkpoint, model, average, optimiser, state)
    print("saved", state, measure(average, sets) if sets else "", flush=True)


if __name__ == "__main__":
    sys.exit(main())
