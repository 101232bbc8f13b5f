"""Held-out pictures to measure the whole camera with: single scenes (calibration) and drive-pasts (voting over frames).

    python3 render.py OUT --reads 10000 --tracks 300 [--photographs DIR...] [--seed held-out]

Writes OUT/reads/labels.tsv (file, x, y, width, height, plate: one row a plate) with its JPEGs, and OUT/tracks/labels.tsv (folder, plate, frames) with a
folder of JPEGs a vehicle. The seeds of training never begin with that of these.
"""

import argparse
import pathlib
import random
import sys
import time

import cv2
import numpy as np

from camera import expose, light, motion_kernel, noise_source, quad
from plates import draw_plate
from scenes import SCENE, Stock, _drawn_ground, load_photographs, paste, sample
from vehicles import draw_vehicle

TRACK_SIZE = (640, 360)
# Least width of a plate in a scene that is measured with, px: street cameras are put up so that plates are wider, and half the training's plates are narrower.
LEAST_READ_PX = 40


class LabelledStock(Stock):
    """Every plate is new and remembered, so that its text can be told afterwards."""

    def take(self):
        plate = draw_plate(self.rng)
        self.plates.append(plate)
        return plate


def render_reads(out, number, seed, photographs, told):
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{seed}/reads")
    rows = ["file\tx\ty\twidth\theight\tplate"]
    plates = scenes = 0
    while plates < number:
        stock = LabelledStock(rng)
        corners_to_text = []
        scene, corners, _, ignored = sample(rng, stock, photographs, placed=corners_to_text)
        # Scenes with plates that are cut off or real ones would not say what a read in them should be.
        if len(corners) == 0 or len(ignored) > 0 or len(corners_to_text) != len(corners):
            continue
        if any(np.linalg.norm(plate[1] - plate[0]) < LEAST_READ_PX for plate in corners):
            continue
        file = f"{scenes:06}.jpg"
        cv2.imwrite(str(out / file), scene[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        for quadrilateral, text in zip(corners, corners_to_text):
            low, high = quadrilateral.min(0) + 0.5, quadrilateral.max(0) + 0.5
            rows.append(f"{file}\t{low[0]:.1f}\t{low[1]:.1f}\t{high[0] - low[0]:.1f}\t{high[1] - low[1]:.1f}\t{text}")
            plates += 1
        scenes += 1
        told("reads", plates, number)
    (out / "labels.tsv").write_text("\n".join(rows) + "\n")


def drive_past(rng, photographs, frames):
    """One vehicle coming nearer: [(frame uint8 RGB)], and its plate's text."""
    width, height = TRACK_SIZE
    plate = draw_plate(rng)
    if photographs and rng.random() < 0.5:
        ground = cv2.resize(rng.choice(photographs).picture, TRACK_SIZE, interpolation=cv2.INTER_AREA)
    else:
        ground = cv2.resize(_drawn_ground(rng, noise_source(rng)), TRACK_SIZE)
    style, look = rng.randrange(1 << 30), rng.randrange(1 << 30)
    first, last = rng.uniform(26, 45), rng.uniform(70, 150)
    if plate.two_lines:
        first, last = first * 0.7, last * 0.7
    start, end = np.float32([rng.uniform(0.25, 0.75) * width, rng.uniform(0.35, 0.6) * height]), np.float32([rng.uniform(0.3, 0.7) * width, rng.uniform(0.6, 0.85) * height])
    base = quad(1.0, plate.image.shape[0] / plate.image.shape[1], rng, 0.8)
    # The view turns a little as the vehicle passes.
    drift = np.float32([[rng.gauss(0, 0.03), rng.gauss(0, 0.01)] for _ in range(4)])
    share = (0.17 if plate.image.shape[0] / plate.image.shape[1] > 0.45 else 0.26) * rng.uniform(0.8, 1.2)
    out = []
    for i in range(frames):
        part = i / max(1, frames - 1)
        plate_px = first * (last / first) ** part
        middle = start + (end - start) * part
        scene = ground.copy()
        x, y = draw_vehicle(scene, random.Random(look), float(middle[0]), float(middle[1] + plate_px / share * 0.3), plate_px / share)
        numbers = noise_source(rng)
        corners = ((base + drift * part) * plate_px + np.float32([x, y]) + np.float32([rng.gauss(0, 0.4), rng.gauss(0, 0.4)])).astype(np.float32)
        paste(scene, plate, corners, random.Random(look + 1), numbers)
        picture = scene.astype(np.float32)
        light(picture, random.Random(style), numbers)
        # Each frame has its own shake and focus.
        if rng.random() < 0.5:
            picture = cv2.filter2D(picture, -1, motion_kernel(rng.uniform(1.5, 1.5 + plate_px / 14), rng.gauss(0, 0.5)), borderType=cv2.BORDER_REPLICATE)
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.4 + plate_px / 90))
        out.append(expose(picture, random.Random(style + 1), numbers, plate_px, 0.8))
    return out, "".join(plate.lines)


def render_tracks(out, number, seed, photographs, told):
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"{seed}/tracks")
    rows = ["folder\tplate\tframes"]
    for i in range(number):
        frames, text = drive_past(rng, photographs, rng.randrange(6, 14))
        folder = out / f"{i:04}"
        folder.mkdir(exist_ok=True)
        for n, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{n:02}.jpg"), frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        rows.append(f"{folder.name}\t{text}\t{len(frames)}")
        told("tracks", i + 1, number)
    (out / "labels.tsv").write_text("\n".join(rows) + "\n")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=pathlib.Path)
    options.add_argument("--reads", type=int, default=0)
    options.add_argument("--tracks", type=int, default=0)
    options.add_argument("--photographs", nargs="*", default=[])
    options.add_argument("--seed", default="held-out")
    options = options.parse_args()
    cv2.setNumThreads(1)
    photographs = load_photographs(options.photographs)
    last = [0.0]

    def told(what, done, wanted):
        if time.time() - last[0] > 2:
            last[0] = time.time()
            print(f"{what} {done}/{wanted}", file=sys.stderr)

    if options.reads:
        render_reads(options.out / "reads", options.reads, options.seed, photographs, told)
    if options.tracks:
        render_tracks(options.out / "tracks", options.tracks, options.seed, photographs, told)


if __name__ == "__main__":
    main()
