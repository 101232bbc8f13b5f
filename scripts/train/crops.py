"""Samples for the reader: a plate cut out of a camera's picture by four corners that are about right, or something that is no plate.

`samples(rng, backgrounds)` gives (crop uint8 RGB READER_HEIGHT × READER_WIDTH × 3, [line, line], jurisdiction, how far its corners are off or None). `python3 crops.py out.png [seed]` shows some.
"""

import random

import cv2
import numpy as np

import issue_schemes as schemes
from camera import corners_of, expose, expose_well, light, noise_source, quad, soil
from lettering import small_text, small_typefaces
from plates import draw_plate
from vehicles import recess

READER_WIDTH, READER_HEIGHT = 160, 48
# What the crop shows around the plate, as parts of its sides.
MARGIN_X, MARGIN_Y = 0.06, 0.14
# The crop is pulled straight at this multiple of its size and then averaged, so that large plates lose no strokes to aliasing.
OVERSAMPLED = 2


def _straightening(corners):
    """Homography from the picture to the oversampled crop, and where it takes the corners."""
    x, y = MARGIN_X * READER_WIDTH * OVERSAMPLED / (1 + 2 * MARGIN_X), MARGIN_Y * READER_HEIGHT * OVERSAMPLED / (1 + 2 * MARGIN_Y)
    w, h = READER_WIDTH * OVERSAMPLED, READER_HEIGHT * OVERSAMPLED
    to = np.float32([[x, y], [w - x, y], [w - x, h - y], [x, h - y]]) - 0.5
    return cv2.getPerspectiveTransform(np.float32(corners), to), to


