import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MAX_CANDIDATES, MAX_FRAMES_PER_SIGHTING } from '../shared/wire/index.ts'
import {
  createTracker,
  editDistance,
  MAX_OPEN_TRACKS,
  MAX_READS_PER_FRAME,
  MAX_TEXTS_PER_TRACK,
  MAX_TRACK_MS,
  overlap,
  type TrackerConfig,
} from './track.ts'
import type { PlateRead } from './vision/types.ts'

const GAP_MS = 1_500
const HERE = { x: 100, y: 100, width: 100, height: 40 }
const ELSEWHERE = { x: 900, y: 500, width: 100, height: 40 }

function trackerOf(sequence: TrackerConfig['sequence']) {
  let made = 0
  const tracker = createTracker({ gapMs: GAP_MS, sequence }, () => `id-${++made}`)
  return {
    tracker,
    /** One frame at `atMs`, read in no time; gives the vehicles that ended as `plate×frames`. */
    see(atMs: number, ...reads: PlateRead[]) {
      const time = { capturedAtMs: atMs, clock: 'synced' as const, takenAtMs: atMs, readAtMs: atMs }
      const { observed, ended } = tracker.observe(time, reads)
      return { observed, ended: ended.map((track) => `${track.vote().plate}×${track.vote().frames}`) }
    },
    plates: () => tracker.finish().map((track) => track.vote().plate),
  }
}

const read = (plate: string | null, more: Partial<PlateRead> = {}): PlateRead => ({
  plate,
  confidence: 0.8,
  region: HERE,
  jurisdiction: null,
  vehicle: null,
  candidates: plate === null ? [] : [{ plate, confidence: more.confidence ?? 0.8 }],
  ...more,
})

/** A different plate for each number, no two of them alike to the reader. */
const plateNo = (n: number) => `T${String(n).replace(/\d/g, (digit) => 'ACEFHJKLMN'.charAt(Number(digit)))}XX`

test('one plate over several frames is one vehicle, two plates are two', () => {
  const { tracker, see } = trackerOf('video')
  see(0, read('ABC123'), read('XYZ789', { region: ELSEWHERE }))
  see(40, read('ABC123'), read('XYZ789', { region: ELSEWHERE }))
  assert.is(tracker.open, 2)
  const [first, second] = tracker.finish()
  assert.equal([first?.vote().plate, first?.vote().frames, first?.sightingId], ['ABC123', 2, 'id-1'])
  assert.equal([second?.vote().plate, second?.vote().frames], ['XYZ789', 2])
  assert.is(tracker.open, 0)
})

test('the text with the highest summed confidence wins, as sure as its surest frame, less where another comes close', () => {
  const { tracker, see } = trackerOf('video')
  see(0, read('ABC128', { confidence: 0.6 }))
  see(40, read('ABC123', { confidence: 0.9 }))
  see(80, read('ABC123', { confidence: 0.9 }))
  const [track] = tracker.finish()
  const vote = track?.vote()
  assert.is(vote?.plate, 'ABC123')
  assert.is(vote?.frames, 3)
  const rounded = vote?.candidates.map(({ plate, confidence }) => `${plate} ${confidence.toFixed(3)}`)
  assert.equal(rounded, ['ABC123 0.883', 'ABC128 0.200'])
  assert.is(vote?.confidence, vote?.candidates[0]?.confidence)
  const even = trackerOf('video')
  even.see(0, read('ABC128', { confidence: 0.8 }))
  even.see(40, read('ABC123', { confidence: 0.8 }))
  assert.equal(
    even.tracker.finish().map((each) => each.vote().candidates.map(({ confidence }) => confidence)),
    [[0.4, 0.4]],
  )
})

test('an even vote goes to the text that was there first', () => {
  const { see, plates } = trackerOf('video')
  see(0, read('ABC128'))
  see(40, read('ABC123'))
  assert.equal(plates(), ['ABC128'])
})

test('flicker between O and 0 is one vehicle, even in stills', () => {
  const { see, plates } = trackerOf('stills')
  see(0, read('ABO123'))
  see(40, read('AB0123'))
  see(80, read('AB0123', { region: ELSEWHERE }))
  assert.equal(plates(), ['AB0123'])
})

