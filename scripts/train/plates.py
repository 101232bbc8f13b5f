"""One plate straight on, in daylight, before any camera has seen it: `draw_plate(rng)`.

Designs are those of US states, Europe (with and without the blue band, one line and two), Brazil before 2018 and Mercosur, and free inventions for the
rest of the world. Colours are RGB. `python3 plates.py out.png [seed]` shows a sheet of them.
"""

import dataclasses
import random

import cv2
import numpy as np

import issue_schemes as schemes
from camera import bytes_of
from lettering import ALPHABET, MASK_HEIGHT_PX, letterings, small_text, small_typefaces

# Size of the drawn plate along its width; the camera never sees more.
WIDTH_PX = 300


@dataclasses.dataclass
class Plate:
    image: np.ndarray  # uint8 RGB, height × WIDTH_PX (two-line plates narrower)
    lines: list  # of str, A-Z0-9 only; one or two
    jurisdiction: str  # US-MO, SK, BR …; "" for inventions
    two_lines: bool = False


def _mix(image, mask, x, y, colour):
    """Paints `colour` through a mask (uint8) whose top left lies at x, y; parts outside are cut."""
    height, width = image.shape[:2]
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(width, x + mask.shape[1]), min(height, y + mask.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    alpha = mask[y0 - y:y1 - y, x0 - x:x1 - x].astype(np.float32)[..., None] / 255
    part = image[y0:y1, x0:x1]
    part[:] = part * (1 - alpha) + np.asarray(colour, np.float32) * alpha


def _write(image, rng, text, centre, height_px, colour, longest_px, file=None):
    """Small writing centred on a point, squeezed to `longest_px`."""
    if not text or height_px < 4:
        return
    mask = small_text(file or rng.choice(small_typefaces()), text, 28)
    width = min(longest_px, mask.shape[1] * height_px / mask.shape[0])
    if width < 4:
        return
    mask = cv2.resize(mask, (max(2, round(width)), max(2, round(height_px))), interpolation=cv2.INTER_AREA)
    _mix(image, mask, round(centre[0] - mask.shape[1] / 2), round(centre[1] - mask.shape[0] / 2), colour)


def _pick_lettering(rng, stamped=False):
    """Masks of a lettering; `stamped`: most likely of dies, as US plates are."""
    sets = letterings()
    if stamped and rng.random() < 0.45:
        return rng.choice([masks for name, masks, _ in sets if name.startswith("dies")])
    if not hasattr(_pick_lettering, "weights"):
        total = 0
        cumulative = []
        for _, _, weight in sets:
            total += weight
            cumulative.append(total)
        _pick_lettering.weights = cumulative
    return rng.choices(sets, cum_weights=_pick_lettering.weights)[0][1]


def _set_line(ink, rng, text, box, masks, seals, even=None):
    """Sets characters into the plane `ink` (uint8) within box (x, y, w, h). Adds (x, y, w, h, sort) of separators that are painted otherwise to `seals`."""
    x, y, w, h = box
    even = rng.random() < 0.5 if even is None else even
    stretch = rng.uniform(0.82, 1.15)
    cell = h * rng.uniform(0.5, 0.62) * stretch
    gap = h * rng.uniform(0.06, 0.2)
    parts = []
    for character in text:
        if character in masks:
            natural = masks[character].shape[1] * h / MASK_HEIGHT_PX * stretch
            natural = min(natural, h * 1.05)
            if even:
                parts.append((character, min(natural, cell), max(cell, natural)))
            else:
                parts.append((character, natural, natural))
        elif character == "*":
            parts.append((character, h * rng.uniform(0.25, 0.42), h * rng.uniform(0.3, 0.5)))
        elif character in "-.:":
            parts.append((character, h * (rng.uniform(0.2, 0.34) if character == "-" else 0.12), h * (0.36 if character == "-" else 0.2)))
        else:
            parts.append((" ", 0, h * rng.uniform(0.16, 0.5)))
    total = sum(advance for _, _, advance in parts) + gap * (len(parts) - 1)
    scale = min(w / total, rng.uniform(1.0, 1.3))
    if len([part for part in parts if part[0] in masks]) <= 4:
        scale = min(scale, rng.uniform(1.0, 1.5))
    left = x + (w - total * scale) * (0.5 if rng.random() < 0.85 else rng.random())
    weight = rng.random()
    thicken = 0 if weight < 0.55 else (1 if weight < 0.8 else -1)
    tilt = rng.random() < 0.05
    for character, natural, advance in parts:
        width = natural * scale
        cx = left + advance * scale / 2
        if character in masks:
            mask = masks[character]
            if thicken:
                kernel = np.ones((3, 3) if rng.random() < 0.7 else (5, 3), np.uint8)
                mask = cv2.dilate(mask, kernel) if thicken > 0 else cv2.erode(mask, kernel)
            mask = cv2.resize(mask, (max(2, round(width)), max(4, round(h))), interpolation=cv2.INTER_AREA if h < MASK_HEIGHT_PX else cv2.INTER_LINEAR)
            px, py = round(cx - mask.shape[1] / 2), round(y + (rng.uniform(-0.03, 0.03) * h if tilt else 0))
            _lay(ink, mask, px, py)
        elif character in "-.:":
            thick = max(2, round(h * rng.uniform(0.08, 0.15)))
            middle = round(y + h * rng.uniform(0.46, 0.54))
            x0, x1 = round(cx - width / 2), round(cx + width / 2)
            if character == "-":
                ink[max(0, middle - thick // 2):middle + (thick + 1) // 2, max(0, x0):max(0, x1)] = 255
            else:
                cv2.circle(ink, (round(cx), middle), max(2, round(thick * 0.6)), 255, -1, cv2.LINE_AA)
        elif character == "*":
            seals.append((cx, y, width, h))
        left += advance * scale + gap * scale


def _lay(plane, mask, x, y):
    height, width = plane.shape
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + mask.shape[1]), min(height, y + mask.shape[0])
    if x1 > x0 and y1 > y0:
        part = plane[y0:y1, x0:x1]
        np.maximum(part, mask[y0 - y:y1 - y, x0 - x:x1 - x], out=part)


def _print(image, ink, rng, colour):
    """Prints the ink and raises it out of the metal."""
    alpha = (ink.astype(np.float32) / 255)[..., None]
    # Worn paint lets the ground through.
    if rng.random() < 0.12:
        noise = cv2.resize(np.random.default_rng(rng.randrange(1 << 30)).random((12, 30), np.float32), (ink.shape[1], ink.shape[0]))
        alpha = alpha * np.clip(1.6 * noise + rng.uniform(-0.1, 0.6), 0, 1)[..., None]
    image[:] = image * (1 - alpha) + np.asarray(colour, np.float32) * alpha
    if rng.random() < 0.75:
        depth = rng.uniform(8, 60)
        shift = 1 if rng.random() < 0.7 else 2
        dx, dy = rng.choice([(1, 1), (-1, 1), (0, 1), (1, -1), (0, -1)])
        moved = np.roll(ink, (dy * shift, dx * shift), (0, 1)).astype(np.float32)
        relief = (ink.astype(np.float32) - moved) / 255
        image += (relief * depth)[..., None]


def _vivid(rng):
    return tuple(rng.randrange(0, 256) for _ in range(3))


def _toned(rng, colour, spread=18):
    return tuple(min(255, max(0, c + rng.randrange(-spread, spread + 1))) for c in colour)


_LIGHT_GROUNDS = [(250, 250, 248), (245, 245, 245), (235, 238, 242), (240, 236, 225), (225, 230, 235), (215, 228, 240), (250, 245, 215), (235, 225, 205)]
_PASTELS = [(190, 215, 240), (250, 225, 150), (240, 205, 190), (200, 230, 200), (235, 200, 120), (255, 210, 60), (215, 205, 230), (250, 190, 110), (170, 205, 230)]
_DARK_GROUNDS = [(20, 40, 110), (15, 90, 50), (130, 20, 30), (20, 20, 22), (40, 60, 130), (90, 30, 60), (10, 60, 90)]
_DARK_INKS = [(15, 15, 18), (20, 30, 90), (25, 40, 120), (10, 70, 40), (140, 15, 25), (60, 40, 20), (30, 30, 60), (0, 60, 110), (50, 15, 70)]
_LIGHT_INKS = [(250, 250, 250), (245, 235, 180), (255, 215, 80), (220, 225, 230)]
_STICKERS = [(240, 220, 40), (220, 50, 40), (60, 150, 70), (240, 140, 30), (50, 90, 190), (245, 245, 245), (230, 120, 160), (90, 190, 220), (130, 70, 150)]


def _plain(height, width, colour):
    image = np.empty((height, width, 3), np.float32)
    image[:] = colour
    return image


def _fade(image, colour, from_top, share):
    """Lets the ground fade into another colour at the top or at the bottom."""
    height = image.shape[0]
    ramp = np.clip(1 - np.arange(height, dtype=np.float32) / max(1, height * share), 0, 1)
    if not from_top:
        ramp = ramp[::-1]
    ramp = ramp[:, None, None]
    image[:] = image * (1 - ramp) + np.asarray(colour, np.float32) * ramp


def _scenery(image, rng):
    """Printed scenery: hills, sun, bands, big translucent shapes."""
    height, width = image.shape[:2]
    layer = image.copy()
    for _ in range(rng.randrange(1, 4)):
        colour = _toned(rng, rng.choice(_PASTELS + _STICKERS + _DARK_GROUNDS[:2]), 40)
        sort = rng.random()
        if sort < 0.35:
            base = height * rng.uniform(0.3, 0.95)
            points = [(0, height)] + [(width * i / 6, base - rng.uniform(0, 0.35) * height) for i in range(7)] + [(width, height)]
            cv2.fillPoly(layer, [np.array(points, np.int32)], colour, cv2.LINE_AA)
        elif sort < 0.6:
            cv2.circle(layer, (rng.randrange(width), rng.randrange(height)), rng.randrange(height // 8, height // 2), colour, -1, cv2.LINE_AA)
        elif sort < 0.8:
            y = rng.randrange(height)
            cv2.rectangle(layer, (0, y), (width, y + rng.randrange(2, height // 4)), colour, -1)
        else:
            points = [(rng.randrange(width), rng.randrange(height)) for _ in range(rng.randrange(3, 7))]
            cv2.fillPoly(layer, [np.array(points, np.int32)], colour, cv2.LINE_AA)
    strength = rng.uniform(0.1, 0.6)
    image[:] = image * (1 - strength) + layer * strength


def _emblem(image, rng, box, look=None):
    """What stands between the groups: state shape, sticker, seal, shield, star."""
    cx, y, w, h = box
    look = look or rng.choice(["sticker", "shape", "seals", "shield", "dot", "star", "shape"])
    colour = rng.choice(_STICKERS)
    cx, cy = round(cx), round(y + h / 2)
    if look == "sticker":
        half_w, half_h = round(w * rng.uniform(0.4, 0.62)), round(h * rng.uniform(0.2, 0.42))
        cv2.rectangle(image, (cx - half_w, cy - half_h), (cx + half_w, cy + half_h), colour, -1)
        for i in range(rng.randrange(0, 3)):
            ink = (20, 20, 20) if sum(colour) > 300 else (240, 240, 240)
            _write(image, rng, rng.choice(["15", "16", "08", "JAN", "MAY", "2017", "09", "A12"]), (cx, cy + (i - 0.7) * half_h * 0.7), half_h * 0.6, ink, half_w * 1.8)
    elif look == "shape":
        points = [(cx + rng.uniform(-0.5, 0.5) * w, cy + rng.uniform(-0.3, 0.3) * h) for _ in range(rng.randrange(4, 9))]
        hull = cv2.convexHull(np.array(points, np.float32)).astype(np.int32)
        cv2.fillPoly(image, [hull], rng.choice(_STICKERS + _DARK_INKS), cv2.LINE_AA)
    elif look == "seals":
        radius = max(3, round(min(w * 0.55, h * 0.2)))
        for sign in rng.choice([(-1, 1), (-1, 1), (0,), (1,), (-1,)]):
            at = (cx, round(cy + sign * radius * 1.15))
            cv2.circle(image, at, radius, rng.choice([(200, 60, 40), (60, 140, 70), (220, 220, 225), (230, 120, 40), (70, 110, 180), (60, 60, 60)]), -1, cv2.LINE_AA)
            cv2.circle(image, at, max(1, radius // 2), rng.choice([(230, 230, 230), (160, 160, 160), (40, 90, 50)]), rng.choice([-1, 1]), cv2.LINE_AA)
    elif look == "shield":
        half_w, half_h = w * 0.42, h * rng.uniform(0.16, 0.26)
        cy += round(h * rng.uniform(-0.12, 0.05))
        points = [(cx - half_w, cy - half_h), (cx + half_w, cy - half_h), (cx + half_w, cy + half_h * 0.3), (cx, cy + half_h), (cx - half_w, cy + half_h * 0.3)]
        cv2.fillPoly(image, [np.array(points, np.int32)], rng.choice([(190, 50, 50), (60, 80, 150), (200, 40, 60), (120, 90, 90)]), cv2.LINE_AA)
        cv2.line(image, (cx, round(cy - half_h * 0.7)), (cx, round(cy + half_h * 0.4)), (230, 230, 235), max(1, round(w * 0.14)), cv2.LINE_AA)
        if rng.random() < 0.5:
            cv2.circle(image, (cx, round(y + h * 0.86)), max(2, round(w * 0.3)), rng.choice([(60, 140, 70), (220, 120, 40), (120, 120, 120)]), -1, cv2.LINE_AA)
    elif look == "dot":
        cv2.circle(image, (cx, cy), max(2, round(h * rng.uniform(0.05, 0.12))), rng.choice(_DARK_INKS + _STICKERS), -1, cv2.LINE_AA)
    else:
        points = []
        for i in range(10):
            radius = w * (0.5 if i % 2 == 0 else 0.2)
            points.append((cx + radius * np.sin(i * np.pi / 5), cy - radius * np.cos(i * np.pi / 5)))
        cv2.fillPoly(image, [np.array(points, np.int32)], rng.choice(_DARK_INKS + _STICKERS), cv2.LINE_AA)


def _small_sticker(image, rng, x, y, size):
    colour = rng.choice(_STICKERS)
    w, h = round(size * rng.uniform(0.9, 1.6)), round(size * rng.uniform(0.7, 1.0))
    cv2.rectangle(image, (round(x), round(y)), (round(x + w), round(y + h)), colour, -1)
    ink = (20, 20, 20) if sum(colour) > 300 else (245, 245, 245)
    _write(image, rng, rng.choice(["JUN", "DEC", "APR", "2013", "09", "12", "MAR", "17", "2020", "VA", "03"]), (x + w / 2, y + h / 2), h * 0.7, ink, w * 0.9)


def _bolts(image, rng, places):
    for x, y in places:
        radius = rng.choice([2, 3, 3, 4])
        cv2.circle(image, (round(x), round(y)), radius, rng.choice([(60, 60, 60), (30, 30, 30), (150, 150, 150), (220, 220, 220), (110, 100, 90)]), -1, cv2.LINE_AA)
        if rng.random() < 0.4:
            cv2.circle(image, (round(x) - 1, round(y) - 1), max(1, radius - 2), (235, 235, 235), -1, cv2.LINE_AA)


def _rim(image, rng, chance=0.6):
    """The raised edge of the metal."""
    if rng.random() < chance:
        height, width = image.shape[:2]
        inset = rng.choice([1, 2, 3, 4])
        colour = rng.choice([(255, 255, 255), (150, 150, 150), (40, 40, 40), (25, 40, 110)])
        layer = image.copy()
        cv2.rectangle(layer, (inset, inset), (width - 1 - inset, height - 1 - inset), colour, rng.choice([1, 1, 2, 3]))
        strength = rng.uniform(0.3, 1)
        image[:] = image * (1 - strength) + layer * strength


def _contrast(a, b):
    weights = (0.299, 0.587, 0.114)
    return abs(sum(w * (p - q) for w, p, q in zip(weights, a, b)))


def _letters_only(text):
    return "".join(character for character in text if character in ALPHABET)


def _frame(image, rng):
    """A dealer's frame: covers the edges, often part of the state's name, and has writing of its own."""
    height, width = image.shape[:2]
    colour = rng.choice([(20, 20, 22), (15, 15, 15), (40, 40, 45), (190, 195, 200), (150, 150, 155), (90, 20, 20), (30, 40, 90), (220, 220, 220)])
    top, bottom, side = (round(height * rng.uniform(*span)) for span in ((0.04, 0.17), (0.05, 0.2), (0.02, 0.06)))
    top, bottom = (top, bottom) if rng.random() < 0.8 else (0, bottom)
    image[:top] = colour
    image[height - bottom:] = colour
    image[:, :side] = colour
    image[:, width - side:] = colour
    ink = (235, 235, 235) if sum(colour) < 330 else (30, 30, 40)
    if rng.random() < 0.2:
        ink = _vivid(rng)
    for y, h in ((top / 2, top), (height - bottom / 2, bottom)):
        if h > 10 and rng.random() < 0.75:
            _write(image, rng, rng.choice(schemes.DEALERS), (width / 2, y), h * rng.uniform(0.5, 0.95), ink, width * rng.uniform(0.5, 0.85))


def _draw_us(rng):
    codes = list(schemes.US_STATES)
    code = rng.choices(codes, [schemes.US_WEIGHTS.get(code, 1) for code in codes])[0]
    name, patterns, slogans = schemes.US_STATES[code]
    width, height = WIDTH_PX, round(WIDTH_PX * rng.uniform(0.48, 0.52))
    chosen = rng.random() < schemes.CHOSEN_SHARE_US
    if chosen:
        text = schemes.chosen_text(rng)
        if len(text) < 7 and rng.random() < 0.4:
            cut = rng.randrange(1, len(text))
            text = text[:cut] + rng.choice([" ", "-", "*", " "]) + text[cut:]
    else:
        text = schemes.fill(rng.choice(patterns), rng)
    dark = rng.random() < 0.1
    ground = rng.choice(_DARK_GROUNDS) if dark else _toned(rng, rng.choice(_LIGHT_GROUNDS * 2 + _PASTELS), 12)
    image = _plain(height, width, ground)
    if rng.random() < 0.5:
        _fade(image, _toned(rng, rng.choice(_PASTELS + _DARK_GROUNDS + _LIGHT_GROUNDS)), rng.random() < 0.6, rng.uniform(0.2, 0.8))
    if rng.random() < 0.4:
        _scenery(image, rng)
    ink_colour = _toned(rng, rng.choice(_LIGHT_INKS if dark else _DARK_INKS))
    name_colour = _toned(rng, rng.choice(_LIGHT_INKS if dark else _DARK_INKS + [(200, 30, 40), (30, 60, 170)]))
    if rng.random() < 0.15:
        band = round(height * rng.uniform(0.14, 0.26))
        image[:band] = rng.choice(_DARK_GROUNDS)
        name_colour = rng.choice(_LIGHT_INKS)
    if rng.random() < 0.1:
        band = round(height * rng.uniform(0.12, 0.22))
        image[height - band:] = rng.choice(_DARK_GROUNDS + _STICKERS)
    # Characters: 60-75 of the 152 mm, about the middle.
    char_h = height * rng.uniform(0.4, 0.56)
    top = height * rng.uniform(0.24, 0.36)
    if top + char_h > height * 0.86:
        top = height * 0.86 - char_h
    text_w = width * rng.uniform(0.8, 0.93)
    box = [(width - text_w) / 2, top, text_w, char_h]
    if rng.random() < 0.9:
        printed = rng.choice([name, name, name.upper(), name.upper()])
        _write(image, rng, printed, (width / 2 + rng.uniform(-0.06, 0.06) * width, top * rng.uniform(0.42, 0.58)), top * rng.uniform(0.5, 0.85), name_colour, width * rng.uniform(0.35, 0.65))
    slogan = rng.choice(slogans) if rng.random() < 0.8 else rng.choice(schemes.DEALERS)
    below = height - (top + char_h)
    slogan = rng.choice([slogan, slogan.upper()])
    _write(image, rng, slogan, (width / 2 + rng.uniform(-0.06, 0.06) * width, height - below * rng.uniform(0.4, 0.55)), min(below * 0.7, height * rng.uniform(0.06, 0.13)), _toned(rng, name_colour), width * rng.uniform(0.3, 0.7))
    # A picture, or small letters one over the other, at one end: not part of the number.
    if rng.random() < 0.1:
        at_left = rng.random() < 0.6
        size = box[2] * rng.uniform(0.12, 0.24)
        if at_left:
            box[0] += size
        box[2] -= size
        spot = box[0] - size / 2 if at_left else box[0] + box[2] + size / 2
        if rng.random() < 0.55:
            colours = _DARK_INKS + _STICKERS
            cv2.circle(image, (round(spot), round(top + char_h / 2)), round(size * 0.45), rng.choice(colours), -1, cv2.LINE_AA)
            _scenery(image[round(top):round(top + char_h), max(0, round(spot - size / 2)):round(spot + size / 2)], rng)
        else:
            stacked = rng.choice(["DV", "TRK", "RTR", "NG", "CH", "MC", "AB", "PO", "DR", "XY", "TX", "22", "44"])
            masks = _pick_lettering(rng)
            each = char_h / len(stacked)
            for i, character in enumerate(stacked):
                mask = cv2.resize(masks[character], (max(3, round(each * 0.5)), max(3, round(each * 0.85))), interpolation=cv2.INTER_AREA)
                _mix(image, mask, round(spot - mask.shape[1] / 2), round(top + i * each), ink_colour)
    for x, y, chance in ((0.03, 0.05, 0.3), (0.83, 0.05, 0.35), (0.03, 0.78, 0.2), (0.83, 0.78, 0.25)):
        if rng.random() < chance:
            _small_sticker(image, rng, x * width, y * height, height * rng.uniform(0.12, 0.2))
    ink = np.zeros((height, width), np.uint8)
    seals = []
    _set_line(ink, rng, text, box, _pick_lettering(rng, stamped=True), seals)
    for seal in seals:
        _emblem(image, rng, seal, "sticker" if code == "MO" and rng.random() < 0.8 else None)
    _print(image, ink, rng, ink_colour)
    if rng.random() < 0.85:
        high = height * rng.uniform(0.08, 0.13)
        places = [(width * rng.uniform(0.18, 0.25), high), (width * rng.uniform(0.75, 0.82), high)]
        if rng.random() < 0.6:
            places += [(x, height - high) for x, _ in places]
        _bolts(image, rng, places)
    _rim(image, rng)
    if rng.random() < 0.42:
        _frame(image, rng)
    return Plate(image, [_letters_only(text)], f"US-{code}")


def _band(image, rng, width_px, letters, old=False):
    """Europe's band at the left: stars or a shield above, the country's letters below."""
    height = image.shape[0]
    colour = _toned(rng, rng.choice([(20, 50, 150), (30, 60, 160), (0, 51, 153), (40, 70, 140), (20, 90, 190)]), 15)
    image[:, :width_px] = colour
    cx = width_px / 2
    radius = width_px * rng.uniform(0.24, 0.36)
    cy = height * rng.uniform(0.26, 0.4)
    if rng.random() < 0.85:
        star = rng.choice([(250, 210, 40), (240, 220, 120), (245, 245, 240)])
        for i in range(12):
            at = (round(cx + radius * np.sin(i * np.pi / 6)), round(cy - radius * np.cos(i * np.pi / 6)))
            cv2.circle(image, at, 1, star, -1, cv2.LINE_AA)
    else:
        cv2.rectangle(image, (round(cx - radius), round(cy - radius * 0.7)), (round(cx + radius), round(cy + radius * 0.7)), rng.choice([(230, 230, 230), (200, 40, 40), (240, 210, 40)]), -1)
    _write(image, rng, letters, (cx, height * rng.uniform(0.76, 0.84)), height * rng.uniform(0.14, 0.24), (245, 245, 245), width_px * 0.8)


def _draw_europe(rng):
    codes = list(schemes.EUROPE)
    code = rng.choices(codes, [schemes.EUROPE_WEIGHTS.get(code, 1) for code in codes])[0]
    letters, never, patterns, look = schemes.EUROPE[code]
    two_lines = rng.random() < 0.13
    chosen = rng.random() < schemes.CHOSEN_SHARE_ELSEWHERE
    if chosen:
        text = schemes.chosen_text(rng, 8)
        if rng.random() < 0.4 and len(text) > 2:
            text = text[:1] + "*" + text[1:]
    else:
        text = schemes.fill(rng.choice(patterns), rng, never)
    if two_lines:
        width = round(WIDTH_PX * rng.uniform(0.6, 0.75))
        height = round(width / rng.choice([1.35, 1.5, 1.7, 1.25]))
    else:
        width, height = WIDTH_PX, round(WIDTH_PX / rng.uniform(4.2, 4.9))
    ground, ink_colour = _toned(rng, rng.choice(_LIGHT_GROUNDS[:5]), 10), _toned(rng, (22, 22, 24), 14)
    chance = rng.random()
    if look == "yellow" or (look == "british" and rng.random() < 0.5) or chance < 0.03:
        ground = _toned(rng, rng.choice([(250, 200, 30), (245, 190, 0), (255, 215, 60)]), 10)
    elif look == "red":
        ink_colour = _toned(rng, (160, 25, 35), 12)
    elif chance < 0.06:
        ground, ink_colour = rng.choice(_DARK_GROUNDS), rng.choice(_LIGHT_INKS)
    elif chance < 0.09:
        ink_colour = rng.choice(_DARK_INKS)
    image = _plain(height, width, ground)
    band = 0
    has_band = rng.random() < (0.45 if look == "british" else 0.88) and letters != ""
    # The band is 40-50 of 520 mm wide.
    low_band = two_lines and rng.random() < 0.5
    if has_band:
        band = round((0.085 if not two_lines else 0.14) * width * rng.uniform(0.85, 1.15))
        _band(image if not two_lines or low_band else image[: height // 2], rng, band, letters)
    right = 0
    if look == "twoband" and rng.random() < 0.85:
        right = round(0.08 * width)
        image[:, width - right:] = _toned(rng, (20, 50, 150), 15)
        _write(image, rng, rng.choice(["75", "13", "RM", "69", "MI", "92", "33", "06"]), (width - right / 2, height * 0.75), height * 0.18, (245, 245, 245), right * 0.8)
    ink = np.zeros((height, width), np.uint8)
    seals = []
    masks = _pick_lettering(rng)
    if look == "bars" or rng.random() < 0.03:
        for y in (0.03, 0.93):
            image[round(y * height):round((y + 0.04) * height), band:] = (190, 30, 40)
    if two_lines:
        clean = text.replace("*", " ").replace("-", " ").replace(".", " ").replace(":", " ").strip()
        groups = clean.split()
        if len(groups) == 1:
            cut = len(clean) // 2
            first, second = clean[:cut], clean[cut:]
        else:
            cut = 1 if len(groups[0]) > 1 or len(groups) == 2 else 2
            first, second = " ".join(groups[:cut]), " ".join(groups[cut:])
        if len(first) <= 4 and look in ("seals", "shield", "sticker") and rng.random() < 0.6:
            first = first + "*" if rng.random() < 0.5 else "*" + first
        char_h = height * rng.uniform(0.34, 0.4)
        gap = height * rng.uniform(0.05, 0.1)
        y1 = (height - 2 * char_h - gap) / 2
        x = band + width * 0.03
        _set_line(ink, rng, first, (x, y1, width * 0.96 - x, char_h), masks, seals)
        x = (band if low_band else 0) + width * 0.04
        _set_line(ink, rng, second, (x, y1 + char_h + gap, width * 0.96 - x, char_h), masks, seals)
        lines = [_letters_only(first), _letters_only(second)]
    else:
        char_h = height * rng.uniform(0.62, 0.78)
        x = band + width * rng.uniform(0.012, 0.04)
        box = (x, (height - char_h) / 2 + height * rng.uniform(-0.02, 0.03), width * rng.uniform(0.95, 0.98) - right - x, char_h)
        _set_line(ink, rng, text, box, masks, seals)
        lines = [_letters_only(text)]
    for seal in seals:
        if look in ("shield", "seals", "sticker"):
            _emblem(image, rng, seal, {"shield": rng.choice(["shield", "shield", "seals"]), "seals": "seals", "sticker": rng.choice(["dot", "seals", "sticker"])}[look])
        elif rng.random() < 0.7:
            _emblem(image, rng, seal, rng.choice(["shield", "seals", "dot"]))
    _print(image, ink, rng, ink_colour)
    if rng.random() < 0.12:
        _bolts(image, rng, [(width * rng.uniform(0.1, 0.2), height / 2), (width * rng.uniform(0.8, 0.9), height / 2)])
    _rim(image, rng, 0.75)
    return Plate(image, lines, code, two_lines)


def _draw_brazil(rng):
    mercosur = rng.random() < 0.4
    two_lines = rng.random() < 0.14
    width = WIDTH_PX if not two_lines else round(WIDTH_PX * 0.66)
    height = round(width / rng.uniform(2.95, 3.15)) if not two_lines else round(width / rng.uniform(1.15, 1.4))
    never = ""
    masks = _pick_lettering(rng)
    if mercosur:
        argentina = rng.random() < 0.25
        text = schemes.fill("LL DDD LL" if argentina else "LLLDLDD", rng, never)
        image = _plain(height, width, _toned(rng, (245, 245, 245), 10))
        top = round(height * rng.uniform(0.2, 0.26) * (0.85 if two_lines else 1))
        image[:top] = _toned(rng, (20, 50, 150), 20)
        _write(image, rng, "REPUBLICA ARGENTINA" if argentina else "BRASIL", (width / 2, top / 2), top * rng.uniform(0.45, 0.65), (245, 245, 245), width * 0.45)
        flag = rng.choice([(30, 130, 60), (140, 190, 230)])
        image[round(top * 0.2):round(top * 0.8), round(width * 0.87):round(width * 0.95)] = flag
        if rng.random() < 0.7:
            noise = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 2, (7, 7)).astype(np.float32) * 200 + 20
            size = max(6, round(height * 0.14))
            code = cv2.resize(noise, (size, size), interpolation=cv2.INTER_NEAREST)
            image[top + 3:top + 3 + size, 6:6 + size] = code[..., None]
            _write(image, rng, "BR", (6 + size / 2, height - height * 0.1), height * 0.1, (20, 20, 20), size)
        ink_colour = _toned(rng, rng.choice([(20, 20, 22)] * 6 + [(150, 20, 30), (30, 50, 140), (20, 110, 60)]))
        jurisdiction = "AR" if argentina else "BR"
    else:
        text = schemes.fill(rng.choice(["LLL.DDDD"] * 4 + ["LLL-DDDD", "LLL DDDD"]), rng)
        red = rng.random() < 0.08
        ground = _toned(rng, (150, 25, 30) if red else rng.choice([(165, 168, 170), (190, 190, 188), (150, 155, 160), (205, 205, 200), (175, 172, 165), (225, 225, 222)]), 14)
        image = _plain(height, width, ground)
        ink_colour = (240, 240, 240) if red else _toned(rng, (25, 25, 27), 15)
        top = round(height * rng.uniform(0.24, 0.3))
        if rng.random() < 0.92:
            _write(image, rng, rng.choice(schemes.BRAZILIAN_TOWNS), (width / 2, top * 0.58), height * rng.uniform(0.1, 0.15), ink_colour, width * rng.uniform(0.4, 0.75))
        if rng.random() < 0.5:
            # The seal of lead at the left of the town.
            cv2.circle(image, (round(width * rng.uniform(0.1, 0.17)), round(top * 0.6)), rng.choice([4, 5, 6, 7]), rng.choice([(170, 40, 40), (120, 120, 120), (200, 90, 60), (60, 60, 60)]), -1, cv2.LINE_AA)
        if rng.random() < 0.3:
            for x in range(0, width, 9):
                cv2.line(image, (x, 0), (x + 12, height), tuple(c * 1.04 for c in ground), 1, cv2.LINE_AA)
        jurisdiction = "BR"
    ink = np.zeros((height, width), np.uint8)
    room = height - top
    if two_lines:
        clean = _letters_only(text)
        cut = 3 if jurisdiction == "BR" or not mercosur else rng.choice([2, 5])
        first, second = clean[:cut], clean[cut:]
        char_h = room * rng.uniform(0.38, 0.43)
        _set_line(ink, rng, first, (width * 0.08, top + room * 0.04, width * 0.84, char_h), masks, [])
        _set_line(ink, rng, second, (width * 0.05, top + room * 0.52, width * 0.9, char_h), masks, [])
        lines = [first, second]
    else:
        char_h = height * rng.uniform(0.46, 0.54)
        y = top + (room - char_h) * rng.uniform(0.25, 0.6)
        _set_line(ink, rng, text, (width * rng.uniform(0.035, 0.08), y, width * rng.uniform(0.86, 0.92), char_h), masks, [])
        lines = [_letters_only(text)]
    _print(image, ink, rng, ink_colour)
    if rng.random() < 0.7:
        low = height * rng.uniform(0.93, 0.97)
        _bolts(image, rng, [(width * x, low if rng.random() < 0.5 else height * 0.07) for x in (rng.uniform(0.22, 0.32), rng.uniform(0.68, 0.78))])
    _rim(image, rng, 0.85)
    if rng.random() < 0.06:
        for x in (0, 0.78):
            for y in (0, 0.95):
                if rng.random() < 0.6:
                    image[round(y * height):round((y + 0.05) * height), round(x * width):round((x + 0.2) * width)] = (190, 30, 35)
    return Plate(image, lines, jurisdiction, two_lines)


def _draw_invented(rng):
    """Plates of nowhere: any aspect, colours and scheme, so that the networks lean on characters and not on designs."""
    two_lines = rng.random() < 0.25
    ratio = rng.uniform(1.15, 1.9) if two_lines else rng.uniform(1.9, 5.2)
    width = WIDTH_PX if not two_lines else round(WIDTH_PX * 0.7)
    height = round(width / ratio)
    dark = rng.random() < 0.3
    ground = _vivid(rng)
    ink_colour = _vivid(rng)
    for _ in range(30):
        if _contrast(ground, ink_colour) > 70:
            break
        ground = _toned(rng, rng.choice(_DARK_GROUNDS if dark else _LIGHT_GROUNDS + _PASTELS), 30)
        ink_colour = _toned(rng, rng.choice(_LIGHT_INKS + _PASTELS if dark else _DARK_INKS), 30)
    image = _plain(height, width, ground)
    if rng.random() < 0.35:
        _scenery(image, rng)
    masks = _pick_lettering(rng)
    ink = np.zeros((height, width), np.uint8)
    seals = []

    def group(least, most):
        return "".join(rng.choice(ALPHABET if rng.random() < 0.15 else schemes.LETTERS if kind else schemes.DIGITS) for _ in range(rng.randrange(least, most + 1)))

    def line(most):
        nonlocal kind
        text = ""
        while len(_letters_only(text)) < 2 or (len(_letters_only(text)) < most and rng.random() < 0.7):
            kind = not kind
            text += (rng.choice(["", " ", "-", "*", "."]) if text else "") + group(1, 4)
        return text[: most + 2]

    kind = rng.random() < 0.5
    if two_lines:
        first, second = line(4), line(5)
        char_h = height * rng.uniform(0.33, 0.42)
        _set_line(ink, rng, first, (width * 0.05, height * rng.uniform(0.04, 0.1), width * 0.9, char_h), masks, seals)
        _set_line(ink, rng, second, (width * 0.05, height * rng.uniform(0.52, 0.56), width * 0.9, char_h), masks, seals)
        lines = [_letters_only(first), _letters_only(second)]
    else:
        text = line(7)
        share = rng.uniform(0.5, 0.8) if ratio > 3 else rng.uniform(0.4, 0.6)
        y = (1 - share) * rng.uniform(0.3, 0.7)
        if share < 0.6 and rng.random() < 0.6:
            _write(image, rng, rng.choice(schemes.DEALERS + schemes.BRAZILIAN_TOWNS), (width / 2, height * y / 2), height * y * 0.7, ink_colour, width * 0.7)
        _set_line(ink, rng, text, (width * rng.uniform(0.03, 0.07), height * y, width * rng.uniform(0.85, 0.92), height * share), masks, seals)
        lines = [_letters_only(text)]
    for seal in seals:
        if rng.random() < 0.7:
            _emblem(image, rng, seal)
    _print(image, ink, rng, ink_colour)
    _rim(image, rng)
    if rng.random() < 0.2:
        _bolts(image, rng, [(width * 0.2, height * 0.1), (width * 0.8, height * 0.1)])
    if rng.random() < 0.15 and not two_lines:
        _frame(image, rng)
    return Plate(image, lines, "", two_lines)


_DESIGNS = {"us": (_draw_us, 0.47), "eu": (_draw_europe, 0.25), "br": (_draw_brazil, 0.16), "invented": (_draw_invented, 0.12)}


def draw_plate(rng, design=None):
    """A plate; `rng` is a random.Random, `design` one of us, eu, br, invented, or None for the mix that is trained on."""
    names = list(_DESIGNS)
    design = design or rng.choices(names, [_DESIGNS[name][1] for name in names])[0]
    plate = _DESIGNS[design][0](rng)
    plate.image = bytes_of(plate.image)
    return plate


def main():
    import sys
    import time

    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    letterings()
    started = time.time()
    cells = []
    for _ in range(80):
        plate = draw_plate(rng)
        cell = np.full((170, 310, 3), 90, np.uint8)
        image = plate.image[:165]
        cell[2:2 + image.shape[0], 4:4 + image.shape[1]] = image
        cv2.putText(cell, "/".join(plate.lines) + " " + plate.jurisdiction, (6, 164), 0, 0.45, (255, 255, 0), 1)
        cells.append(cell)
    print(f"{(time.time() - started) / 80 * 1000:.2f} ms a plate")
    sheet = np.vstack([np.hstack(cells[i:i + 8]) for i in range(0, 80, 8)])
    cv2.imwrite(sys.argv[1], sheet[..., ::-1])


if __name__ == "__main__":
    main()
