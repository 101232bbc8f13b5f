import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { WHOLE_PICTURE } from '../vision/areas.ts'
import { visionConfigSchema } from '../vision/types.ts'
import { createSetupCamera } from './camera.ts'
import { TURN_WAIT_MS } from './limits.ts'

test('who chooses a camera waits for it to open up to the limit, and the end of the page waits for it whole', async () => {
  const asked: number[] = []
  let wake: () => void = () => {}
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, signal) {
      asked.push(ms)
      await new Promise<void>((resolve) => {
        wake = resolve
        signal?.addEventListener('abort', () => resolve(), { once: true })
      })
    },
  }
  let fail: (problem: Error) => void = () => {}
  const camera = createSetupCamera(visionConfigSchema.parse({}), WHOLE_PICTURE, {
    ...{ clock, random: () => 0, log: silentLog },
    openSource: () =>
      new Promise((_, reject) => {
        fail = reject
      }),
    openVision: () => assert.unreachable() as never,
  })
  let answered = false
  const setting = camera.setSource({ kind: 'replay', path: 'frames' } as never).then(() => {
    answered = true
  })
  await turnOfLoop()
  assert.equal(asked, [TURN_WAIT_MS])
  assert.is(answered, false)
  wake()
  await setting
  assert.is(camera.problem, null, 'it is still being opened')

  let closed = false
  const closing = camera.close().then(() => {
    closed = true
  })
  await turnOfLoop()
  assert.is(closed, false)
  fail(new Error('no such camera'))
  await closing
  assert.is(closed, true)
})

test('a camera that cannot be opened is told of before the limit', async () => {
  const camera = createSetupCamera(visionConfigSchema.parse({}), WHOLE_PICTURE, {
    ...{ clock: systemClock, random: () => 0, log: silentLog },
    openSource: async () => {
      throw new Error('no such camera')
    },
    openVision: () => assert.unreachable() as never,
  })
  await camera.setSource({ kind: 'replay', path: 'frames' } as never)
  assert.match(camera.problem ?? '', /no such camera/)
  await camera.close()
})

test('of the cameras that are chosen while one opens, only the newest is opened', async () => {
  const opened: string[] = []
  let fail: (problem: Error) => void = () => {}
  const camera = createSetupCamera(visionConfigSchema.parse({}), WHOLE_PICTURE, {
    ...{ clock: systemClock, random: () => 0, log: silentLog },
    openSource: (config) => {
      opened.push((config as { path: string }).path)
      return new Promise((_, reject) => {
        fail = reject
      })
    },
    openVision: () => assert.unreachable() as never,
  })
  const choose = (path: string) => camera.setSource({ kind: 'replay', path } as never)
  const first = choose('first')
  await turnOfLoop()
  const others = [choose('second'), choose('third')]
  const newest = choose('newest')
  await turnOfLoop()
  assert.equal(opened, ['first'])
  fail(new Error('the first is not there'))
  await Promise.all([first, ...others])
  await turnOfLoop()
  assert.equal(opened, ['first', 'newest'])
  fail(new Error('the newest is not there'))
  await newest
  assert.match(camera.problem ?? '', /the newest is not there/)
  await camera.close()
})

test.run()
