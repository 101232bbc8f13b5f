"""What weather, light and a camera do to a picture: `expose(image, rng)`, and `place` for putting a plate into a scene.

Pictures are float32 RGB 0-255 unless said otherwise. Used for crops of single plates (crops.py) and for whole scenes (scenes.py).
"""

import math

import cv2
import numpy as np


def bytes_of(image):
    """Rounded to 0-255; ten times as fast as numpy's clip of this version."""
    return cv2.add(image, 0, dtype=cv2.CV_8U)


def noise_source(rng):
    """A fast numpy generator that follows `rng` (random.Random)."""
    return np.random.Generator(np.random.SFC64(rng.randrange(1 << 62)))


def _blobs(shape, rng, numbers, cells):
    """Smooth random field 0-1."""
    field = numbers.random((max(2, cells), max(2, cells * 2)), np.float32)
    return cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def soil(image, rng, numbers):
    """Dirt, scratches, snow: on the plate itself, before the camera."""
    height, width = image.shape[:2]
    if rng.random() < 0.3:
        field = _blobs(image.shape, rng, numbers, rng.randrange(3, 14))
        cover = np.clip((field - rng.uniform(0.45, 0.8)) * rng.uniform(1.5, 5), 0, rng.uniform(0.2, 0.75))[..., None]
        colour = np.float32(rng.choice([(110, 95, 75), (80, 75, 70), (60, 55, 50), (200, 200, 205), (140, 120, 95)]))
        image[:] = image * (1 - cover) + colour * cover
    if rng.random() < 0.06:
        for _ in range(rng.randrange(1, 5)):
            a = (rng.randrange(width), rng.randrange(height))
            b = (a[0] + rng.randrange(-40, 41), a[1] + rng.randrange(-20, 21))
            cv2.line(image, a, b, rng.choice([(60, 60, 60), (220, 220, 220), (120, 100, 80)]), rng.choice([1, 1, 2]), cv2.LINE_AA)


def light(image, rng, numbers):
    """Uneven light: a gradient, an edge of shadow, a reflection."""
    height, width = image.shape[:2]
    if rng.random() < 0.6:
        angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.55)
        xs = np.linspace(-1, 1, width, dtype=np.float32) * math.cos(angle)
        ys = np.linspace(-1, 1, height, dtype=np.float32) * math.sin(angle)
        image *= (1 + strength * (xs[None, :] + ys[:, None]) * 0.7).clip(0.2, 2)[..., None]
    if rng.random() < 0.22:
        shade = np.ones((height, width), np.float32)
        y = rng.uniform(-0.2, 1.2) * height
        slope = rng.uniform(-0.6, 0.6)
        points = [(0, y), (width, y + slope * width), (width, -height), (0, -height)]
        if rng.random() < 0.4:
            points = [(x, 2 * y - yy) for x, yy in points]
        cv2.fillPoly(shade, [np.array(points, np.int32)], rng.uniform(0.25, 0.75))
        blur = rng.choice([0, 0, 1.5, 4])
        if blur:
            shade = cv2.GaussianBlur(shade, (0, 0), blur)
        image *= shade[..., None]
    if rng.random() < 0.1:
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.1, 0.6) * height
        ys, xs = np.ogrid[:height, :width]
        glow = np.exp(-(((xs - x) / (radius * rng.uniform(1, 3))) ** 2 + ((ys - y) / radius) ** 2)).astype(np.float32)
        image += (glow * rng.uniform(60, 260))[..., None]


def motion_kernel(length, angle):
    size = int(length) | 1
    kernel = np.zeros((size, size), np.float32)
    centre = size / 2 - 0.5
    dx, dy = math.cos(angle) * length / 2, math.sin(angle) * length / 2
    cv2.line(kernel, (round(centre - dx), round(centre - dy)), (round(centre + dx), round(centre + dy)), 1, 1, cv2.LINE_AA)
    return kernel / max(kernel.sum(), 1e-6)


