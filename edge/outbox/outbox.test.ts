import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../../shared/errors.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { inFolder, ownFileSystem, withFileSystem } from '../../shared/testing.ts'
import { MAX_CROP_BYTES, MAX_SIGHTING_BYTES } from '../../shared/wire/index.ts'
import {
  type Cutoffs,
  type Outbox,
  type OutboxCounters,
  type OutboxDeps,
  openOutbox,
  ROW_OVERHEAD_BYTES,
} from './outbox.ts'
import { RESERVE_BYTES } from './reserve.ts'
import { prepareStatements } from './statements.ts'

const NOW = 1_790_000_000_000
const ALL: Cutoffs = { unmatchedMs: 0, matchedMs: 0, cropMs: 0, unmatchedMayLeave: true }
const NONE: ReadonlySet<number> = new Set()

function withOutbox(options: Partial<OutboxDeps>, run: (outbox: Outbox, file: string) => void): void {
  inFolder((folder) => {
    const file = join(folder, 'outbox.db')
    const outbox = openOutbox({ file, maxRows: 1_000, maxBytes: 10_000_000, clock: { nowMs: () => NOW }, ...options })
    try {
      run(outbox, file)
    } finally {
      outbox.close()
    }
  })
}

const bytes = (length: number, fill = 1) => Buffer.alloc(length, fill)
const sighting = (sightingId: string, matched = false, more: object = {}) => ({
  sightingId,
  revision: 1,
  matched,
  capturedAtMs: NOW,
  clock: 'synced' as const,
  payload: Buffer.from(sightingId.padEnd(100, ' ')),
  ...more,
})
const order = (outbox: Outbox, cutoffs = ALL, setBack = false) =>
  outbox.oldest(100, NONE, cutoffs, setBack).map((row) => `${row.kind} ${row.sightingId}`)
const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'none'
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : String(thrown)
  }
}

test('matched sightings leave first, then their crops, then the others, each the oldest first', () => {
  withOutbox({}, (outbox) => {
    outbox.put(sighting('a'), bytes(10))
    outbox.put(sighting('b', true), bytes(10))
    outbox.put(sighting('c'), null)
    outbox.put(sighting('d', true), bytes(10))
    assert.equal(order(outbox), ['sighting b', 'sighting d', 'crop b', 'crop d', 'sighting a', 'sighting c', 'crop a'])
    const [first, second] = outbox.oldest(2, NONE, ALL, false)
    assert.is(first?.matched, true)
    assert.equal(first?.payload, sighting('b').payload)
    assert.equal(
      outbox.oldest(1, new Set([first?.rowId ?? 0, second?.rowId ?? 0]), ALL, false).map((row) => row.kind),
      ['crop'],
    )
  })
})

test('removed rows are gone, and ids are never used again', () => {
  withOutbox({}, (outbox) => {
    outbox.put(sighting('a'), null)
    const [row] = outbox.oldest(1, NONE, ALL, false)
    outbox.remove([row?.rowId ?? 0, 999])
    assert.is(outbox.rows, 0)
    assert.is(outbox.bytes, 0)
    outbox.put(sighting('b'), null)
    assert.ok((outbox.oldest(1, NONE, ALL, false)[0]?.rowId ?? 0) > (row?.rowId ?? 0))
  })
})

test('at the row limit nothing is dropped; one past it the oldest unmatched crop goes', () => {
  withOutbox({ maxRows: 6 }, (outbox) => {
    outbox.put(sighting('a'), bytes(10))
    outbox.put(sighting('b'), bytes(10))
    outbox.put(sighting('c', true), bytes(10))
    assert.is(outbox.rows, 6)
    assert.equal(outbox.counters().evictedCrops, 0)
    outbox.put(sighting('d', true), null)
    assert.equal(order(outbox), ['sighting c', 'sighting d', 'crop c', 'sighting a', 'sighting b', 'crop b'])
    assert.equal(outbox.counters().evictedCrops, 1)
  })
})

test('the drop order is unmatched crops, unmatched sightings, matched crops, matched sightings', () => {
  withOutbox({ maxRows: 4 }, (outbox) => {
    outbox.put(sighting('a', true), bytes(10))
    outbox.put(sighting('b'), bytes(10))
    const left: string[][] = []
    for (const name of ['c', 'd', 'e', 'f']) {
      outbox.put(sighting(name, true), null)
      left.push(order(outbox))
    }
    assert.equal(left, [
      ['sighting a', 'sighting c', 'crop a', 'sighting b'],
      ['sighting a', 'sighting c', 'sighting d', 'crop a'],
      ['sighting a', 'sighting c', 'sighting d', 'sighting e'],
      ['sighting c', 'sighting d', 'sighting e', 'sighting f'],
    ])
    assert.equal(outbox.counters(), { evictedCrops: 2, evictedSightings: 2, expired: 0, lost: 0, withheld: 0 })
  })
})

