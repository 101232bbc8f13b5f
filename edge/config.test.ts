import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openAuthority } from '../cloud/authority.ts'
import { systemClock } from '../shared/clock.ts'
import { checkConfig } from '../shared/config.ts'
import { AppError } from '../shared/errors.ts'
import { newSealingKeyPem } from '../shared/sealing.ts'
import { newSigningKeyPem } from '../shared/signing.ts'
import { MAX_RETENTION_DAYS } from '../shared/wire/index.ts'
import {
  edgeConfigSchema,
  loadEdgeConfig,
  MAX_LIST_KEYS,
  MIN_OUTBOX_BYTES,
  readListKeys,
  stateFolderBeside,
} from './config.ts'

const LEAST = {
  agency: 'springfield',
  cameraId: 'north',
  broker: { url: 'mqtts://localhost:8883' },
  source: { kind: 'replay', path: 'frames' },
}

type Change = Record<string, unknown>

function messageOf(run: () => unknown): string | null {
  try {
    run()
    return null
  } catch (thrown) {
    assert.instance(thrown, AppError)
    assert.is((thrown as AppError).code, 'configuration')
    return (thrown as AppError).message
  }
}

/** The message of the refusal, or null. */
const refusal = (change: Change) => messageOf(() => checkConfig({ ...LEAST, ...change }, edgeConfigSchema, 'edge.json'))