def straighten(image, corners):
    """The plate within `corners` (float32 4×2, px, from the top left clockwise), with the margin. The camera does the same: edge/vision."""
    size = (READER_WIDTH * OVERSAMPLED, READER_HEIGHT * OVERSAMPLED)
    large = cv2.warpPerspective(image, _straightening(corners)[0], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(large, (READER_WIDTH, READER_HEIGHT), interpolation=cv2.INTER_AREA)


def missed_by(corners, true_corners):
    """How far the true corners lie from where the crop of `corners` has them: 8 numbers, x and y of each in widths and heights of the plate."""
    matrix, to = _straightening(corners)
    seen = cv2.perspectiveTransform(np.float32(true_corners)[None], matrix)[0]
    return ((seen - to) / (to[2] - to[0])).reshape(8).astype(np.float32)


def _surroundings(height, width, rng, numbers, backgrounds):
    if backgrounds and rng.random() < 0.45:
        picture = rng.choice(backgrounds)
        scale = rng.uniform(0.4, 2.5)
        h, w = min(picture.shape[0], max(8, round(height / scale))), min(picture.shape[1], max(8, round(width / scale)))
        y, x = rng.randrange(picture.shape[0] - h + 1), rng.randrange(picture.shape[1] - w + 1)
        return cv2.resize(picture[y:y + h, x:x + w], (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    body = np.float32([rng.choice([20, 40, 60, 120, 180, 220]) + rng.uniform(-15, 15)] * 3)
    if rng.random() < 0.4:
        body = np.float32([rng.uniform(0, 230) for _ in range(3)])
    field = np.empty((height, width, 3), np.float32)
    field[:] = body
    field *= np.linspace(rng.uniform(0.6, 1.2), rng.uniform(0.5, 1.2), height, dtype=np.float32)[:, None, None]
    for _ in range(rng.randrange(0, 3)):
        y = rng.randrange(height)
        field[y:y + rng.randrange(1, max(2, height // 8))] *= rng.uniform(0.3, 1.7)
    return field


def mounted(plate, rng, numbers, backgrounds):
    """The plate on a vehicle: its holder, its shadow, what is around. Returns the picture (float32) and the plate's corners in it."""
    image = plate.image.astype(np.float32)
    soil(image, rng, numbers)
    height, width = image.shape[:2]
    mx, my = round(width * 0.45), round(height * 0.5) + 6
    scene = _surroundings(height + 2 * my, width + 2 * mx, rng, numbers, backgrounds)
    corners = corners_of(image.shape) + np.float32([mx, my])
    if rng.random() < 0.4:
        niche = scene.astype(np.uint8)
        recess(niche, rng, corners, tuple(float(v) for v in niche[my, mx // 2]))
        scene = niche.astype(np.float32)
    if rng.random() < (0.7 if not plate.jurisdiction.startswith("US") else 0.4):
        colour = np.float32(rng.choice([(18, 18, 20), (30, 30, 32), (50, 50, 52), (120, 120, 125), (200, 200, 200), (15, 20, 40)]))
        sides = [rng.uniform(0.005, 0.03) * width, rng.uniform(0.01, 0.08) * height, rng.uniform(0.01, 0.24) * height]
        x0, x1 = round(mx - sides[0]), round(mx + width + sides[0])
        y0, y1 = round(my - sides[1]), round(my + height + sides[2])
        scene[y0:y1, x0:x1] = colour
        if sides[2] > 7 and rng.random() < 0.7:
            mask = small_text(rng.choice(small_typefaces()), rng.choice(schemes.DEALERS), 28)
            h = sides[2] * rng.uniform(0.4, 0.75)
            w = min(width * 0.85, mask.shape[1] * h / mask.shape[0] * rng.uniform(1, 2))
            mask = cv2.resize(mask, (max(2, round(w)), max(2, round(h))), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
            x, y = round(mx + (width - w) * rng.random()), round(my + height + (sides[2] - h) / 2)
            part = scene[y:y + mask.shape[0], x:x + mask.shape[1]]
            part[:] = part * (1 - mask[:part.shape[0], :part.shape[1]]) + np.float32(rng.choice([(235, 235, 235), (220, 200, 60), (200, 60, 50), (90, 140, 220)]) if colour.mean() < 110 else (25, 25, 30)) * mask[:part.shape[0], :part.shape[1]]
    if rng.random() < 0.35:
        # Upright edges beside the plate: a recess, a lamp, a gap of the sheet. They are no 1, L or I.
        for side in rng.choice([(0,), (1,), (0, 1)]):
            away = rng.uniform(0, 0.14) * width
            thick = max(1, round(rng.uniform(0.004, 0.05) * width))
            x = round(mx - away - thick) if side == 0 else round(mx + width + away)
            scene[:, max(0, x):max(0, x + thick)] = np.float32([rng.choice([10, 25, 60, 130, 200, 240]) + rng.uniform(-10, 10)] * 3)
            if rng.random() < 0.5:
                rest = scene[:, :max(0, x)] if side == 0 else scene[:, x + thick:]
                rest *= rng.uniform(0.3, 1.5)
    scene[my:my + height, mx:mx + width] = image
    if rng.random() < 0.3:
        # Shadow of the recess above the plate.
        deep = round(height * rng.uniform(0.03, 0.25))
        scene[my:my + deep, mx:mx + width] *= np.linspace(rng.uniform(0.2, 0.7), 1, deep, dtype=np.float32)[:, None, None] if deep else 1
    if rng.random() < 0.03:
        # A tow ball, a rope, a wiper in front of it: hides at most a little of the lower edge.
        x = round(mx + width * rng.uniform(0.3, 0.7))
        cv2.circle(scene, (x, round(my + height * rng.uniform(0.98, 1.1))), round(height * 0.13), (90, 90, 90), -1, cv2.LINE_AA)
    return np.core.umath.clip(scene, 0.0, 255.0), corners


def photographed(scene, corners, rng, numbers, plate_px, severity=1.0):
    """The mounted plate as a camera sees it, `plate_px` wide. Returns uint8 RGB and the corners in it."""
    width = corners[1, 0] - corners[0, 0]
    height = corners[3, 1] - corners[0, 1]
    scale = plate_px / width
    if scale < 0.75:
        # Average down first: warping alone would skip pixels.
        part = min(1.0, scale * 1.4)
        scene = cv2.resize(scene, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
        corners = (corners + 0.5) * part - 0.5
    seen = quad(plate_px, plate_px * height / width, rng)
    low, high = seen.min(0), seen.max(0)
    pad = np.float32([plate_px * 0.3 + 3, (high[1] - low[1]) * 0.35 + 3])
    size = np.ceil(high - low + 2 * pad).astype(int)
    seen = seen - low + pad + np.float32([rng.random(), rng.random()])
    image = cv2.warpPerspective(scene, cv2.getPerspectiveTransform(np.float32(corners), seen), (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < WELL_EXPOSED_SHARE:
        return expose_well(image, rng, numbers), seen
    light(image, rng, numbers)
    return expose(image, rng, numbers, plate_px, severity), seen


def plate_width_px(rng):
    """Widths as on the street: most are 60-160 px, few are large."""
    return float(np.exp(rng.uniform(np.log(42), np.log(130)) if rng.random() < 0.7 else rng.uniform(np.log(90), np.log(290))))


def jittered(corners, rng):
    """Corners as a detector gives them: each a little off, and all of them together."""
    width = np.linalg.norm(corners[1] - corners[0])
    height = np.linalg.norm(corners[3] - corners[0])
    each = rng.choice([0.004, 0.008, 0.015, 0.025])
    noise = np.float32([[rng.gauss(0, each) * width, rng.gauss(0, each * 3.0) * height] for _ in range(4)])
    centre = corners.mean(0)
    # A detector errs by too much more than by too little, and together more than corner by corner.
    far = rng.choice([0.5, 1, 2])
    grow = np.float32([1 + 0.015 * far + rng.gauss(0, 0.035) * far, 1 + 0.03 * far + rng.gauss(0, 0.07) * far])
    shift = np.float32([rng.gauss(0, 0.015) * width * far, rng.gauss(0, 0.04) * height * far])
    if rng.random() < NICHE_SHARE:
        # The niche around the plate was taken for it.
        left, right, up, down = (rng.uniform(0, most) for most in (0.35, 0.35, 0.3, 0.3))
        grow += np.float32([left + right, up + down])
        shift += np.float32([(right - left) / 2 * width, (down - up) / 2 * height])
    return (corners - centre) * grow + centre + noise + shift


def _no_plate(rng, numbers, backgrounds):
    """Something a detector may take for a plate: part of a picture, writing on a van or a sign, a grille, a date printed into the picture."""
    sort = rng.random()
    height, width = rng.choice([(70, 300), (100, 300), (150, 300)])
    scene = _surroundings(height, width, rng, numbers, backgrounds)
    if sort < 0.45 and backgrounds:
        picture = rng.choice(backgrounds)
        w = rng.randrange(24, min(400, picture.shape[1]))
        h = max(8, min(picture.shape[0] - 1, round(w / rng.uniform(1.6, 5))))
        y, x = rng.randrange(picture.shape[0] - h), rng.randrange(picture.shape[1] - w)
        scene = cv2.resize(picture[y:y + h, x:x + w], (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    elif sort < 0.6:
        step = rng.uniform(4, 40)
        upright = rng.random() < 0.5
        x = rng.uniform(0, step)
        while x < (width if upright else height):
            a, b = ((round(x), 0), (round(x), height)) if upright else ((0, round(x)), (width, round(x)))
            cv2.line(scene, a, b, (rng.uniform(0, 255),) * 3, rng.randrange(1, max(2, round(step / 2))), cv2.LINE_AA)
            x += step
    else:
        words = rng.choice([
            lambda: f"20{rng.randrange(10, 26)}/{rng.randrange(1, 13):02}/{rng.randrange(1, 29):02} {rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}",
            lambda: f"({rng.randrange(200, 999)}) 555-0{rng.randrange(100, 199)}",
            lambda: rng.choice(schemes.DEALERS).title() + " " + rng.choice(schemes.DEALERS).lower(),
            lambda: rng.choice(schemes.BRAZILIAN_TOWNS).title() + "\n" + rng.choice(schemes.DEALERS),
            lambda: "\n".join(rng.choice(["Service & Parts", "open daily", "no parking", "for sale", "Quality since 1968", "Exit only", "baby on board", "Speed limit"]) for _ in range(3)),
        ])().split("\n")
        ink = rng.choice([(245, 245, 245), (20, 20, 20), (200, 40, 40), (240, 210, 40), (30, 60, 160)])
        each = height * rng.uniform(0.5, 0.9) / len(words)
        file = rng.choice(small_typefaces())
        for i, word in enumerate(words):
            mask = small_text(file, word, 28)
            w = min(width * 0.95, mask.shape[1] * each * 0.8 / mask.shape[0])
            mask = cv2.resize(mask, (max(2, round(w)), max(2, round(each * 0.8))), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255
            x, y = round((width - w) * rng.random()), round(height * 0.06 + i * each)
            part = scene[y:y + mask.shape[0], x:x + mask.shape[1]]
            mask = mask[:part.shape[0], :part.shape[1]]
            part[:] = part * (1 - mask) + np.float32(ink) * mask
    return scene, corners_of(scene.shape)


# Share of samples whose corners are the niche's rather than the plate's.
NICHE_SHARE = 0.12
# Share of pictures by a good camera on a good day.
WELL_EXPOSED_SHARE = 0.3
# Share of samples that are no plate.
NO_PLATE_SHARE = 0.12


# Standard deviation, 0-255, below which nobody could read a crop: it is not learnt from.
LEAST_CONTRAST = 5


def samples(rng, backgrounds, views=4):
    """`views` pictures of one plate, each by another camera; drawing it costs more than photographing it."""
    numbers = noise_source(rng)
    if rng.random() < NO_PLATE_SHARE:
        scene, corners = _no_plate(rng, numbers, backgrounds)
        lines, jurisdiction = ["", ""], ""
    else:
        plate = draw_plate(rng)
        scene, corners = mounted(plate, rng, numbers, backgrounds)
        lines = (plate.lines + [""])[:2]
        jurisdiction = "US" if plate.jurisdiction.startswith("US") else plate.jurisdiction
    for _ in range(views):
        # Two-line plates are half as wide as others at the same distance.
        wide = plate_width_px(rng) * (0.7 if lines[1] else 1.0)
        image, seen = photographed(scene, corners, rng, numbers, max(30.0, wide))
        about = jittered(seen, rng)
        crop = straighten(image, about)
        if lines[0] and crop[10:38, 16:144].std() < LEAST_CONTRAST:
            continue
        yield crop, lines, jurisdiction, missed_by(about, seen) if lines[0] else None


def plate_boxes(folder):
    """file: [(x, y, width, height) px] of a folder's boxes.tsv; empty without one."""
    import pathlib

    boxes = {}
    listing = pathlib.Path(folder) / "boxes.tsv"
    if listing.exists():
        for row in listing.read_text().splitlines()[1:]:
            file, *numbers = row.split("\t")
            boxes.setdefault(file, []).append(tuple(float(number) for number in numbers))
    return boxes


def load_backgrounds(folders, width_px=640):
    """Photographs (uint8 RGB, `width_px` wide), the plates of boxes.tsv blurred away; empty where there are none."""
    import pathlib

    out = []
    for folder in folders:
        known = plate_boxes(folder)
        for path in sorted(pathlib.Path(folder).glob("**/*.jpg")) + sorted(pathlib.Path(folder).glob("**/*.png")):
            picture = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2)
            if picture is None or min(picture.shape[:2]) < 200:
                continue
            for x, y, w, h in known.get(path.name, []):
                x0, y0, x1, y1 = (max(0, round(v / 2)) for v in (x - w * 0.1, y - h * 0.3, x + w * 1.1, y + h * 1.3))
                part = picture[y0:y1, x0:x1]
                if part.size:
                    part[:] = cv2.blur(part, (2 * part.shape[1] // 3 | 1, 2 * part.shape[0] // 3 | 1))
            picture = cv2.resize(picture, (width_px, round(picture.shape[0] * width_px / picture.shape[1])), interpolation=cv2.INTER_AREA)
            out.append(np.ascontiguousarray(picture[..., ::-1]))
    return out


def main():
    import sys
    import time

    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    backgrounds = load_backgrounds(sys.argv[3:])
    list(samples(rng, backgrounds))
    started = time.time()
    cells = []
    while len(cells) < 120:
        for crop, lines, jurisdiction, _ in samples(rng, backgrounds):
            cell = np.full((66, 164, 3), 60, np.uint8)
            cell[2:50, 2:162] = crop
            cv2.putText(cell, "/".join(lines) + " " + jurisdiction, (4, 63), 0, 0.4, (255, 255, 0), 1)
            cells.append(cell)
    print(f"{(time.time() - started) / 120 * 1000:.2f} ms a crop")
    cv2.imwrite(sys.argv[1], np.vstack([np.hstack(cells[i:i + 10]) for i in range(0, 120, 10)])[..., ::-1])


if __name__ == "__main__":
    main()