test('what is less important than everything that waits is dropped itself, and counted', () => {
  withOutbox({ maxRows: 2 }, (outbox) => {
    outbox.put(sighting('a', true), null)
    outbox.put(sighting('b', true), null)
    assert.equal(outbox.put(sighting('c'), bytes(10)), { sighting: false, crop: false })
    assert.equal(order(outbox), ['sighting a', 'sighting b'])
    assert.is(outbox.counters().evictedSightings, 1)
  })
})

test('the byte limit counts payload and overhead: at it all stay, one byte past it something goes', () => {
  const maxBytes = 2 * (100 + ROW_OVERHEAD_BYTES)
  withOutbox({ maxBytes }, (outbox) => {
    outbox.put(sighting('a'), null)
    outbox.put(sighting('b'), null)
    assert.is(outbox.bytes, maxBytes)
    assert.is(outbox.rows, 2)
  })
  withOutbox({ maxBytes: maxBytes - 1 }, (outbox) => {
    outbox.put(sighting('a'), null)
    outbox.put(sighting('b'), null)
    assert.equal(order(outbox), ['sighting b'])
    assert.is(outbox.counters().evictedSightings, 1)
  })
})

test('a sighting or crop at the wire limit is taken, one byte past it is refused', () => {
  withOutbox({}, (outbox) => {
    outbox.put(sighting('a', false, { payload: bytes(MAX_SIGHTING_BYTES) }), bytes(MAX_CROP_BYTES))
    assert.is(outbox.rows, 2)
    assert.is(
      codeOf(() => outbox.put(sighting('b', false, { payload: bytes(MAX_SIGHTING_BYTES + 1) }), null)),
      'too_large',
    )
    assert.is(
      codeOf(() => outbox.put(sighting('b'), bytes(MAX_CROP_BYTES + 1))),
      'too_large',
    )
    assert.is(outbox.rows, 2)
  })
})

test('rows and counters survive a reopening', () => {
  withOutbox({ maxRows: 2 }, (outbox, file) => {
    for (const name of ['a', 'b', 'c']) outbox.put(sighting(name), null)
    const again = openOutbox({ file, maxRows: 2, maxBytes: 10_000, clock: { nowMs: () => NOW } })
    assert.is(again.rows, 2)
    assert.is(again.bytes, outbox.bytes)
    assert.is(again.counters().evictedSightings, 1)
    again.close()
  })
})

test('expired rows never leave, even before they are purged; a crop goes with its sighting', () => {
  withOutbox({}, (outbox) => {
    outbox.put(sighting('old', false, { capturedAtMs: NOW - 1_000 }), bytes(10))
    outbox.put(sighting('old-match', true, { capturedAtMs: NOW - 1_000 }), bytes(10))
    outbox.put(sighting('new'), bytes(10))
    const cutoffs = { ...ALL, unmatchedMs: NOW - 1_000 }
    assert.equal(order(outbox, cutoffs), ['sighting old-match', 'crop old-match', 'sighting new', 'crop new'])
    assert.equal(order(outbox, { ...cutoffs, cropMs: NOW - 1_000 }), ['sighting old-match', 'sighting new', 'crop new'])
    assert.equal(order(outbox, { ...cutoffs, unmatchedMs: NOW - 1_001, cropMs: NOW - 1_000 }).length, 4)
    assert.is(outbox.purge(cutoffs, 1), 1)
    assert.is(outbox.purge(cutoffs, 10), 1)
    assert.is(outbox.purge(cutoffs, 10), 0)
    assert.is(outbox.rows, 4)
    assert.is(outbox.counters().expired, 2)
  })
})

test('under matches-only unmatched rows never leave and are purged as withheld', () => {
  withOutbox({}, (outbox) => {
    outbox.put(sighting('a'), bytes(10))
    outbox.put(sighting('b', true), null)
    const cutoffs = { ...ALL, unmatchedMayLeave: false }
    assert.equal(order(outbox, cutoffs), ['sighting b'])
    assert.is(outbox.purge(cutoffs, 10), 2)
    assert.equal(outbox.counters(), { evictedCrops: 0, evictedSightings: 0, expired: 0, lost: 0, withheld: 1 })
  })
})

