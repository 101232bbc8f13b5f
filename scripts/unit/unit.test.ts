import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Clock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import { FIRST_STATE, MAX_TRIES } from './boot-state.ts'
import { type Card, eraseFile, MAX_CARD_FILE_BYTES, readCardFile } from './card.ts'
import { awaitHealth, canGoBack, MAX_PAGE_MS, missingHealth, outcomeOfStart } from './confirm.ts'
import type { EdgeStatus } from './edge-status.ts'
import { currentNetwork, networkdFile, parseNetwork, wpaFile } from './network.ts'
import { parseLogin, parseUnit, unitSettings } from './unit-file.ts'
import { outcomeOfEnd } from './update.ts'
import type { UpdateState } from './update-state.ts'

function problem(work: () => unknown): string {
  try {
    work()
  } catch (thrown) {
    return toAppError(thrown).message
  }
  return 'none'
}

const UNIT = { site: 'North St', edge: { source: { kind: 'stream', address: 'rtsp://10.0.0.9/1' } } }

test('settings of the card become the camera’s, beside what the image says; without a source they are for the set-up page', () => {
  const broker = { keepaliveSeconds: 30 }
  const fields = unitSettings(parseUnit(JSON.stringify({ ...UNIT, broker })))
  const ofImage = { statusFile: 'status.json', updates: {} }
  assert.equal(fields, { source: UNIT.edge.source, broker, ...ofImage })
  assert.equal(unitSettings(parseUnit('{"edge": {"upload": "matches-only"}}')), { upload: 'matches-only', ...ofImage })
  assert.equal(unitSettings(null), ofImage)
})

test('settings that would only fail on the pole are refused when the card is written', () => {
  const wrong = (edge: object, more: object = {}) =>
    problem(() => parseUnit(JSON.stringify({ ...UNIT, ...more, edge })))
  assert.match(wrong({ source: { kind: 'stream' } }), /source/)
  assert.match(wrong({ ...UNIT.edge, healthIntervalMs: 1 }), /healthIntervalMs/)
  assert.match(wrong({ ...UNIT.edge, shutter: 1 }), /problem/)
  assert.match(wrong({ source: {} }), /source/)
  assert.match(wrong({ source: { kind: 'gphoto2', port: 'usb:001,004' } }), /edge\.source\.port: is a number/)
  assert.match(wrong({ ...UNIT.edge, unmatchedInMemory: true }), /matches-only/)
  assert.is(wrong({ ...UNIT.edge, unmatchedInMemory: true, upload: 'matches-only' }), 'none')
  assert.match(wrong(UNIT.edge, { broker: { url: 'http://10.0.0.1' } }), /broker/)
  assert.match(wrong({ ...UNIT.edge, cameraId: 'x' }), /said by the enrolment/)
  assert.match(wrong({ ...UNIT.edge, sealingKeyFile: 'x' }), /said by the enrolment/)
  assert.match(wrong(UNIT.edge, { password: 'x' }), /problem/)
  assert.match(
    problem(() => parseUnit('{')),
    /not JSON/,
  )
})

test('a source that no image has, and a log-in that would not reach the camera or is none, are refused', () => {
  const of = (source: object) => problem(() => parseUnit(JSON.stringify({ edge: { source } })))
  const stream = (credentialsFile: string) => of({ ...UNIT.edge.source, credentialsFile })
  assert.is(stream('camera-login'), 'none')
  assert.match(stream('login'), /must be camera-login/)
  assert.match(stream('/etc/login'), /must be camera-login/)
  assert.match(of({ kind: 'rpicam' }), /Raspberry Pi OS/)
  assert.is(of({ kind: 'gphoto2' }), 'none')
  const login = (text: string) => problem(() => parseLogin(text))
  assert.is(login('user:pass:word\n'), 'none')
  assert.is(login('user:'.padEnd(1_024, 'x')), 'none')
  for (const wrong of ['user', ':word', 'user:', '', 'user:a\nuser:b', 'user:'.padEnd(1_025, 'x')])
    assert.match(login(wrong), /user:password/, wrong)
})

test('a network of the card: static, wireless, or only name and time servers', () => {
  const text = '{"address": "10.0.0.5/24", "gateway": "10.0.0.1", "dns": ["10.0.0.1"], "ntp": ["ntp.example"]}'
  assert.is(
    networkdFile(parseNetwork(text)),
    '[Match]\nName=en* eth*\n\n[Network]\nAddress=10.0.0.5/24\nLinkLocalAddressing=ipv6\nGateway=10.0.0.1\nDNS=10.0.0.1\nNTP=ntp.example\n',
  )
  const { wifi, ...rest } = parseNetwork('{"wifi": {"ssid": "Yard 2", "passphrase": "12345678", "country": "US"}}')
  assert.ok(wifi)
  assert.match(networkdFile({ ...rest, wifi }), /Name=wl\*\n\n\[Network\]\nDHCP=yes/)
  assert.is(wpaFile(wifi), 'country=US\nnetwork={\n  ssid="Yard 2"\n  psk="12345678"\n}\n')
})

