"""Training without end in sight: stops when told, goes on from its checkpoint. What is trained, and on what, say train_reader.py and train_detector.py."""

import argparse
import collections
import copy
import json
import math
import os
import pathlib
import signal
import time

import cv2
import numpy as np
import torch

# The weights that are used are a running mean of those that are learnt.
AVERAGE = 0.999
TOLD_SECONDS, MEASURED_SECONDS, SAVED_SECONDS = 60, 240, 300
# Steps over which the rate rises: of all training, and after each start.
FIRST_WARM_UP, WARM_UP = 300, 50


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


def arguments(checkpoint, rate, workers):
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--photographs", nargs="*", default=[], help="folders of JPEGs for the background, with boxes.tsv where plates can be seen in them")
    options.add_argument("--plates", help="labelled street pictures to measure with as it goes")
    options.add_argument("--rate", type=float, default=rate)
    options.add_argument("--decay", action="store_true", help="let the rate fall to nothing over these minutes")
    options.add_argument("--workers", type=int, default=workers, help="processes that draw")
    options.add_argument("--checkpoint", type=pathlib.Path, default=checkpoint)
    return options


def train(options, model, betas, clip, batch, batches, loss_of, measure):
    """Trains `model`. `batches(run)` gives a data set for the run's number; `loss_of(model, batch)` the loss and what to tell of it, by name;
    `measure(model)` what it can do by now, by name; `batch` samples make one step."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(7)
    average = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.01, betas=betas)
    state = load(options.checkpoint, model, average, optimiser) or {"step": 0, "runs": 0, "minutes": 0.0}
    state["runs"] += 1
    print(f"parameters {sum(p.numel() for p in model.parameters())}, from step {state['step']}", flush=True)
    drawn = torch.utils.data.DataLoader(batches(state["runs"]), batch_size=None, num_workers=options.workers, prefetch_factor=8 if options.workers else 2)
    first, earlier, started = state["step"], state["minutes"], time.time()
    told, measured, saved = started, started, started
    told_of = collections.defaultdict(list)
    stop = Stop()
    for sample in drawn:
        done = (time.time() - started) / 60 / options.minutes
        if done >= 1 or stop:
            break
        rate = options.rate * min(1, (state["step"] + 1) / FIRST_WARM_UP, (state["step"] - first + 1) / WARM_UP)
        if options.decay:
            rate *= 0.5 + 0.5 * math.cos(math.pi * done)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, parts = loss_of(model, sample)
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        if torch.isfinite(norm):
            optimiser.step()
        state["step"] += 1
        for name, value in parts.items():
            told_of[name].append(value)
        _follow(average, model, min(AVERAGE, state["step"] / (state["step"] + 10)))
        now = time.time()
        state["minutes"] = earlier + (now - started) / 60
        if now - told > TOLD_SECONDS:
            line = {"step": state["step"], "samples": state["step"] * batch, **{name: round(float(np.mean(values)), 5) for name, values in told_of.items()}}
            line |= {"rate": round(rate, 6), "per_s": round((state["step"] - first) * batch / (now - started), 1), "minutes": round(state["minutes"], 1)}
            if now - measured > MEASURED_SECONDS:
                measured = now
                line |= measure(average)
            print(json.dumps(line), flush=True)
            told = now
            told_of.clear()
        if now - saved > SAVED_SECONDS:
            save(options.checkpoint, model, average, optimiser, state)
            saved = now
    save(options.checkpoint, model, average, optimiser, state)
    print("saved", state, measure(average), flush=True)


def _follow(average, model, keep):
    with torch.no_grad():
        for mean, now in zip(average.state_dict().values(), model.state_dict().values()):
            if mean.dtype.is_floating_point:
                mean.mul_(keep).add_(now.detach(), alpha=1 - keep)
            else:
                mean.copy_(now)
