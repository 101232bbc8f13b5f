import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { enrolCamera } from '../trial/cameras.ts'
import { addRelease, endOpen, followRollOut, type Stand, startRollOut, timesOf } from './roll-out.ts'
import { openWorld } from './world.ts'

const CAMERA = 'bench-1'
const stand = (state: string, atMs = 0, message: string | null = null): Stand => ({ state, atMs, message })

/** Answers of the cloud, one after another; the last again and again. */
function cloudOf(answers: readonly { state: string; because?: string; turn: Stand }[]) {
  let asked = 0
  return async () => {
    const answer = answers[Math.min(asked++, answers.length - 1)]
    const turn = { camera: CAMERA, state: answer?.turn.state, message: answer?.turn.message }
    return {
      rollOut: { number: 1, state: answer?.state, because: answer?.because ?? null },
      turns: [{ ...turn, stage: 0, toldAtMs: null, changedAtMs: answer?.turn.atMs }],
    }
  }
}

test('a roll-out is followed on both sides to its end, each state once, also while the unit does not answer', async () => {
  const shown = [stand('installing', 20), null, stand('installed', 30), stand('installed', 30)]
  let looks = 0
  const unit = async () => {
    if (++looks === 3) throw new Error('starts anew')
    const next = shown.shift()
    return next === undefined ? stand('rolled_back', 50, 'back in a') : next
  }
  const ask = cloudOf([
    { state: 'running', turn: stand('waiting', 5) },
    { state: 'running', turn: stand('fetching', 10) },
    { state: 'running', turn: stand('fetching', 10) },
    { state: 'running', turn: stand('probation', 32) },
    { state: 'running', turn: stand('probation', 32) },
    { state: 'halted', because: '1 of 1 went wrong', turn: stand('rolled_back', 52, 'back in a') },
  ])
  const course = await followRollOut(ask, unit, CAMERA, 5_000, 5)
  assert.equal([course.end, course.because], ['halted', '1 of 1 went wrong'])
  assert.equal(course.cloud, [
    ...[stand('waiting', 5), stand('fetching', 10), stand('probation', 32), stand('rolled_back', 52, 'back in a')],
  ])
  assert.equal(course.unit, [stand('installing', 20), stand('installed', 30), stand('rolled_back', 50, 'back in a')])
})

test('what is not over in time says how far it was; another camera’s roll-out is none to follow', async () => {
  const ask = cloudOf([{ state: 'running', turn: stand('installing', 1, 'into slot b') }])
  const unit = async () => stand('installing')
  const rejection = (limitMs: number, camera: string) =>
    followRollOut(ask, unit, camera, limitMs, 5).then(
      () => 'over',
      (error: Error) => error.message,
    )
  assert.is(await rejection(20, CAMERA), 'not over within 0.02 s: installing (into slot b), installing')
  assert.match(await rejection(20, 'bench-2'), /not for bench-2/)
})

test('times are told from the unit’s own clock where it was seen, from the cloud’s where not, and not where neither was', () => {
  const cloud = [
    stand('waiting', 0),
    stand('fetching', 1_000),
    stand('installing', 106_000),
    stand('probation', 170_000),
  ]
  const unit = [stand('installing', 101_000), stand('installed', 161_000), stand('confirmed', 251_000)]
  assert.is(
    timesOf({ cloud, unit }, 300e6),
    '300 MB fetched over HTTPS in 100 s, 3.0 MB a second; installed in 60 s; confirmed in 90 s',
  )
  assert.is(
    timesOf({ cloud, unit: [stand('rolled_back', 270_000)] }, 300e6),
    '300 MB fetched over HTTPS in 105 s, 2.9 MB a second; installed in 64 s; rolled back in 100 s',
  )
  assert.is(
    timesOf({ cloud: [stand('refused', 5)], unit: [] }, 300e6),
    '300 MB fetched over HTTPS for a time that was not seen; installed for a time that was not seen; no verdict for a time that was not seen',
  )
})

test('a release goes to the cloud once, in place of one of before, and its roll-out to one camera can be ended', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-hil-image-'))
  const world = await openWorld(folder)
  try {
    const bundle = join(folder, 'unit.raucb')
    const made = async () => {
      const bytes = randomBytes(100_000)
      await writeFile(bundle, bytes)
      await writeFile(`${bundle}.json`, JSON.stringify({ version: '0.1.1', compatible: 'candor-unit-arm64' }))
      return createHash('sha256').update(bytes).digest('hex')
    }
    const calls: string[] = []
    const candor = (...args: string[]) => {
      calls.push(args.slice(0, 2).join(' '))
      return world.candor(...args)
    }
    const first = await made()
    assert.is(await addRelease(candor, bundle, '0.1.1', first), 100_000)
    calls.length = 0
    await addRelease(candor, bundle, '0.1.1', first)
    assert.equal(calls, ['release list'], 'it is there')
    await addRelease(candor, bundle, '0.1.1', await made())
    assert.ok(calls.includes('release remove'))

    await enrolCamera(world.https, await world.token(), CAMERA, join(folder, CAMERA))
    assert.is(await startRollOut(candor, '0.1.1', CAMERA), 1)
    const second = await startRollOut(candor, '0.1.1', CAMERA).catch((error: Error) => error.message)
    assert.match(String(second), /not over/)
    await endOpen(candor)
    const ask = async () => world.https.call('GET', '/api/v1/roll-outs/1', { token: await world.token() })
    const course = await followRollOut(ask, async () => null, CAMERA, 5_000, 5)
    assert.equal([course.end, course.cloud.map(({ state }) => state), course.unit], ['ended', ['waiting'], []])
    assert.is(await startRollOut(candor, '0.1.1', CAMERA), 2)
  } finally {
    await world.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

test.run()