test('a network that would write other lines into a file of the system, or is none, is refused', () => {
  const wifi = (more: object) => ({ wifi: { ssid: 'a', passphrase: '12345678', country: 'US', ...more } })
  for (const config of [
    { address: '10.0.0.5' },
    { address: '10.0.0.5/24\nDNS=6.6.6.6' },
    { address: '300.0.0.1/24' },
    { gateway: '10.0.0.1' },
    { ntp: ['a\n[Network]'] },
    { dns: ['one'] },
    wifi({ ssid: 'a"\n' }),
    wifi({ ssid: 'a'.repeat(33) }),
    wifi({ passphrase: '1234567' }),
    wifi({ passphrase: '1'.repeat(64) }),
    wifi({ passphrase: '12345678"' }),
    wifi({ country: 'usa' }),
    { more: 1 },
  ])
    assert.is.not(
      problem(() => parseNetwork(JSON.stringify(config))),
      'none',
      JSON.stringify(config),
    )
  assert.is(
    problem(() => parseNetwork(JSON.stringify(wifi({ ssid: 'a'.repeat(32), passphrase: '1'.repeat(63) })))),
    'none',
  )
})

test('a unit keeps the network that it has, whatever its card does', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-network-'))
  const kept = join(folder, 'network.json')
  const faults = { open: false, remove: false, close: false }
  let onCard: string | null = null
  const fail = (when: boolean) => {
    if (when) throw new AppError('unavailable', 'input/output error')
  }
  const current = async () => {
    const told: string[] = []
    const open = async (): Promise<Card> => {
      fail(faults.open)
      return {
        read: () => onCard,
        async remove() {
          fail(faults.remove)
          onCard = null
        },
        close: async () => fail(faults.close),
      }
    }
    return { text: await currentNetwork(kept, open, (line) => told.push(line)), told: told.join('') }
  }
  try {
    faults.open = true
    assert.equal(await current(), { text: null, told: "the card's network.json is not used: input/output error\n" })
    Object.assign(faults, { open: false, remove: true, close: true })
    onCard = '{"dns": ["10.0.0.1"]}'
    const taken = await current()
    assert.is(taken.text, onCard)
    assert.match(taken.told, /stays on the card: input.*\n.*not let go/)
    Object.assign(faults, { open: true, remove: false, close: false })
    assert.is((await current()).text, '{"dns": ["10.0.0.1"]}')
    faults.open = false
    onCard = '{"gateway": "10.0.0.1", "wifi": {"ssid": "Yard", "passphrase": "correct horse", "country": "US"}}'
    const refused = await current()
    assert.is(refused.text, '{"dns": ["10.0.0.1"]}')
    assert.match(refused.told, /not used.*needs an address.*Yard/s)
    assert.not.match(refused.told, /horse/)
    onCard = '{"dns": ["10.0.0.2"]}'
    assert.equal(await current(), { text: '{"dns": ["10.0.0.2"]}', told: '' })
    assert.is(onCard, null)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a file of the card is read up to its limit, and its bytes are overwritten before it is removed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-card-'))
  try {
    assert.is(readCardFile(folder, 'claim.json'), null)
    writeFileSync(join(folder, 'claim.json'), ' '.repeat(MAX_CARD_FILE_BYTES))
    assert.is(readCardFile(folder, 'claim.json')?.length, MAX_CARD_FILE_BYTES)
    writeFileSync(join(folder, 'claim.json'), ' '.repeat(MAX_CARD_FILE_BYTES + 1))
    assert.match(
      problem(() => readCardFile(folder, 'claim.json')),
      /larger/,
    )
    eraseFile(join(folder, 'claim.json'))
    assert.is(existsSync(join(folder, 'claim.json')), false)
    assert.is(
      problem(() => eraseFile(join(folder, 'claim.json'))),
      'none',
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

const status = (read: number, connected: boolean): EdgeStatus => ({ atMs: 1, connected, frames: { read, still: 0 } })

test('a camera works when it runs, has read a frame, and has its broker or had none before', () => {
  assert.is(missingHealth(true, status(1, true), true), null)
  assert.is(missingHealth(true, { ...status(0, true), frames: { read: 0, still: 1 } }, true), null)
  assert.is(missingHealth(true, status(1, false), false), null)
  assert.match(missingHealth(true, status(1, false), true) ?? '', /broker/)
  assert.match(missingHealth(true, status(0, true), true) ?? '', /no frame/)
  assert.match(missingHealth(true, null, true) ?? '', /nothing/)
  assert.match(missingHealth(false, status(1, true), true) ?? '', /does not run/)
})

function fakeClock(): Clock {
  let nowMs = 0
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    async sleep(ms) {
      nowMs += ms
    },
  }
}

test('a slot on trial is given its time, and no more', async () => {
  const clock = fakeClock()
  const isPageOpen = async () => false
  const trial = { clock, isActive: async () => true, isPageOpen, wasConnected: true, withinMs: 600_000 }
  const late = async () => (clock.monotonicMs() >= 599_000 ? status(1, true) : null)
  assert.is(await awaitHealth({ ...trial, status: late }), null)
  assert.ok(clock.monotonicMs() <= 600_000)
  assert.match((await awaitHealth({ ...trial, status: async () => null })) ?? '', /nothing/)
  assert.ok(clock.monotonicMs() <= 1_205_000)
})

test('while the set-up page is open, the time of a trial stands still, and not for ever', async () => {
  const withinMs = 600_000
  const { during, nowMs } = (() => {
    const clock = fakeClock()
    const isOpen = (fromMs: number, toMs: number) => clock.monotonicMs() > fromMs && clock.monotonicMs() <= toMs
    return {
      nowMs: () => clock.monotonicMs(),
      /** The page takes the camera's place for that time; `wellMs`: from when the camera is well. */
      during: (fromMs: number, toMs: number, wellMs: number) =>
        awaitHealth({
          ...{ clock, withinMs, wasConnected: true },
          isActive: async () => !isOpen(fromMs, toMs),
          isPageOpen: async () => isOpen(fromMs, toMs),
          status: async () => (isOpen(fromMs, toMs) || clock.monotonicMs() < wellMs ? null : status(1, true)),
        }),
    }
  })()
  const pageMs = 2 * 3_600_000
  assert.is(await during(60_000, 60_000 + pageMs, 120_000 + pageMs), null, 'the technician has taken two hours')
  const startMs = nowMs()
  assert.match((await during(startMs + 60_000, startMs + 60_000 + pageMs, Number.POSITIVE_INFINITY)) ?? '', /nothing/)
  assert.is(nowMs() - startMs, withinMs + pageMs, 'the time goes on where it stood')
  const stuckMs = nowMs() - 1
  assert.match((await during(stuckMs, Number.POSITIVE_INFINITY, 0)) ?? '', /does not run/)
  assert.is(nowMs() - stuckMs - 1, withinMs + MAX_PAGE_MS)
})

const update = (state: UpdateState['state']): UpdateState => ({
  ...{ id: 'x', version: '1.0.0', state, message: '', atMs: 1, slot: 'b', wasConnected: true },
})

test('a start tells what became of an update: back in the old slot, or cut while it was written', () => {
  assert.is(outcomeOfStart(null, 'a', false, false), null)
  assert.is(outcomeOfStart(update('installed'), 'b', false, false), null)
  assert.is(outcomeOfStart(update('installed'), 'a', false, false), 'rolled_back')
  assert.is(outcomeOfStart(update('installing'), 'a', false, false), 'failed')
  assert.is(outcomeOfStart(update('installing'), 'b', false, false), 'installed')
  assert.is(outcomeOfStart(update('confirmed'), 'b', false, false), null)
  assert.is(outcomeOfStart(update('installed'), 'b', true, false), 'confirmed')
  assert.is(outcomeOfStart(update('installed'), 'a', true, false), 'rolled_back')
  assert.is(outcomeOfStart(update('rolled_back'), 'a', false, false), null)
  assert.is(outcomeOfStart(update('installing'), 'a', true, true), null, 'it is begun anew: nothing has failed')
  assert.is(outcomeOfStart(update('installing'), 'b', false, true), 'installed')
  assert.is(outcomeOfStart(update('installed'), 'a', true, true), 'rolled_back')
})

test('an updater that was killed is spoken for, by how it left the slots', () => {
  const untouched = { ...FIRST_STATE, b: 'good' as const }
  const written = { ...FIRST_STATE, primary: 'b' as const, b: MAX_TRIES }
  assert.is(outcomeOfEnd(null, 'a', untouched), null)
  assert.is(outcomeOfEnd(update('installing'), 'a', untouched), 'failed', 'while the bundle was taken')
  assert.is(outcomeOfEnd(update('installing'), 'a', FIRST_STATE), 'failed', 'while it was written')
  assert.is(outcomeOfEnd(update('installing'), 'a', written), 'installed', 'between the last mark and the word of it')
  assert.is(outcomeOfEnd(update('installed'), 'a', written), 'installed', 'before the restart')
  assert.is(outcomeOfEnd(update('installed'), 'a', { ...written, b: 0 }), 'failed', 'somebody has given that slot up')
  for (const state of ['confirmed', 'rolled_back', 'failed'] as const)
    assert.is(outcomeOfEnd(update(state), 'a', written), null)
})

test('a slot is only given up where there is another to start', () => {
  assert.is(canGoBack({ ...FIRST_STATE, a: 'good', b: 2 }, 'b'), true)
  assert.is(canGoBack({ ...FIRST_STATE, a: 0, b: 2 }, 'b'), false)
})

test.run()
