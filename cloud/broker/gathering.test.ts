import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Database } from '../database/database.ts'
import { openSqlite } from '../database/sqlite.ts'
import { createGathering } from './gathering.ts'

async function withDatabase(run: (database: Database) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-gathering-'))
  const database = openSqlite({ path: join(folder, 'a.db'), nowMs: 1_790_000_000_000 })
  try {
    await run(database)
  } finally {
    await database.close()
    rmSync(folder, { recursive: true })
  }
}

const retained = (database: Database, topic: string) =>
  database.build.insertInto('broker_retained').values({ topic, qos: 1, stored_at_ms: 1, payload: Buffer.from('x') })

const count = async (database: Database) =>
  (await database.read(database.build.selectFrom('broker_retained').select('topic'))).length

test('what is asked for in one turn shares a transaction, and each caller hears of its own statements', async () => {
  await withDatabase(async (database) => {
    let commits = 0
    const counted: Database = {
      ...database,
      writeBatch(all) {
        commits += 1
        return database.writeBatch(all)
      },
    }
    const { write } = createGathering(counted, setImmediate)
    const remove = database.build.deleteFrom('broker_retained').where('topic', '=', 'a')
    const written = await Promise.all([
      write([retained(database, 'a'), retained(database, 'b')]),
      write([remove]),
      write([remove]),
    ])
    assert.equal(
      written.map((one) => one.map(({ changes }) => changes)),
      [[1, 1], [1], [0]],
    )
    assert.is(commits, 1)
    assert.is(await count(database), 1)
  })
})

test('a caller whose statements fail does not take the others with it', async () => {
  await withDatabase(async (database) => {
    const { write, settled } = createGathering(database, queueMicrotask)
    const results = Promise.allSettled([
      write([retained(database, 'a')]),
      write([retained(database, 'b'), retained(database, 'a')]),
      write([retained(database, 'c')]),
    ])
    await settled()
    assert.is(await count(database), 2, 'settled: all is written')
    assert.equal(
      (await results).map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
  })
})

test.run()