test('a text of which up to half is another is the same vehicle where it could have driven, and another one elsewhere', () => {
  const open = (plate: string, region = HERE) => {
    const { tracker, see } = trackerOf('video')
    see(0, read('ABC123'))
    see(40, read(plate, { region }))
    return tracker.open
  }
  assert.is(open('ABC479'), 1)
  assert.is(open('ABX479'), 2, 'four of six')
  assert.is(open('ABC147', ELSEWHERE), 2)
  assert.is(open('ABC124', ELSEWHERE), 1, 'one character, in the next frame')
})

test('two sure texts that differ in more than one character are two vehicles, wherever they are', () => {
  const open = (plate: string, confidence: number) => {
    const { tracker, see } = trackerOf('video')
    see(0, read('8ABC123', { confidence: 0.9 }))
    see(40, read(plate, { confidence }))
    return tracker.open
  }
  assert.is(open('8ABC147', 0.9), 2)
  assert.is(open('8ABC147', 0.89), 1, 'one of them is not sure')
  assert.is(open('8ABC124', 0.9), 1)
})

test('where a vehicle was going it is known again after up to three frames without it; in stills only the text joins', () => {
  const at = (x: number) => ({ ...HERE, x })
  const afterMissed = (frames: number) => {
    const { tracker, see } = trackerOf('video')
    see(0, read('ABC123', { region: at(100) }))
    see(40, read('ABC123', { region: at(160) }))
    for (let n = 1; n <= frames; n += 1) see(40 + 40 * n)
    see(80 + 40 * frames, read('ABC199', { region: at(220 + 60 * frames) }))
    return tracker.open
  }
  assert.equal([0, 3, 4].map(afterMissed), [1, 1, 2])
  const stills = trackerOf('stills')
  stills.see(0, read('ABC123'))
  stills.see(40, read('ABC124'))
  assert.is(stills.tracker.open, 2)
})

test('a vehicle that drives on by more than its plate is followed, read or not, and a plate of another size there is another one', () => {
  const driving = (n: number) => ({ x: 100 + 90 * n, y: 100 + 20 * n, width: 100 + 8 * n, height: 40 + 3 * n })
  const { tracker, see } = trackerOf('video')
  for (let n = 0; n < 6; n += 1) {
    see(40 * n, n === 2 ? read('ABC123', { region: driving(n) }) : read(null, { region: driving(n) }))
  }
  assert.is(tracker.open, 1)
  const { x, y, width, height } = driving(6)
  see(240, read(null, { region: { x, y, width: width / 1.7, height: height / 1.7 } }))
  assert.is(tracker.open, 2)
})

test('two vehicles that pass each other keep their plates', () => {
  const { tracker, see } = trackerOf('video')
  const at = (x: number) => ({ ...HERE, x })
  for (let n = 0; n < 10; n += 1) {
    const one = read('AAA111', { region: at(100 + 40 * n), confidence: 0.5 })
    const other = read('ZZZ999', { region: at(460 - 40 * n), confidence: 0.9 })
    see(40 * n, other, one)
  }
  const votes = tracker.finish().map((track) => `${track.vote().plate}×${track.vote().frames}`)
  assert.equal(votes.sort(), ['AAA111×10', 'ZZZ999×10'])
})

test('an unreadable plate is followed by its place, and the first text read there names it', () => {
  const { tracker, see } = trackerOf('video')
  see(0, read(null, { confidence: 0.4 }))
  see(40, read(null, { confidence: 0.5 }))
  see(80, read('ABC123'))
  assert.is(tracker.open, 1)
  const [track] = tracker.finish()
  assert.is(track?.vote().plate, 'ABC123')
  assert.is(track?.vote().frames, 1, 'only frames with a text vote')
  assert.is(track?.evidence.capturedAtMs, 80, 'the frame that shows the text stands for it')
})

test('a vehicle whose plate cannot be read is reported as such, with the best confidence', () => {
  const { tracker, see } = trackerOf('video')
  see(0, read(null, { confidence: 0.4 }))
  see(40, read(null, { confidence: 0.3 }))
  const [track] = tracker.finish()
  assert.equal(track?.vote(), {
    plate: null,
    confidence: 0.4,
    candidates: [],
    jurisdiction: null,
    vehicle: null,
    frames: 2,
  })
})

