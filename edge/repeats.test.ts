import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { HotlistMatch } from '../shared/wire/index.ts'
import { createRepeats, MAX_REMEMBERED_PLACES, MAX_REMEMBERED_PLATES } from './repeats.ts'

const WINDOW_MS = 60_000
const HERE = { x: 0, y: 0, width: 100, height: 50 }
const place = (n: number) => ({ ...HERE, x: n * 200 })
const video = () => createRepeats({ windowMs: WINDOW_MS, unmatchedMs: () => WINDOW_MS, sequence: 'video' })

const matchOf = (kind: HotlistMatch['kind']): HotlistMatch => ({
  list: 'stolen',
  listVersion: 1,
  entryId: '01900000-0000-7000-8000-000000000001',
  kind,
})

/** No two alike to the reader. */
const plateNo = (n: number) =>
  n
    .toString(8)
    .replace(/\d/g, (digit) => 'ACEFHJKL'.charAt(Number(digit)))
    .padStart(6, 'X')

test('a plate is a repeat within the window since it was last seen, and news from the window on', () => {
  const repeats = video()
  assert.not(repeats.isRepeat('ABC123', HERE, null, 0))
  repeats.saw('ABC123', HERE, null, 0)
  assert.ok(repeats.isRepeat('ABC123', place(3), null, WINDOW_MS - 1))
  assert.not(repeats.isRepeat('ABC123', HERE, null, WINDOW_MS))
  assert.not(repeats.isRepeat('XYZ789', HERE, null, 1))
})

test('each look starts the window again: a parked car is reported once', () => {
  const repeats = video()
  for (let atMs = 0; atMs < 5 * WINDOW_MS; atMs += WINDOW_MS / 2) {
    assert.is(repeats.isRepeat('ABC123', HERE, null, atMs), atMs > 0)
    repeats.saw('ABC123', HERE, null, atMs)
  }
})

test('flicker between O and 0 is no second vehicle', () => {
  const repeats = video()
  repeats.saw('ABO123', HERE, null, 0)
  assert.ok(repeats.isRepeat('AB0123', HERE, null, 1))
  assert.is(repeats.remembered, 1)
})

test('a better match than before is news, an equal or weaker one is not', () => {
  const repeats = video()
  repeats.saw('ABC123', HERE, null, 0)
  assert.not(repeats.isRepeat('ABC123', HERE, matchOf('near'), 1))
  repeats.saw('ABC123', HERE, matchOf('near'), 1)
  assert.ok(repeats.isRepeat('ABC123', HERE, matchOf('near'), 2))
  assert.not(repeats.isRepeat('ABC123', HERE, matchOf('exact'), 2))
  repeats.saw('ABC123', HERE, matchOf('exact'), 2)
  repeats.saw('ABC123', HERE, null, 3)
  assert.ok(repeats.isRepeat('ABC123', HERE, matchOf('exact'), 4), 'a weaker look does not make it news again')
})

test('once the window is over the strength of before is forgotten too', () => {
  const repeats = video()
  repeats.saw('ABC123', HERE, matchOf('exact'), 0)
  repeats.saw('ABC123', HERE, null, WINDOW_MS)
  assert.not(repeats.isRepeat('ABC123', HERE, matchOf('near'), WINDOW_MS + 1))
})

test('an unreadable plate is known by its place in video, and never in stills', () => {
  const repeats = video()
  repeats.saw(null, HERE, null, 0)
  assert.ok(repeats.isRepeat(null, { ...HERE, x: 30 }, null, 1))
  assert.not(repeats.isRepeat(null, { ...HERE, x: 40 }, null, 1), 'less than half of it is shared')
  assert.not(repeats.isRepeat(null, HERE, null, WINDOW_MS))
  const stills = createRepeats({ windowMs: WINDOW_MS, unmatchedMs: () => WINDOW_MS, sequence: 'stills' })
  stills.saw(null, HERE, null, 0)
  assert.not(stills.isRepeat(null, HERE, null, 1))
})

test('a window of 0 makes nothing a repeat and remembers nothing', () => {
  const repeats = createRepeats({ windowMs: 0, unmatchedMs: () => WINDOW_MS, sequence: 'video' })
  repeats.saw('ABC123', HERE, null, 0)
  repeats.saw(null, HERE, null, 0)
  assert.not(repeats.isRepeat('ABC123', HERE, null, 0))
  assert.not(repeats.isRepeat(null, HERE, null, 0))
  assert.is(repeats.remembered, 0)
})

test('plates are remembered up to the limit; one more forgets the one not seen for longest', () => {
  const repeats = video()
  for (let n = 0; n < MAX_REMEMBERED_PLATES; n += 1) repeats.saw(plateNo(n), HERE, null, 0)
  assert.is(repeats.remembered, MAX_REMEMBERED_PLATES)
  repeats.saw(plateNo(0), HERE, null, 1)
  repeats.saw('NEW777', HERE, null, 1)
  assert.is(repeats.remembered, MAX_REMEMBERED_PLATES)
  assert.ok(repeats.isRepeat(plateNo(0), HERE, null, 2), 'seen again, so not the oldest')
  assert.not(repeats.isRepeat(plateNo(1), HERE, null, 2))
})

test('what is past the window is let go without waiting for the limit', () => {
  const repeats = video()
  for (let n = 0; n < 100; n += 1) repeats.saw(plateNo(n), HERE, null, 0)
  repeats.saw('NEW777', HERE, null, WINDOW_MS)
  assert.is(repeats.remembered, 1)
})

test('places are remembered up to their limit; one more forgets the oldest', () => {
  const repeats = video()
  for (let n = 0; n < MAX_REMEMBERED_PLACES; n += 1) repeats.saw(null, place(n), null, 0)
  assert.ok(repeats.isRepeat(null, place(0), null, 1))
  repeats.saw(null, place(MAX_REMEMBERED_PLACES), null, 1)
  assert.not(repeats.isRepeat(null, place(0), null, 2))
  assert.ok(repeats.isRepeat(null, place(1), null, 2))
  assert.ok(repeats.isRepeat(null, place(MAX_REMEMBERED_PLACES), null, 2))
})

test('a plate that met no list is remembered for no longer than policy lets it be known, a listed one for the window', () => {
  let unmatchedMs = WINDOW_MS
  const repeats = createRepeats({ windowMs: WINDOW_MS, unmatchedMs: () => unmatchedMs, sequence: 'stills' })
  const match = matchOf('exact')
  repeats.saw('ABC1230', HERE, null, 0)
  repeats.saw('KLH4N93', HERE, match, 0)
  unmatchedMs = 10
  assert.is(repeats.isRepeat('ABC1230', HERE, null, 9), true)
  assert.is(repeats.isRepeat('ABC1230', HERE, null, 10), false)
  assert.is(repeats.isRepeat('KLH4N93', HERE, match, WINDOW_MS - 1), true)
  repeats.forget(9)
  assert.is(repeats.remembered, 2)
  repeats.forget(10)
  assert.is(repeats.remembered, 1)
  repeats.forget(WINDOW_MS)
  assert.is(repeats.remembered, 0)
})

test.run()
