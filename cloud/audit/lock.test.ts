import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, systemClock } from '../../shared/clock.ts'
import { codeOf, until } from '../testing.ts'
import { type AuditLock, LOCK_TIMEOUT_MS, openAuditLock } from './lock.ts'

async function withPath(work: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-lock-'))
  try {
    await work(join(folder, 'head.json.lock'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Takes the lock again and again without a pause, as a busy cloud does, until it is stopped. */
function hog(lock: AuditLock): { held(): number; stop(): Promise<void> } {
  let held = 0
  let stopped = false
  const running = (async () => {
    while (!stopped) {
      await lock.exclusively(async () => {
        held += 1
        await systemClock.sleep(20)
      })
    }
  })()
  return {
    held: () => held,
    async stop() {
      stopped = true
      await running
    },
  }
}

/** A process of its own that opens the lock at `path` and runs `work`, which may use `lock`, `say` and `systemClock`. */
function inProcess(path: string, work: string): { child: ChildProcess; said(): string; ended: Promise<number | null> } {
  const here = fileURLToPath(new URL('.', import.meta.url))
  const script = `
    import { openAuditLock } from '${here}lock.ts'
    import { systemClock } from '${here}../../shared/clock.ts'
    const say = (text) => process.stdout.write(text + '\\n')
    const lock = openAuditLock(process.argv.at(-1), systemClock)
    ${work}`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk
  })
  return { child, said: () => said, ended: new Promise((resolve) => child.on('exit', resolve)) }
}

test('somebody who waits gets the lock as soon as it is free, although its holder wants it again at once', async () => {
  await withPath(async (path) => {
    const busy = openAuditLock(path, systemClock)
    const waiting = openAuditLock(path, systemClock)
    const hogging = hog(busy)
    try {
      for (let turn = 0; turn < 10; turn++) {
        const before = hogging.held()
        await waiting.exclusively(async () => {
          // The one that holds it, and one more if that was at the head of the queue just then.
          assert.ok(hogging.held() - before <= 2, `waited for ${hogging.held() - before}`)
        })
      }
    } finally {
      await hogging.stop()
      busy.close()
      waiting.close()
    }
  })
})

test('a process beside a busy one gets the lock every time', async () => {
  await withPath(async (path) => {
    const busy = openAuditLock(path, systemClock)
    const hogging = hog(busy)
    try {
      const { ended } = inProcess(path, 'for (let i = 0; i < 20; i++) await lock.exclusively(async () => {})')
      assert.is(await ended, 0)
    } finally {
      await hogging.stop()
      busy.close()
    }
  })
})

test('one holds the lock at a time, of many who want it', async () => {
  await withPath(async (path) => {
    const locks = Array.from({ length: 4 }, () => openAuditLock(path, systemClock))
    let inside = 0
    let done = 0
    await Promise.all(
      locks.map(async (lock) => {
        for (let i = 0; i < 10; i++) {
          await lock.exclusively(async () => {
            inside += 1
            assert.is(inside, 1)
            await systemClock.sleep(1)
            inside -= 1
            done += 1
          })
        }
      }),
    )
    assert.is(done, 40)
    for (const lock of locks) lock.close()
  })
})

test('whoever dies, holding the lock or waiting for it, holds up nobody', async () => {
  await withPath(async (path) => {
    const own = openAuditLock(path, systemClock)
    const holder = inProcess(
      path,
      `await lock.exclusively(async () => { say('held'); await systemClock.sleep(600_000) })`,
    )
    await until('it is held', () => holder.said() !== '')
    const waiter = inProcess(path, `say('waits'); await lock.exclusively(async () => { say('held') })`)
    await until('another waits', () => waiter.said() !== '')
    waiter.child.kill('SIGKILL')
    await waiter.ended
    holder.child.kill('SIGKILL')
    await holder.ended
    assert.is(await own.exclusively(async () => 'mine'), 'mine')
    own.close()
  })
})

test('work that fails gives the lock back', async () => {
  await withPath(async (path) => {
    const lock = openAuditLock(path, systemClock)
    const other = openAuditLock(path, systemClock)
    assert.match(await codeOf(() => lock.exclusively(() => Promise.reject(new Error('broken')))), /broken/)
    assert.is(await other.exclusively(async () => 'mine'), 'mine')
    lock.close()
    other.close()
  })
})

test('a wait ends after the limit and not before, and leaves no place taken', async () => {
  await withPath(async (path) => {
    let nowMs = 0
    const waits: number[] = []
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => nowMs,
      sleep: async (ms) => {
        nowMs += ms
        waits.push(nowMs)
      },
    }
    const holder = openAuditLock(path, systemClock)
    const waiting = openAuditLock(path, clock)
    const third = openAuditLock(path, systemClock)
    await holder.exclusively(async () => {
      assert.is(await codeOf(() => waiting.exclusively(async () => {})), 'unavailable')
      assert.is(waits.at(-1), LOCK_TIMEOUT_MS)
    })
    assert.is(await third.exclusively(async () => 'mine'), 'mine')
    holder.close()
    waiting.close()
    third.close()
  })
})

test.run()
