import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../shared/clock.ts'
import { abortable, awaitAgain } from './waiting.ts'

const ROUNDS = 20_000
const MAX_KEPT_BYTES = 1024 ** 2
const never = <T>() => new Promise<T>(() => {})
/** Time that goes by at once. */
const hasty = { ...systemClock, sleep: () => systemClock.sleep(0) }

test('a promise is waited for again until it has settled, and then at once', async () => {
  let arrive = (_: string) => {}
  const frame = awaitAgain(
    new Promise<string>((resolve) => {
      arrive = resolve
    }),
    systemClock,
  )
  const { signal } = new AbortController()
  assert.not(await frame.settlesWithin(1, signal))
  assert.not(await frame.settlesWithin(1, signal))
  const waiting = frame.settlesWithin(60_000, signal)
  arrive('a frame')
  assert.ok(await waiting)
  assert.ok(await frame.settlesWithin(60_000, signal))
  assert.is(await frame.work, 'a frame')
})

test('one that fails has settled; a signal ends the wait, also one that has aborted before', async () => {
  const failed = awaitAgain(Promise.reject(new Error('the camera')), systemClock)
  assert.ok(await failed.settlesWithin(60_000, new AbortController().signal))
  assert.is(await failed.work.catch((thrown: Error) => thrown.message), 'the camera')
  const stop = new AbortController()
  const frame = awaitAgain(never(), systemClock)
  const waiting = frame.settlesWithin(60_000, stop.signal)
  stop.abort()
  assert.not(await waiting)
  assert.not(await frame.settlesWithin(60_000, stop.signal))
})

test('a wait that is over leaves nothing behind: a camera may be away for days', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const frame = awaitAgain(never(), hasty)
  const { signal } = new AbortController()
  const rounds = async () => {
    for (let i = 0; i < ROUNDS; i += 1) await frame.settlesWithin(1_500, signal)
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = await rounds()
  const keptBytes = (await rounds()) - before
  assert.ok(keptBytes < MAX_KEPT_BYTES, `${keptBytes} bytes after ${ROUNDS} waits`)
})

test('work is given up when its signal aborts, also one that has aborted before', async () => {
  const stop = new AbortController()
  assert.is(await abortable(Promise.resolve(7), stop.signal), 7)
  const waiting = abortable(never(), stop.signal)
  stop.abort(new Error('stopped'))
  for (const one of [waiting, abortable(never(), stop.signal)])
    assert.is(await one.catch((thrown: Error) => thrown.message), 'stopped')
})

test.run()
