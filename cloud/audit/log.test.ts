import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AppError, type ErrorCode } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import { createSigner, newSigningKeyPem } from '../../shared/signing.ts'
import { openDatabase, type SqliteDatabase } from '../../shared/sqlite.ts'
import { takeSnapshot } from '../database/copy.ts'
import type { Database } from '../database/database.ts'
import { openSqlite } from '../database/sqlite.ts'
import { until } from '../testing.ts'
import { type AuditRecord, CLOUD_ACTOR, makeRow } from './entry.ts'
import { nextPath, sealHead } from './head.ts'
import { type Audit, MAX_AUDIT_PAGE, MAX_GROUP_ENTRIES, MAX_PENDING_ENTRIES, openAudit } from './log.ts'
import { verifyAudit } from './verify.ts'

const RECORD: AuditRecord = {
  operation: 'search.run',
  outcome: 'allowed',
  actor: CLOUD_ACTOR,
  reason: 'burglary on Elm St',
}

interface World {
  folder: string
  path: string
  headPath: string
  keyPem: string
  open(
    change?: (database: Database) => Database,
    options?: { isNew?: boolean },
  ): Promise<{ audit: Audit; database: Database; close(): Promise<void> }>
  verify(): ReturnType<typeof verifyAudit>
  /** Raw access, past the triggers. */
  tamper(work: (sqlite: SqliteDatabase) => void): void
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-audit-'))
  const path = join(folder, 'cloud.db')
  const headPath = join(folder, 'elsewhere', 'audit-head.json')
  const keyPem = newSigningKeyPem().privateKeyPem
  const signer = createSigner(keyPem)
  try {
    await work({
      folder,
      path,
      headPath,
      keyPem,
      async open(change = (database) => database, options = {}) {
        const database = openSqlite({ path, nowMs: Date.now() })
        try {
          const audit = await openAudit({
            database: change(database),
            agency: 'springfield',
            headPath,
            digestKey: Buffer.alloc(32, 7),
            signer,
            isNew: options.isNew ?? true,
            clock: systemClock,
            log: silentLog,
          })
          return {
            audit,
            database,
            async close() {
              await audit.close()
              await database.close()
            },
          }
        } catch (thrown) {
          await database.close()
          throw thrown
        }
      },
      verify: () => verifyAudit({ database: path, head: headPath, publicKeyPem: signer.publicKeyPem }),
      tamper(change) {
        const sqlite = openDatabase(path)
        sqlite.exec(
          'DROP TRIGGER audit_entries_no_update; DROP TRIGGER audit_entries_no_delete; DROP TRIGGER audit_entries_in_order',
        )
        change(sqlite)
        sqlite.close()
      },
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function appendMany(audit: Audit, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => audit.append({ ...RECORD, results: i })))
}

async function rejects(work: Promise<unknown>, code: ErrorCode): Promise<AppError> {
  try {
    await work
  } catch (thrown) {
    assert.instance(thrown, AppError, String(thrown))
    assert.is((thrown as AppError).code, code)
    return thrown as AppError
  }
  assert.unreachable(`expected ${code}`)
  throw new Error('unreachable')
}

test('entries are numbered in the order of their calls and verified against the signed head', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    const places = await Promise.all([1, 2, 3].map((results) => audit.append({ ...RECORD, results })))
    assert.equal(
      places.map((place) => place.seq),
      [1, 2, 3],
    )
    const listed = await audit.list({ before: null, limit: 10 })
    assert.equal(
      listed.map((entry) => [entry.seq, entry.results]),
      [
        [3, 3],
        [2, 2],
        [1, 1],
      ],
    )
    assert.equal(
      (await audit.list({ before: 3, limit: 1 })).map((entry) => entry.seq),
      [2],
    )
    const verdict = await world.verify()
    assert.ok(verdict.ok, JSON.stringify(verdict))
    assert.is(verdict.entries, 3)
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test('an empty log verifies', async () => {
  await inWorld(async (world) => {
    const { close } = await world.open()
    await close()
    const verdict = await world.verify()
    assert.ok(verdict.ok)
    assert.is(verdict.entries, 0)
  })
})

test('the log goes on after a restart and pages are bounded', async () => {
  await inWorld(async (world) => {
    const first = await world.open()
    await appendMany(first.audit, MAX_AUDIT_PAGE + 1)
    await first.close()
    const second = await world.open()
    assert.is((await second.audit.append(RECORD)).seq, MAX_AUDIT_PAGE + 2)
    assert.is((await second.audit.list({ before: null, limit: 100_000 })).length, MAX_AUDIT_PAGE)
    await second.close()
    const verdict = await world.verify()
    assert.ok(verdict.ok && verdict.entries === MAX_AUDIT_PAGE + 2)
  })
})

test('the database itself refuses to change, delete, replace or skip an entry', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    await appendMany(audit, 2)
    const sqlite = openDatabase(world.path)
    for (const sql of [
      "UPDATE audit_entries SET bytes = x'00' WHERE seq = 1",
      'DELETE FROM audit_entries WHERE seq = 2',
      "REPLACE INTO audit_entries VALUES (1, x'00', x'00')",
      "INSERT INTO audit_entries VALUES (4, x'00', x'00')",
      "INSERT INTO audit_entries VALUES (-1, x'00', x'00')",
    ]) {
      assert.throws(() => sqlite.exec(sql), /audit entries/, sql)
    }
    sqlite.close()
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test('one changed byte in any row, at many places, is found and its entry is named', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    await appendMany(audit, 20)
    await close()
    const sqlite = openDatabase(world.path)
    sqlite.exec('DROP TRIGGER audit_entries_no_update')
    const rows = sqlite.prepare('SELECT seq, bytes, hash FROM audit_entries').all() as {
      seq: number
      bytes: Buffer
      hash: Buffer
    }[]
    const update = sqlite.prepare('UPDATE audit_entries SET bytes = ?, hash = ? WHERE seq = ?')
    for (const row of rows) {
      for (let trial = 0; trial < 12; trial++) {
        const bytes = Buffer.from(row.bytes)
        const hash = Buffer.from(row.hash)
        // Steps through the row, each trial another bit; the last two change the stored hash.
        if (trial < 10) {
          const at = (trial * 37 + row.seq * 11) % bytes.length
          bytes[at] = (bytes[at] ?? 0) ^ (1 << (trial % 8))
        } else hash[(row.seq + trial) % 32] = (hash[(row.seq + trial) % 32] ?? 0) ^ 1
        update.run(bytes, hash, row.seq)
        const verdict = await world.verify()
        assert.not(verdict.ok, `row ${row.seq} trial ${trial}`)
        assert.is(!verdict.ok && verdict.firstBad, row.seq)
      }
      update.run(row.bytes, row.hash, row.seq)
    }
    assert.ok((await world.verify()).ok)
    sqlite.close()
  })
})

/** What somebody does who can write the database but has no key: changes an entry and computes all hashes anew. */
function recompute(sqlite: SqliteDatabase, change: (records: AuditRecord[]) => AuditRecord[]): void {
  const rows = sqlite.prepare('SELECT bytes FROM audit_entries ORDER BY seq').all() as { bytes: Buffer }[]
  const records = rows.map(({ bytes }) => {
    const {
      seq: _seq,
      at: _at,
      agency: _agency,
      previous: _previous,
      ...record
    } = JSON.parse(bytes.toString()) as Record<string, unknown>
    return record as unknown as AuditRecord
  })
  sqlite.exec('DELETE FROM audit_entries')
  const insert = sqlite.prepare('INSERT INTO audit_entries VALUES (?, ?, ?)')
  let previous = { seq: 0, hash: '0'.repeat(64) }
  for (const record of change(records)) {
    const row = makeRow(record, { previous, atMs: Date.now(), agency: 'springfield' })
    insert.run(row.seq, row.bytes, row.hash)
    previous = { seq: row.seq, hash: row.hash.toString('hex') }
  }
}

test('a chain computed anew without the signing key does not fit the signed head', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    await appendMany(audit, 8)
    await close()
    world.tamper((sqlite) =>
      recompute(sqlite, (records) => records.map((record) => ({ ...record, reason: 'nothing to see' }))),
    )
    const verdict = await world.verify()
    assert.not(verdict.ok)
    assert.match(verdict.ok ? '' : verdict.problem, /computed anew/)
    await rejects(world.open(), 'integrity')
  })
})

