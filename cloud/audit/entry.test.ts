import { createHash } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from '../../shared/errors.ts'
import {
  type AuditRecord,
  type AuditRow,
  CHAIN_START,
  CLOUD_ACTOR,
  canonicalBytes,
  checkRow,
  MAX_AUDIT_TEXT,
  MAX_ENTRY_BYTES,
  makeRow,
  parseEntry,
  plateDigest,
  ZERO_HASH,
} from './entry.ts'
import { withoutPlates } from './plates.ts'

const PLACE = { previous: CHAIN_START, atMs: 1_764_000_000_123, agency: 'springfield' }
const RECORD: AuditRecord = { operation: 'search.run', outcome: 'allowed', actor: CLOUD_ACTOR }

function problemOf(row: AuditRow, previous = CHAIN_START): string {
  const checked = checkRow(row, previous)
  return checked.ok ? '' : checked.problem
}

function forged(change: (entry: Record<string, unknown>) => void): AuditRow {
  const entry = JSON.parse(makeRow(RECORD, PLACE).bytes.toString()) as Record<string, unknown>
  change(entry)
  const bytes = canonicalBytes(entry)
  return {
    seq: 1,
    bytes,
    hash: createHash('sha256')
      .update(Buffer.from([0]))
      .update(bytes)
      .digest(),
  }
}

test('canonical bytes are those of the examples in RFC 8785', () => {
  // Parsed, as the first number is not one that a literal can say exactly.
  const numbers: unknown = JSON.parse('{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]}')
  assert.is(canonicalBytes(numbers).toString(), '{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}')
  const keys = { '€': 'Euro Sign', '\r': 'Carriage Return', '1': 'One', '😀': 'Emoji', ö: 'o' }
  assert.is(canonicalBytes(keys).toString(), '{"\\r":"Carriage Return","1":"One","ö":"o","€":"Euro Sign","😀":"Emoji"}')
})

test('a lone surrogate is written as the replacement character and an escaped backslash is left alone', () => {
  assert.is(canonicalBytes('a\ud800b').toString(), '"a\uFFFDb"')
  assert.is(canonicalBytes('a\\ud800b').toString(), '"a\\\\ud800b"')
  assert.is(canonicalBytes('\\\ud800').toString(), '"\\\\\uFFFD"')
})

test('an entry says who, what, when and what came before, and hashes as a Merkle leaf', () => {
  const row = makeRow(RECORD, PLACE)
  const entry = parseEntry(row.bytes)
  assert.is(entry.seq, 1)
  assert.is(entry.at, '2025-11-24T16:00:00.123Z')
  assert.is(entry.previous, ZERO_HASH)
  assert.is(entry.agency, 'springfield')
  assert.equal(row.hash, createHash('sha256').update('\0').update(row.bytes).digest())
  assert.ok(checkRow(row, CHAIN_START).ok)
})

test('a record with unknown fields, a wrong outcome or an overlong text cannot be written', () => {
  const wrong: unknown[] = [
    { ...RECORD, plate: 'ABC123' },
    { ...RECORD, outcome: 'maybe' },
    { ...RECORD, operation: 'Search' },
    { ...RECORD, reason: 'x'.repeat(MAX_AUDIT_TEXT + 1) },
    { ...RECORD, actor: { ...CLOUD_ACTOR, roles: ['king'] } },
    { ...RECORD, results: -1 },
  ]
  for (const record of wrong) {
    assert.throws(
      () => makeRow(record as AuditRecord, PLACE),
      (thrown: unknown) => thrown instanceof AppError && thrown.code === 'bad_input',
    )
  }
  makeRow({ ...RECORD, reason: 'x'.repeat(MAX_AUDIT_TEXT) }, PLACE)
})

