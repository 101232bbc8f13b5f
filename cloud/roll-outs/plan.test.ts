import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import {
  ANSWER_MS,
  isDrawnInVain,
  isSilent,
  MAX_AT_ONCE,
  REOPEN_FORGOTTEN_MS,
  reopenedNow,
  STILL_MS,
  type Standing,
  stagesOf,
  stillSince,
  type Turn,
  toTell,
  verdictOf,
  waitsFor,
} from './plan.ts'

const NOW_MS = 1_790_000_000_000
const SOAK_MS = 60 * MINUTE_MS
const names = (count: number) => Array.from({ length: count }, (_, i) => `cam-${i}`)
const everybody = () => true

const turn = (change: Partial<Turn> = {}): Turn => ({
  ...{ camera: 'cam-0', stage: 0, state: 'waiting', toldAtMs: null, changedAtMs: NOW_MS },
  ...change,
})
const standing = (turns: Turn[], change: Partial<Standing> = {}): Standing => ({
  ...{ stage: 0, lastStage: 1, sinceMs: NOW_MS, soakMs: SOAK_MS, turns, forgiven: 0, resumedMs: null },
  ...change,
})
const verdict = (one: Standing, isConnected: (camera: string) => boolean = everybody, nowMs = NOW_MS) =>
  verdictOf(one, isConnected, nowMs).kind

test('stages hold one in a hundred, one in ten and all, at least one camera in the first', () => {
  const counts = (count: number, stages: readonly number[]) => {
    const staged = [...stagesOf(names(count), stages, [], '7', everybody).values()]
    return stages.map((_, stage) => staged.filter((one) => one === stage).length)
  }
  assert.equal(counts(1_000, [1, 10, 100]), [10, 90, 900])
  assert.equal(counts(95, [1, 10, 100]), [1, 9, 85])
  assert.equal(counts(1, [1, 10, 100]), [1, 0, 0])
  assert.equal(counts(3, [100]), [3])
})

test('those who are named come first, the others in an order that differs from one roll-out to the next', () => {
  const first = stagesOf(names(100), [1, 100], ['cam-40', 'cam-41'], '7', everybody)
  assert.equal(
    [...first].filter(([, stage]) => stage === 0).map(([camera]) => camera),
    ['cam-40', 'cam-41'],
  )
  const drawn = (salt: string) =>
    [...stagesOf(names(1_000), [1, 100], [], salt, everybody)].slice(0, 10).map(([camera]) => camera)
  assert.equal(drawn('7'), drawn('7'))
  assert.not.equal(drawn('7'), drawn('8'))
})

test('those who are away are drawn last, and a name that a person gave comes first all the same', () => {
  const here = (camera: string) => camera === 'cam-17' || camera === 'cam-80'
  const firsts = (first: string[], isThere: (camera: string) => boolean, salt: string) =>
    [...stagesOf(names(95), [1, 100], first, salt, isThere)].flatMap(([camera, stage]) => (stage === 0 ? [camera] : []))
  const drawn = Array.from({ length: 40 }, (_, i) => firsts([], here, String(i))).flat()
  assert.equal([...new Set(drawn)].sort(), ['cam-17', 'cam-80'])
  assert.equal(firsts(['cam-3'], here, '7'), ['cam-3'])
  assert.is(firsts([], () => false, '7').length, 1, 'nobody is there')
})

test('a first stage that is away is drawn anew while nobody was told and another is there', () => {
  const later = turn({ camera: 'cam-1', stage: 1 })
  const only = (name: string) => (camera: string) => camera === name
  assert.is(isDrawnInVain([turn(), later], only('cam-1')), true)
  assert.is(isDrawnInVain([turn(), later], only('cam-0')), false)
  assert.is(
    isDrawnInVain([turn(), later], () => false),
    false,
    'nobody is there',
  )
  assert.is(isDrawnInVain([turn(), { ...later, toldAtMs: NOW_MS }], only('cam-1')), false)
  assert.is(isDrawnInVain([turn(), { ...later, state: 'skipped' }], only('cam-1')), false)
})