test('a picture whose sighting had left before policy changed is withheld with nobody', () => {
  withOutbox({}, (outbox) => {
    outbox.put(sighting('a'), bytes(10))
    outbox.remove(outbox.oldest(1, NONE, ALL, false).map((row) => row.rowId))
    assert.is(outbox.purge({ ...ALL, unmatchedMayLeave: false }, 10), 1)
    assert.is(outbox.counters().withheld, 0)
  })
})

test('what the cloud was told is not told again by the next process, and what it was not told is', () => {
  withOutbox({ maxRows: 1 }, (first, file) => {
    const reopen = () => openOutbox({ file, maxRows: 1, maxBytes: 10_000, clock: { nowMs: () => NOW } })
    const evicted = (counters: OutboxCounters) => counters.evictedSightings
    for (const name of ['a', 'b', 'c']) first.put(sighting(name), null)
    assert.is(evicted(first.reportCounters()), 2)
    first.put(sighting('d'), null)
    assert.is(evicted(first.counters()), 3, 'one process counts on')
    const second = reopen()
    assert.is(evicted(second.counters()), 1)
    second.put(sighting('e'), null)
    assert.is(evicted(second.reportCounters()), 2)
    assert.is(evicted(second.reportCounters()), 2)
    second.close()
    const third = reopen()
    assert.is(evicted(third.reportCounters()), 0)
    third.close()
    const raw = openDatabase(file)
    raw.exec('DROP TABLE outbox_reported')
    raw.close()
    const updated = reopen()
    assert.is(evicted(updated.reportCounters()), 0, 'a folder of older software has told all of it')
    updated.close()
  })
})

test('what goes while it is in flight is counted if its connection ends, and not if it is acknowledged', () => {
  withOutbox({ maxRows: 2 }, (outbox) => {
    outbox.put(sighting('a'), null)
    outbox.put(sighting('b'), null)
    const [a, b] = outbox.oldest(2, NONE, ALL, false).map((row) => row.rowId)
    for (const rowId of [a ?? 0, b ?? 0]) outbox.sent(rowId)
    for (const name of ['c', 'd']) outbox.put(sighting(name, true), null)
    assert.equal(order(outbox), ['sighting c', 'sighting d'], 'matches are dropped last, whatever is in flight')
    assert.is(outbox.counters().evictedSightings, 0)
    outbox.remove([a ?? 0])
    outbox.unacknowledged([b ?? 0])
    assert.is(outbox.counters().evictedSightings, 1)
    outbox.unacknowledged([a ?? 0, b ?? 0])
    assert.is(outbox.counters().evictedSightings, 1, 'each once')
    const [c, d] = outbox.oldest(2, NONE, ALL, false).map((row) => row.rowId)
    for (const rowId of [c ?? 0, d ?? 0]) outbox.sent(rowId)
    outbox.purge({ ...ALL, matchedMs: NOW }, 10)
    assert.is(outbox.rows, 0)
    outbox.remove([c ?? 0])
    outbox.unacknowledged([d ?? 0])
    assert.is(outbox.reportCounters().expired, 1)
  })
})

test('a row in flight that was to make room and is still there, because there was none after all, is not counted', () => {
  withOutbox({ maxRows: 40, maxFileBytes: 68 * 1024 }, (outbox) => {
    for (let n = 0; n < 40; n += 1) outbox.put(sighting(`s${n}`), null)
    const [first] = outbox.oldest(1, NONE, ALL, false)
    outbox.sent(first?.rowId ?? 0)
    assert.is(
      codeOf(() => outbox.put(sighting('large', false, { payload: bytes(MAX_SIGHTING_BYTES) }), null)),
      'storage_full',
    )
    assert.equal([outbox.rows, order(outbox)[0]], [40, 'sighting s0'])
    outbox.unacknowledged([first?.rowId ?? 0])
    assert.is(outbox.counters().evictedSightings, 0)
  })
})

