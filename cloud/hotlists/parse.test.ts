import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../../shared/errors.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { ROWS_PER_BATCH } from './csv.ts'
import { COPY_STEP_BYTES, readHotlistFile, WORKER_FROM_BYTES } from './parse.ts'

/** A list of so many bytes: an entry a line, and blanks at the end. */
function listOf(byteCount: number, entries: number): Buffer {
  const lines = Array.from({ length: entries }, (_, i) => `P${String(i).padStart(6, '0')}`)
  return Buffer.from(`plate\n${lines.join('\n')}\n`.padEnd(byteCount, '\n'))
}

test('a file is read alike whether it is small enough for this thread or goes to a worker', async () => {
  for (const byteCount of [WORKER_FROM_BYTES - 1, WORKER_FROM_BYTES]) {
    const bytes = listOf(byteCount, 2 * ROWS_PER_BATCH + 1)
    assert.is(bytes.length, byteCount)
    const batches: number[] = []
    const { report, sourceSha256 } = await readHotlistFile(
      bytes,
      { rule: 'exact', priority: 3, prohibited: [] },
      async (rows) => {
        batches.push(rows.length)
      },
    )
    assert.equal(batches, [ROWS_PER_BATCH, ROWS_PER_BATCH, 1])
    assert.equal([report.good, report.bad, report.unusable], [2 * ROWS_PER_BATCH + 1, 0, false])
    assert.is(sourceSha256, sha256Hex(bytes))
  }
})

test('a large file is copied a step in a turn, its digest is not taken here, and it stays the caller’s', async () => {
  const steps = 5
  const bytes = Buffer.alloc((steps - 1) * COPY_STEP_BYTES + 1, 'x')
  const digest = sha256Hex(bytes)
  let turns = 0
  let reading = true
  const count = () => {
    turns += 1
    if (reading) setImmediate(count)
  }
  setImmediate(count)
  const { report, sourceSha256 } = await readHotlistFile(
    bytes,
    { rule: 'exact', priority: 3, prohibited: [] },
    async () => {},
  )
  reading = false
  assert.is(report.unusable, true)
  assert.is(sourceSha256, digest)
  assert.ok(turns >= steps, `${turns} turns`)
  assert.is(sha256Hex(bytes), digest)
})

test('a failure to store rows ends the reading, in this thread and in a worker', async () => {
  for (const byteCount of [1_000, WORKER_FROM_BYTES]) {
    let calls = 0
    const reading = readHotlistFile(
      listOf(byteCount, 100),
      { rule: 'exact', priority: 3, prohibited: [] },
      async () => {
        calls += 1
        throw new AppError('storage_full', 'no space left')
      },
    )
    const thrown = await reading.then(
      () => null,
      (error: unknown) => error,
    )
    assert.is(thrown instanceof AppError && thrown.code, 'storage_full')
    assert.is(calls, 1)
  }
})

test.run()
