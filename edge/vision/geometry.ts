/** Boxes that are turned, their corners, and how far two regions overlap. */
import type { Corners, Point, Region } from './types.ts'

/** A rectangle along the direction of its text: `angle` in radians within ±90°, `widthPx` the side along the text. */
export interface TextBox {
  centre: Point
  widthPx: number
  heightPx: number
  angle: number
}

/** Turns a rectangle so that its longer side is the text's direction and the text runs left to right. */
export function alongText(box: TextBox): TextBox {
  const lies = box.widthPx >= box.heightPx
  let angle = lies ? box.angle : box.angle + Math.PI / 2
  while (angle > Math.PI / 2) angle -= Math.PI
  while (angle <= -Math.PI / 2) angle += Math.PI
  return {
    centre: box.centre,
    widthPx: lies ? box.widthPx : box.heightPx,
    heightPx: lies ? box.heightPx : box.widthPx,
    angle,
  }
}

/** Corners from the top left clockwise. */
export function cornersOf(box: TextBox): Corners {
  const cos = Math.cos(box.angle)
  const sin = Math.sin(box.angle)
  const at = (u: number, v: number): Point => ({
    x: box.centre.x + u * box.widthPx * cos - v * box.heightPx * sin,
    y: box.centre.y + u * box.widthPx * sin + v * box.heightPx * cos,
  })
  return [at(-0.5, -0.5), at(0.5, -0.5), at(0.5, 0.5), at(-0.5, 0.5)]
}

/** Corners of an upright rectangle. */
export function cornersOfRegion({ x, y, width, height }: Region): Corners {
  return [
    { x, y },
    { x: x + width, y },
    { x: x + width, y: y + height },
    { x, y: y + height },
  ]
}

export function boundsOf(corners: Corners): Region {
  const xs = corners.map((corner) => corner.x)
  const ys = corners.map((corner) => corner.y)
  const x = Math.min(...xs)
  const y = Math.min(...ys)
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y }
}

/** The box grown by these parts of its height on each side. */
export function grown(box: TextBox, by: { left: number; right: number; top: number; bottom: number }): TextBox {
  const cos = Math.cos(box.angle)
  const sin = Math.sin(box.angle)
  const h = box.heightPx
  const u = ((by.right - by.left) * h) / 2
  const v = ((by.bottom - by.top) * h) / 2
  return {
    centre: { x: box.centre.x + u * cos - v * sin, y: box.centre.y + u * sin + v * cos },
    widthPx: box.widthPx + (by.left + by.right) * h,
    heightPx: h * (1 + by.top + by.bottom),
    angle: box.angle,
  }
}

/** Width of a plate by its height, as it is seen: from the side it is less. */
export function aspectOf([topLeft, topRight, bottomRight, bottomLeft]: Corners): number {
  const between = (a: Point, b: Point) => Math.hypot(b.x - a.x, b.y - a.y)
  return (
    (between(topLeft, topRight) + between(bottomLeft, bottomRight)) /
    (between(topLeft, bottomLeft) + between(topRight, bottomRight))
  )
}

/** About where the line of text is within a plate: less high than a US plate, nearly as high as a long one. */
export function lineWithin([topLeft, topRight, bottomRight, bottomLeft]: Corners): TextBox {
  const right = { x: (topRight.x + bottomRight.x) / 2, y: (topRight.y + bottomRight.y) / 2 }
  const left = { x: (topLeft.x + bottomLeft.x) / 2, y: (topLeft.y + bottomLeft.y) / 2 }
  const heightPx =
    (Math.hypot(bottomLeft.x - topLeft.x, bottomLeft.y - topLeft.y) +
      Math.hypot(bottomRight.x - topRight.x, bottomRight.y - topRight.y)) /
    2
  const widthPx = Math.hypot(right.x - left.x, right.y - left.y)
  return {
    centre: { x: (left.x + right.x) / 2, y: (left.y + right.y) / 2 },
    widthPx: widthPx * 0.92,
    heightPx: heightPx * (widthPx < 2.6 * heightPx ? 0.55 : 0.75),
    angle: Math.atan2(right.y - left.y, right.x - left.x),
  }
}

/** Intersection over union, 0-1. */
export function overlap(a: Region, b: Region): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  if (width <= 0 || height <= 0) return 0
  const shared = width * height
  return shared / (a.width * a.height + b.width * b.height - shared)
}