test('while something else holds the database a sighting is lost and counted, and told when that can be written', () => {
  withOutbox({}, (outbox, file) => {
    const other = openDatabase(file)
    try {
      other.exec('BEGIN IMMEDIATE')
      assert.is(
        codeOf(() => outbox.put(sighting('a'), null)),
        'unavailable',
      )
      assert.is(outbox.counters().lost, 1)
      assert.is(outbox.reportCounters().lost, 0, 'not yet')
      other.exec('COMMIT')
    } finally {
      other.close()
    }
    assert.is(outbox.reportCounters().lost, 1)
    assert.is(outbox.counters().lost, 1)
    assert.ok(outbox.put(sighting('b'), null).sighting)
    const next = openOutbox({ file, maxRows: 10, maxBytes: 10_000, clock: { nowMs: () => NOW } })
    assert.is(next.counters().lost, 0)
    next.close()
  })
})

test('a vehicle is lost once, with its final, and not if its preview was stored', () => {
  withOutbox({ maxFileBytes: 256 * 1024 }, (outbox) => {
    const large = (sightingId: string, revision: number) =>
      sighting(sightingId, true, { revision, payload: bytes(10_000) })
    const codes = (sightingId: string) =>
      [0, 1].map((revision) => codeOf(() => outbox.put(large(sightingId, revision), null)))
    outbox.put(large('seen', 0), null)
    while (codeOf(() => outbox.put(large('v', 0), null)) === 'none');
    assert.is(outbox.counters().lost, 0)
    assert.is(
      codeOf(() => outbox.put(large('seen', 1), null)),
      'storage_full',
    )
    assert.is(outbox.counters().lost, 0)
    assert.equal(codes('unseen'), ['storage_full', 'storage_full'])
    assert.is(outbox.counters().lost, 1)
  })
})

test('retention runs from the earlier of captured and stored; an unset clock says nothing of age', () => {
  withOutbox({}, (outbox) => {
    outbox.put(sighting('ahead', false, { capturedAtMs: NOW + 1_000_000 }), null)
    outbox.put(sighting('unset', false, { capturedAtMs: 1_577_836_800_000, clock: 'unsynced' }), null)
    assert.is(outbox.oldestBornAtMs(), NOW)
    outbox.put(sighting('late', false, { capturedAtMs: NOW - 1_000 }), null)
    assert.is(outbox.oldestBornAtMs(), NOW - 1_000)
    assert.is(outbox.restamp(NOW, 10), 1)
    assert.equal(order(outbox, { ...ALL, unmatchedMs: NOW - 1 }).length, 2)
    assert.equal(order(outbox, { ...ALL, unmatchedMs: NOW }), [])
  })
})

test('rows from before the clock was right are counted anew so many at a time, and each once', () => {
  const clock = { nowMs: () => 1 }
  withOutbox({ clock }, (outbox) => {
    for (let i = 0; i < 5; i++) outbox.put(sighting(`u${i}`, false, { clock: 'unsynced' }), null)
    clock.nowMs = () => 2
    outbox.put(sighting('synced'), null)
    assert.equal([outbox.restamp(NOW, 3), outbox.oldestBornAtMs()], [3, 1])
    assert.equal([outbox.restamp(NOW, 3), outbox.oldestBornAtMs()], [2, 2])
    assert.is(outbox.restamp(NOW, 3), 0)
  })
})

