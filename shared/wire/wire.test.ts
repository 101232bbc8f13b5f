import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  ALERT_STATES,
  alertStepSchema,
  CLOSING_OUTCOMES,
  MAX_CANDIDATES,
  MAX_SETTINGS_FIELDS,
  MAX_SIGHTING_BYTES,
  NEXT_STATE,
  parseWire,
  type Sighting,
  sightingSchema,
  WIRE_SCHEMAS,
  wireJsonSchemas,
} from './index.ts'

const sighting: Sighting = {
  sightingId: '01890a5d-ac96-774b-bcce-b302099a8057',
  revision: 1,
  cameraId: 'north-1',
  capturedAtMs: 1_790_000_000_000,
  clock: 'synced',
  plate: 'ABC123',
  confidence: 0.93,
  candidates: [{ plate: 'ABC123', confidence: 0.93 }],
  jurisdiction: { code: 'US-CA', confidence: 0.5 },
  region: { x: 1.5, y: 2, width: 90, height: 30 },
  frames: 3,
  match: null,
  crop: { sha256: 'a'.repeat(64), bytes: 5_000 },
  versions: { software: '0.1.0', detector: 'ppocr', reader: 'ppocr' },
}
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value))
const parse = (bytes: Uint8Array) => parseWire(sightingSchema, bytes, MAX_SIGHTING_BYTES)

test('a valid sighting passes unchanged', () => {
  assert.equal(parse(bytesOf(sighting)), { ok: true, value: sighting })
})

test('a vehicle whose plate cannot be read has plate null', () => {
  assert.ok(parse(bytesOf({ ...sighting, plate: null })).ok)
})

test('each field is refused with a wrong type and when it is missing', () => {
  for (const key of Object.keys(sighting)) {
    const wrong = parse(bytesOf({ ...sighting, [key]: { nonsense: true } }))
    assert.not(wrong.ok, key)
    const missing: Record<string, unknown> = { ...sighting }
    delete missing[key]
    assert.not(parse(bytesOf(missing)).ok, `${key} missing`)
  }
  assert.not(parse(bytesOf({ ...sighting, extra: 1 })).ok)
})

test('health says what a live camera does, and is taken without it, as units of before send it', () => {
  const counters = { rows: 0, bytes: 0, oldestAgeMs: 0, evicted: { crops: 0, sightings: 0 }, expired: 0 }
  const before = {
    ...{ cameraId: 'north-1', sessionId: sighting.sightingId, atMs: 1_790_000_000_000, uptimeMs: 1, clock: 'synced' },
    frames: { read: 0, dropped: 0, rejected: 0, failed: 0 },
    vision: { restarts: 0 },
    sightings: { made: 0, matched: 0, withheld: 0, lost: 0 },
    outbox: counters,
    hotlists: [],
  }
  const source = { state: 'delivering', reconnects: 2, stalls: 1, frameAgeMs: 40, errorCode: 'unavailable' }
  const takes = (health: object) => WIRE_SCHEMAS.cameraHealth.safeParse(health).success
  assert.ok(takes(before))
  assert.ok(takes({ ...before, source }))
  const settings = { version: 7, trial: false, changed: ['source.settings'] }
  assert.ok(takes({ ...before, settings }))
  assert.not(takes({ ...before, settings: { ...settings, version: -1 } }))
  assert.not(takes({ ...before, settings: { ...settings, changed: Array(MAX_SETTINGS_FIELDS + 1).fill('x') } }))
  const newer = WIRE_SCHEMAS.cameraHealth.parse({ ...before, later: { plate: 'ABC123' } })
  assert.not('later' in newer, 'what a newer unit says beside it is left out, and costs the report nothing')
  assert.ok(takes({ ...before, source: { ...source, state: 'opening', frameAgeMs: null, errorCode: null } }))
  for (const [field, wrong] of Object.entries({
    state: 'gone',
    reconnects: -1,
    stalls: 0.5,
    frameAgeMs: -1,
    errorCode: 'x'.repeat(33),
  }))
    assert.not(takes({ ...before, source: { ...source, [field]: wrong } }), field)
})

test('a refusal names the field and never the value', () => {
  const result = parse(bytesOf({ ...sighting, plate: 'secret plate!' }))
  assert.not(result.ok)
  if (!result.ok) {
    assert.match(result.reason, /^plate: /)
    assert.not.match(result.reason, /secret/)
  }
})

test('empty, not JSON, broken UTF-8 and too long payloads have their own reasons', () => {
  assert.equal(parse(Buffer.alloc(0)), { ok: false, reason: 'empty' })
  assert.equal(parse(Buffer.from('{')), { ok: false, reason: 'not JSON' })
  assert.equal(parse(Buffer.from([0x22, 0xff, 0x22])), { ok: false, reason: 'not JSON' })
  const padded = (length: number) => Buffer.from(JSON.stringify(sighting).padEnd(length))
  assert.ok(parse(padded(MAX_SIGHTING_BYTES)).ok)
  assert.not(parse(padded(MAX_SIGHTING_BYTES + 1)).ok)
})

test('numbers stay in their ranges', () => {
  for (const bad of [
    { confidence: 1.01 },
    { confidence: -0.01 },
    { frames: 0 },
    { revision: 2 },
    { capturedAtMs: 1.5 },
    { capturedAtMs: 0 },
  ]) {
    assert.not(parse(bytesOf({ ...sighting, ...bad })).ok, JSON.stringify(bad))
  }
  const candidates = (count: number) => Array.from({ length: count }, () => ({ plate: 'ABC123', confidence: 0.1 }))
  assert.ok(parse(bytesOf({ ...sighting, candidates: candidates(MAX_CANDIDATES) })).ok)
  assert.not(parse(bytesOf({ ...sighting, candidates: candidates(MAX_CANDIDATES + 1) })).ok)
})

test('a sighting id must be a UUIDv7', () => {
  assert.not(parse(bytesOf({ ...sighting, sightingId: '9b2fd7a8-5c0e-4c63-9f8a-2f4a4b6c8d10' })).ok)
})

test('alerts go raised, image compared, source confirmed, actionable, and no step is skipped', () => {
  const path = ['raised']
  for (let state = NEXT_STATE.raised; state !== null; state = NEXT_STATE[state]) path.push(state)
  assert.equal(path, ['raised', 'image_compared', 'source_confirmed', 'actionable'])
})

test('only an actionable alert can be located or not located, and a closed one ends', () => {
  for (const state of ALERT_STATES) {
    assert.is(CLOSING_OUTCOMES[state].includes('located'), state === 'actionable')
    assert.is(CLOSING_OUTCOMES[state].includes('misread'), state !== 'closed')
  }
})

test('a step must name the revision that the person saw', () => {
  assert.ok(alertStepSchema.safeParse({ step: 'actionable', revision: 3 }).success)
  assert.not(alertStepSchema.safeParse({ step: 'actionable' }).success)
  assert.not(alertStepSchema.safeParse({ step: 'raised', revision: 0 }).success)
})

test('every wire schema prints as JSON Schema', () => {
  const schemas = wireJsonSchemas()
  assert.equal(Object.keys(schemas), Object.keys(WIRE_SCHEMAS))
  for (const schema of Object.values(schemas)) assert.ok(JSON.stringify(schema).includes('$schema'))
})

test.run()
