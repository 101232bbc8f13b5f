import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Colour, colourOf, dominantColour } from './vehicle-colour.ts'

test('paints have the names that people give them', () => {
  const paints: [Colour, number, number, number][] = [
    ['white', 240, 240, 238],
    ['silver', 168, 170, 174],
    ['grey', 90, 92, 96],
    ['black', 20, 20, 24],
    ['red', 170, 20, 25],
    ['orange', 220, 120, 30],
    ['brown', 110, 75, 40],
    ['yellow', 240, 210, 30],
    ['beige', 205, 190, 150],
    ['green', 30, 100, 60],
    ['blue', 30, 60, 150],
    ['purple', 110, 40, 150],
  ]
  for (const [colour, red, green, blue] of paints) assert.is(colourOf(red, green, blue), colour, colour)
})

test('a colour is recorded only where most of the body shows it', () => {
  const of = (...parts: [number, [number, number, number]][]) =>
    dominantColour(Buffer.from(parts.flatMap(([count, rgb]) => Array.from({ length: count }, () => rgb).flat())))
  const red: [number, number, number] = [170, 20, 25]
  const grey: [number, number, number] = [90, 92, 96]
  assert.equal(of([60, red], [40, grey]), { colour: 'red', confidence: 0.6 })
  assert.is(of([59, red], [41, grey]), null)
  assert.is(of(), null)
})

test('a picture without any colour, as of an infrared camera, tells none', () => {
  assert.is(dominantColour(Buffer.alloc(300, 230)), null)
})

test.run()