test('no statement that runs again and again walks or sorts the whole outbox', () => {
  withOutbox({}, (_outbox, file) => {
    const database = openDatabase(file)
    const planOf = (sql: string) =>
      (database.prepare(`EXPLAIN QUERY PLAN ${sql.replace(/@\w+|\?/g, '1')}`).all() as { detail: string }[]).map(
        ({ detail }) => detail,
      )
    try {
      const statements = prepareStatements(database)
      const wide = Object.entries(statements).flatMap(([name, { source }]) =>
        planOf(source)
          .filter((line) => /^SCAN (?!json_each|\()|TEMP B-TREE/.test(line))
          .map((line) => `${name}: ${line}`),
      )
      assert.equal(wide.sort(), [
        // Five rows each.
        'counters: SCAN outbox_counters',
        'markReported: SCAN outbox_counters',
        'reported: SCAN outbox_reported',
        // Once, at the start.
        'total: SCAN outbox',
        // From the least important on, and ends with the first.
        'victim: SCAN outbox USING INDEX outbox_by_rank',
      ])
      const restamp = planOf(statements.restamp.source).join('\n')
      assert.match(restamp, /SEARCH outbox USING COVERING INDEX outbox_unsynced \(unsynced=\?\)/)
    } finally {
      database.close()
    }
  })
})

test('a row that was set back leaves behind all others, with its crop after it', () => {
  withOutbox({}, (outbox) => {
    outbox.put(sighting('a', true), bytes(10))
    outbox.put(sighting('b'), null)
    outbox.setBack(outbox.oldest(1, NONE, ALL, false)[0]?.rowId ?? 0)
    assert.equal(order(outbox), ['sighting b'])
    assert.equal(order(outbox, ALL, true), ['sighting a', 'crop a'])
  })
})

test('a full database loses nothing committed: the new one is lost and counted, or takes the place of the less important', () => {
  withOutbox({ maxFileBytes: 512 * 1024 }, (outbox) => {
    const large = (sightingId: string, matched = false) => sighting(sightingId, matched, { payload: bytes(10_000) })
    let stored = 0
    while (codeOf(() => outbox.put(large(`s${stored}`), null)) === 'none') stored += 1
    assert.ok(stored > 10 && stored < 60, String(stored))
    assert.is(outbox.rows, stored)
    assert.is(outbox.counters().lost, 1)
    assert.is(
      codeOf(() => outbox.put(large('again'), null)),
      'storage_full',
    )
    assert.is(outbox.counters().lost, 2)
    assert.ok(outbox.put(large('match', true), null).sighting)
    assert.is(order(outbox)[0], 'sighting match')
    assert.ok(outbox.counters().evictedSightings >= 1)
    assert.is(outbox.counters().lost, 2)
    const ids = outbox.oldest(1_000, NONE, ALL, false).map((row) => row.rowId)
    outbox.remove(ids)
    assert.is(outbox.rows, 0)
    assert.ok(outbox.put(large('after'), null).sighting)
  })
})

test('on a full disk pictures make room for new sightings, the oldest first', () => {
  withOutbox({ maxFileBytes: 512 * 1024 }, (outbox) => {
    for (let n = 0; n < 60; n += 1) assert.ok(outbox.put(sighting(`s${n}`), bytes(20_000)).sighting)
    const { evictedCrops, evictedSightings, lost } = outbox.counters()
    assert.ok(evictedCrops > 20, String(evictedCrops))
    assert.is(evictedSightings + lost, 0)
    const crops = outbox.oldest(1_000, NONE, ALL, false).filter((row) => row.kind === 'crop')
    assert.is(crops.length, 60 - evictedCrops)
    assert.is(crops.at(-1)?.sightingId, 's59')
  })
})

test('the reserve is real disk space, and is made again after it was used', () => {
  withOutbox({}, (outbox, file) => {
    const reserve = `${file}.reserve`
    assert.is(statSync(reserve).size, RESERVE_BYTES)
    assert.ok(statSync(reserve).blocks * 512 >= RESERVE_BYTES)
    rmSync(reserve)
    outbox.checkpoint()
    assert.is(statSync(reserve).size, RESERVE_BYTES)
  })
})

test('after a checkpoint no byte of a removed row is left in the files', () => {
  withOutbox({}, (outbox, file) => {
    outbox.put(sighting('SECRETPLATE'), null)
    outbox.remove(outbox.oldest(1, NONE, ALL, false).map((row) => row.rowId))
    outbox.checkpoint()
    const raw = openDatabase(file, { readonly: true })
    raw.close()
    for (const name of [file, `${file}-wal`]) {
      if (existsSync(name)) assert.is(spawnSync('grep', ['-c', 'SECRETPLATE', name]).stdout.toString().trim(), '0')
    }
  })
})

test('the log is written into the database when something was deleted, and not while rows only wait', () => {
  withOutbox({}, (outbox, file) => {
    const logBytes = () => statSync(`${file}-wal`).size
    outbox.checkpoint()
    assert.is(logBytes(), 0, 'an earlier run may have deleted something')
    outbox.put(sighting('s1'), null)
    const waiting = logBytes()
    outbox.checkpoint()
    assert.is(logBytes(), waiting)
    outbox.remove(outbox.oldest(1, NONE, ALL, false).map((row) => row.rowId))
    outbox.checkpoint()
    assert.is(logBytes(), 0)
  })
  withOutbox({ maxRows: 1 }, (outbox, file) => {
    outbox.checkpoint()
    outbox.put(sighting('s1'), null)
    outbox.put(sighting('s2'), null)
    outbox.checkpoint()
    assert.is(statSync(`${file}-wal`).size, 0, 'one was dropped for the other')
  })
})

const WRITER = `
  import { openOutbox } from ${JSON.stringify(fileURLToPath(new URL('./outbox.ts', import.meta.url)))}
  const outbox = openOutbox({ file: process.argv[1], maxRows: 1e6, maxBytes: 1e9, clock: Date.now && { nowMs: () => ${NOW} } })
  for (let n = 0; ; n++) {
    try {
      outbox.put({ sightingId: 's' + n, revision: 1, matched: false, capturedAtMs: ${NOW}, clock: 'synced', payload: Buffer.alloc(8000, 1) }, process.argv[2] === 'crops' ? Buffer.alloc(8000, 2) : null)
      process.stdout.write(n + '\\n')
    } catch (error) {
      process.stdout.write(error.code + ' ' + n + ' ' + JSON.stringify(outbox.counters()) + '\\n')
      if (process.argv[2] === 'more') {
        const before = outbox.rows
        outbox.put({ sightingId: 'match', revision: 1, matched: true, capturedAtMs: ${NOW}, clock: 'synced', payload: Buffer.alloc(12000, 1) }, null)
        const all = { unmatchedMs: 0, matchedMs: 0, cropMs: 0, unmatchedMayLeave: true }
        const rows = outbox.oldest(20, new Set(), all, false)
        outbox.remove(rows.map((row) => row.rowId))
        outbox.checkpoint()
        process.stdout.write(JSON.stringify({ before, after: outbox.rows, first: rows[0].sightingId, ...outbox.counters() }) + '\\n')
      }
      break
    }
  }`
const nodeWriter = (file: string, mode: string) => ['--import', 'tsx', '--input-type=module', '-e', WRITER, file, mode]

test('committed rows survive SIGKILL of the writing process, again and again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-outbox-'))
  try {
    for (let round = 0; round < 5; round++) {
      const file = join(folder, `outbox-${round}.db`)
      const child = spawn(process.execPath, nodeWriter(file, 'crops'), { stdio: ['ignore', 'pipe', 'inherit'] })
      let printed = ''
      child.stdout.on('data', (chunk) => {
        printed += chunk
        if (printed.split('\n').length > 20 + round * 17) child.kill('SIGKILL')
      })
      await new Promise((resolve) => child.on('close', resolve))
      // What was printed had been committed before; the last line may be cut.
      const committed = printed.split('\n').length - 1
      const outbox = openOutbox({ file, maxRows: 1e6, maxBytes: 1e9, clock: { nowMs: () => NOW } })
      const found = new Set(outbox.oldest(1e6, NONE, ALL, false).map((row) => `${row.kind} ${row.sightingId}`))
      for (let n = 0; n < committed; n++) {
        assert.ok(found.has(`sighting s${n}`), `sighting ${n}`)
        assert.ok(found.has(`crop s${n}`), `crop ${n}`)
      }
      assert.is(found.size % 2, 0)
      assert.is(outbox.rows, found.size)
      outbox.close()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a file that may not grow any more (RLIMIT_FSIZE) is a full disk: counted, nothing committed lost', () => {
  inFolder((folder) => {
    const file = join(folder, 'outbox.db')
    const run = spawnSync(
      'bash',
      ['-c', 'trap "" XFSZ; ulimit -f 3000; exec "$@"', 'bash', process.execPath, ...nodeWriter(file, '')],
      { encoding: 'utf8' },
    )
    const last = run.stdout.trim().split('\n').at(-1) ?? ''
    assert.match(last, /^storage_full /, run.stderr)
    const stored = Number(last.split(' ')[1])
    assert.ok(stored > 50, last)
    const outbox = openOutbox({ file, maxRows: 1e6, maxBytes: 1e9, clock: { nowMs: () => NOW } })
    assert.is(outbox.rows, stored)
    outbox.close()
  })
})

withFileSystem('on a full file system the less important makes room, removal works, and nothing else is lost', () => {
  inFolder((folder) => {
    const script = `mount -t tmpfs -o size=6m tmpfs ${folder} && exec "$@"`
    const run = ownFileSystem(script, process.execPath, ...nodeWriter(join(folder, 'outbox.db'), 'more'))
    const lines = run.stdout.trim().split('\n')
    assert.match(lines.at(-2) ?? '', /^storage_full /, run.stderr)
    const result = JSON.parse(lines.at(-1) ?? '')
    assert.is(result.first, 'match')
    assert.ok(result.evictedSightings >= 1)
    assert.is(result.lost, 1)
    assert.is(result.after, result.before + 1 - result.evictedSightings - 20)
  })
})

test.run()
