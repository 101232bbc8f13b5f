"""Samples for the detector: a street of our own making with plates in it, and their true corners.

The street is a photograph's part with its plates replaced by drawn ones (or kept), a photograph without plates, or drawn; vehicles, signs, writing and other
things that are no plates are put into it. `sample(rng, stock, backgrounds)` gives (uint8 RGB SCENE × SCENE × 3, corners float32 N×4×2, whether each is only a rough box (bool N), ignored boxes M×4).
`python3 scenes.py out.png [seed] [folders]` shows some.
"""

import random

import cv2
import numpy as np

import issue_schemes as schemes
from camera import bytes_of, corners_of, expose, expose_well, light, noise_source, quad, soil
from plates import draw_plate
from vehicles import draw_vehicle, recess, write

SCENE = 384
# Plates narrower than this in the network's picture are neither asked for nor held against it.
LEAST_WIDTH_PX = 15


# Plates are pasted at this multiple of the scene's resolution.
SUPERSAMPLED = 3


class Stock:
    """Drawn plates, used several times over: drawing costs more than pasting."""

    def __init__(self, rng, size=400, uses=12):
        self.rng, self.size, self.uses, self.plates = rng, size, uses, []

    def take(self):
        if len(self.plates) < self.size or self.rng.random() < 1 / self.uses:
            plate = draw_plate(self.rng)
            if len(self.plates) < self.size:
                self.plates.append(plate)
            else:
                self.plates[self.rng.randrange(self.size)] = plate
            return plate
        return self.rng.choice(self.plates)