def expose(image, rng, numbers, plate_px, severity=1.0):
    """The camera's own doing: lens and motion blur, exposure, colour, noise, sharpening, compression. Returns uint8 RGB.

    `plate_px` is the width of the plate in this picture; blur is bounded so that a person could still read most of them.
    """
    character = plate_px / 9
    # Blur that leaves strokes: about a sixth of a character's pitch at most.
    most = max(0.35, character * 0.17) * severity
    if rng.random() < 0.75:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.25, max(0.3, most)))
    if rng.random() < 0.25:
        length = rng.uniform(1.5, max(2.0, character * 0.5 * severity))
        angle = rng.gauss(0, 0.3) if rng.random() < 0.7 else rng.uniform(0, math.pi)
        image = cv2.filter2D(image, -1, motion_kernel(length, angle), borderType=cv2.BORDER_REPLICATE)
    if rng.random() < 0.04:
        # Rolling shutter: rows slide.
        height, width = image.shape[:2]
        slide = rng.uniform(-0.15, 0.15)
        image = cv2.warpAffine(image, np.float32([[1, slide, -slide * height / 2], [0, 1, 0]]), (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kind = rng.random()
    if kind < 0.14:
        # Infrared at night: grey, the plate shines, the rest sinks.
        grey = image @ np.float32([0.35, 0.5, 0.15])
        image = np.repeat((grey * rng.uniform(0.6, 1.5))[..., None], 3, 2)
    elif kind < 0.22:
        grey = image @ np.float32([0.3, 0.59, 0.11])
        image = np.repeat(grey[..., None], 3, 2)
    elif kind < 0.6:
        # White balance, from slight to the magenta of cheap cameras at night.
        spread = rng.choice([0.06, 0.12, 0.12, 0.4])
        image = image * np.float32([1 + rng.uniform(-spread, spread) for _ in range(3)])
        if rng.random() < 0.5:
            grey = image.mean(2, keepdims=True)
            image = grey + (image - grey) * rng.uniform(0.1, 1.4)
    exposure = rng.random()
    if exposure < 0.25:
        image = image * rng.uniform(0.12, 0.6)
    elif exposure < 0.45:
        image = image * rng.uniform(1.1, 1.9) + rng.uniform(-10, 30)
    else:
        image = image * rng.uniform(0.6, 1.15)
    if rng.random() < 0.3:
        # Haze, rain on the lens, a dirty window: contrast goes.
        share = rng.uniform(0.1, 0.6)
        image = image * (1 - share) + rng.uniform(20, 210) * share
    if rng.random() < 0.3:
        image = 255 * (np.core.umath.clip(image, 0.0, 255.0) / 255) ** rng.uniform(0.55, 1.7)
    if rng.random() < 0.05:
        height, width = image.shape[:2]
        layer = np.zeros((height, width), np.float32)
        lean = rng.uniform(-0.3, 0.3)
        for _ in range(rng.randrange(5, 40)):
            x, y, length = rng.randrange(width), rng.randrange(height), rng.uniform(3, 14)
            cv2.line(layer, (x, y), (round(x + lean * length), round(y + length)), 1, 1, cv2.LINE_AA)
        image = image + (layer * rng.uniform(20, 90))[..., None]
    if rng.random() < 0.6:
        spread = rng.uniform(0.5, 5) if rng.random() < 0.75 else rng.uniform(5, 16) * severity
        if rng.random() < 0.6:
            image = image + numbers.standard_normal(image.shape[:2], np.float32)[..., None] * spread
        else:
            image = image + numbers.standard_normal(image.shape, np.float32) * spread
    if rng.random() < 0.35:
        soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 1.6))
        image = image + (image - soft) * rng.uniform(0.3, 2.0)
    image = bytes_of(image)
    if rng.random() < 0.75:
        quality = rng.randrange(25, 96) if rng.random() < 0.75 else rng.randrange(10, 40)
        if plate_px < 70:
            quality = max(quality, 30)
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return image


def expose_well(image, rng, numbers):
    """A good camera on a good day, as most pictures are: slight softness, fair exposure, little noise, fine JPEG. Returns uint8 RGB."""
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.2, 0.7))
    if rng.random() < 0.4:
        image = image * np.float32([1 + rng.uniform(-0.08, 0.08) for _ in range(3)])
    if rng.random() < 0.4:
        grey = image.mean(2, keepdims=True)
        image = grey + (image - grey) * rng.uniform(0.3, 1.3)
    image = image * rng.uniform(0.5, 1.2)
    if rng.random() < 0.3:
        image = 255 * (np.core.umath.clip(image, 0.0, 255.0) / 255) ** rng.uniform(0.7, 1.5)
    if rng.random() < 0.5:
        image = image + numbers.standard_normal(image.shape[:2], np.float32)[..., None] * rng.uniform(0.5, 4)
    if rng.random() < 0.4:
        soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.7, 1.3))
        image = image + (image - soft) * rng.uniform(0.3, 1.5)
    image = bytes_of(image)
    if rng.random() < 0.7:
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, rng.randrange(55, 97)])[1], cv2.IMREAD_COLOR)
    return image


def quad(width, height, rng, tilt=1.0):
    """Corners (float32 4×2, from the top left clockwise) of a plate of about `width`×`height` as a camera may see it, about the origin."""
    yaw = abs(rng.gauss(0, 0.28)) * tilt
    squeeze = math.cos(min(yaw, 1.05))
    far = 1 - 0.25 * math.sin(min(yaw, 1.05)) * rng.uniform(0.2, 1)
    w, h = width * squeeze / 2, height * rng.uniform(0.88, 1.1) / 2
    points = np.float32([[-w, -h], [w, -h * far], [w, h * far], [-w, h]])
    if rng.random() < 0.5:
        points[:, 0] *= -1
        points = points[[1, 0, 3, 2]]
    roll = rng.gauss(0, 0.05) * tilt if rng.random() < 0.8 else rng.gauss(0, 0.14) * tilt
    shear = rng.gauss(0, 0.06) * tilt + (rng.gauss(0, 0.25) * math.sin(yaw))
    c, s = math.cos(roll), math.sin(roll)
    points = points @ np.float32([[1, math.tan(math.atan(shear)) * 0.5], [0, 1]])
    return (points @ np.float32([[c, s], [-s, c]])).astype(np.float32)


def corners_of(shape):
    """Corners of a picture of this shape, in warping's coordinates (pixel centres)."""
    height, width = shape[:2]
    return np.float32([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