test('one that waits for cameras is still after its time and not before, and not while a stage is looked at', () => {
  const since = (one: Standing, isConnected: (camera: string) => boolean, nowMs: number) =>
    stillSince(one, verdictOf(one, isConnected, nowMs), nowMs)
  const away = standing([turn(), turn({ camera: 'cam-1', stage: 1, changedAtMs: NOW_MS + 5 })])
  const nobody = () => false
  assert.is(since(away, nobody, NOW_MS + STILL_MS - 1), null)
  assert.is(since(away, nobody, NOW_MS + STILL_MS), NOW_MS, 'whose turn has not come moves nothing')
  assert.is(waitsFor(away, nobody), '1 of 1: cam-0 away')
  const resumed = { ...away, resumedMs: NOW_MS + 2 * STILL_MS }
  assert.is(since(resumed, nobody, NOW_MS + 3 * STILL_MS - 1), null)
  assert.is(since(resumed, nobody, NOW_MS + 3 * STILL_MS), NOW_MS + 2 * STILL_MS)
  const told = standing([turn({ toldAtMs: NOW_MS + 10 })])
  assert.is(since(told, everybody, NOW_MS + STILL_MS + 9), null)
  assert.is(since(told, everybody, NOW_MS + STILL_MS + 10), NOW_MS + 10)
  const well = [turn({ state: 'confirmed', toldAtMs: NOW_MS })]
  const soaking = standing(well, { soakMs: 3 * STILL_MS })
  assert.is(since(soaking, everybody, NOW_MS + 2 * STILL_MS), null)
  assert.is(since(soaking, nobody, NOW_MS + 2 * STILL_MS), NOW_MS, 'it fell silent after it was confirmed')
  assert.is(waitsFor(soaking, nobody), '1 of 1: cam-0 away')
  const many = standing(
    names(7).map((camera) => turn({ camera, stage: 1 })),
    { stage: 1 },
  )
  assert.is(
    waitsFor(many, everybody),
    `7 of 7: ${names(5)
      .map((camera) => `${camera} waiting`)
      .join(', ')}`,
  )
})

test('a stage is passed when its cameras went well and the time for looking is over', () => {
  const well = turn({ state: 'confirmed', toldAtMs: NOW_MS })
  const later = turn({ camera: 'cam-1', stage: 1 })
  assert.is(verdict(standing([well, later]), everybody, NOW_MS + SOAK_MS - 1), 'wait')
  assert.is(verdict(standing([well, later]), everybody, NOW_MS + SOAK_MS), 'advance')
  const gone = (camera: string) => camera !== 'cam-0'
  assert.is(verdict(standing([well, later]), gone, NOW_MS + SOAK_MS), 'wait', 'it fell silent after it was confirmed')
  assert.is(verdict(standing([turn(), later]), everybody, NOW_MS + SOAK_MS), 'wait', 'nobody was confirmed')
})

test('cameras that are away hold up nothing but the end; those that are at work do', () => {
  const well = turn({ state: 'confirmed', toldAtMs: NOW_MS })
  const away = turn({ camera: 'away' })
  const notAway = (camera: string) => camera !== 'away'
  const at = NOW_MS + SOAK_MS
  assert.is(verdict(standing([well, away]), notAway, at), 'advance')
  assert.is(verdict(standing([well, { ...away, toldAtMs: NOW_MS, state: 'installing' }]), notAway, at), 'wait')
  assert.is(verdict(standing([well, away], { stage: 1 }), notAway, at), 'wait')
  assert.is(verdict(standing([well, turn({ state: 'skipped' })], { stage: 1 }), notAway, at), 'done')
})