function inFolder(work: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'candor-edge-config-'))
  try {
    work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A certificate with its key; what is certified does not matter to these checks. */
async function newPair(): Promise<{ certificate: string; key: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-edge-pair-'))
  try {
    const made = await openAuthority({ folder, agency: 'springfield', hostnames: ['localhost'], clock: systemClock })
    return { certificate: made.serverCertPem, key: made.serverKeyPem }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
const PAIR = await newPair()
const OTHER_PAIR = await newPair()

/** A folder as `candor camera add` leaves it. */
function writeCamera(folder: string, change: Change = {}): string {
  writeFileSync(join(folder, 'ca.pem'), PAIR.certificate)
  writeFileSync(join(folder, 'certificate.pem'), PAIR.certificate)
  writeFileSync(join(folder, 'key.pem'), PAIR.key, { mode: 0o600 })
  writeFileSync(join(folder, 'list-keys.pem'), newSigningKeyPem().publicKeyPem)
  writeFileSync(join(folder, 'sealing.pem'), newSealingKeyPem().publicKeyPem)
  mkdirSync(join(folder, 'frames'))
  const file = join(folder, 'edge.json')
  writeFileSync(file, JSON.stringify({ ...LEAST, ...change }))
  return file
}

test('four fields are enough; the rest has defaults', () => {
  const config = checkConfig(LEAST, edgeConfigSchema, 'edge.json')
  assert.is(config.upload, 'all')
  assert.is(config.inFlight, 20)
  assert.is(config.retention.matchedDays, 30)
  assert.is(config.track.gapMs, 1_500)
  assert.is(config.vision.detector, 'candor')
  assert.is(config.source.sequence, 'auto')
})

test('every number is taken at its limits and refused one past them, as `field: problem (got value)`', () => {
  const limits: [field: string, least: number, most: number, step?: number][] = [
    ['broker.keepaliveSeconds', 5, 300],
    ['vision.threads', 1, 8],
    ['vision.minConfidence', 0, 1, 0.01],
    ['vision.frameTimeoutMs', 100, 600_000],
    ['vision.lookIntervalMs', 50, 600_000],
    ['track.gapMs', 100, 60_000],
    ['track.repeatWindowMs', 0, 86_400_000],
    ['outbox.maxBytes', MIN_OUTBOX_BYTES, 1024 ** 4],
    ['outbox.maxRows', 2, 10_000_000],
    ['inFlight', 1, 1_000],
    ['healthIntervalMs', 100, 3_600_000],
    ['retention.unmatchedDays', Number.MIN_VALUE, MAX_RETENTION_DAYS, 1],
    ['retention.matchedDays', Number.MIN_VALUE, MAX_RETENTION_DAYS, 1],
    ['retention.cropDays', Number.MIN_VALUE, MAX_RETENTION_DAYS, 1],
    ['source.framesPerSecond', Number.MIN_VALUE, 1_000, 1],
  ]
  for (const [field, least, most, step = 1] of limits) {
    const [group = '', name] = field.split('.')
    const base = group === 'broker' ? LEAST.broker : group === 'source' ? LEAST.source : {}
    const change = (value: unknown) => ({ [group]: name === undefined ? value : { ...base, [name]: value } })
    assert.is(refusal(change(least)), null, `${field} ${least}`)
    assert.is(refusal(change(most)), null, `${field} ${most}`)
    const under = least === Number.MIN_VALUE ? 0 : least - step
    for (const wrong of [under, most + step, '7']) {
      const message = refusal(change(wrong)) ?? 'was taken'
      assert.match(message, `\n  ${field}: `, `${field} ${wrong}`)
      assert.ok(message.endsWith(`(got ${JSON.stringify(wrong)})`), message)
    }
  }
})

test('every problem is printed, each on its own line, not only the first', () => {
  const message = refusal({ agency: 'Springfield PD', inFlight: 0, upload: 'some', outbox: { maxRows: 1 }, colour: 1 })
  const lines = (message ?? '').split('\n')
  assert.is(lines[0], 'edge.json: 5 problem(s)')
  for (const [start, got] of [
    ['agency: must be 1-32 of a-z, 0-9 and -', '(got "Springfield PD")'],
    ['inFlight: ', '(got 0)'],
    ['upload: ', '(got "some")'],
    ['outbox.maxRows: ', '(got 1)'],
  ] as const)
    assert.ok(
      lines.some((line) => line.startsWith(`  ${start}`) && line.endsWith(got)),
      `${start} in\n${message}`,
    )
  assert.ok(lines.some((line) => line.includes('colour')))
})

test('what is missing is named, and an empty document too', () => {
  for (const field of Object.keys(LEAST)) assert.match(refusal({ [field]: undefined }) ?? '', `\n  ${field}: `)
  assert.match(messageOf(() => checkConfig({}, edgeConfigSchema, 'edge.json')) ?? '', /4 problem/)
  assert.match(messageOf(() => checkConfig(null, edgeConfigSchema, 'edge.json')) ?? '', /document: /)
})

test('the broker is reached by mqtts and nothing else, without a password in the address', () => {
  const long = (length: number) => `mqtts://${'a'.repeat(length - 'mqtts://'.length)}`
  for (const url of ['mqtts://localhost', 'mqtts://10.0.0.1:8883', 'mqtts://[::1]:8883/', long(300)])
    assert.is(refusal({ broker: { url } }), null, url)
  for (const url of [
    'mqtt://localhost',
    'https://localhost',
    'mqtts://u:p@localhost',
    'mqtts://h/path',
    'localhost',
    '',
  ])
    assert.match(refusal({ broker: { url } }) ?? '', 'broker.url: must be mqtts://host:port', url)
  assert.match(refusal({ broker: { url: long(301) } }) ?? '', '\n  broker.url: ')
})

test('paths are taken from the folder of the file, data from the state folder where there is one', () => {
  inFolder((folder) => {
    const file = writeCamera(folder)
    const own = loadEdgeConfig(file, null)
    assert.is(own.broker.keyFile, join(folder, 'key.pem'))
    assert.is(own.source.kind === 'replay' && own.source.path, join(folder, 'frames'))
    assert.is(own.dataFolder, join(folder, 'data'))
    assert.is(loadEdgeConfig(file, join(folder, 'state')).dataFolder, join(folder, 'state', 'data'))
    writeFileSync(file, JSON.stringify({ ...LEAST, dataFolder: join(folder, 'elsewhere') }))
    assert.is(loadEdgeConfig(file, join(folder, 'state')).dataFolder, join(folder, 'elsewhere'))
  })
})

test('each kind of camera takes its least, and every range at its ends', () => {
  const source = (change: Change) => refusal({ source: change })
  for (const least of [{ kind: 'gphoto2' }, { kind: 'rpicam' }, { kind: 'stream', address: 'rtsp://camera/live' }])
    assert.is(source(least), null, least.kind)
  for (const stallMs of [1_000, 600_000]) assert.is(source({ kind: 'gphoto2', stallMs }), null)
  for (const stallMs of [999, 600_001])
    for (const kind of ['gphoto2', 'rpicam']) assert.match(source({ kind, stallMs }) ?? '', '\n  source.stallMs: ')
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`s${n}`, '1']))
  // The last one is refused when it is opened: a unit that cannot be read cannot be mended.
  for (const port of [null, 'usb:1-1.2', 'usb:2-1', 'ptpip:192.168.1.1', 'usb:001,004'])
    assert.is(source({ kind: 'gphoto2', port }), null)
  assert.is(source({ kind: 'gphoto2', settings: many(64) }), null)
  assert.match(source({ kind: 'gphoto2', settings: many(65) }) ?? '', 'source.settings: at most 64')
  assert.match(source({ kind: 'gphoto2', settings: { 'is o': '1' } }) ?? '', 'source.settings')
  assert.match(source({ kind: 'webcam' }) ?? '', 'source.kind: ')
  assert.match(source({ kind: 'rpicam', path: 'frames' }) ?? '', 'path')
})

test('a setting of the night needs one of the day, to which it is set back', () => {
  const night = { fromUtc: '21:00', toUtc: '04:00', settings: { iso: '3200' } }
  assert.is(refusal({ source: { kind: 'gphoto2', settings: { iso: '400' }, night } }), null)
  assert.match(
    refusal({ source: { kind: 'gphoto2', settings: { 'f-number': 'f/4' }, night } }) ?? '',
    'source.night.settings: each setting of the night',
  )
})

