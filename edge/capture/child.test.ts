import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { CaptureChild } from './child.ts'

const PICTURE_BYTES = 1024 ** 2
const ANSWERS = 100

interface Asked {
  kind: 'picture' | 'end' | 'nothing' | 'fails'
}
interface Picture {
  kind: 'picture'
  jpeg: Uint8Array
}

/** A process that answers as it is asked; the module is of this test alone. */
const SOURCE = `
process.on('message', ({ kind }) => {
  if (kind === 'end') process.exit(3)
  if (kind === 'fails') process.send({ kind: 'failed', code: 'bad_input', message: 'no picture' })
  if (kind === 'picture') process.send({ kind, jpeg: new Uint8Array(${PICTURE_BYTES}) })
})
`

async function inChild(work: (child: CaptureChild<Asked, Picture>) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-child-'))
  writeFileSync(join(folder, 'child.ts'), SOURCE)
  const child = new CaptureChild<Asked, Picture>(new URL('child', pathToFileURL(`${folder}/`)), systemClock, {
    died: (how) => new AppError('unavailable', `died (${how})`),
    late: (limitMs) => new AppError('unavailable', `late (${limitMs})`),
  })
  try {
    await work(child)
  } finally {
    await child.close()
    rmSync(folder, { recursive: true })
  }
}

const messageOf = (asked: Promise<unknown>) =>
  asked.then(
    () => 'answered',
    (thrown: Error) => thrown.message,
  )

test('no answer is kept once it is given: pictures of weeks would fill the memory', () =>
  inChild(async (child) => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    for (let i = 0; i < ANSWERS; i += 1) {
      const { jpeg } = await child.ask({ kind: 'picture' }, i % 2 === 0 ? null : 60_000)
      assert.is(jpeg.byteLength, PICTURE_BYTES)
    }
    await systemClock.sleep(0)
    collect()
    const keptBytes = process.memoryUsage().arrayBuffers
    assert.ok(
      keptBytes < (ANSWERS / 2) * PICTURE_BYTES,
      `${keptBytes} bytes after ${ANSWERS} pictures of ${PICTURE_BYTES}`,
    )
  }))

test('a process that says no, ends while it is asked or has ended, or answers too late is an error each', async () => {
  await inChild(async (child) => {
    assert.is(await messageOf(child.ask({ kind: 'fails' }, null)), 'no picture')
    assert.is(await messageOf(child.ask({ kind: 'end' }, 60_000)), 'died (exit 3)')
    assert.is(await messageOf(child.ask({ kind: 'picture' }, null)), 'died (exit 3)')
  })
  await inChild(async (child) => {
    assert.is(await messageOf(child.ask({ kind: 'nothing' }, 20)), 'late (20)')
    await child.close()
    assert.is(await messageOf(child.ask({ kind: 'picture' }, null)), 'died (SIGKILL)')
  })
})

test.run()