test('a recomputed chain with an entry taken out or put in does not fit either', async () => {
  for (const change of [
    (records: AuditRecord[]) => records.filter((_, i) => i !== 3),
    (records: AuditRecord[]) => [...records, RECORD],
  ]) {
    await inWorld(async (world) => {
      const { audit, close } = await world.open()
      await appendMany(audit, 8)
      await close()
      world.tamper((sqlite) => recompute(sqlite, change))
      assert.not((await world.verify()).ok)
      await rejects(world.open(), 'integrity')
    })
  }
})

test('a cut tail, a cut head and a hole are found', async () => {
  for (const [sql, firstBad] of [
    ['DELETE FROM audit_entries WHERE seq > 6', 7],
    ['DELETE FROM audit_entries WHERE seq = 8', 8],
    ['DELETE FROM audit_entries WHERE seq < 3', 1],
    ['DELETE FROM audit_entries WHERE seq = 4', 4],
    ['DELETE FROM audit_entries', 1],
    ['UPDATE audit_entries SET seq = -seq WHERE seq = 8', 8],
  ] as const) {
    await inWorld(async (world) => {
      const { audit, close } = await world.open()
      await appendMany(audit, 8)
      await close()
      world.tamper((sqlite) => sqlite.exec(sql))
      const verdict = await world.verify()
      assert.not(verdict.ok, sql)
      if (!verdict.ok && verdict.firstBad !== null) assert.is(verdict.firstBad, firstBad, sql)
      if (/> 6|= 8$|entries$/.test(sql)) await rejects(world.open(), 'integrity')
    })
  }
})