test('one in twenty may go wrong; one more stops it, unless a person has said to go on in spite of them', () => {
  const fleet = (count: number, wrong: number) => [
    ...names(count - wrong).map((camera) => turn({ camera, state: 'confirmed', toldAtMs: NOW_MS })),
    ...names(wrong).map((_, i) => turn({ camera: `bad-${i}`, state: i === 0 ? 'rolled_back' : 'silent' })),
  ]
  assert.is(verdict(standing(fleet(1, 1))), 'halt', 'the very first')
  assert.is(verdict(standing(fleet(19, 1))), 'halt')
  assert.is(verdict(standing(fleet(20, 1))), 'wait')
  assert.is(verdict(standing(fleet(40, 2))), 'wait')
  assert.is(verdict(standing(fleet(40, 3))), 'halt')
  assert.is(verdict(standing(fleet(40, 3), { forgiven: 1 })), 'wait')
  const halted = verdictOf(standing(fleet(3, 2)), everybody, NOW_MS)
  assert.is(halted.kind === 'halt' ? halted.because : '', '2 of 3 went wrong: bad-0 rolled_back, bad-1 silent')
  const later = fleet(40, 3).map((one) => ({ ...one, stage: 1 }))
  assert.is(verdict(standing([turn({ state: 'confirmed' }), ...later])), 'wait', 'their turn has not come')
})

test('only so many are at work at a time, and who has not answered is told again', () => {
  const all = names(MAX_AT_ONCE + 5).map((camera) => turn({ camera }))
  assert.is(toTell({ stage: 0, turns: all }, everybody).length, MAX_AT_ONCE)
  const told = all.map((one, i) => (i < MAX_AT_ONCE ? { ...one, toldAtMs: NOW_MS } : one))
  assert.equal(
    toTell({ stage: 0, turns: told }, everybody),
    told.slice(0, MAX_AT_ONCE).map(({ camera }) => camera),
  )
  const fetching = told.map((one, i) => (i === 0 ? { ...one, state: 'fetching' as const } : one))
  assert.not.ok(toTell({ stage: 0, turns: fetching }, everybody).includes('cam-0'), 'it has answered')
  const done = told.map((one, i) => (i === 0 ? { ...one, state: 'confirmed' as const } : one))
  assert.ok(toTell({ stage: 0, turns: done }, everybody).includes(`cam-${MAX_AT_ONCE}`), 'the next one')
  assert.equal(
    toTell({ stage: 0, turns: all }, () => false),
    [],
  )
  assert.equal(toTell({ stage: 0, turns: [turn({ stage: 1 })] }, everybody), [])
})

test('who was told and never answers is given up at its time, and not before', () => {
  const told = turn({ toldAtMs: NOW_MS })
  assert.not.ok(isSilent(told, NOW_MS + ANSWER_MS - 1))
  assert.ok(isSilent(told, NOW_MS + ANSWER_MS))
  assert.not.ok(isSilent(turn(), NOW_MS + ANSWER_MS))
  assert.not.ok(isSilent({ ...told, state: 'confirmed' }, NOW_MS + ANSWER_MS))
})

test('a turn is opened again at once, after an hour and then after a day, for another unit and after a quiet week at once', () => {
  const after = (times: number, sinceMs: number, unit = 'a') =>
    reopenedNow({ times, atMs: NOW_MS - sinceMs, unit: 'a' }, unit, NOW_MS)?.times ?? null
  assert.equal(reopenedNow(null, 'a', NOW_MS), { times: 1, atMs: NOW_MS, unit: 'a' })
  assert.equal([after(1, HOUR_MS - 1), after(1, HOUR_MS)], [null, 2])
  assert.equal([after(2, DAY_MS - 1), after(2, DAY_MS)], [null, 3])
  assert.equal([after(99, DAY_MS - 1), after(99, DAY_MS)], [null, 100])
  assert.equal([after(99, REOPEN_FORGOTTEN_MS - 1), after(99, REOPEN_FORGOTTEN_MS)], [100, 1])
  assert.is(after(99, 0, 'b'), 1)
})

test.run()
