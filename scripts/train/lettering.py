"""The characters of plates as masks: Debian's free typefaces, and die strokes of our own with shapes that vary.

A *lettering* maps each of A-Z and 0-9 to a mask, uint8, MASK_HEIGHT_PX high and as wide as the character. `draw_line` sets a text
from it. Nothing is loaded on import; `letterings` and `small_typefaces` load once for a process.
"""

import functools
import math
import os
import subprocess

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MASK_HEIGHT_PX = 64

# Families whose capitals and digits are near to plates': upright, even strokes. Names as fontconfig has them, with what to leave out.
PLATE_FAMILIES = {
    # family: weight of being drawn
    "Roadgeek 2014 Series B": 3, "Roadgeek 2014 Series C": 4, "Roadgeek 2014 Series D": 4, "Roadgeek 2014 Series E": 2,
    "Roadgeek 2014 Series F": 1, "Roadgeek 2014 Series EM": 1, "OSP-DIN": 5, "Bebas Neue": 3, "B612": 2, "B612 Mono": 2,
    "League Mono": 2, "Roboto": 2, "Roboto Condensed": 3, "Routed Gothic": 4, "Routed Gothic Narrow": 4, "Dosis": 2, "National Park": 3,
    "Cabin": 1, "DejaVu Sans Condensed": 2, "DejaVu Sans Mono": 2, "Liberation Sans": 2, "Liberation Sans Narrow": 3, "Nimbus Sans": 1,
    "Nimbus Sans Narrow": 2, "Open Sans": 1, "Open Sans Condensed": 2, "Inter": 1, "JetBrains Mono": 2, "osifont": 3,
    "Yanone Kaffeesatz": 1, "Allerta": 1, "Play": 2, "Gillius ADF": 1, "Gillius ADF No2": 1, "Switzera ADF": 2, "Universalis ADF Std": 2,
    "Ikarius ADF Std": 1, "PT Sans": 1, "PT Sans Narrow": 2, "Jura": 1, "Oxygen-Sans": 1, "Oxygen Mono": 1, "FreeSans": 1, "OCR-B": 1,
    "M+ 1p": 1, "M+ 1c": 1, "Clear Sans": 1, "Tuffy": 1, "Liberation Mono": 2, "Noto Sans Mono": 1, "Go": 1, "Go Mono": 1, "Manrope": 1,
    "Ubuntu-Title": 1, "MekanusADF Std": 1, "Lato": 1, "Karla": 1, "Anonymous Pro": 1, "TeX Gyre Heros Cn": 2,
}
# Weights too thin or too odd for a plate.
LEFT_OUT_STYLES = ("thin", "hairline", "light", "italic", "oblique", "outline", "stencil", "inclined", "expanded", "wide", "ext.")

# For the names of states, slogans, dealers and signs.
SMALL_FAMILIES = (
    "Lobster", "Lobster Two", "Dancing Script", "Kaushan Script", "Leckerli One", "Liberation Serif", "Liberation Sans", "DejaVu Serif",
    "URW Bookman", "P052", "C059", "League Spartan", "Roboto", "Open Sans", "Lato", "Cabin", "Bebas Neue", "Yanone Kaffeesatz", "URW Gothic",
    "MekanusADF Std", "Play", "Dosis", "Courier Prime", "Averia Sans GWF", "Andika", "TeX Gyre Adventor", "TeX Gyre Bonum", "TeX Gyre Chorus",
    "Z003", "Ubuntu-Title", "National Park", "Routed Gothic",
)


def _installed():
    listing = subprocess.run(["fc-list", "--format", "%{family[0]}\t%{style[0]}\t%{file}\n"], check=True, capture_output=True, text=True)
    for row in sorted(set(listing.stdout.splitlines())):
        family, style, file = row.split("\t")
        if file.endswith((".ttf", ".otf")):
            yield family, style, file


