import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../../shared/errors.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import type { Database, Statement } from './database.ts'
import { gapOf } from './residue.ts'
import { createBuilder, openSqlite } from './sqlite.ts'

const NOW = 1_790_000_000_000
const build = createBuilder()
const raw = (text: string, ...values: (string | number)[]): Statement =>
  sql
    .join(
      text.split('?').map((part, i) => (i === 0 ? sql.raw(part) : sql`${values[i - 1]}${sql.raw(part)}`)),
      sql.raw(''),
    )
    .compile(build)

/** The same sequence each time. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return state / 0x7fff_ffff
  }
}

async function inDatabase(work: (database: Database, file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-residue-'))
  const file = join(folder, 'a.db')
  const database = openSqlite({ path: file, nowMs: NOW })
  try {
    await work(database, file)
  } finally {
    await database.close()
    rmSync(folder, { recursive: true })
  }
}

/** Rows come and go in no order in tables of each kind; returns the marks of those that are gone and of those that are there. */
async function churn(database: Database, seed: number): Promise<{ gone: Set<string>; live: Set<string> }> {
  await database.writeBatch([
    raw('CREATE TABLE a (id TEXT PRIMARY KEY, key TEXT, document TEXT) STRICT'),
    raw('CREATE INDEX a_by_key ON a (key, id)'),
    raw('CREATE TABLE b (key TEXT, id TEXT, document TEXT, PRIMARY KEY (key, id)) STRICT, WITHOUT ROWID'),
    raw('CREATE INDEX b_by_id ON b (id)'),
  ])
  const random = seeded(seed)
  const live: string[] = []
  const gone = new Set<string>()
  const key = (id: string) => `${Math.floor(random() * 1e9).toString(36)}${id}`
  for (let turn = 0, number = 0; turn < 150; turn += 1) {
    const statements: Statement[] = []
    for (let i = 0; i < 20; i += 1, number += 1) {
      const id = `Q${String(number).padStart(6, '0')}Z`
      live.push(id)
      const long = `${id}${'y'.repeat(Math.floor(random() * (turn % 9 === 0 ? 9_000 : 700)))}`
      statements.push(raw('INSERT INTO a VALUES (?, ?, ?)', id, key(id), long))
      statements.push(raw('INSERT INTO b VALUES (?, ?, ?)', key(id), id, long.slice(0, 300)))
    }
    for (let i = 0; turn % 3 === 2 && i < 35; i += 1) {
      const [id = ''] = live.splice(Math.floor(random() * live.length), 1)
      gone.add(id)
      statements.push(raw('DELETE FROM a WHERE id = ?', id), raw('DELETE FROM b WHERE id = ?', id))
    }
    await database.writeBatch(statements)
  }
  return { gone, live: new Set(live) }
}

const marksIn = (file: string) =>
  new Set(
    readFileSync(file)
      .toString('latin1')
      .match(/Q\d{6}Z/g) ?? [],
  )
const never = new AbortController().signal

test('what deletes leave behind within pages is gone after a sweep, what is stored is not, and the database is whole', async () => {
  let leftBehind = 0
  for (const seed of [1, 7_920, 15_839, 23_758, 31_677, 39_596]) {
    await inDatabase(async (database, file) => {
      const { gone, live } = await churn(database, seed)
      await database.truncateLog()
      const before = marksIn(file)
      leftBehind += [...gone].filter((mark) => before.has(mark)).length
      assert.ok((await database.sweep(never)).pages > 0)
      const after = marksIn(file)
      assert.equal(
        [...gone].filter((mark) => after.has(mark)),
        [],
      )
      assert.equal(
        [...live].filter((mark) => !after.has(mark)),
        [],
      )
      assert.equal(await database.read(raw('PRAGMA integrity_check')), [{ integrity_check: 'ok' }])
      assert.is((await database.sweep(never)).pages, 0, 'nothing is left for a second one')
      // Pages that were in the cache before it do not bring anything back.
      await database.writeBatch(
        [...live].slice(0, 500).map((id) => raw("UPDATE a SET key = 'k' || key WHERE id = ?", id)),
      )
      await database.truncateLog()
      const later = marksIn(file)
      assert.equal(
        [...gone].filter((mark) => later.has(mark)),
        [],
      )
      assert.equal(await database.read(raw('PRAGMA integrity_check')), [{ integrity_check: 'ok' }])
    })
  }
  assert.ok(leftBehind > 0, 'SQLite left nothing behind: this file is not needed any more')
})

test('while a reader holds the log nothing is swept, and a sweep that is called off ends', async () => {
  await inDatabase(async (database, file) => {
    await churn(database, 1)
    const reader = openDatabase(file, { readonly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM a').get()
    await database.writeBatch([raw("DELETE FROM a WHERE id < 'Q000100Z'")])
    const refused = await database.sweep(never).then(
      () => 'none',
      (thrown: unknown) => (thrown instanceof AppError ? thrown.code : String(thrown)),
    )
    assert.is(refused, 'unavailable')
    reader.close()
    assert.is((await database.sweep(AbortSignal.abort())).pages, 0)
    assert.ok((await database.sweep(never)).pages > 0)
  })
})

test('only pages of rows and keys that make sense have a gap', () => {
  const page = new Uint8Array(512)
  const header = (type: number, cells: number, start: number, ...pointers: number[]) => {
    page.fill(0)
    page.set([type, 0, 0, 0, cells, start >> 8, start & 255])
    const size = type === 2 || type === 5 ? 12 : 8
    for (const [i, pointer] of pointers.entries()) page.set([pointer >> 8, pointer & 255], size + 2 * i)
  }
  header(13, 1, 400, 400)
  assert.equal(gapOf(page, false), [10, 400])
  header(5, 1, 400, 400)
  assert.equal(gapOf(page, false), [14, 400])
  header(10, 0, 512)
  assert.equal(gapOf(page, false), [8, 512])
  header(10, 0, 513)
  assert.is(gapOf(page, false), null, 'cells beyond the page')
  header(10, 1, 400, 399)
  assert.is(gapOf(page, false), null, 'a cell within the gap')
  header(10, 1, 400, 512)
  assert.is(gapOf(page, false), null, 'a cell beyond the page')
  header(10, 200, 400)
  assert.is(gapOf(page, false), null, 'pointers beyond the cells')
  for (const type of [0, 1, 3, 9, 14]) {
    header(type, 0, 400)
    assert.is(gapOf(page, false), null, `type ${type}`)
  }
})

test.run()
