/**
 * Polygons over a picture, in shares of its sides: which points lie in one, whether its lines cross. Pure, and without a schema, so that
 * the page of the set-up can use it too. Called by edge/vision/ and by that page.
 */

/** x and y, 0-1, from the top left. */
export type PolygonPoint = readonly [number, number]
export type Polygon = readonly PolygonPoint[]

export const MIN_POLYGON_POINTS = 3
/** What a finger can draw and a person still sees. */
export const MAX_POLYGON_POINTS = 32
/** Masks of one camera: the windows of a street front. */
export const MAX_MASKS = 16
/** A region of interest is at least so wide and so high, as shares of the picture's sides: less would hold no plate. */
export const MIN_REGION_SIDE = 0.05

export interface Bounds {
  left: number
  top: number
  right: number
  bottom: number
}

export function boundsOfPolygon(polygon: Polygon): Bounds {
  const xs = polygon.map(([x]) => x)
  const ys = polygon.map(([, y]) => y)
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) }
}

/** Each side with its neighbour, the last one back to the first point. */
function sidesOf(polygon: Polygon): [PolygonPoint, PolygonPoint][] {
  return polygon.map((point, n) => [point, polygon[(n + 1) % polygon.length] ?? point])
}

/** By the number of sides to the right of the point. */
export function isInside(polygon: Polygon, [x, y]: PolygonPoint): boolean {
  let inside = false
  for (const [[ax, ay], [bx, by]] of sidesOf(polygon)) {
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside
  }
  return inside
}

/** Twice the area of the triangle, its sign by the turn. */
const turn = ([ax, ay]: PolygonPoint, [bx, by]: PolygonPoint, [cx, cy]: PolygonPoint): number =>
  (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)

const isBetween = (a: PolygonPoint, b: PolygonPoint, c: PolygonPoint): boolean =>
  Math.min(a[0], b[0]) <= c[0] &&
  c[0] <= Math.max(a[0], b[0]) &&
  Math.min(a[1], b[1]) <= c[1] &&
  c[1] <= Math.max(a[1], b[1])

/** Two lines that have a point in common, their ends included. */
function meet(a: PolygonPoint, b: PolygonPoint, c: PolygonPoint, d: PolygonPoint): boolean {
  const [abc, abd, cda, cdb] = [turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)]
  if (abc * abd < 0 && cda * cdb < 0) return true
  return (
    (abc === 0 && isBetween(a, b, c)) ||
    (abd === 0 && isBetween(a, b, d)) ||
    (cda === 0 && isBetween(c, d, a)) ||
    (cdb === 0 && isBetween(c, d, b))
  )
}

/** Two sides that are no neighbours meet: it is then not clear what lies inside. */
export function crossesItself(polygon: Polygon): boolean {
  const sides = sidesOf(polygon)
  return sides.some(([a, b], n) =>
    sides.some(([c, d], m) => {
      const apart = Math.abs(n - m)
      return m > n && apart > 1 && apart < sides.length - 1 && meet(a, b, c, d)
    }),
  )
}

/** Two polygons share a point. */
export function touches(one: Polygon, other: Polygon): boolean {
  const [first] = one
  const [second] = other
  if (first === undefined || second === undefined) return false
  if (isInside(other, first) || isInside(one, second)) return true
  return sidesOf(one).some(([a, b]) => sidesOf(other).some(([c, d]) => meet(a, b, c, d)))
}

/** Of the picture, 0-1. */
export function areaOf(polygon: Polygon): number {
  return Math.abs(sidesOf(polygon).reduce((sum, [[ax, ay], [bx, by]]) => sum + ax * by - bx * ay, 0)) / 2
}