test('a head that is missing, damaged, of another key or of another agency is found', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    await appendMany(audit, 3)
    await close()
    const good = readFileSync(world.headPath, 'utf8')
    const point = JSON.parse(Buffer.from((JSON.parse(good) as { payload: string }).payload, 'base64').toString()) as {
      seq: number
      hash: string
      atMs: number
    }
    const stranger = createSigner(newSigningKeyPem().privateKeyPem)
    const own = createSigner(world.keyPem)
    const heads: [string, RegExp][] = [
      ['', /not a signed head/],
      ['{}', /not a signed envelope/],
      [good.replace(/"payload":"(.)/, (_, c: string) => `"payload":"${c === 'A' ? 'B' : 'A'}`), /signature|changed/],
      [
        sealHead(stranger, { agency: 'springfield', seq: point.seq, hash: point.hash, atMs: point.atMs }, null),
        /unknown key/,
      ],
      [sealHead(own, { agency: 'shelbyville', seq: point.seq, hash: point.hash, atMs: point.atMs }, null), /agency/],
      [JSON.stringify(own.seal(Buffer.from('{"list":"stolen"}'))), /not a head/],
    ]
    for (const [text, problem] of heads) {
      writeFileSync(world.headPath, text)
      const verdict = await world.verify()
      assert.not(verdict.ok)
      assert.match(verdict.ok ? '' : verdict.problem, problem)
      await rejects(world.open(), 'integrity')
    }
    rmSync(world.headPath)
    assert.match(JSON.stringify(await world.verify()), /no signed head/)
    await rejects(world.open(), 'integrity')
    writeFileSync(world.headPath, good)
    assert.ok((await world.verify()).ok)
  })
})

test('an audit that is emptied together with its head is not begun again once there are accounts', async () => {
  await inWorld(async (world) => {
    const first = await world.open()
    await appendMany(first.audit, 3)
    await first.close()
    world.tamper((sqlite) => void sqlite.exec('DELETE FROM audit_entries'))
    rmSync(world.headPath)
    await rejects(world.open(undefined, { isNew: false }), 'integrity')
    assert.not.ok((await world.verify()).ok)
  })
})

test('a file that is no database, or none, fails the verification without an exception', async () => {
  await inWorld(async (world) => {
    const { close } = await world.open()
    await close()
    const publicKeyPem = createSigner(world.keyPem).publicKeyPem
    const noise = join(world.folder, 'noise.db')
    writeFileSync(noise, 'x'.repeat(8192))
    for (const database of [noise, join(world.folder, 'absent.db')]) {
      assert.not((await verifyAudit({ database, head: world.headPath, publicKeyPem })).ok)
    }
  })
})

test('a crash between the commit and the head is recovered from the prepared head and recorded', async () => {
  await inWorld(async (world) => {
    const first = await world.open()
    await appendMany(first.audit, 3)
    const before = readFileSync(world.headPath)
    await appendMany(first.audit, 2)
    const after = readFileSync(world.headPath)
    await first.close()
    // As if the process had died after the commit and before the rename.
    writeFileSync(world.headPath, before)
    writeFileSync(nextPath(world.headPath), after)
    const verdict = await world.verify()
    assert.ok(verdict.ok && verdict.note !== null, JSON.stringify(verdict))
    const second = await world.open()
    await second.audit.append(RECORD)
    const [newest] = await second.audit.list({ before: null, limit: 1 })
    assert.is(newest?.seq, 7)
    await second.close()
    assert.ok((await world.verify()).ok)
  })
})

test('a recovery in the middle of the work is recorded in the log', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    await appendMany(audit, 1)
    const before = readFileSync(world.headPath)
    await appendMany(audit, 1)
    writeFileSync(nextPath(world.headPath), readFileSync(world.headPath))
    writeFileSync(world.headPath, before)
    assert.is((await audit.append(RECORD)).seq, 4)
    const entries = await audit.list({ before: null, limit: 10 })
    assert.equal(
      entries.map((entry) => entry.operation),
      ['search.run', 'audit.head_recovered', 'search.run', 'search.run'],
    )
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test('a crash before the commit leaves a prepared head that is never taken', async () => {
  await inWorld(async (world) => {
    const first = await world.open()
    await appendMany(first.audit, 3)
    await first.close()
    const own = createSigner(world.keyPem)
    writeFileSync(
      nextPath(world.headPath),
      sealHead(own, { agency: 'springfield', seq: 4, hash: 'a'.repeat(64), atMs: Date.now() }, null),
    )
    assert.ok((await world.verify()).ok)
    const second = await world.open()
    assert.is((await second.audit.append(RECORD)).seq, 4)
    await second.close()
    assert.ok((await world.verify()).ok)
  })
})

test('rows added without a prepared head are not adopted', async () => {
  await inWorld(async (world) => {
    const first = await world.open()
    await appendMany(first.audit, 3)
    const before = readFileSync(world.headPath)
    await appendMany(first.audit, 1)
    await first.close()
    writeFileSync(world.headPath, before)
    rmSync(nextPath(world.headPath), { force: true })
    const verdict = await world.verify()
    assert.not(verdict.ok)
    assert.is(!verdict.ok && verdict.firstBad, 4)
    await rejects(world.open(), 'integrity')
  })
})

test('when the head cannot be written nothing is stored and the caller is refused; it goes on when it can', async () => {
  await inWorld(async (world) => {
    const { audit, database, close } = await world.open()
    await appendMany(audit, 1)
    // A folder in the way: the prepared head cannot be opened for writing, whoever runs the test.
    const { mkdirSync } = await import('node:fs')
    rmSync(nextPath(world.headPath), { force: true })
    mkdirSync(nextPath(world.headPath))
    await rejects(audit.append(RECORD), 'unavailable')
    const rows = await database.read(database.build.selectFrom('audit_entries').select('seq'))
    assert.is(rows.length, 1)
    rmSync(nextPath(world.headPath), { recursive: true })
    assert.is((await audit.append(RECORD)).seq, 2)
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test('when the database cannot be written the caller is refused and nothing is signed over it', async () => {
  await inWorld(async (world) => {
    let full = false
    const { audit, close } = await world.open((database) => ({
      ...database,
      writeBatch: (statements) =>
        full ? Promise.reject(new AppError('storage_full', 'no space left')) : database.writeBatch(statements),
    }))
    await appendMany(audit, 2)
    full = true
    const error = await rejects(audit.append(RECORD), 'unavailable')
    assert.match(error.hint ?? '', /no space/)
    assert.ok((await world.verify()).ok)
    full = false
    assert.is((await audit.append(RECORD)).seq, 3)
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test('a wrong record fails alone and the others of its group are written', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    const results = await Promise.allSettled([
      audit.append(RECORD),
      audit.append({ ...RECORD, operation: 'NOT AN OPERATION' }),
      audit.append(RECORD),
    ])
    assert.equal(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    await close()
    const verdict = await world.verify()
    assert.ok(verdict.ok && verdict.entries === 2)
  })
})

test('waiting entries are bounded', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    // The first group is taken out at once, so one group more than the limit fits.
    const all = Array.from({ length: MAX_PENDING_ENTRIES + MAX_GROUP_ENTRIES + 1 }, () => audit.append(RECORD))
    const results = await Promise.allSettled(all)
    const refused = results.filter((result) => result.status === 'rejected')
    assert.ok(refused.length >= 1 && refused.length <= MAX_GROUP_ENTRIES + 1, String(refused.length))
    await close()
    const verdict = await world.verify()
    assert.ok(verdict.ok && verdict.entries === all.length - refused.length)
    await rejects(audit.append(RECORD), 'unavailable')
  })
})

test('a second process appends to the same log while the first one does, and the log verifies all the time', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    writeFileSync(join(world.folder, 'key.pem'), world.keyPem)
    const here = fileURLToPath(new URL('.', import.meta.url))
    const script = `
      import { readFileSync } from 'node:fs'
      import { openAudit } from '${here}log.ts'
      import { openSqlite } from '${here}../database/sqlite.ts'
      import { createSigner } from '${here}../../shared/signing.ts'
      import { systemClock } from '${here}../../shared/clock.ts'
      import { silentLog } from '${here}../../shared/log.ts'
      const [path, headPath, key] = process.argv.slice(-3)
      const database = openSqlite({ path, nowMs: Date.now() })
      const audit = await openAudit({ database, agency: 'springfield', headPath, digestKey: Buffer.alloc(32, 7), isNew: true,
        signer: createSigner(readFileSync(key, 'utf8')), clock: systemClock, log: silentLog })
      for (let i = 0; i < 50; i++) {
        await audit.append({ operation: 'account.unlock', outcome: 'allowed',
          actor: { account: null, roles: [], session: null, source: 'host' } })
      }
      await audit.close()
      await database.close()`
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        script,
        world.path,
        world.headPath,
        join(world.folder, 'key.pem'),
      ],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    )
    const exit = new Promise<number | null>((resolve) => child.on('exit', resolve))
    let running = true
    void exit.then(() => {
      running = false
    })
    let own = 0
    let verified = 0
    while (running) {
      await Promise.all([audit.append(RECORD), audit.append(RECORD)])
      own += 2
      const verdict = await world.verify()
      assert.ok(verdict.ok, JSON.stringify(verdict))
      verified += 1
      await systemClock.sleep(2)
    }
    assert.is(await exit, 0)
    assert.ok(verified > 5)
    await close()
    const verdict = await world.verify()
    assert.ok(verdict.ok && verdict.entries === own + 50, JSON.stringify(verdict))
  })
})

test('a process killed at random moments never leaves a log that cannot go on', async () => {
  await inWorld(async (world) => {
    writeFileSync(join(world.folder, 'key.pem'), world.keyPem)
    const here = fileURLToPath(new URL('.', import.meta.url))
    const script = `
      import { readFileSync } from 'node:fs'
      import { openAudit } from '${here}log.ts'
      import { openSqlite } from '${here}../database/sqlite.ts'
      import { createSigner } from '${here}../../shared/signing.ts'
      import { systemClock } from '${here}../../shared/clock.ts'
      import { silentLog } from '${here}../../shared/log.ts'
      const [path, headPath, key] = process.argv.slice(-3)
      const database = openSqlite({ path, nowMs: Date.now() })
      const audit = await openAudit({ database, agency: 'springfield', headPath, digestKey: Buffer.alloc(32, 7), isNew: true,
        signer: createSigner(readFileSync(key, 'utf8')), clock: systemClock, log: silentLog })
      for (;;) {
        const { seq } = await audit.append({ operation: 'search.run', outcome: 'allowed',
          actor: { account: null, roles: [], session: null, source: null } })
        process.stdout.write(seq + '\\n')
      }`
    for (let round = 0; round < 6; round++) {
      const child = spawn(
        process.execPath,
        [
          '--import',
          'tsx',
          '--input-type=module',
          '-e',
          script,
          world.path,
          world.headPath,
          join(world.folder, 'key.pem'),
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      let said = ''
      child.stdout.on('data', (data: Buffer) => {
        said += data.toString()
      })
      let ended = false
      const exit = new Promise((resolve) => child.on('exit', resolve)).then(() => {
        ended = true
      })
      try {
        await until('the process has written an entry', () => {
          if (ended) throw new Error(`the process ended by itself: ${child.exitCode ?? child.signalCode}`)
          return said.includes('\n')
        })
        await systemClock.sleep(Math.floor(Math.random() * 40))
      } finally {
        child.kill('SIGKILL')
        await exit
      }
      const promised = Number(said.trimEnd().split('\n').at(-1))
      const verdict = await world.verify()
      assert.ok(verdict.ok, JSON.stringify(verdict))
      assert.ok(verdict.entries >= promised, `${verdict.entries} stored, ${promised} promised`)
    }
    const { audit, close } = await world.open()
    await audit.append(RECORD)
    await close()
    assert.ok((await world.verify()).ok)
  })
})

test('copies of the files verify elsewhere', async () => {
  await inWorld(async (world) => {
    const { audit, close } = await world.open()
    await appendMany(audit, 5)
    const copy = join(world.folder, 'copy.db')
    const snapshot = await takeSnapshot(join(world.folder, 'cloud.db'), systemClock)
    await writeFile(
      copy,
      snapshot.read(() => {}),
    )
    await snapshot.close()
    const head = join(world.folder, 'copy-head.json')
    copyFileSync(world.headPath, head)
    chmodSync(copy, 0o400)
    const verdict = await verifyAudit({ database: copy, head, publicKeyPem: audit.publicKeyPem })
    assert.ok(verdict.ok, JSON.stringify(verdict))
    assert.ok(existsSync(copy))
    await close()
  })
})

test.run()
