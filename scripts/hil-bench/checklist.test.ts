import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type BenchState, CHECK_TIMEOUT_MS, isTrue, MAX_NOTE, report, runBench, type Seen } from './checklist.ts'
import { STEPS, type Step } from './steps.ts'

const SEEN: Seen = { asks: false, online: true, sessionId: 'a', sightings: 5, software: '1.0.0', clock: 'synced' }
const STATE: BenchState = { camera: 'north', hardware: 'Pi 4', done: {} }
const step = (change: Partial<Step> = {}): Step => ({
  id: 'one',
  title: 'One',
  needs: 'x',
  actions: [],
  expect: [],
  ...change,
})

/** A person who gives these answers, and a cloud that shows one of `shown` at each look. */
async function bench(steps: Step[], answers: string[], shown: Seen[] = [SEEN], state = STATE) {
  const saved: BenchState[] = []
  let nowMs = 0
  const result = await runBench(state, steps, {
    terminal: {
      ask: async () => answers.shift() ?? assert.unreachable('one question more than there are answers') ?? '',
      say() {},
    },
    look: async () => (shown.length > 1 ? shown.shift() : shown[0]) ?? SEEN,
    clock: {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      async sleep(ms) {
        nowMs += ms
      },
    },
    save: async (now) => void saved.push(now),
  })
  assert.is(answers.length, 0, 'every answer was asked for')
  return { done: result.done, saved }
}

test('a person says what was seen; a no needs a word, and each step is kept at once', async () => {
  const { done, saved } = await bench(
    [step(), step({ id: 'two' }), step({ id: 'three' })],
    ['', 'y sharp', '', 'n', 'n the screen stayed dark', 's no lens here'],
  )
  assert.equal(
    Object.entries(done).map(([id, { verdict, note }]) => [id, verdict, note]),
    [
      ['one', 'passed', 'sharp'],
      ['two', 'failed', 'the screen stayed dark'],
      ['three', 'skipped', 'no lens here'],
    ],
  )
  assert.equal(
    saved.map((state) => Object.keys(state.done).length),
    [1, 2, 3],
  )
})

test('what the cloud can see is timed, and a yes does not replace it', async () => {
  const offline = { ...SEEN, online: false }
  const seen = await bench([step({ check: 'online', timed: true })], ['', 'y'], [offline, offline, offline, SEEN])
  assert.equal([seen.done.one?.verdict, seen.done.one?.seconds], ['passed', 4])
  const unseen = await bench([step({ check: 'online' })], ['', 'it was on'], [offline])
  assert.is(unseen.done.one?.verdict, 'failed')
  assert.match(unseen.done.one?.note ?? '', /did not see it \(online\); it was on/)
  assert.ok((unseen.done.one?.atMs ?? 0) >= CHECK_TIMEOUT_MS)
})

test('what is done already is not asked for again', async () => {
  const kept = { verdict: 'passed' as const, note: '', seconds: null, atMs: 1 }
  const { done } = await bench([step(), step({ id: 'two' })], ['', 'y'], [SEEN], { ...STATE, done: { one: kept } })
  assert.equal([done.one, done.two?.verdict], [kept, 'passed'])
})

test('each check is true of what it names and of nothing else', () => {
  const changed = (change: Partial<Seen>): Seen => ({ ...SEEN, ...change })
  assert.equal([isTrue('asks', SEEN, SEEN), isTrue('asks', SEEN, changed({ asks: true }))], [false, true])
  assert.equal([isTrue('offline', SEEN, SEEN), isTrue('offline', SEEN, changed({ online: false }))], [false, true])
  assert.equal([isTrue('sightings', SEEN, SEEN), isTrue('sightings', SEEN, changed({ sightings: 6 }))], [false, true])
  assert.ok(isTrue('sightings', SEEN, changed({ sightings: 1, sessionId: 'b' })), 'counted anew since a restart')
  assert.equal([isTrue('restarted', SEEN, SEEN), isTrue('restarted', SEEN, changed({ sessionId: 'b' }))], [false, true])
  assert.equal(
    [isTrue('other-version', SEEN, SEEN), isTrue('other-version', SEEN, changed({ software: '1.1.0' }))],
    [false, true],
  )
  assert.equal(
    [isTrue('clock-unsynced', SEEN, SEEN), isTrue('clock-unsynced', SEEN, changed({ clock: 'unsynced' }))],
    [false, true],
  )
})

test('the report has every step, also those that were not tried, and a note cannot break its table', async () => {
  const { done } = await bench([step({ id: 'card' })], ['', `y a | b ${'x'.repeat(MAX_NOTE)}`])
  assert.is(done.card?.note.length, MAX_NOTE)
  const text = report({ ...STATE, done }, '2026-11-29')
  assert.match(text, /\| card \| Image and card \| passed \| {2}\| a \\\| b x+ \|/)
  assert.is(text.split('\n').filter((line) => line.includes('not tried |')).length, STEPS.length - 1)
  assert.is(new Set(STEPS.map(({ id }) => id)).size, STEPS.length)
})

test.run()