test('an entry at the size limit is taken and one byte more is refused', () => {
  const detail = Object.fromEntries(
    Array.from({ length: 17 }, (_, i) => [`d${String(i).padStart(2, '0')}`, 'x'.repeat(900)]),
  )
  const room = MAX_ENTRY_BYTES - makeRow({ ...RECORD, detail: { ...detail, last: '' } }, PLACE).bytes.length
  assert.ok(room > 0 && room < MAX_AUDIT_TEXT)
  const full = makeRow({ ...RECORD, detail: { ...detail, last: 'x'.repeat(room) } }, PLACE)
  assert.is(full.bytes.length, MAX_ENTRY_BYTES)
  assert.throws(
    () => makeRow({ ...RECORD, detail: { ...detail, last: 'x'.repeat(room + 1) } }, PLACE),
    (thrown: unknown) => thrown instanceof AppError && thrown.code === 'too_large',
  )
})

test('every single changed byte of an entry is noticed', () => {
  const row = makeRow(RECORD, PLACE)
  for (let i = 0; i < row.bytes.length; i++) {
    const bytes = Buffer.from(row.bytes)
    bytes[i] = (bytes[i] ?? 0) ^ 1
    assert.match(problemOf({ ...row, bytes }), /hash does not fit/, `byte ${i}`)
  }
  for (let i = 0; i < row.hash.length; i++) {
    const hash = Buffer.from(row.hash)
    hash[i] = (hash[i] ?? 0) ^ 0x80
    assert.match(problemOf({ ...row, hash }), /hash does not fit/)
  }
})

test('an entry with a fitting hash is still refused for its number, its predecessor, its fields or its form', () => {
  const second = makeRow(RECORD, { ...PLACE, previous: { seq: 1, hash: '1'.repeat(64) } })
  assert.match(problemOf(second), /missing/)
  assert.match(problemOf(second, { seq: 1, hash: '2'.repeat(64) }), /does not follow/)
  assert.match(problemOf(forged((entry) => (entry.seq = 7))), /calls itself entry 7/)
  assert.match(problemOf(forged((entry) => (entry.outcome = 'fine'))), /field outcome/)
  assert.match(problemOf(forged((entry) => delete entry.at)), /field at/)
  assert.match(problemOf(forged((entry) => (entry.extra = 1))), /field/)
  const spaced = Buffer.from(makeRow(RECORD, PLACE).bytes.toString().replace(',', ', '))
  const hash = createHash('sha256').update('\0').update(spaced).digest()
  assert.match(problemOf({ seq: 1, bytes: spaced, hash }), /canonical/)
  const noise = Buffer.from([0xff, 0xfe])
  assert.match(
    problemOf({ seq: 1, bytes: noise, hash: createHash('sha256').update('\0').update(noise).digest() }),
    /JSON/,
  )
})

test('a plate digest depends on plate and key and does not hold the plate', () => {
  const key = Buffer.alloc(32, 1)
  assert.is(plateDigest(key, 'ABC123'), plateDigest(key, 'ABC123'))
  assert.is.not(plateDigest(key, 'ABC123'), plateDigest(key, 'ABC124'))
  assert.is.not(plateDigest(key, 'ABC123'), plateDigest(Buffer.alloc(32, 2), 'ABC123'))
  assert.match(plateDigest(key, 'ABC123'), /^[0-9a-f]{64}$/)
})

test('plates are taken out of free text in whatever way they are written, and the text still fits an entry', () => {
  const digest = (plate: string) => plateDigest(Buffer.alloc(32, 7), plate)
  const shown = (plate: string) => `[plate ${digest(plate).slice(0, 16)}]`
  const without = (text: string) => withoutPlates(text, ['ABC123', null, 'ABC'], digest)
  assert.is(without('saw abc-12 3, ABC123 and ABC'), `saw ${shown('ABC123')}, ${shown('ABC123')} and ${shown('ABC')}`)
  assert.is(without('XABC123 and ABC1234 are others'), 'XABC123 and ABC1234 are others')
  assert.is(without('ABC '.repeat(125)).length, MAX_AUDIT_TEXT)
})

test.run()
