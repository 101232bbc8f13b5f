/** What the audit says of settings that are rolled out, and that an auditor can hold the whole of them against it. */
import { createHash } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newCameraRequest } from '../../shared/certificate-request.ts'
import { cameraSettingsSchema, MAX_SETTINGS_BYTES } from '../../shared/wire/index.ts'
import { canonicalBytes, MAX_ENTRY_BYTES } from '../audit/entry.ts'
import { MAX_AUDITED_VALUE_BYTES } from '../audit/value.ts'
import { audited, inWorld, type World } from './testing.ts'

const PATH = '/api/v1/roll-outs'
const digest = (text: string) => createHash('sha256').update(text).digest('hex')
const entries = async (world: World, operation: string) =>
  (await audited(world)).filter((entry) => entry.operation === operation)

async function withCamera(work: (world: World, token: string, auditor: string) => Promise<void>): Promise<void> {
  await inWorld(async (world) => {
    await world.cloud.parts.cameras.add('elm-st-1', newCameraRequest('unit').csrPem, 'test')
    await work(world, await world.as('camera-technician'), await world.as('auditor'))
  })
}

const start = (world: World, token: string, settings: unknown) =>
  world.call('POST', PATH, { token, json: { what: { kind: 'settings', settings }, reason: 'r' } })

test('each setting that is rolled out stands in the audit, whatever stands before it, and the digest of all of them', async () => {
  await withCamera(async (world, token, auditor) => {
    const filler = 'x'.repeat(6_000)
    const settings = { source: { settings: { a: filler }, framesPerSecond: 5 }, vision: { minConfidence: 0.01 } }
    const started = await start(world, token, settings)
    assert.is(started.status, 201)
    const [entry] = await entries(world, 'roll_out.start')
    const { detail = {} } = entry ?? {}
    assert.is(detail['settings.vision.minConfidence'], '0.01')
    assert.is(detail['settings.source.framesPerSecond'], '5')
    assert.match(String(detail['settings.source.settings']), /^\{"a":"x+… \(6008 bytes\)$/)
    // RFC 8785: keys sorted, no white space.
    const canonical = `{"source":{"framesPerSecond":5,"settings":{"a":"${filler}"}},"vision":{"minConfidence":0.01}}`
    assert.is(detail.settingsSha256, digest(canonical))

    const { number } = started.json
    const shown = await world.call('GET', `${PATH}/${number}`, { token: auditor })
    assert.equal(shown.json.rollOut.settings, settings, 'the whole of them')
    assert.is(shown.json.rollOut.settingsSha256, detail.settingsSha256)
    assert.is(digest(canonicalBytes(shown.json.rollOut.settings).toString()), detail.settingsSha256)
    const [told] = await entries(world, 'roll_out.started')
    assert.equal(
      [told?.subject, told?.completes, told?.detail.settingsSha256],
      [{ kind: 'roll_out', id: String(number) }, entry?.seq, detail.settingsSha256],
    )
  })
})

test('settings that name every field, each as long as fits, have an entry that can be written', async () => {
  await withCamera(async (world, token) => {
    const each = 'é'.repeat(MAX_AUDITED_VALUE_BYTES)
    const paths: string[] = []
    const settings: Record<string, unknown> = {}
    for (const [name, schema] of Object.entries(cameraSettingsSchema.shape)) {
      const inner = schema.unwrap()
      const fields = 'shape' in inner ? Object.keys(inner.shape) : null
      paths.push(...(fields === null ? [name] : fields.map((field) => `${name}.${field}`)))
      settings[name] = fields === null ? each : Object.fromEntries(fields.map((field) => [field, each]))
    }
    assert.ok(paths.includes('vision.minConfidence') && paths.includes('logLevel'))
    assert.ok(Buffer.byteLength(JSON.stringify(settings)) <= MAX_SETTINGS_BYTES)
    assert.is((await start(world, token, settings)).status, 201)
    const [entry] = await entries(world, 'roll_out.start')
    const named = Object.keys(entry?.detail ?? {}).filter((key) => key.startsWith('settings.'))
    assert.equal(named.sort(), paths.map((path) => `settings.${path}`).sort())
    const bytes = canonicalBytes(entry).length
    assert.ok(bytes <= MAX_ENTRY_BYTES, String(bytes))
  })
})

test.run()
