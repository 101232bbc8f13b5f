import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from './errors.ts'
import { openDatabase, toStorageError } from './sqlite.ts'
import { ownFileSystem, withFileSystem } from './testing.ts'

function inFolder(run: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'candor-sqlite-'))
  try {
    run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (thrown) {
    return toStorageError(thrown).code
  }
  return 'none'
}

test('a database is opened durable: WAL, synchronous FULL, secure delete', () => {
  inFolder((folder) => {
    const database = openDatabase(join(folder, 'a.db'))
    assert.is(database.pragma('journal_mode', { simple: true }), 'wal')
    assert.is(database.pragma('synchronous', { simple: true }), 2)
    assert.is(database.pragma('secure_delete', { simple: true }), 1)
    assert.is(database.pragma('foreign_keys', { simple: true }), 1)
    database.close()
  })
})

test('a database that reached its budget says storage_full and keeps what it has', () => {
  inFolder((folder) => {
    const database = openDatabase(join(folder, 'a.db'), { maxBytes: 64 * 1024 })
    database.exec('CREATE TABLE t (b BLOB) STRICT')
    const insert = database.prepare('INSERT INTO t VALUES (zeroblob(4096))')
    let rows = 0
    const code = codeOf(() => {
      for (;;) {
        insert.run()
        rows += 1
      }
    })
    assert.is(code, 'storage_full')
    assert.ok(rows > 0)
    assert.is(database.prepare('SELECT count(*) FROM t').pluck().get(), rows)
    database.close()
  })
})

test('a file that is no database is an integrity error, a missing folder a configuration error', () => {
  inFolder((folder) => {
    const path = join(folder, 'no.db')
    writeFileSync(path, 'this is a text file, not a database, and long enough to be read as a header'.repeat(20))
    assert.is(
      codeOf(() => openDatabase(path)),
      'integrity',
    )
    const missing = codeOf(() => openDatabase(join(folder, 'none', 'a.db')))
    assert.is(missing, 'configuration')
  })
})

test('an AppError passes through the translation unchanged', () => {
  const error = new AppError('conflict', 'x')
  assert.is(toStorageError(error), error)
})

/** Closes a database, uses up the blocks or the files of the disk, and says what opening it again gives. */
const OPENER = `
  import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
  import { join } from 'node:path'
  import { openDatabase } from ${JSON.stringify(new URL('./sqlite.ts', import.meta.url).href)}
  const [, folder, what] = process.argv
  const path = join(folder, 'a.db')
  const database = openDatabase(path)
  database.exec('CREATE TABLE t (b BLOB) STRICT')
  database.close()
  try {
    if (what === 'files') for (let n = 0; ; n += 1) writeFileSync(join(folder, 'f' + n), '')
    const filler = openSync(join(folder, 'filler'), 'w')
    for (;;) writeSync(filler, Buffer.alloc(4096))
  } catch {}
  try {
    openDatabase(path)
  } catch ({ code, message, hint, cause }) {
    process.stdout.write([code, message, hint, cause?.code].join(' | '))
  }`

withFileSystem('a full disk, of blocks or of files, is said to be that at opening, with what to do', () => {
  inFolder((folder) => {
    for (const [what, limit, code] of [
      ['blocks', 'size=1m', 'SQLITE_IOERR_SHMSIZE'],
      ['files', 'size=1m,nr_inodes=6', 'SQLITE_CANTOPEN'],
    ] as const) {
      const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', OPENER, folder, what]
      const run = ownFileSystem(`mount -t tmpfs -o ${limit} tmpfs ${folder} && exec "$@"`, ...node)
      const line = run.stdout
      assert.match(line, /^storage_full \| no space left for the database .*a\.db\) \| free disk space/, run.stderr)
      assert.ok(line.endsWith(code), line)
    }
  })
})

test.run()
