import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Clock } from '../shared/clock.ts'
import { deviceSchema } from '../shared/wire/index.ts'
import {
  type Ask,
  createDeviceWatch,
  type DevicePaths,
  dataEncrypted,
  OFFSET_INTERVAL_MS,
  parseChronyTracking,
  parseMemory,
  parseOsRelease,
  parseThrottled,
  parseTimesyncStatus,
} from './device.ts'

const NONE = { underVoltage: false, frequencyCapped: false, throttled: false, softTemperatureLimit: false }
const VERSIONS = { software: '1.0.0', node: 'v20', detector: 'candor', reader: 'candor' }

interface World {
  clock: Clock & { monotonic: number }
  paths: DevicePaths
  folder: string
  write(name: string, text: string): void
}

async function inFolder(work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-device-'))
  const clock = { monotonic: 0, nowMs: () => 0, monotonicMs: () => clock.monotonic, sleep: async () => {} }
  const at = (name: string) => join(folder, name)
  const paths = {
    ...{ thermal: at('thermal'), throttled: at('throttled'), hwmon: at('hwmon') },
    ...{ memory: at('meminfo'), osRelease: at('os-release'), data: at('data.json') },
  }
  const write = (name: string, text: string) => {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  try {
    await work({ clock, paths, folder, write })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const silent: Ask = async () => null

test('a Raspberry Pi is read: heat, power, memory, disk, system', () =>
  inFolder(async ({ clock, paths, folder, write }) => {
    write('thermal/thermal_zone0/temp', '61234\n')
    write('thermal/thermal_zone1/temp', '48000\n')
    write('thermal/cooling_device0/temp', '99000\n')
    write('throttled', '50001\n')
    write('meminfo', 'MemTotal:        3884360 kB\nMemFree:          100 kB\nMemAvailable:    1000 kB\n')
    write('os-release', 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nIMAGE_VERSION=7\n')
    write('data.json', '{"encrypted": false}\n')
    const watch = createDeviceWatch({ dataFolder: folder, versions: VERSIONS, clock, paths, ask: silent })
    assert.is(watch.latest, null)
    await watch.look()
    const device = deviceSchema.parse(watch.latest)
    assert.is(device.temperatureC, 61.234)
    assert.is(device.dataEncrypted, false)
    assert.equal(device.throttle, {
      now: { ...NONE, underVoltage: true },
      sinceBoot: { ...NONE, underVoltage: true, throttled: true },
    })
    assert.equal(device.memory, { availableBytes: 1_024_000, totalBytes: 3_884_360 * 1024 })
    assert.ok((device.disk?.totalBytes ?? 0) >= (device.disk?.freeBytes ?? 0) && (device.disk?.freeBytes ?? 0) > 0)
    assert.equal(device.versions, { ...VERSIONS, system: 'Debian GNU/Linux 13 (trixie)', image: '7' })
    assert.is(device.clockOffsetMs, undefined)
  }))

test('whether the data is encrypted is said by a unit from an image alone, and by nothing that is half written', () =>
  inFolder(async ({ paths, write }) => {
    assert.is(await dataEncrypted(paths.data), null)
    for (const [text, said] of [
      ['{"encrypted": true}\n', true],
      ['{"encrypted": false}\n', false],
      ['{"encrypted": tr', null],
      ['', null],
    ] as const) {
      write('data.json', text)
      assert.is(await dataEncrypted(paths.data), said, text)
    }
  }))

test('what a machine does not tell is left out', () =>
  inFolder(async ({ clock, paths }) => {
    const watch = createDeviceWatch({ dataFolder: '/nowhere', versions: VERSIONS, clock, paths, ask: silent })
    await watch.look()
    assert.equal(watch.latest, { versions: VERSIONS })
  }))

test('under Debian the voltage is read from its sensor, and nothing is said of the rest', () =>
  inFolder(async ({ clock, paths, folder, write }) => {
    write('hwmon/hwmon0/name', 'cpu_thermal\n')
    write('hwmon/hwmon1/name', 'rpi_volt\n')
    write('hwmon/hwmon1/in0_lcrit_alarm', '1\n')
    const watch = createDeviceWatch({ dataFolder: folder, versions: VERSIONS, clock, paths, ask: silent })
    await watch.look()
    assert.equal(watch.latest?.throttle, { now: { underVoltage: true } })
    write('hwmon/hwmon1/in0_lcrit_alarm', '0\n')
    await watch.look()
    assert.equal(watch.latest?.throttle, { now: { underVoltage: false } })
  }))

test('the time service is asked once a minute, chrony first', () =>
  inFolder(async ({ clock, paths, folder }) => {
    const asked: string[] = []
    const ask: Ask = async (program) => {
      asked.push(program)
      return program === 'timedatectl' ? '  Offset: +1.5ms\n' : null
    }
    const watch = createDeviceWatch({ dataFolder: folder, versions: VERSIONS, clock, paths, ask })
    await watch.look()
    assert.is(watch.latest?.clockOffsetMs, -1.5)
    clock.monotonic = OFFSET_INTERVAL_MS - 1
    await watch.look()
    assert.equal(asked, ['chronyc', 'timedatectl'])
    clock.monotonic = OFFSET_INTERVAL_MS
    await watch.look()
    assert.is(asked.length, 4)
  }))

test('throttling is decoded, with and without its decorations; what is no number is nothing', () => {
  assert.equal(parseThrottled('0'), { now: NONE, sinceBoot: NONE })
  assert.equal(parseThrottled('throttled=0xf0000\n')?.now, NONE)
  assert.equal(parseThrottled('0xa')?.now, { ...NONE, frequencyCapped: true, softTemperatureLimit: true })
  assert.equal(parseThrottled('80000')?.sinceBoot, { ...NONE, softTemperatureLimit: true })
  for (const text of ['', 'x', '123456789', '0x', '1 2']) assert.is(parseThrottled(text), null, text)
})

test('chrony: slow is behind, so negative; unsynchronised, short or broken is nothing', () => {
  const line = (offset: string, leap: string) =>
    `C0A80001,192.168.0.1,3,1700000000.123,${offset},0.000001,0.00002,-12.3,0.001,0.05,0.01,0.001,64.2,${leap}\n`
  assert.is(parseChronyTracking(line('0.002500000', 'Normal')), -2.5)
  assert.is(parseChronyTracking(line('-0.250000000', 'Normal')), 250)
  assert.is(parseChronyTracking(line('0.000000000', 'Not synchronised')), null)
  assert.is(parseChronyTracking(line('', 'Normal')), null)
  assert.is(parseChronyTracking(line('soon', 'Normal')), null)
  for (const text of ['', 'a,b,c', '506 Cannot talk to daemon']) assert.is(parseChronyTracking(text), null, text)
})

test('timesyncd: every unit, both signs; what cannot be read is nothing', () => {
  assert.is(parseTimesyncStatus('       Server: 10.0.0.1\n       Offset: +820us\n        Delay: 1ms\n'), -0.82)
  assert.is(parseTimesyncStatus('Offset: -1min 2.5s\n'), 62_500)
  assert.is(parseTimesyncStatus('Offset: +1h 3ms\n'), -3_600_003)
  assert.is(parseTimesyncStatus('Offset: +0\n'), 0)
  for (const text of ['', 'Offset: n/a', 'Offset: 5ms', 'Offset: +5 parsecs', 'Offset: +']) {
    assert.is(parseTimesyncStatus(text), null, text)
  }
})

test('memory and system need their lines', () => {
  assert.is(parseMemory('MemTotal: 5 kB\n'), null)
  assert.equal(parseOsRelease("PRETTY_NAME='X'\n"), { system: 'X' })
  assert.equal(parseOsRelease('NAME=other\n'), {})
  assert.is(parseOsRelease(`PRETTY_NAME="${'x'.repeat(200)}"`).system?.length, 128)
  assert.is(parseOsRelease(`IMAGE_VERSION=${'x'.repeat(200)}`).image?.length, 64)
})

test.run()
