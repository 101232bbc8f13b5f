import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { createLog } from '../../shared/log.ts'
import { codeOf } from '../testing.ts'
import type { FindRequest } from './find.ts'
import { FINDER_GRACE_MS, type Finder, MAX_RUNNING_SEARCHES, openFinder } from './finder.ts'
import { FIND, inDatabase, SILENT, storedRow } from './testing.ts'

const SEARCH: FindRequest = { ...FIND, plate: { kind: 'exact', text: 'ABC1230' } }
const UNANSWERED: FindRequest = { ...SEARCH, cameras: [SILENT] }

/** Time passes only when it is told to. */
function createStillClock() {
  let nowMs = 0
  let sleepers: { untilMs: number; wake: () => void }[] = []
  return {
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((wake, reject) => {
        const sleeper = { untilMs: nowMs + ms, wake }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers = sleepers.filter((one) => one !== sleeper)
          reject(signal.reason)
        })
      }),
    advance(ms: number) {
      nowMs += ms
      for (const { untilMs, wake } of sleepers) if (untilMs <= nowMs) wake()
    },
    get asleep() {
      return sleepers.length
    },
  }
}

/** One read of ABC1230, and a finder whose thread falls silent when it is asked for camera SILENT. */
async function inFinder(
  work: (finder: Finder, clock: ReturnType<typeof createStillClock>, logLines: string[]) => Promise<void>,
): Promise<void> {
  await inDatabase(async ({ databaseFile, store }) => {
    await store([storedRow({})])
    const logLines: string[] = []
    const log = createLog({ level: 'debug', part: 'cloud', target: { write: (line) => logLines.push(line) } })
    const clock = createStillClock()
    const worker = new URL('./silent-worker-testing', import.meta.url)
    const finder = openFinder({ databaseFile, clock, log, worker })
    try {
      await work(finder, clock, logLines)
    } finally {
      await finder.close()
    }
  })
}

test('so many searches run at once and all are answered; one more is refused, and taken when there is room again', async () => {
  await inFinder(async (finder, clock) => {
    const running = Array.from({ length: MAX_RUNNING_SEARCHES }, () => finder.find(SEARCH))
    const refused = await finder.find(SEARCH).then(
      () => null,
      (thrown) => thrown,
    )
    assert.equal([refused?.code, refused?.message], ['unavailable', 'too many searches are running'])
    for (const { found } of await Promise.all(running)) assert.is(found.length, 1)
    assert.is((await finder.find(SEARCH)).found.length, 1)
    assert.is(clock.asleep, 0, 'nothing waits for a search that has ended')
  })
})

test('a thread that does not answer is given up when its time is over and not before, with all that it was asked', async () => {
  await inFinder(async (finder, clock, logLines) => {
    assert.is((await finder.find(SEARCH)).found.length, 1)
    const ended: string[] = []
    const ask = (request: FindRequest) => codeOf(() => finder.find(request)).then((code) => ended.push(code))
    const asked = [ask(UNANSWERED)]
    clock.advance(1)
    for (let count = 1; count < MAX_RUNNING_SEARCHES; count++) asked.push(ask(SEARCH))

    clock.advance(UNANSWERED.limitMs + FINDER_GRACE_MS - 2)
    await systemClock.sleep(0)
    assert.equal(ended, [])
    clock.advance(1)
    await Promise.all(asked)
    assert.equal(ended, new Array(MAX_RUNNING_SEARCHES).fill('unavailable'))
    assert.is(logLines.filter((line) => line.includes('"search_worker_silent"')).length, 1)

    assert.is((await finder.find(SEARCH)).found.length, 1, 'another thread answers')
    assert.is(clock.asleep, 0)
    assert.not.ok(logLines.some((line) => line.includes('"search_worker_ended"')))
  })
})

test('a search that is under way when the finder closes is refused, and so is every later one', async () => {
  await inFinder(async (finder) => {
    const asked = codeOf(() => finder.find(UNANSWERED))
    await finder.close()
    assert.equal([await asked, await codeOf(() => finder.find(SEARCH))], ['unavailable', 'unavailable'])
  })
})

test.run()