test('a vehicle is gone when it was not seen for longer than the gap, and not one millisecond before', () => {
  const { tracker, see } = trackerOf('video')
  see(0, read('ABC123'))
  assert.is(tracker.expire(GAP_MS).length, 0)
  assert.is(tracker.expire(GAP_MS + 1).length, 1)
  see(10_000, read('ABC123'))
  assert.equal(see(10_000 + GAP_MS).ended, [])
  assert.equal(see(10_000 + GAP_MS + 1).ended, ['ABC123×1'])
})

test('a vehicle that stays in view is reported after its time, and then followed anew', () => {
  const { tracker, see } = trackerOf('video')
  for (let atMs = 0; atMs < MAX_TRACK_MS; atMs += 1_000) assert.equal(see(atMs, read('ABC123')).ended, [])
  assert.equal(see(MAX_TRACK_MS, read('ABC123')).ended, [])
  assert.equal(see(MAX_TRACK_MS + 1, read('ABC123')).ended, ['ABC123×12'])
  assert.is(tracker.open, 0)
})

test('the frame with the best confidence is the evidence, and says so', () => {
  const { tracker, see } = trackerOf('video')
  assert.is(see(0, read('ABC123', { confidence: 0.7 })).observed[0]?.improved, true)
  assert.is(see(40, read('ABC123', { confidence: 0.7 })).observed[0]?.improved, false)
  assert.is(see(80, read('ABC123', { confidence: 0.71, region: { ...HERE, x: 110 } })).observed[0]?.improved, true)
  assert.is(see(120, read('ABC123', { confidence: 0.5, region: { ...HERE, x: 120 } })).observed[0]?.improved, false)
  const [track] = tracker.finish()
  assert.equal(track?.evidence, {
    capturedAtMs: 80,
    clock: 'synced',
    region: { ...HERE, x: 110 },
    confidence: 0.71,
  })
  assert.equal(track?.region, { ...HERE, x: 120 }, 'where it was last')
})

test('a frame gives at most its number of reads, best first, and no plate twice', () => {
  const { tracker, see } = trackerOf('stills')
  const many = Array.from({ length: MAX_READS_PER_FRAME + 1 }, (_, n) => read(plateNo(n)))
  see(0, ...many.slice(0, -1))
  assert.equal([tracker.open, tracker.ignored], [MAX_READS_PER_FRAME, 0])
  see(1, ...many)
  assert.equal([tracker.open, tracker.ignored], [MAX_READS_PER_FRAME, 1])
  see(2, read(plateNo(0)), read(plateNo(0)))
  assert.equal([tracker.open, tracker.ignored], [MAX_READS_PER_FRAME, 2])
})

test('two vehicles of one frame are never one, however alike their plates', () => {
  const { tracker, see } = trackerOf('video')
  see(0, read('ABO123'), read('AB0123', { region: ELSEWHERE }))
  assert.is(tracker.open, 2)
})

test('beyond the most vehicles the one not seen for longest ends early', () => {
  const { tracker, see } = trackerOf('stills')
  for (let n = 0; n < MAX_OPEN_TRACKS; n += 1) assert.equal(see(n, read(plateNo(n))).ended, [])
  see(MAX_OPEN_TRACKS, read(plateNo(0)))
  assert.equal(see(MAX_OPEN_TRACKS + 1, read(plateNo(MAX_OPEN_TRACKS))).ended, [`${plateNo(1)}×1`])
  assert.is(tracker.open, MAX_OPEN_TRACKS)
})

test('texts and candidates of one vehicle are bounded', () => {
  const { tracker, see } = trackerOf('video')
  const noise = (from: number, most: number) =>
    Array.from({ length: most }, (_, n) => ({ plate: plateNo(from + n), confidence: 0.01 }))
  see(0, read('ABC123', { candidates: noise(0, MAX_TEXTS_PER_TRACK - 1) }))
  // One text more than there is room for: it never counts, however sure.
  for (let atMs = 1; atMs < 10; atMs += 1) see(atMs, read('ABC124', { confidence: 1 }))
  const [track] = tracker.finish()
  assert.is(track?.vote().candidates.length, MAX_CANDIDATES)
  assert.ok(track?.vote().candidates.every(({ plate }) => plate !== 'ABC124'))
})

