import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TextBox } from './geometry.ts'
import { confidenceOf, MAX_READ_LENGTH, MIN_READ_LENGTH, plausibility } from './plausible.ts'

/** A line in which each character is about half as wide as high. */
const boxFor = (text: string, heightPx = 24): TextBox => ({
  centre: { x: 0, y: 0 },
  widthPx: text.length * heightPx * 0.6,
  heightPx,
  angle: 0,
})
const value = (text: string, box = boxFor(text)) => plausibility(text, box)

test('texts from the shortest to the longest plate can be one, one character less or more cannot', () => {
  const text = 'A1B2C3D4E5'
  assert.is(value(text.slice(0, MIN_READ_LENGTH - 1)), 0)
  assert.ok(value(text.slice(0, MIN_READ_LENGTH)) > 0)
  assert.ok(value(text.slice(0, MAX_READ_LENGTH)) > 0)
  assert.is(value(text.slice(0, MAX_READ_LENGTH + 1)), 0)
  assert.is(value(''), 0)
})

test('letters with digits are likelier than digits alone, and those than a word or a printed date', () => {
  assert.is(value('ABC123'), 1)
  assert.ok(value('123456') < value('ABC123'))
  assert.ok(value('POLICE') < value('123456'))
  assert.ok(value('20140923') < value('20149923'), 'month 99 is no date')
})

test('text of odd pitch, turned or small counts for less, near text for a little more', () => {
  const text = 'ABC123'
  const box = boxFor(text)
  assert.ok(
    value(text, { ...box, widthPx: box.heightPx * 6 * 1.31 }) <
      value(text, { ...box, widthPx: box.heightPx * 6 * 1.29 }),
  )
  assert.ok(
    value(text, { ...box, widthPx: box.heightPx * 6 * 0.29 }) <
      value(text, { ...box, widthPx: box.heightPx * 6 * 0.31 }),
  )
  assert.ok(value(text, { ...box, angle: 0.3 }) < value(text, box))
  assert.is(value(text, { ...box, angle: 0.3 }), value(text, { ...box, angle: -0.3 }))
  assert.ok(value(text, boxFor(text, 8)) < value(text, boxFor(text, 16)))
  assert.ok(value(text, boxFor(text, 200)) > 1)
  assert.is(value(text, boxFor(text, 2_000)), value(text, boxFor(text, 20_000)), 'but only up to a point')
})

test('a confidence lies between 0 and 1, rises with the probability, and is 0 for what is no plate', () => {
  const text = 'ABC123'
  assert.is(confidenceOf(text, 0, boxFor(text)), 0)
  assert.ok(confidenceOf(text, 0.1, boxFor(text)) < confidenceOf(text, 0.2, boxFor(text)))
  assert.is(confidenceOf(text, 1, boxFor(text, 500)), 1)
  assert.is(confidenceOf('ABC', 1, boxFor('ABC')), 0)
})

test.run()
