import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { openSqlite } from '../database/sqlite.ts'
import { createGathering, MAX_GATHERED_STATEMENTS } from './gathering.ts'

test('what many ask for at one moment is cut into transactions of so many statements, each told what its own changed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-gathering-'))
  const database = openSqlite({ path: join(folder, 'cloud.db'), nowMs: systemClock.nowMs() })
  try {
    const sizes: number[] = []
    const counted = {
      ...database,
      writeBatch: (statements: Parameters<typeof database.writeBatch>[0]) => {
        sizes.push(statements.length)
        return database.writeBatch(statements)
      },
    }
    const gathering = createGathering(counted, setImmediate)
    const retained = (topic: string) =>
      database.build.insertInto('broker_retained').values({ topic, qos: 1, stored_at_ms: 1, payload: Buffer.from('x') })
    for (const [count, expected] of [
      [MAX_GATHERED_STATEMENTS, [MAX_GATHERED_STATEMENTS]],
      [MAX_GATHERED_STATEMENTS + 1, [MAX_GATHERED_STATEMENTS, 1]],
    ] as const) {
      sizes.length = 0
      const written = await Promise.all(
        Array.from({ length: count }, (_, n) => gathering.write([retained(`${count}/${n}`)])),
      )
      assert.equal(sizes, [...expected])
      assert.ok(written.every(([one]) => one?.changes === 1))
    }
    await gathering.settled()
  } finally {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