def _glyph(font, character):
    """Mask of one character at MASK_HEIGHT_PX of the capital's height; None when the font lacks it."""
    left, top, right, bottom = font.getbbox(character)
    if right <= left or bottom <= top:
        return None
    image = Image.new("L", (right - left + 8, bottom - top + 8), 0)
    ImageDraw.Draw(image).text((4 - left, 4 - top), character, fill=255, font=font)
    mask = np.asarray(image)
    columns = np.flatnonzero(mask.max(0) > 40)
    rows = np.flatnonzero(mask.max(1) > 40)
    if columns.size == 0:
        return None
    return mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def _from_typeface(file):
    font = ImageFont.truetype(file, 200)
    height = _glyph(font, "H").shape[0]
    font = ImageFont.truetype(file, max(8, round(200 * MASK_HEIGHT_PX / height)))
    masks = {}
    for character in ALPHABET:
        mask = _glyph(font, character)
        if mask is None or not 0.75 * MASK_HEIGHT_PX <= mask.shape[0] <= 1.3 * MASK_HEIGHT_PX:
            return None  # old-style digits or missing characters
        # Plates' characters are of one height; Q's tail and round overshoot are squeezed into it as dies do.
        masks[character] = cv2.resize(mask, (max(4, mask.shape[1]), MASK_HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return masks


# --- die strokes -----------------------------------------------------------------------------------------------------------------------

def _arc(cx, cy, rx, ry, from_degrees, to_degrees, square=2.0, points=20):
    """Points of a superellipse; 0° is right, 90° is down. `square` 2 is an ellipse, larger is squarer."""
    out = []
    for i in range(points + 1):
        angle = math.radians(from_degrees + (to_degrees - from_degrees) * i / points)
        c, s = math.cos(angle), math.sin(angle)
        out.append((cx + rx * math.copysign(abs(c) ** (2 / square), c), cy + ry * math.copysign(abs(s) ** (2 / square), s)))
    return out


def _die_strokes(rng):
    """Strokes of every character in a box of width w and height 1, as lists of polylines, with what one maker's dies would share."""
    square = rng.choice([2.0, 2.3, 2.8, 3.5, 5.0, 8.0])
    w = rng.uniform(0.38, 0.62)
    waist = rng.uniform(0.44, 0.54)
    r = {}

    def bowl(cx, cy, rx, ry, a, b):
        return _arc(cx, cy, rx, ry, a, b, square)

    full = bowl(w / 2, 0.5, w / 2, 0.5, 0, 360)
    zero_w = w * rng.choice([1.0, 1.0, 0.92, 0.85])
    zero = [_arc(w / 2, 0.5, zero_w / 2, 0.5, 0, 360, square * rng.choice([1, 1, 0.8]))]
    slash = rng.random()
    if slash < 0.12:
        zero.append([(w * 0.3, 0.72), (w * 0.7, 0.28)] if rng.random() < 0.5 else [(w * 0.18, 0.82), (w * 0.82, 0.18)])
    r["0"] = zero
    one = [[(w * 0.55, 0), (w * 0.55, 1)]]
    flag = rng.uniform(0.12, 0.3)
    one.append([(w * 0.55, 0), (w * (0.55 - rng.uniform(0.25, 0.45)), flag)] if rng.random() < 0.85 else [(w * 0.55, 0), (w * 0.3, 0)])
    if rng.random() < 0.3:
        one.append([(w * 0.2, 1), (w * 0.9, 1)])
    r["1"] = one
    top = rng.uniform(0.22, 0.3)
    neck = rng.uniform(0.5, 0.68)
    r["2"] = [bowl(w / 2, top, w / 2, top, 180, 360) + [(w, top + 0.06), (w * 0.92, neck - 0.05), (0, 1), (w, 1)]]
    if rng.random() < 0.3:
        r["3"] = [[(0, 0), (w, 0), (w * 0.45, waist - 0.06)] + bowl(w / 2, (1 + waist) / 2, w / 2, (1 - waist) / 2, 270, 540)]
    else:
        r["3"] = [bowl(w / 2, waist / 2, w / 2, waist / 2, 190, 450), bowl(w / 2, (1 + waist) / 2, w / 2, (1 - waist) / 2, 270, 530)]
    bar = rng.uniform(0.66, 0.78)
    stem = rng.choice([0.75, 0.8, 1.0])
    r["4"] = [[(w * stem * 0.75, 0), (0, bar), (w * 1.02, bar)], [(w * stem * 0.85, rng.choice([0.0, 0.3, 0.45])), (w * stem * 0.85, 1)]]
    if stem == 1.0:
        r["4"] = [[(w * 0.8, 1), (w * 0.8, 0), (0, bar), (w, bar)]]
    five = rng.uniform(0.36, 0.46)
    r["5"] = [[(w * 0.92, 0), (w * 0.06, 0), (w * 0.02, five + 0.04)] + bowl(w / 2, (1 + five) / 2, w / 2, (1 - five) / 2, 215, 510)]
    six = rng.uniform(0.4, 0.5)
    if rng.random() < 0.5:
        tail = bowl(w / 2, 0.3, w / 2, 0.3, 340, 180) + [(0, (1 + six) / 2)]
    else:
        tail = [(w * 0.62, 0), (w * 0.12, six + 0.08), (0, (1 + six) / 2)]
    r["6"] = [tail, bowl(w / 2, (1 + six) / 2, w / 2, (1 - six) / 2, 0, 360)]
    r["9"] = [[(w - x, 1 - y) for x, y in stroke] for stroke in r["6"]]
    knee = rng.uniform(0.2, 0.5)
    r["7"] = [[(0, 0), (w, 0), (w * knee, 1)] if rng.random() < 0.6 else [(0, 0), (w, 0), (w * 0.98, 0.1), (w * 0.5, 0.55), (w * 0.42, 1)]]
    in8 = rng.choice([1.0, 0.94, 0.88])
    r["8"] = [bowl(w / 2, waist / 2, w / 2 * in8, waist / 2, 0, 360), bowl(w / 2, (1 + waist) / 2, w / 2, (1 - waist) / 2, 0, 360)]

    # Half of what is flat at the points of A, V and W: a narrow A with a broad top is near to a 4, a narrow V with a broad foot to a U.
    point = rng.uniform(0.08, 0.2) if rng.random() < 0.55 else 0.0
    a_bar = rng.uniform(0.58, 0.78)
    leg = rng.uniform(0.35, 0.6) if rng.random() < 0.12 else 1.0  # A's legs stand upright below it
    inside = max(0.0, (0.5 - point) * (1 - a_bar / leg))
    r["A"] = [[(0, 1), (0, leg), (w * (0.5 - point), 0), (w * (0.5 + point), 0), (w, leg), (w, 1)], [(w * inside, a_bar), (w * (1 - inside), a_bar)]]
    inb = rng.choice([1.0, 0.94, 0.9])
    r["B"] = [
        [(w * 0.45, waist), (0, waist), (0, 0), (w * 0.45, 0)] + bowl(w * 0.5, waist / 2, w * 0.5 * inb, waist / 2, 270, 450),
        [(w * 0.45, waist)] + bowl(w * 0.5, (1 + waist) / 2, w * 0.5, (1 - waist) / 2, 270, 450) + [(0, 1), (0, waist)],
    ]
    opening = rng.uniform(30, 50)
    r["C"] = [bowl(w / 2, 0.5, w / 2, 0.5, 360 - opening, opening)]
    d_round = rng.choice([0.4, 0.5, 0.6])
    r["D"] = [[(0, 0), (w * (1 - d_round), 0)] + bowl(w * (1 - d_round), 0.5, w * d_round, 0.5, 270, 450) + [(0, 1), (0, 0)]]
    r["E"] = [[(w * 0.95, 0), (0, 0), (0, 1), (w * 0.95, 1)], [(0, waist), (w * rng.uniform(0.7, 0.9), waist)]]
    r["F"] = [[(w * 0.95, 0), (0, 0), (0, 1)], [(0, waist), (w * rng.uniform(0.65, 0.85), waist)]]
    spur = rng.random()
    g = [bowl(w / 2, 0.5, w / 2, 0.5, 360 - opening, 30) + [(w, 0.55), (w * rng.uniform(0.5, 0.65), 0.55)]]
    if spur < 0.4:
        g.append([(w, 0.55), (w, 1)])
    r["G"] = g
    r["H"] = [[(0, 0), (0, 1)], [(w, 0), (w, 1)], [(0, waist), (w, waist)]]
    r["I"] = [[(w / 2, 0), (w / 2, 1)]]
    if rng.random() < 0.25:
        r["I"] += [[(w * 0.2, 0), (w * 0.8, 0)], [(w * 0.2, 1), (w * 0.8, 1)]]
    j = bowl(w * 0.45, 0.72, w * 0.45, 0.28, 0, rng.uniform(150, 180))
    r["J"] = [[(w * 0.9, 0)] + j]
    if rng.random() < 0.2:
        r["J"].append([(w * 0.4, 0), (w * 0.9, 0)])
    r["K"] = [[(0, 0), (0, 1)], [(w, 0), (0, rng.uniform(0.55, 0.68))], [(w * rng.uniform(0.25, 0.42), 0.45), (w, 1)]]
    r["L"] = [[(0, 0), (0, 1), (w * 0.92, 1)]]
    wide = w * rng.uniform(1.0, 1.3)
    m = rng.choice([0.45, 0.6, 0.75, 1.0])
    r["M"] = [[(0, 1), (0, 0), (wide / 2, m), (wide, 0), (wide, 1)]]
    r["N"] = [[(0, 1), (0, 0), (w, 1), (w, 0)]]
    r["O"] = [full]
    p_waist = waist + rng.uniform(0, 0.1)
    r["P"] = [[(0, 1), (0, 0), (w * 0.5, 0)] + bowl(w * 0.5, p_waist / 2, w * 0.5, p_waist / 2, 270, 450) + [(0, p_waist)]]
    r["Q"] = [full, [(w * rng.uniform(0.45, 0.6), rng.uniform(0.66, 0.78)), (w * rng.uniform(0.95, 1.08), rng.uniform(0.98, 1.06))]]
    r["R"] = r["P"] + [[(w * 0.5, p_waist), (w, 1)]]
    s_square = square
    upper = _arc(w / 2, waist / 2, w / 2, waist / 2, 335, 90, s_square)
    lower = _arc(w / 2, (1 + waist) / 2, w / 2, (1 - waist) / 2, -90, 155, s_square)
    r["S"] = [upper + lower]
    r["T"] = [[(0, 0), (w, 0)], [(w / 2, 0), (w / 2, 1)]]
    depth = rng.uniform(0.25, 0.45)
    r["U"] = [[(0, 0)] + _arc(w / 2, 1 - depth, w / 2, depth, 180, 0, square) + [(w, 0)]]
    r["V"] = [[(0, 0), (w * (0.5 - point), 1), (w * (0.5 + point), 1), (w, 0)]]
    v = rng.choice([0.15, 0.35, 0.5])
    foot = point * 0.4
    r["W"] = [[(0, 0), (wide * (0.25 - foot), 1), (wide * (0.25 + foot), 1), (wide / 2, v), (wide * (0.75 - foot), 1), (wide * (0.75 + foot), 1), (wide, 0)]]
    if rng.random() < 0.25:
        r["W"] = [[(0, 0), (0, 1), (wide / 2, 1 - m), (wide, 1), (wide, 0)]]
    r["X"] = [[(0, 0), (w, 1)], [(w, 0), (0, 1)]]
    fork = rng.uniform(0.42, 0.58)
    r["Y"] = [[(0, 0), (w / 2, fork), (w, 0)], [(w / 2, fork), (w / 2, 1)]]
    r["Z"] = [[(w * 0.03, 0), (w, 0), (0, 1), (w, 1)]]
    return r


def _from_dies(seed):
    import random

    rng = random.Random(seed)
    strokes = _die_strokes(rng)
    scale = 4
    height = MASK_HEIGHT_PX * scale
    thick = rng.uniform(0.11, 0.2)
    masks = {}
    for character, lines in strokes.items():
        pixels = round(thick * height)
        span = height - pixels
        points = [np.array([(x * span + pixels, y * span + pixels / 2) for x, y in line]) for line in lines]
        right = max(line[:, 0].max() for line in points) + pixels
        canvas = np.zeros((height, math.ceil(right)), np.uint8)
        for line in points:
            cv2.polylines(canvas, [np.round(line * 8).astype(np.int32)], False, 255, pixels, cv2.LINE_AA, 3)
        columns = np.flatnonzero(canvas.max(0) > 40)
        canvas = canvas[:, columns[0]:columns[-1] + 1]
        masks[character] = cv2.resize(canvas, (max(4, round(canvas.shape[1] / scale)), MASK_HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return masks


@functools.lru_cache(maxsize=1)
def letterings(dies=240):
    """(name, masks, weight) of all letterings: the typefaces and as many sets of dies. The same on every machine with the same packages."""
    found = {}
    for family, style, file in _installed():
        if family in PLATE_FAMILIES and not any(word in (style + " " + os.path.basename(file)).lower() for word in LEFT_OUT_STYLES):
            found.setdefault(family, []).append((style, file))
    out = []
    for family, files in sorted(found.items()):
        sets = [(style, masks) for style, file in files if (masks := _from_typeface(file)) is not None]
        out += [(f"{family} {style}", masks, PLATE_FAMILIES[family] / len(sets)) for style, masks in sets]
    total = sum(weight for _, _, weight in out)
    out += [(f"dies {seed}", _from_dies(seed), 0.8 * total / dies) for seed in range(dies)]
    return out


@functools.lru_cache(maxsize=1)
def small_typefaces():
    """Files for small writing: names of states, slogans, dealers."""
    return [file for family, style, file in _installed() if family in SMALL_FAMILIES and not any(word in style.lower() for word in ("thin", "hairline", "extralight"))]


@functools.lru_cache(maxsize=6000)
def small_text(file, text, height_px):
    """Mask of small writing; tight, uint8."""
    font = ImageFont.truetype(file, height_px)
    mask = _glyph(font, text)
    return np.zeros((2, 2), np.uint8) if mask is None else mask


def main():
    """Shows every lettering, to look at."""
    import sys

    rows = []
    for name, masks, weight in letterings():
        row = np.zeros((40, 1500), np.uint8)
        x = 4
        for character in ALPHABET:
            mask = cv2.resize(masks[character], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            if x + mask.shape[1] < 1200:
                row[4:4 + mask.shape[0], x:x + mask.shape[1]] = mask
            x += mask.shape[1] + 6
        cv2.putText(row, f"{name} {weight:.2f}", (1180, 26), 0, 0.5, 255, 1)
        rows.append(row)
    cv2.imwrite(sys.argv[1], np.vstack(rows))


if __name__ == "__main__":
    main()
