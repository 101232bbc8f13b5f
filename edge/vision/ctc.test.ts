import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CharacterRows, decodeTexts, PLATE_ALPHABET, PLATE_CLASSES } from './ctc.ts'

/** One object a step: probability by character, `_` the blank. */
function rowsOf(...steps: Record<string, number>[]): CharacterRows {
  const values = new Float32Array(steps.length * PLATE_CLASSES)
  for (const [step, row] of steps.entries())
    for (const [character, probability] of Object.entries(row)) {
      const index = character === '_' ? 0 : PLATE_ALPHABET.indexOf(character) + 1
      values[step * PLATE_CLASSES + index] = probability
    }
  return { steps: steps.length, values }
}

const spelled = (path: string) => rowsOf(...[...path].map((character) => ({ [character]: 1 })))
const best = (rows: CharacterRows) => decodeTexts(rows, 1)[0]?.text
const close = (actual: number | undefined, expected: number) =>
  assert.ok(Math.abs((actual ?? -1) - expected) < 1e-6, `${actual} is not ${expected}`)

test('repeats fall together unless a blank stands between them', () => {
  assert.is(best(spelled('AA__B')), 'AB')
  assert.is(best(spelled('A_A')), 'AA')
  assert.is(best(spelled('_11_1_9')), '119')
})

test('rows without a character give the empty text, and so do no rows', () => {
  assert.equal(decodeTexts(spelled('___'), 5)[0], { text: '', probability: 1 })
  assert.equal(decodeTexts(rowsOf(), 5), [{ text: '', probability: 1 }])
})

test('the probability of a text is that of all ways of writing it', () => {
  // Graves: A_ , _A and AA all spell A, and together beat the single likeliest path, which is two blanks.
  const rows = rowsOf({ A: 0.4, _: 0.6 }, { A: 0.4, _: 0.6 })
  const [first, second] = decodeTexts(rows, 2)
  assert.is(first?.text, 'A')
  close(first?.probability, 0.64)
  assert.is(second?.text, '')
  close(second?.probability, 0.36)
})

test('texts come best first, no more than asked for, and never above 1', () => {
  const rows = rowsOf({ O: 0.6, 0: 0.4 }, { _: 1 }, { B: 0.7, 8: 0.3 })
  assert.equal(
    decodeTexts(rows, 3).map(({ text }) => text),
    ['OB', '0B', 'O8'],
  )
  const all = decodeTexts(rows, 10).filter(({ probability }) => probability > 0)
  assert.is(all.length, 4)
  close(
    all.reduce((sum, { probability }) => sum + probability, 0),
    1,
  )
  assert.ok((decodeTexts(rowsOf({ A: 1.2 }), 1)[0]?.probability ?? 2) <= 1)
})

test('a character just under the least probability is not followed, one at it is', () => {
  const texts = (probability: number) => decodeTexts(rowsOf({ A: 0.9, B: probability }), 10).map(({ text }) => text)
  assert.ok(texts(0.00301).includes('B'))
  assert.not.ok(texts(0.0029).includes('B'))
})

test.run()