test('the country or state with the highest sum is taken with its mean confidence', () => {
  const { tracker, see } = trackerOf('video')
  see(0, read('ABC123', { jurisdiction: { code: 'US-CA', confidence: 0.5 } }))
  see(40, read('ABC123', { jurisdiction: { code: 'US-CA', confidence: 0.7 } }))
  see(80, read('ABC123', { jurisdiction: { code: 'RO', confidence: 1 } }))
  const jurisdiction = tracker.finish()[0]?.vote().jurisdiction
  assert.is(jurisdiction?.code, 'US-CA')
  assert.ok(Math.abs((jurisdiction?.confidence ?? 0) - 0.6) < 1e-9)
})

test('no sighting is voted from more frames than the wire takes', () => {
  const { tracker, see } = trackerOf('video')
  // A source of thousands of frames a millisecond; only the number of frames can end it.
  for (let n = 1; n < MAX_FRAMES_PER_SIGHTING; n += 1) see(0, read('ABC123'))
  assert.is(tracker.open, 1)
  assert.equal(see(0, read('ABC123')).ended, [`ABC123×${MAX_FRAMES_PER_SIGHTING}`])
  for (let n = 0; n <= MAX_FRAMES_PER_SIGHTING; n += 1) see(1, read(null))
  assert.is(tracker.finish()[0]?.vote().frames, MAX_FRAMES_PER_SIGHTING)
})

test('distance between texts counts insertions, deletions and swaps, and stops at the most', () => {
  assert.is(editDistance('ABC', 'ABC', 2), 0)
  assert.is(editDistance('ABC', 'AXC', 2), 1)
  assert.is(editDistance('ABC', 'AC', 2), 1)
  assert.is(editDistance('ABC', 'XABC', 2), 1)
  assert.is(editDistance('ABC', 'XYZ', 2), 3)
  assert.is(editDistance('ABC123', 'A', 2), 3)
  assert.is(editDistance('', '', 0), 0)
})

test('overlap of regions is between 0 and 1', () => {
  assert.is(overlap(HERE, HERE), 1)
  assert.is(overlap(HERE, ELSEWHERE), 0)
  assert.is(overlap(HERE, { ...HERE, x: HERE.x + HERE.width / 2 }), 1 / 3)
})

test('while nothing moves a vehicle stays, until it has been followed for the longest time', () => {
  const tracker = trackerOf('video').tracker
  const at = (ms: number) => ({ capturedAtMs: ms, clock: 'synced', takenAtMs: ms, readAtMs: ms }) as const
  tracker.observe(at(0), [read('ABC123')])
  for (let ms = GAP_MS; ms <= MAX_TRACK_MS; ms += GAP_MS) assert.equal(tracker.still(at(ms)), [])
  assert.equal(
    tracker.still(at(MAX_TRACK_MS + 1)).map((track) => track.vote().plate),
    ['ABC123'],
  )
  assert.is(tracker.open, 0)
})

test('a vehicle that the last frame did not show is not held by a street where nothing moves', () => {
  const tracker = trackerOf('video').tracker
  const at = (ms: number) => ({ capturedAtMs: ms, clock: 'synced', takenAtMs: ms, readAtMs: ms }) as const
  tracker.observe(at(0), [read('ABC123')])
  tracker.observe(at(100), [])
  assert.equal(tracker.still(at(GAP_MS)), [])
  assert.is(tracker.still(at(101 + GAP_MS)).length, 1)
})

test('the colour of a vehicle is what most of its frames say, and null where they differ', () => {
  const red = { colour: 'red', confidence: 0.8 } as const
  const blue = { colour: 'blue', confidence: 0.8 } as const
  const colourOf = (...vehicles: (typeof red | typeof blue | null)[]) => {
    const tracker = trackerOf('video').tracker
    for (const [n, vehicle] of vehicles.entries()) {
      const time = { capturedAtMs: n, clock: 'synced', takenAtMs: n, readAtMs: n } as const
      tracker.observe(time, [read('ABC123', { vehicle })])
    }
    return tracker.finish()[0]?.vote().vehicle?.colour ?? null
  }
  assert.is(colourOf(red, red, blue), 'red')
  assert.is(colourOf(red, blue), null)
  assert.is(colourOf(red, null, null), null)
  assert.is(colourOf(null), null)
})

test.run()