def paste(scene, plate, corners, rng, numbers):
    """Warps a plate into a uint8 scene; its holder and shadow with it."""
    image = plate.image.astype(np.float32)
    if rng.random() < 0.4:
        soil(image, rng, numbers)
    # Plates outside are rarely as white as their paint.
    image *= rng.uniform(0.45, 1.0)
    width = max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[3]))
    # Drawn at SUPERSAMPLED times the scene and averaged down: warped alone, a small plate is sharper than anything a lens makes, and a network learns that.
    scale = width / image.shape[1] * SUPERSAMPLED * 1.2
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    centre = corners.mean(0)
    if rng.random() < 0.55:
        down = (corners[3] + corners[2] - corners[0] - corners[1]) / 2
        hold = (corners - centre) * np.float32([rng.uniform(1.01, 1.06), rng.uniform(1.03, 1.2)]) + centre
        hold[2:] += down * rng.uniform(0, 0.18)
        cv2.fillPoly(scene, [np.round(hold * 16).astype(np.int32)], rng.choice([(15, 15, 17), (25, 25, 28), (45, 45, 48), (190, 192, 195), (110, 110, 112)]), cv2.LINE_AA, 4)
    pad = 2
    low = np.floor(corners.min(0)).astype(int) - pad
    high = np.ceil(corners.max(0)).astype(int) + pad
    x0, y0 = max(0, low[0]), max(0, low[1])
    x1, y1 = min(scene.shape[1], high[0]), min(scene.shape[0], high[1])
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    times = SUPERSAMPLED if width < 120 else 1
    matrix = cv2.getPerspectiveTransform(corners_of(image.shape), ((corners - np.float32([x0, y0]) + 0.5) * times - 0.5).astype(np.float32))
    if rng.random() < 0.5:
        light(image, rng, numbers)
    size = (int(x1 - x0), int(y1 - y0))
    larger = (size[0] * times, size[1] * times)
    bordered = cv2.warpPerspective(image, matrix, larger, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpPerspective(np.ones(image.shape[:2], np.float32), matrix, larger, flags=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        # The lens of the camera that took the background: the plate is as soft as the rest.
        soft = rng.uniform(0.2, 0.9) * times * min(1.0, width / 40)
        bordered, mask = cv2.GaussianBlur(bordered, (0, 0), soft), cv2.GaussianBlur(mask, (0, 0), soft)
    if times > 1:
        bordered, mask = cv2.resize(bordered, size, interpolation=cv2.INTER_AREA), cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    mask = mask[..., None]
    part = scene[y0:y1, x0:x1]
    part[:] = bytes_of(part * (1 - mask) + bordered * mask)


def mount(scene, rng, corners):
    """The sheet of a vehicle around a plate: curved paint, the recess that the plate sits in with its shadow, edges, a badge, a lamp over it."""
    middle = corners.mean(0)
    w = float(np.linalg.norm(corners[1] - corners[0]))
    h = float(np.linalg.norm(corners[3] - corners[0]))
    x0, x1 = (round(v) for v in (middle[0] - w * rng.uniform(0.9, 2.2), middle[0] + w * rng.uniform(0.9, 2.2)))
    y0, y1 = (round(v) for v in (middle[1] - h * rng.uniform(1.2, 3.5), middle[1] + h * rng.uniform(1.0, 2.5)))
    a, b, c, d = max(0, x0), min(SCENE, x1), max(0, y0), min(SCENE, y1)
    if b - a < 4 or d - c < 4:
        return
    paint = np.float32(rng.choice([(225, 225, 228), (180, 183, 187), (120, 122, 126), (60, 62, 66), (28, 28, 31), (130, 20, 25), (30, 50, 110), (60, 90, 70), (190, 175, 140), (200, 150, 40)])) + np.float32([rng.uniform(-14, 14)] * 3)
    rows = np.arange(c, d, dtype=np.float32)
    bend = 0.75 + 0.3 * np.cos((rows - y0) / max(1, y1 - y0) * rng.uniform(1.5, 5) + rng.uniform(0, 3))
    columns = 1 + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, b - a, dtype=np.float32)
    sheet = paint[None, None] * bend[:, None, None] * columns[None, :, None]
    for _ in range(rng.randrange(0, 4)):
        # A fold of the sheet: a light line over a dark one.
        y = rng.randrange(d - c)
        thick = max(1, round(h * rng.uniform(0.02, 0.12)))
        sheet[y:y + thick] *= rng.uniform(1.05, 1.5)
        sheet[y + thick:y + 2 * thick] *= rng.uniform(0.4, 0.9)
    part = scene[c:d, a:b]
    part[:] = bytes_of(sheet)
    if rng.random() < 0.75:
        recess(scene, rng, corners, tuple(float(v) for v in paint))
    if rng.random() < 0.35:
        at = (round(float(middle[0])), round(float(middle[1] - h * rng.uniform(1.0, 2.2))))
        cv2.ellipse(scene, at, (max(2, round(h * rng.uniform(0.2, 0.45))), max(2, round(h * rng.uniform(0.15, 0.3)))), 0, 0, 360, rng.choice([(215, 215, 218), (60, 60, 65), (150, 30, 30)]), rng.choice([-1, 2]), cv2.LINE_AA)
    if rng.random() < 0.3:
        write(scene, rng, rng.choice(["Corolla", "XLT", "Golf", "V6", "Fabia", "Civic", "TOYOTA", "FORD", "TDI"]), middle[0] + w * rng.choice([-1.6, 0.7, 0.9]), middle[1] - h * rng.uniform(0.6, 1.8), h * rng.uniform(0.25, 0.5), rng.choice([(215, 215, 218), (60, 60, 62)]), w * 0.8)
    if rng.random() < 0.2:
        for side in (-1, 1):
            x = middle[0] + side * w * rng.uniform(0.7, 1.2)
            y = middle[1] + h * rng.uniform(-1, 0.5)
            box = ((round(x - h * 0.5), round(y - h * 0.5)), (round(x + h * 0.5), round(y + h * 0.6)))
            cv2.rectangle(scene, *box, rng.choice([(170, 20, 25), (235, 235, 235), (240, 140, 30)]), -1)


def _sign(scene, rng, x, y, width):
    """Writing on a board, a van or a shop: no plate."""
    height = width / rng.uniform(1.2, 5)
    ground = rng.choice([(240, 240, 240), (30, 90, 50), (20, 60, 140), (200, 30, 30), (250, 210, 40), (20, 20, 22), None, None])
    if ground:
        cv2.rectangle(scene, (round(x), round(y)), (round(x + width), round(y + height)), ground, -1)
        if rng.random() < 0.4:
            cv2.rectangle(scene, (round(x), round(y)), (round(x + width), round(y + height)), (235, 235, 235), 2)
    ink = rng.choice([(245, 245, 245), (20, 20, 20), (200, 40, 40), (250, 220, 60)])
    rows = rng.randrange(1, 4)
    for i in range(rows):
        text = rng.choice([
            rng.choice(schemes.DEALERS).title(), rng.choice(schemes.BRAZILIAN_TOWNS).split("-")[1].title(), "Service & Parts", "No Parking", "Exit", "Taxi", f"0{rng.randrange(10, 99)} {rng.randrange(100, 999)} {rng.randrange(1000, 9999)}",
            "www.example.com", "Open 24 h", "Pizza", "Hotel", "Rent a car", "Speed Limit 35", "STOP", f"{rng.randrange(5, 120)}", f"E{rng.randrange(10, 99)}", "Bus", "Policia", "Ambulance", "SALE",
        ])
        write(scene, rng, text, x + width * 0.05, y + height * (i + 0.15) / rows, height * 0.7 / rows, ink, width * 0.9)


def _blank(scene, rng, x, y, width):
    """A plate's shape without its characters: an advertising plate, an empty holder, a lamp, a vent."""
    height = width / rng.uniform(1.5, 5)
    box = ((round(x), round(y)), (round(x + width), round(y + height)))
    cv2.rectangle(scene, *box, rng.choice([(235, 235, 235), (200, 200, 60), (30, 30, 32), (150, 150, 152), (240, 240, 220), (120, 20, 20)]), -1)
    sort = rng.random()
    if sort < 0.35:
        write(scene, rng, rng.choice(schemes.DEALERS).title(), x + width * 0.1, y + height * 0.3, height * 0.35, rng.choice([(20, 40, 130), (200, 30, 30), (20, 20, 20)]), width * 0.8)
    elif sort < 0.7:
        step = max(2, round(width * rng.uniform(0.02, 0.09)))
        for value in range(step, round(width), step * 2):
            cv2.line(scene, (round(x + value), round(y)), (round(x + value), round(y + height)), (20, 20, 22), max(1, step // 2))


def _gate(scene, rng, x, y, width):
    """Bars in a frame, evenly spaced as characters are: a fence, a gate, a grille, blinds."""
    height = width / rng.uniform(1.0, 4.5)
    colour = rng.choice([(15, 15, 17), (35, 35, 38), (90, 92, 95), (200, 202, 205), (60, 75, 60)])
    if rng.random() < 0.3:
        cv2.rectangle(scene, (round(x), round(y)), (round(x + width), round(y + height)), tuple(rng.randrange(30, 230) for _ in range(3)), -1)
    step = max(3.0, width * rng.uniform(0.02, 0.12))
    thick = max(1, round(step * rng.uniform(0.12, 0.5)))
    lean = rng.uniform(-0.1, 0.1) * height
    along = rng.random() < 0.15
    at = 0.0
    while at < (height if along else width):
        a, b = ((x, y + at), (x + width, y + at + lean)) if along else ((x + at, y - rng.uniform(0, 0.1) * height), (x + at + lean, y + height))
        cv2.line(scene, (round(a[0]), round(a[1])), (round(b[0]), round(b[1])), colour, thick, cv2.LINE_AA)
        at += step
    for part in (0.04, 0.9) if rng.random() < 0.8 else ():
        cv2.line(scene, (round(x), round(y + height * part)), (round(x + width), round(y + height * part + lean * 0.2)), colour, thick + 1, cv2.LINE_AA)
    if rng.random() < 0.4:
        cv2.line(scene, (round(x), round(y + height)), (round(x + width), round(y)), colour, thick, cv2.LINE_AA)


def _window(scene, rng, x, y, width):
    """A vehicle's rear window: glass in a frame, with headrests, a sky in it, a sticker."""
    height = width / rng.uniform(1.8, 3.6)
    inset = width * rng.uniform(0.03, 0.18)
    frame = rng.choice([(225, 225, 228), (150, 20, 25), (30, 50, 110), (25, 25, 28), (120, 122, 126), (60, 110, 115)])
    shape = np.float32([[x + inset, y], [x + width - inset, y], [x + width, y + height], [x, y + height]])
    middle = shape.mean(0)
    cv2.fillPoly(scene, [np.round(((shape - middle) * np.float32([1.2, rng.uniform(1.3, 1.9)]) + middle) * 16).astype(np.int32)], frame, cv2.LINE_AA, 4)
    glass = np.float32(rng.choice([(30, 34, 38), (60, 66, 70), (110, 120, 128), (170, 185, 195), (20, 22, 22)]))
    cv2.fillPoly(scene, [np.round(shape * 16).astype(np.int32)], tuple(float(v) for v in glass), cv2.LINE_AA, 4)
    for _ in range(rng.randrange(1, 5)):
        px, py = x + width * rng.uniform(0.15, 0.85), y + height * rng.uniform(0.3, 0.9)
        tone = tuple(float(v) for v in (glass * rng.choice([0.4, 0.6, 1.6, 2.2])).clip(0, 255))
        if rng.random() < 0.6:
            cv2.ellipse(scene, (round(px), round(py)), (max(2, round(width * rng.uniform(0.04, 0.1))), max(2, round(height * rng.uniform(0.12, 0.3)))), 0, 0, 360, tone, -1, cv2.LINE_AA)
        else:
            cv2.line(scene, (round(px), round(y)), (round(px + rng.uniform(-0.2, 0.2) * width), round(y + height)), tone, max(1, round(width * 0.02)), cv2.LINE_AA)
    edge = rng.choice([(10, 10, 12), (10, 10, 12), (190, 192, 195)])
    cv2.polylines(scene, [np.round(shape * 16).astype(np.int32)], True, edge, max(1, round(height * rng.uniform(0.02, 0.08))), cv2.LINE_AA, 4)


def _badge(scene, rng, x, y, width):
    """A maker's badge or a lamp: an oval or a slanted box with something bright in it."""
    height = width / rng.uniform(1.0, 2.6)
    centre, half = (round(x + width / 2), round(y + height / 2)), (max(2, round(width / 2)), max(2, round(height / 2)))
    if rng.random() < 0.6:
        cv2.ellipse(scene, centre, half, 0, 0, 360, rng.choice([(30, 45, 100), (20, 20, 22), (150, 20, 25), (200, 202, 206)]), -1, cv2.LINE_AA)
        cv2.ellipse(scene, centre, (max(1, round(half[0] * 0.9)), max(1, round(half[1] * 0.88))), 0, 0, 360, (215, 217, 220), max(1, round(height * 0.05)), cv2.LINE_AA)
        if rng.random() < 0.8:
            write(scene, rng, rng.choice(["Ford", "Opel", "KIA", "SK", "BR", "H", "GMC", "Villas", "208", "LOGAN", "Dacia"]), x + width * 0.2, y + height * 0.3, height * 0.4, (225, 227, 230), width * 0.6)
        return
    slant = width * rng.uniform(-0.15, 0.15)
    shape = np.float32([[x + slant, y], [x + width, y], [x + width - slant, y + height], [x, y + height]])
    cv2.fillPoly(scene, [np.round(shape * 16).astype(np.int32)], rng.choice([(225, 228, 230), (150, 20, 25), (190, 195, 200), (120, 15, 20)]), cv2.LINE_AA, 4)
    for _ in range(rng.randrange(1, 6)):
        px = x + width * rng.uniform(0.1, 0.9)
        cv2.line(scene, (round(px), round(y)), (round(px + rng.uniform(-0.1, 0.1) * width), round(y + height)), rng.choice([(250, 250, 250), (120, 122, 125), (90, 10, 12), (60, 60, 62)]), max(1, round(width * 0.03)), cv2.LINE_AA)
    cv2.polylines(scene, [np.round(shape * 16).astype(np.int32)], True, (30, 30, 32), 1, cv2.LINE_AA, 4)


# Things that are no plates, and how often each is drawn beside the others.
NO_PLATES = {_sign: 3, _blank: 2, _gate: 2, _window: 2, _badge: 2}


def _drawn_ground(rng, numbers):
    scene = np.empty((SCENE, SCENE, 3), np.float32)
    horizon = rng.uniform(-0.3, 0.8) * SCENE
    scene[:] = [rng.uniform(20, 230)] * 3
    if rng.random() < 0.5:
        scene[:] = [rng.uniform(20, 230) for _ in range(3)]
    if horizon > 0:
        scene[: int(horizon)] = [rng.uniform(60, 250) for _ in range(3)]
    field = numbers.random((rng.randrange(3, 40),) * 2, np.float32)
    field = cv2.resize(field, (SCENE, SCENE), interpolation=cv2.INTER_CUBIC)
    scene *= (1 + (field - 0.5) * rng.uniform(0.1, 0.9))[..., None]
    if rng.random() < 0.6:
        scene += (numbers.standard_normal((SCENE // 2, SCENE // 2), np.float32).repeat(2, 0).repeat(2, 1) * rng.uniform(1, 18))[..., None]
    scene = bytes_of(scene)
    for _ in range(rng.randrange(0, 10)):
        colour = tuple(rng.randrange(256) for _ in range(3)) if rng.random() < 0.4 else (rng.randrange(256),) * 3
        x, y, w, h = rng.randrange(SCENE), rng.randrange(SCENE), rng.randrange(5, 250), rng.randrange(5, 250)
        if rng.random() < 0.5:
            cv2.rectangle(scene, (x, y), (x + w, y + h), colour, rng.choice([-1, -1, 2, 5]))
        else:
            cv2.line(scene, (x, y), (x + w - 125, y + h), colour, rng.randrange(1, 12), cv2.LINE_AA)
    return scene


class Photograph:
    """A photograph for scenes: uint8 RGB, and its plates' boxes (x, y, w, h) px."""

    def __init__(self, picture, boxes):
        self.picture, self.boxes = picture, boxes


def load_photographs(folders, longest_px=1280):
    import pathlib

    from crops import plate_boxes

    out = []
    for folder in folders:
        known = plate_boxes(folder)
        for path in sorted(pathlib.Path(folder).glob("**/*.jpg")) + sorted(pathlib.Path(folder).glob("**/*.png")):
            picture = cv2.imread(str(path))
            if picture is None or min(picture.shape[:2]) < 300:
                continue
            scale = min(1, longest_px / max(picture.shape[:2]))
            if scale < 1:
                picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            out.append(Photograph(np.ascontiguousarray(picture[..., ::-1]), [tuple(v * scale for v in box) for box in known.get(path.name, [])]))
    return out


def _photograph(rng, photographs):
    """A part of a photograph as SCENE × SCENE, and the corners of the real plates in it."""
    photograph = rng.choice(photographs)
    picture = photograph.picture
    height, width = picture.shape[:2]
    # From a close part to the whole picture's height.
    side = rng.uniform(min(240, height), min(height, width))
    if photograph.boxes and rng.random() < 0.7:
        bx, by, bw, bh = rng.choice(photograph.boxes)
        side = min(height, max(side * rng.uniform(0.3, 1), bw * 1.6))
        x = min(max(0, bx + bw / 2 - side * rng.uniform(0.2, 0.8)), width - side)
        y = min(max(0, by + bh / 2 - side * rng.uniform(0.2, 0.8)), height - side)
    else:
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
    x, y, side = round(x), round(y), round(side)
    part = picture[y:y + side, x:x + side]
    scale = SCENE / part.shape[0]
    scene = cv2.resize(part, (SCENE, SCENE), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if rng.random() < 0.7:
        # Grey-world: night drives under coloured lamps become days of many colours.
        means = scene.reshape(-1, 3).mean(0).astype(np.float32) + 1
        gains = (means.mean() / means) ** rng.uniform(0.5, 1.0) * np.float32([rng.uniform(0.85, 1.15) for _ in range(3)])
        table = np.arange(256, dtype=np.float32)[:, None] * gains[None] * rng.uniform(0.8, 1.6)
        if rng.random() < 0.4:
            table = 255 * (table.clip(0, 255) / 255) ** rng.uniform(0.6, 1.1)
        scene = cv2.LUT(scene, table.clip(0, 255).astype(np.uint8).reshape(1, 256, 3))
    found = [np.float32([[bx, by], [bx + bw, by], [bx + bw, by + bh], [bx, by + bh]]) - np.float32([x, y]) for bx, by, bw, bh in photograph.boxes]
    found = [corners * scale - 0.5 for corners in found]
    if rng.random() < 0.5:
        scene = scene[:, ::-1]
        found = [(np.float32([SCENE - 1, 0]) + corners * np.float32([-1, 1]))[[1, 0, 3, 2]] for corners in found]
    return np.ascontiguousarray(scene), found


def _inside(corners):
    low, high = corners.min(0), corners.max(0)
    return low[0] > -1 and low[1] > -1 and high[0] < SCENE and high[1] < SCENE


def _touches(corners):
    low, high = corners.min(0), corners.max(0)
    return high[0] > 0 and high[1] > 0 and low[0] < SCENE and low[1] < SCENE


def _overlaps(corners, others, margin=1.25):
    low, high = corners.min(0), corners.max(0)
    middle, half = (low + high) / 2, (high - low) / 2 * margin
    for other in others:
        o_low, o_high = other.min(0), other.max(0)
        if (middle - half < o_high).all() and (middle + half > o_low).all():
            return True
    return False


def _width_px(rng):
    return float(np.exp(rng.uniform(np.log(16), np.log(70)) if rng.random() < 0.6 else rng.uniform(np.log(50), np.log(260))))


def _close_up(rng, stock, numbers, placed):
    """One plate that all but fills the picture, as in pictures that somebody has cut out."""
    plate = stock.take()
    placed.append("".join(plate.lines))
    ratio = plate.image.shape[0] / plate.image.shape[1]
    scene = _drawn_ground(rng, numbers)
    width = SCENE * rng.uniform(0.6, 0.99)
    corners = quad(width, width * ratio, rng, rng.choice([0.0, 0.1, 0.5]))
    span = corners.max(0) - corners.min(0)
    corners *= min(1, SCENE * 0.99 / span.max())
    corners += np.float32([SCENE / 2, SCENE / 2]) - (corners.max(0) + corners.min(0)) / 2
    corners += np.float32([rng.uniform(-1, 1) * max(0, SCENE - span[0]) / 2, rng.uniform(-1, 1) * max(0, SCENE - span[1]) / 2])
    paste(scene, plate, corners, rng, numbers)
    light_and_lens = scene.astype(np.float32)
    light(light_and_lens, rng, numbers)
    return expose(light_and_lens, rng, numbers, 200.0, 1.0), corners[None].astype(np.float32), np.zeros(1, bool), np.zeros((0, 4), np.float32)


# Share of scenes that a larger picture was made of.
LARGE_SHARE = 0.3
# Share of scenes without weather, night or a bad camera: as most pictures are.
WELL_EXPOSED_SHARE = 0.6
# Share of scenes that are close-ups.
CLOSE_UP_SHARE = 0.05


def sample(rng, stock, photographs, placed=None):
    """One scene. `placed` is given the texts of the drawn plates, in the order of the corners; real plates that were kept have none, and rough boxes."""
    numbers = noise_source(rng)
    placed = [] if placed is None else placed
    if rng.random() < CLOSE_UP_SHARE:
        return _close_up(rng, stock, numbers, placed)
    plates, rough, ignored = [], [], []
    kind = rng.random()
    photographed = bool(photographs) and kind < 0.68
    if photographed:
        scene, found = _photograph(rng, photographs)
        replace = rng.random() < 0.75
        for corners in found:
            if not _touches(corners):
                continue
            width = corners[:, 0].max() - corners[:, 0].min()
            if not _inside(corners) or width < LEAST_WIDTH_PX or width > 300:
                ignored.append(corners)
            elif replace:
                plate = stock.take()
                # The drawn plate covers the real one; its own shape is kept.
                middle, box_h = corners.mean(0), corners[:, 1].max() - corners[:, 1].min()
                ratio = plate.image.shape[0] / plate.image.shape[1]
                w = max(width * rng.uniform(1.0, 1.12), box_h * 1.05 / ratio)
                cover = quad(w, w * ratio, rng, 0.35) + middle
                if _inside(cover):
                    around = tuple(int(v) for v in scene[int(corners[0, 1]), int(corners[0, 0])])
                    cv2.rectangle(scene, tuple(int(v) for v in corners[0]), tuple(int(v) for v in corners[2]), around, -1)
                    if rng.random() < 0.3:
                        recess(scene, rng, cover, around)
                    paste(scene, plate, cover, rng, numbers)
                    plates.append(cover)
                    rough.append(False)
                    placed.append("".join(plate.lines))
                else:
                    ignored.append(corners)
            else:
                plates.append(corners)
                rough.append(True)
    else:
        scene = _drawn_ground(rng, numbers)
    taken = plates + ignored
    wanted = rng.choice([0, 1, 1, 2, 3] if not plates else [0, 0, 1, 2])
    for _ in range(rng.randrange(0, 4)):
        x, y, w = rng.uniform(-60, SCENE), rng.uniform(-40, SCENE), float(np.exp(rng.uniform(np.log(25), np.log(320))))
        box = np.float32([[x, y], [x + w, y + w]])
        if not _overlaps(box, taken):
            rng.choices(list(NO_PLATES), list(NO_PLATES.values()))[0](scene, rng, x, y, w)
    tries = 0
    vehicles = 0
    while vehicles < wanted and tries < 8:
        tries += 1
        plate = stock.take()
        w = _width_px(rng) * (0.7 if plate.two_lines else 1)
        ratio = plate.image.shape[0] / plate.image.shape[1]
        corners = quad(w, w * ratio, rng)
        if rng.random() < (0.45 if photographed else 0.8):
            share = 0.17 if ratio > 0.45 else 0.26
            vehicle_w = w / (share * rng.uniform(0.75, 1.35))
            cx, ground = rng.uniform(0, SCENE), rng.uniform(0.35, 1.25) * SCENE
            reach = np.float32([[cx - vehicle_w * 0.55, ground - vehicle_w * 0.95], [cx + vehicle_w * 0.55, ground + vehicle_w * 0.05]])
            if _overlaps(reach, taken, 1.0):
                continue
            x, y = draw_vehicle(scene, rng, cx, ground, vehicle_w)
            vehicles += 1
            corners = corners + np.float32([x, y])
            if rng.random() < 0.4:
                at = (min(SCENE - 1, max(0, round(y))), min(SCENE - 1, max(0, round(x))))
                recess(scene, rng, corners, tuple(float(v) for v in scene[at]))
            if rng.random() < 0.06:
                taken.append(reach)
                continue  # a vehicle without a plate
            if not _touches(corners):
                continue
            taken.append(reach)
        else:
            corners = corners + np.float32([rng.uniform(0, SCENE), rng.uniform(0, SCENE)])
            if not _touches(corners) or _overlaps(corners, taken):
                continue
            vehicles += 1
            taken.append(corners)
            if rng.random() < 0.75:
                middle = corners.mean(0)
                spread = (corners - middle) * np.float32([4.5, 6]) + middle
                if not _overlaps(spread, taken[:-1], 1.0):
                    mount(scene, rng, corners)
                    taken[-1] = spread
        paste(scene, plate, corners, rng, numbers)
        if _inside(corners) and w >= LEAST_WIDTH_PX:
            plates.append(corners)
            rough.append(False)
            placed.append("".join(plate.lines))
        else:
            ignored.append(corners)
    if rng.random() < 0.12:
        text = f"20{rng.randrange(10, 26)}/{rng.randrange(1, 13):02}/{rng.randrange(1, 29):02} {rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"
        write(scene, rng, text + rng.choice(["", "  CAM 2", " km/h"]), rng.uniform(0, SCENE * 0.5), rng.choice([4, SCENE - 24]), rng.uniform(7, 18), rng.choice([(255, 255, 255), (255, 230, 60)]), SCENE * 0.6)
    well = rng.random() < WELL_EXPOSED_SHARE
    if well:
        if rng.random() < LARGE_SHARE * 2:
            large = cv2.resize(scene, None, fx=1.6, fy=1.6, interpolation=cv2.INTER_CUBIC).astype(np.float32)
            scene = cv2.resize(expose_well(large, rng, numbers), (SCENE, SCENE), interpolation=cv2.INTER_AREA)
        else:
            scene = expose_well(scene.astype(np.float32), rng, numbers)
        return scene, *_as_arrays(plates, rough, ignored)
    narrow = min([60.0] + [float(np.linalg.norm(corners[1] - corners[0])) for corners in plates])
    if rng.random() < LARGE_SHARE:
        # A camera of twice the resolution, whose picture is made smaller for the network, as most are.
        large = cv2.resize(scene, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC).astype(np.float32)
        light(large, rng, numbers)
        scene = cv2.resize(expose(large, rng, numbers, max(48.0, narrow * 2), 0.9), (SCENE, SCENE), interpolation=cv2.INTER_AREA)
    else:
        scene = scene.astype(np.float32)
        light(scene, rng, numbers)
        scene = expose(scene, rng, numbers, max(24.0, narrow), 0.9)
    return scene, *_as_arrays(plates, rough, ignored)


def _as_arrays(plates, rough, ignored):
    boxes = np.float32([[*c.min(0), *c.max(0)] for c in ignored]).reshape(-1, 4)
    return np.float32(plates).reshape(-1, 4, 2), np.array(rough, bool), boxes


def main():
    import sys
    import time

    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    photographs = load_photographs(sys.argv[3:])
    stock = Stock(rng, 60)
    for _ in range(70):
        stock.take()
    started = time.time()
    cells = []
    for _ in range(24):
        scene, plates, _, ignored = sample(rng, stock, photographs)
        cells.append((scene, plates, ignored))
    print(f"{(time.time() - started) / 24 * 1000:.1f} ms a scene")
    shown = []
    for scene, plates, ignored in cells:
        scene = scene.copy()
        for corners in plates:
            cv2.polylines(scene, [np.round(corners * 8).astype(np.int32)], True, (0, 255, 0), 1, cv2.LINE_AA, 3)
        for x0, y0, x1, y1 in ignored:
            cv2.rectangle(scene, (int(x0), int(y0)), (int(x1), int(y1)), (255, 0, 0), 1)
        shown.append(scene)
    cv2.imwrite(sys.argv[1], np.vstack([np.hstack(shown[i:i + 6]) for i in range(0, 24, 6)])[..., ::-1])


if __name__ == "__main__":
    main()
