"""Rears and fronts of vehicles, drawn simply: what is around a plate on the street, and what else has edges, lamps and writing there."""

import cv2
import numpy as np

import issue_schemes as schemes
from lettering import small_text, small_typefaces

_PAINTS = [(235, 235, 238), (200, 203, 207), (150, 153, 158), (90, 93, 98), (25, 25, 28), (15, 16, 20), (150, 20, 25), (190, 30, 30), (25, 45, 110), (40, 80, 150), (30, 75, 50), (120, 100, 70),
           (205, 190, 150), (230, 180, 40), (220, 110, 30), (70, 20, 30), (90, 130, 150), (60, 65, 55)]


def _tone(rng, colour, low=0.75, high=1.2):
    factor = rng.uniform(low, high)
    return tuple(min(255, max(0, c * factor)) for c in colour)


def _poly(image, points, colour):
    cv2.fillPoly(image, [np.round(np.float32(points) * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def write(image, rng, text, x, y, height_px, colour, longest_px):
    """Writing into a uint8 picture, its top left at x, y; cut at the edges."""
    mask = small_text(rng.choice(small_typefaces()), text, 28)
    w = max(2, round(min(longest_px, mask.shape[1] * height_px / mask.shape[0])))
    mask = cv2.resize(mask, (w, max(2, round(height_px))), interpolation=cv2.INTER_AREA)
    x, y = round(x), round(y)
    x0, y0, x1, y1 = max(0, x), max(0, y), min(image.shape[1], x + mask.shape[1]), min(image.shape[0], y + mask.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    alpha = mask[y0 - y:y1 - y, x0 - x:x1 - x, None].astype(np.float32) / 255
    part = image[y0:y1, x0:x1]
    part[:] = part * (1 - alpha) + np.float32(colour) * alpha


def recess(image, rng, corners, paint):
    """The niche of a bumper or a boot lid in which a plate sits: wider than the plate, with lamps, holes and edges beside it. It is no part of the plate.

    `corners` are the plate's (float32 4×2, from the top left clockwise); `paint` is what is around it.
    """
    right, down = corners[1] - corners[0], corners[3] - corners[0]

    def at(s, t):
        return corners[0] + s * right + t * down

    def box(s0, t0, s1, t1):
        return [at(s0, t0), at(s1, t0), at(s1, t1), at(s0, t1)]

    # By the standard size of the maker's country the niche is often made for a longer plate.
    far = rng.choice([0.12, 0.3, 0.6])
    a, b = rng.uniform(0.01, far), rng.uniform(0.01, far)
    c, d = rng.choice([rng.uniform(0.0, 0.08), rng.uniform(0.05, 0.5)]), rng.choice([rng.uniform(0.0, 0.08), rng.uniform(0.05, 0.4)])
    shade = rng.uniform(0.2, 0.95) if rng.random() < 0.8 else rng.uniform(1.0, 1.3)
    ground = _tone(rng, paint, shade, shade)
    if rng.random() < 0.12:
        ground = rng.choice([(200, 202, 206), (30, 30, 32), (90, 92, 95)])
    slant = rng.uniform(0, 0.12)
    _poly(image, [at(-a - slant, -c), at(1 + b + slant, -c), at(1 + b, 1 + d), at(-a, 1 + d)], ground)
    if rng.random() < 0.6:
        edge = _tone(rng, paint, 0.25, 0.6) if rng.random() < 0.7 else _tone(rng, paint, 1.2, 1.6)
        thick = max(1, round(float(np.linalg.norm(down)) * rng.uniform(0.02, 0.07)))
        cv2.polylines(image, [np.round(np.float32(box(-a, -c, 1 + b, 1 + d)) * 16).astype(np.int32)], True, edge, thick, cv2.LINE_AA, 4)
    if rng.random() < 0.4:
        _poly(image, box(-a, -c, 1 + b, -c + (1 + c + d) * rng.uniform(0.1, 0.35)), _tone(rng, ground, 0.3, 0.8))
    for side, room in ((0, a), (1, b)):
        if room < 0.12 or rng.random() < 0.4:
            continue
        s = -room * rng.uniform(0.3, 0.7) if side == 0 else 1 + room * rng.uniform(0.3, 0.7)
        t, half = rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.3)
        wide = half * float(np.linalg.norm(down) / np.linalg.norm(right))
        thing = rng.choice([(20, 20, 22), (12, 12, 14), (235, 235, 230), (160, 160, 162), (110, 112, 115)])
        if rng.random() < 0.5:
            _poly(image, box(s - wide, t - half, s + wide, t + half), thing)
            if rng.random() < 0.4:
                _poly(image, box(s - wide * 0.6, t - half * 0.6, s + wide * 0.6, t + half * 0.6), _tone(rng, thing, 0.4, 1.4))
        else:
            middle = at(s, t)
            size = max(1, round(float(np.linalg.norm(down)) * half))
            cv2.circle(image, (round(float(middle[0])), round(float(middle[1]))), size, thing, -1, cv2.LINE_AA)
            cv2.circle(image, (round(float(middle[0])), round(float(middle[1]))), max(1, size // 2), _tone(rng, thing, 0.4, 1.4), -1, cv2.LINE_AA)


def draw_vehicle(image, rng, cx, ground, width):
    """Draws a vehicle `width` px wide that stands on row `ground`, its middle at `cx`. Returns where a plate belongs: (x, y) of its centre."""
    paint = tuple(min(255, max(0, c + rng.uniform(-12, 12))) for c in rng.choice(_PAINTS))
    dark, lit = _tone(rng, paint, 0.35, 0.7), _tone(rng, paint, 1.02, 1.25)
    height = width * rng.uniform(0.62, 0.95)
    left, right = cx - width / 2, cx + width / 2
    top = ground - height
    waist = ground - height * rng.uniform(0.52, 0.66)
    sill = ground - height * rng.uniform(0.1, 0.16)
    rear = rng.random() < 0.65
    inset = width * rng.uniform(0.08, 0.2)
    # Shadow below, wheels.
    _poly(image, [(left - width * 0.05, ground + height * 0.04), (right + width * 0.05, ground + height * 0.04), (right, sill), (left, sill)], (18, 18, 20))
    for x in (left + width * 0.1, right - width * 0.1):
        _poly(image, [(x - width * 0.07, ground), (x + width * 0.07, ground), (x + width * 0.07, sill - 4), (x - width * 0.07, sill - 4)], (24, 24, 26))
    # Cabin and its window.
    _poly(image, [(left + width * 0.04, waist), (left + inset, top), (right - inset, top), (right - width * 0.04, waist)], _tone(rng, paint, 0.85, 1.1))
    glass = rng.choice([(40, 45, 50), (25, 28, 32), (80, 95, 105), (120, 140, 155), (60, 60, 62)])
    _poly(image, [(left + width * 0.1, waist - height * 0.03), (left + inset + width * 0.03, top + height * 0.05), (right - inset - width * 0.03, top + height * 0.05), (right - width * 0.1, waist - height * 0.03)], glass)
    if rng.random() < 0.3:
        write(image, rng, rng.choice(["BABY ON BOARD", "Mack", "USA", "OK", "I love NY", "Taxi", "24h", "www.example.com"]), left + width * rng.uniform(0.15, 0.6), waist - height * rng.uniform(0.1, 0.2), height * 0.05, (230, 230, 230), width * 0.3)
    # Body.
    _poly(image, [(left, waist + height * 0.04), (left + width * 0.03, waist), (right - width * 0.03, waist), (right, waist + height * 0.04), (right, sill), (left, sill)], paint)
    x0, x1, y0, y1 = (int(max(0, v)) for v in (left, right, waist, sill))
    body = image[y0:y1, x0:x1]
    if body.size:
        ramp = np.linspace(rng.uniform(0.85, 1.2), rng.uniform(0.5, 1.0), body.shape[0], dtype=np.float32)[:, None, None]
        body[:] = (body * ramp).clip(0, 255)
    for _ in range(rng.randrange(1, 5)):
        y = rng.uniform(waist, sill)
        cv2.line(image, (round(left), round(y)), (round(right), round(y + rng.uniform(-2, 2))), rng.choice([dark, lit]), rng.choice([1, 1, 2, 3]), cv2.LINE_AA)
    bumper = sill - height * rng.uniform(0.14, 0.26)
    if rng.random() < 0.7:
        colour = rng.choice([paint, dark, (35, 35, 37), (170, 172, 175), lit])
        _poly(image, [(left, bumper), (right, bumper), (right - width * 0.02, sill), (left + width * 0.02, sill)], colour)
        cv2.line(image, (round(left), round(bumper)), (round(right), round(bumper)), dark, rng.choice([1, 2, 3]), cv2.LINE_AA)
    # Lamps.
    lamp_y, lamp_h, lamp_w = waist + height * rng.uniform(0.03, 0.14), height * rng.uniform(0.08, 0.22), width * rng.uniform(0.09, 0.22)
    for side in (-1, 1):
        edge = cx + side * width * 0.49
        inner = edge - side * lamp_w
        slant = rng.uniform(-0.3, 0.3) * lamp_h
        colours = [(150, 15, 20), (190, 30, 35), (120, 20, 25)] if rear else [(225, 228, 230), (190, 195, 200), (250, 250, 240)]
        _poly(image, [(edge, lamp_y), (inner, lamp_y + slant), (inner, lamp_y + lamp_h), (edge, lamp_y + lamp_h)], rng.choice(colours))
        if rng.random() < 0.6:
            _poly(image, [(edge, lamp_y + lamp_h * 0.55), ((edge + inner) / 2, lamp_y + lamp_h * 0.55), ((edge + inner) / 2, lamp_y + lamp_h * 0.85), (edge, lamp_y + lamp_h * 0.85)], rng.choice([(240, 240, 240), (240, 150, 40), (255, 90, 60)]))
        if rng.random() < 0.15:
            cv2.circle(image, (round((edge + inner) / 2), round(lamp_y + lamp_h / 2)), round(lamp_h * rng.uniform(0.2, 0.5)), (255, 250, 240), -1, cv2.LINE_AA)
    if not rear or rng.random() < 0.1:
        # A grille of bars or mesh.
        gx0, gx1, gy0, gy1 = cx - width * rng.uniform(0.15, 0.28), cx + width * rng.uniform(0.15, 0.28), lamp_y, lamp_y + height * rng.uniform(0.12, 0.3)
        _poly(image, [(gx0, gy0), (gx1, gy0), (gx1, gy1), (gx0, gy1)], (20, 20, 22))
        step = max(2.0, width * rng.uniform(0.012, 0.05))
        bars = rng.choice([(60, 60, 62), (150, 152, 155), (200, 200, 205)])
        upright = rng.random() < 0.4
        value = gx0 if upright else gy0
        while value < (gx1 if upright else gy1):
            a, b = ((round(value), round(gy0)), (round(value), round(gy1))) if upright else ((round(gx0), round(value)), (round(gx1), round(value)))
            cv2.line(image, a, b, bars, 1 if step < 6 else 2, cv2.LINE_AA)
            value += step
    if rng.random() < 0.8:
        # Maker's badge and model.
        cv2.circle(image, (round(cx), round(lamp_y + lamp_h * 0.2)), max(2, round(width * 0.025)), rng.choice([(210, 210, 215), (40, 60, 140), (180, 30, 30)]), -1, cv2.LINE_AA)
    for _ in range(rng.randrange(0, 3)):
        write(image, rng, rng.choice(["Corolla", "XLT 4x4", "Golf", "320i", "TDI", "V6", "Fabia", "Turbo", "Civic LX", "TOYOTA", "FORD", "1.9 TDI", "Logan", "Octavia", "F-150", "CHEVROLET", "DACIA", "Dealer of the City"]),
              cx + width * rng.choice([-0.42, 0.2, 0.25, -0.15]), waist + height * rng.uniform(0.04, 0.3), height * rng.uniform(0.025, 0.06), rng.choice([(215, 215, 218), (60, 60, 62)]), width * 0.22)
    if rng.random() < 0.25:
        x, y, h = cx + width * rng.choice([-0.4, 0.22]), bumper + height * 0.02, height * rng.uniform(0.05, 0.1)
        w = h * rng.uniform(2, 4.5)
        _poly(image, [(x, y), (x + w, y), (x + w, y + h), (x, y + h)], rng.choice([(235, 235, 235), (240, 220, 60), (30, 60, 140), (20, 20, 20)]))
        write(image, rng, rng.choice(schemes.DEALERS + ["COEXIST", "Vote 2012", "My child is an honor student", "SK", "CZ", "D"]), x + w * 0.05, y + h * 0.25, h * 0.5, rng.choice([(20, 20, 120), (160, 20, 20), (240, 240, 240)]), w * 0.9)
    # Where the plate is: between the lamps, or on the bumper.
    y = rng.uniform(lamp_y + lamp_h * 0.3, bumper) if rng.random() < 0.6 else rng.uniform(bumper, (bumper + sill) / 2)
    x = cx + (0 if rng.random() < 0.8 else width * rng.uniform(-0.25, 0.25))
    if rng.random() < 0.5:
        w, h = width * rng.uniform(0.16, 0.24), height * rng.uniform(0.07, 0.13)
        _poly(image, [(x - w, y - h), (x + w, y - h), (x + w * 0.96, y + h), (x - w * 0.96, y + h)], rng.choice([dark, _tone(rng, paint, 0.6, 0.95)]))
    return x, y