test('the password of a camera stands in a file beside the configuration that others cannot read', () => {
  inFolder((folder) => {
    const source = { kind: 'stream', address: 'rtsp://camera/live', credentialsFile: 'camera-login' }
    const file = writeCamera(folder, { source })
    const login = join(folder, 'camera-login')
    writeFileSync(login, 'tech:secret\n', { mode: 0o600 })
    const { source: loaded } = loadEdgeConfig(file, null)
    assert.is(loaded.kind === 'stream' && loaded.credentialsFile, login)
    chmodSync(login, 0o644)
    assert.match(messageOf(() => loadEdgeConfig(file, null)) ?? '', 'source.credentialsFile: others may read')
  })
})

test('files that are missing or hold something else are all named at once', () => {
  inFolder((folder) => {
    const file = writeCamera(folder, { source: { kind: 'replay', path: 'nowhere' } })
    rmSync(join(folder, 'ca.pem'))
    writeFileSync(join(folder, 'certificate.pem'), 'not a certificate')
    writeFileSync(join(folder, 'list-keys.pem'), '')
    const message = messageOf(() => loadEdgeConfig(file, null)) ?? ''
    assert.match(message, /^4 problem/)
    assert.match(message, `  broker.caFile: no such file (got ${join(folder, 'ca.pem')})`)
    assert.match(
      message,
      `  broker.certificateFile: no BEGIN CERTIFICATE in it (got ${join(folder, 'certificate.pem')})`,
    )
    assert.match(message, `  listKeysFile: no BEGIN PUBLIC KEY in it (got ${join(folder, 'list-keys.pem')})`)
    assert.match(message, `  source.path: cannot be read (got ${join(folder, 'nowhere')})`)
  })
})

test('what may touch no disk may not leave the camera either, until a signed policy says otherwise', () => {
  inFolder((folder) => {
    const file = writeCamera(folder, { unmatchedInMemory: true })
    assert.match(
      messageOf(() => loadEdgeConfig(file, null)) ?? '',
      'upload: must be matches-only with unmatchedInMemory (got all)',
    )
  })
  inFolder((folder) => {
    const file = writeCamera(folder, { unmatchedInMemory: true, upload: 'matches-only' })
    assert.is(
      messageOf(() => loadEdgeConfig(file, null)),
      null,
    )
  })
})

test('a key that is not that of the certificate, or cannot be used, is found before anything connects', () => {
  inFolder((folder) => {
    const file = writeCamera(folder)
    const key = join(folder, 'key.pem')
    const certificate = join(folder, 'certificate.pem')
    const says = () => messageOf(() => loadEdgeConfig(file, null)) ?? ''
    assert.is(says(), '')
    writeFileSync(key, OTHER_PAIR.key)
    assert.match(says(), `  broker.keyFile: is not the key of broker.certificateFile (got ${key}, ${certificate})`)
    writeFileSync(key, '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')
    assert.match(says(), `  broker.keyFile: is damaged, or needs a password (got ${key})`)
    writeFileSync(certificate, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    assert.match(says(), `  broker.certificateFile: is damaged (got ${certificate})`)
  })
})

test('a private key that others may read, or the group may change, is refused', () => {
  inFolder((folder) => {
    const file = writeCamera(folder)
    const key = join(folder, 'key.pem')
    for (const mode of [0o400, 0o600, 0o640]) {
      chmodSync(key, mode)
      assert.is(
        messageOf(() => loadEdgeConfig(file, null)),
        null,
        mode.toString(8),
      )
    }
    for (const mode of [0o604, 0o644, 0o660, 0o601, 0o602]) {
      chmodSync(key, mode)
      const shown = `(got mode 0${mode.toString(8)})`
      assert.match(messageOf(() => loadEdgeConfig(file, null)) ?? '', shown)
    }
  })
})

test('one to the most list keys are read, none or one more are refused, and so is a key of another kind', () => {
  inFolder((folder) => {
    const file = join(folder, 'list-keys.pem')
    const keys = Array.from({ length: MAX_LIST_KEYS + 1 }, () => newSigningKeyPem().publicKeyPem)
    const read = (count: number) => {
      writeFileSync(file, keys.slice(0, count).join('# a remark\n'))
      return readListKeys(file)
    }
    assert.is(read(1).length, 1)
    assert.is(read(MAX_LIST_KEYS).length, MAX_LIST_KEYS)
    for (const count of [0, MAX_LIST_KEYS + 1])
      assert.match(messageOf(() => read(count)) ?? '', `listKeysFile: 1 to 8 public keys are needed (got ${count})`)
    writeFileSync(file, '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n')
    assert.match(messageOf(() => readListKeys(file)) ?? '', /public key/)
  })
})

test('programs beside the camera find where systemd keeps its state, for one camera and for several on a machine', () => {
  assert.equal(
    ['/etc/candor-edge', '/etc/candor-edge/east', '/etc/candor-edge-2', '/srv/north'].map(stateFolderBeside),
    ['/var/lib/candor-edge', '/var/lib/candor-edge/east', null, null],
  )
})

test.run()
