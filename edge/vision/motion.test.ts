import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createMotionGate, MAX_STILL_FRAMES, MOTION_GRID } from './motion.ts'

const CELLS = MOTION_GRID.columns * MOTION_GRID.rows

/** A grey street; `bright` cells from the first on are 40 brighter, all are `light` brighter, and each flickers by up to `noise`. */
function street(bright = 0, light = 0, noise = 0): Buffer {
  const cells = Buffer.alloc(CELLS * 3)
  for (let i = 0; i < CELLS; i++) {
    const value = 100 + light + (i < bright ? 40 : 0) + (noise === 0 ? 0 : ((i * 7_919) % (2 * noise)) - noise)
    cells.fill(value, 3 * i, 3 * i + 3)
  }
  return cells
}

test('the first frame is read, one like it is not, one in which a vehicle has come is', () => {
  const gate = createMotionGate()
  assert.is(gate.moved(street()), true)
  assert.is(gate.moved(street()), false)
  assert.is(gate.moved(street(6)), true)
  assert.is(gate.moved(street(6)), false)
  assert.is(gate.moved(street()), true)
})

test('what moves is compared with the last frame that was read, so that slow things are seen too', () => {
  const gate = createMotionGate()
  gate.moved(street(0))
  const seen = [1, 2, 3].map((bright) => gate.moved(street(bright)))
  assert.equal(seen, [false, false, true])
})

test('noise, a cloud before the sun and a few leaves are no motion', () => {
  const gate = createMotionGate()
  gate.moved(street())
  assert.is(gate.moved(street(0, 0, 4)), false)
  assert.is(gate.moved(street(0, 30)), false)
  assert.is(gate.moved(street(2)), false)
})

test('a street where nothing moves is read again after the most still frames, and not before', () => {
  const gate = createMotionGate()
  gate.moved(street())
  for (let frame = 0; frame < MAX_STILL_FRAMES; frame++) assert.is(gate.moved(street()), false)
  assert.is(gate.moved(street()), true)
  assert.is(gate.moved(street()), false)
})

test('a picture of another size is read', () => {
  const gate = createMotionGate()
  gate.moved(street())
  assert.is(gate.moved(Buffer.alloc(30)), true)
})

test.run()
