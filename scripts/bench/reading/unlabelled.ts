/** Plates that are real and that the labels of the public sets leave out, found by looking at what was taken for a plate there: they are left out of false reads. */
import type { Region } from '../../../shared/wire/sighting.ts'

/** By set and file; px. */
export const UNLABELLED: Readonly<Record<string, readonly Region[]>> = {
  // A second vehicle farther away, too small or blurred to be read by a person.
  'us/6800c86761.jpg': [{ x: 409, y: 210, width: 36, height: 14 }],
  'us/ec2d601c44.jpg': [{ x: 4, y: 226, width: 43, height: 17 }],
  // Half behind a mirror.
  'us/abd169d74d.jpg': [{ x: 469, y: 53, width: 60, height: 30 }],
  // Texas, in the shadow under a bumper.
  'us/ddd3c021e9.jpg': [{ x: 232, y: 171, width: 75, height: 46 }],
  // Cut off by the picture's edge.
  'us/3cbf27fc73.jpg': [{ x: 1, y: 330, width: 42, height: 28 }],
  'br/0768f9547f.jpg': [{ x: 1232, y: 404, width: 49, height: 27 }],
  // NTV0170 and OUM7311, on a second vehicle each.
  'br/9bbededab9.jpg': [{ x: 1052, y: 328, width: 64, height: 19 }],
  'br/d2c8344322.jpg': [{ x: 153, y: 42, width: 51, height: 22 }],
  // Found at smallestPlatePx 30: OKO6067 and OZR2224, JPN0921, PJT2809.
  'br/bc4c593aaf.jpg': [
    { x: 1187, y: 450, width: 93, height: 32 },
    { x: 215, y: 333, width: 35, height: 12 },
  ],
  'br/c74b2a1b47.jpg': [{ x: 1122, y: 277, width: 48, height: 16 }],
  'br/dc348acacb.jpg': [{ x: 1158, y: 353, width: 92, height: 30 }],
  // RK641AL, behind the labelled vehicle.
  'eu/1e73641a4c.jpg': [{ x: 396, y: 86, width: 51, height: 12 }],
}
