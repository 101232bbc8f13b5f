import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { alongText, boundsOf, cornersOf, grown, overlap, type TextBox } from './geometry.ts'

const box: TextBox = { centre: { x: 100, y: 50 }, widthPx: 40, heightPx: 10, angle: 0 }
const near = (actual: number, expected: number, what = '') =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `${what} ${actual} is not ${expected}`)

test('corners run from the top left clockwise', () => {
  assert.equal(cornersOf(box), [
    { x: 80, y: 45 },
    { x: 120, y: 45 },
    { x: 120, y: 55 },
    { x: 80, y: 55 },
  ])
})

test('a quarter turn puts the first corner at the top right, and the bounds stand upright', () => {
  const turned = { ...box, angle: Math.PI / 2 }
  const [first] = cornersOf(turned)
  near(first.x, 105)
  near(first.y, 30)
  const { x, y, width, height } = boundsOf(cornersOf(turned))
  for (const [actual, expected] of [
    [x, 95],
    [y, 30],
    [width, 10],
    [height, 40],
  ] as const)
    near(actual, expected)
})

test('text runs along the longer side, left to right, and covers the same place', () => {
  const upright = alongText({ ...box, widthPx: 10, heightPx: 40, angle: Math.PI / 2 })
  assert.is(upright.widthPx, 40)
  assert.is(upright.heightPx, 10)
  near(upright.angle, 0)
  const backwards = alongText({ ...box, angle: Math.PI })
  near(backwards.angle, 0)
  for (let degrees = -360; degrees <= 360; degrees += 15) {
    const given = { ...box, angle: (degrees * Math.PI) / 180 }
    const { angle } = alongText(given)
    assert.ok(angle > -Math.PI / 2 && angle <= Math.PI / 2, `${degrees}: ${angle}`)
    const [before, after] = [boundsOf(cornersOf(given)), boundsOf(cornersOf(alongText(given)))]
    near(after.x, before.x, `${degrees} x`)
    near(after.width, before.width, `${degrees} width`)
  }
})

test('a box grows by parts of its height, along its own direction', () => {
  const { x, y, width, height } = boundsOf(cornersOf(grown(box, { left: 1, right: 2, top: 0.5, bottom: 0 })))
  assert.equal({ x, y, width, height }, { x: 70, y: 40, width: 70, height: 15 })
  const turned = grown({ ...box, angle: Math.PI / 2 }, { left: 0, right: 1, top: 0, bottom: 0 })
  near(turned.centre.x, 100)
  near(turned.centre.y, 55, 'right of the text is below, once it is turned')
  assert.equal(grown(box, { left: 0, right: 0, top: 0, bottom: 0 }), box)
})

test('overlap is shared area over united area; regions that only touch share nothing', () => {
  const region = { x: 0, y: 0, width: 10, height: 10 }
  assert.is(overlap(region, region), 1)
  assert.is(overlap(region, { ...region, x: 5 }), 50 / 150)
  assert.is(overlap(region, { ...region, x: 10 }), 0)
  assert.is(overlap(region, { ...region, y: -10 }), 0)
  assert.is(overlap(region, { x: 2, y: 2, width: 5, height: 4 }), 0.2)
})

test.run()
