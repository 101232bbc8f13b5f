import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { areaOf, boundsOfPolygon, crossesItself, isInside, type Polygon, touches } from './polygon.ts'

const SQUARE: Polygon = [
  [0.2, 0.2],
  [0.6, 0.2],
  [0.6, 0.6],
  [0.2, 0.6],
]
/** A square with a notch from above to its middle. */
const NOTCHED: Polygon = [
  [0.2, 0.2],
  [0.35, 0.2],
  [0.4, 0.4],
  [0.45, 0.2],
  [0.6, 0.2],
  [0.6, 0.6],
  [0.2, 0.6],
]
const moved = (polygon: Polygon, x: number, y: number): Polygon => polygon.map(([px, py]) => [px + x, py + y])

test('a point lies inside or outside, also of a polygon with a notch', () => {
  assert.ok(isInside(SQUARE, [0.4, 0.3]))
  assert.not.ok(isInside(SQUARE, [0.4, 0.1]))
  assert.not.ok(isInside(SQUARE, [0.7, 0.3]))
  assert.not.ok(isInside(NOTCHED, [0.4, 0.3]))
  assert.ok(isInside(NOTCHED, [0.4, 0.5]))
})

test('lines that cross are found, neighbours that share a corner do not count', () => {
  const [a, b, c, d] = SQUARE as [Polygon[0], Polygon[0], Polygon[0], Polygon[0]]
  assert.not.ok(crossesItself(SQUARE))
  assert.not.ok(crossesItself(NOTCHED))
  assert.not.ok(crossesItself([a, b, c] as Polygon))
  assert.ok(crossesItself([a, c, b, d] as Polygon))
})

test('a corner that lies on another side counts as crossing', () => {
  assert.ok(
    crossesItself([
      [0.2, 0.2],
      [0.6, 0.2],
      [0.6, 0.6],
      [0.4, 0.2],
      [0.2, 0.6],
    ]),
  )
})

test('polygons touch when they overlap, when one holds the other, and when they share one point', () => {
  assert.ok(touches(SQUARE, moved(SQUARE, 0.3, 0.3)))
  const small: Polygon = SQUARE.map(([x, y]) => [0.3 + x / 10, 0.3 + y / 10])
  assert.ok(touches(SQUARE, small))
  assert.ok(touches(small, SQUARE))
  assert.ok(
    touches(SQUARE, [
      [0.6, 0.6],
      [0.9, 0.6],
      [0.9, 0.9],
    ]),
  )
  assert.not.ok(touches(SQUARE, moved(SQUARE, 0.41, 0)))
})

test('bounds and area are those of the polygon', () => {
  assert.equal(boundsOfPolygon(NOTCHED), { left: 0.2, top: 0.2, right: 0.6, bottom: 0.6 })
  assert.ok(Math.abs(areaOf(SQUARE) - 0.16) < 1e-9)
  assert.is(
    areaOf([
      [0.1, 0.1],
      [0.5, 0.5],
      [0.9, 0.9],
    ]),
    0,
  )
})

test.run()
