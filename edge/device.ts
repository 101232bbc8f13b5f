/**
 * How the unit itself is: heat, power, disk, memory, clock, versions. Every source may be missing (a container, another board) and is
 * then left out. Nothing here needs root. Asked before each health report (health.ts); built by main.ts.
 */
import { execFile } from 'node:child_process'
import { readdir, readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, MINUTE_MS, SECOND_MS } from '../shared/clock.ts'
import type { Device, Throttle } from '../shared/wire/index.ts'

/** Between two questions to the time service, which take a process each, milliseconds. */
export const OFFSET_INTERVAL_MS = MINUTE_MS
/** A time service that does not answer in this time is not there, milliseconds. */
const ASK_TIMEOUT_MS = 3 * SECOND_MS
/** What the wire takes of a version. */
const MAX_VERSION = 64
const MAX_SYSTEM = 128

export interface DevicePaths {
  /** Folder of thermal_zone*. */
  thermal: string
  /** Raspberry Pi OS: one hexadecimal number. */
  throttled: string
  /** Folder of hwmon*: Debian's kernel tells there that the voltage was too low. */
  hwmon: string
  memory: string
  osRelease: string
  /** Written at each start of a unit that was made from an image (scripts/unit-image). */
  data: string
}

export const SYSTEM_PATHS: DevicePaths = {
  thermal: '/sys/class/thermal',
  throttled: '/sys/devices/platform/soc/soc:firmware/get_throttled',
  hwmon: '/sys/class/hwmon',
  memory: '/proc/meminfo',
  osRelease: '/etc/os-release',
  data: '/run/candor-unit/data.json',
}

/** Output of a program; null: it is not there, failed, or took too long. */
export type Ask = (program: string, args: readonly string[]) => Promise<string | null>

export const askProgram: Ask = (program, args) =>
  new Promise((resolve) => {
    // In English, whatever the system speaks.
    const options = { timeout: ASK_TIMEOUT_MS, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } }
    execFile(program, [...args], options, (error, out) => resolve(error === null ? out : null))
  })

export interface DeviceDeps {
  dataFolder: string
  versions: { software: string; node: string; detector: string; reader: string }
  clock: Clock
  paths?: DevicePaths
  ask?: Ask
}

export interface DeviceWatch {
  /** As it was at the last look; null before the first. */
  readonly latest: Device | null
  /** Never rejects. */
  look(): Promise<void>
}

export function createDeviceWatch(deps: DeviceDeps): DeviceWatch {
  const { clock, paths = SYSTEM_PATHS, ask = askProgram } = deps
  let latest: Device | null = null
  let offset: { ms: number | null; askedAtMs: number } | null = null
  let system: { system?: string; image?: string } | null = null
  let encrypted: boolean | null = null

  async function offsetMs(): Promise<number | null> {
    const nowMs = clock.monotonicMs()
    if (offset === null || nowMs - offset.askedAtMs >= OFFSET_INTERVAL_MS) {
      offset = { ms: await askClockOffset(ask), askedAtMs: nowMs }
    }
    return offset.ms
  }

  return {
    get latest() {
      return latest
    },
    async look() {
      system ??= parseOsRelease((await textOf(paths.osRelease)) ?? '')
      encrypted ??= await dataEncrypted(paths.data)
      const [temperatureC, throttle, disk, memory, clockOffsetMs] = await Promise.all([
        hottest(paths.thermal),
        throttleOf(paths),
        diskOf(deps.dataFolder),
        textOf(paths.memory).then((text) => parseMemory(text ?? '')),
        offsetMs(),
      ])
      latest = {
        ...(temperatureC === null ? {} : { temperatureC }),
        ...(throttle === null ? {} : { throttle }),
        ...(disk === null ? {} : { disk }),
        ...(memory === null ? {} : { memory }),
        ...(encrypted === null ? {} : { dataEncrypted: encrypted }),
        ...(clockOffsetMs === null ? {} : { clockOffsetMs }),
        versions: { ...deps.versions, ...system },
      }
    },
  }
}

const textOf = (file: string) => readFile(file, 'utf8').catch(() => null)

/** Is what the unit keeps sealed to its key store? null: it was not made from an image. */
export async function dataEncrypted(file = SYSTEM_PATHS.data): Promise<boolean | null> {
  const found = /^\{"encrypted": ?(true|false)\}\s*$/.exec((await textOf(file)) ?? '')?.[1]
  return found === undefined ? null : found === 'true'
}

async function entriesOf(folder: string, prefix: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  return names.filter((name) => name.startsWith(prefix)).map((name) => join(folder, name))
}

/** The hottest zone, °C: on a Raspberry Pi there is one, the processor's. */
async function hottest(folder: string): Promise<number | null> {
  const texts = await Promise.all((await entriesOf(folder, 'thermal_zone')).map((zone) => textOf(join(zone, 'temp'))))
  const found = texts.flatMap((text) => (text !== null && /^-?\d{1,6}\s*$/.test(text) ? [Number(text) / 1_000] : []))
  return found.length === 0 ? null : Math.max(...found)
}

async function throttleOf(paths: DevicePaths): Promise<Device['throttle'] | null> {
  const text = await textOf(paths.throttled)
  const known = text === null ? null : parseThrottled(text)
  if (known !== null) return known
  for (const sensor of await entriesOf(paths.hwmon, 'hwmon')) {
    if ((await textOf(join(sensor, 'name')))?.trim() !== 'rpi_volt') continue
    const alarm = await textOf(join(sensor, 'in0_lcrit_alarm'))
    return alarm === null ? null : { now: { underVoltage: alarm.trim() === '1' } }
  }
  return null
}

/** Bits 0-3: now, 16-19: since the unit started [Raspberry Pi documentation, vcgencmd get_throttled]. Null for what is no number. */
export function parseThrottled(text: string): { now: Throttle; sinceBoot: Throttle } | null {
  const digits = /^(?:throttled=)?(?:0x)?([0-9a-f]{1,8})\s*$/i.exec(text)?.[1]
  if (digits === undefined) return null
  const bits = Number.parseInt(digits, 16)
  const from = (first: number): Throttle => {
    const bit = (n: number) => ((bits >>> (first + n)) & 1) === 1
    return { underVoltage: bit(0), frequencyCapped: bit(1), throttled: bit(2), softTemperatureLimit: bit(3) }
  }
  return { now: from(0), sinceBoot: from(16) }
}

async function diskOf(folder: string): Promise<Device['disk'] | null> {
  const found = await statfs(folder).catch(() => null)
  if (found === null) return null
  return { freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize }
}

/** `/proc/meminfo`; null where a line is missing. */
export function parseMemory(text: string): Device['memory'] | null {
  const kibibytes = (name: string) => new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]
  const total = kibibytes('MemTotal')
  const available = kibibytes('MemAvailable')
  if (total === undefined || available === undefined) return null
  return { availableBytes: Number(available) * 1024, totalBytes: Number(total) * 1024 }
}

/** [os-release(5)] */
export function parseOsRelease(text: string): { system?: string; image?: string } {
  const value = (name: string, most: number) => {
    const found = new RegExp(`^${name}=(?:"([^"]*)"|'([^']*)'|(\\S*))$`, 'm').exec(text)
    return (found?.[1] ?? found?.[2] ?? found?.[3] ?? '').slice(0, most)
  }
  const system = value('PRETTY_NAME', MAX_SYSTEM)
  const image = value('IMAGE_VERSION', MAX_VERSION)
  return { ...(system === '' ? {} : { system }), ...(image === '' ? {} : { image }) }
}

/** chrony answers anybody on this machine; else systemd-timesyncd, over D-Bus. Null: neither is there, or neither has measured. */
async function askClockOffset(ask: Ask): Promise<number | null> {
  const chrony = parseChronyTracking((await ask('chronyc', ['-n', '-c', 'tracking'])) ?? '')
  if (chrony !== null) return chrony
  return parseTimesyncStatus((await ask('timedatectl', ['timesync-status'])) ?? '')
}

/**
 * `chronyc -c tracking` [chronyc(1)]: the fifth field is what the clock still has to be corrected by, in seconds, positive where it is slow;
 * the last is the leap status. Ahead is positive here.
 */
export function parseChronyTracking(text: string): number | null {
  const fields = text.trim().split(',')
  const slowSeconds = Number(fields[4])
  if (fields.length < 14 || fields[4] === '' || !Number.isFinite(slowSeconds)) return null
  // Never synchronised: the correction says nothing.
  if (fields.at(-1) === 'Not synchronised') return null
  return asMs(-slowSeconds * 1_000)
}

const UNIT_MS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: SECOND_MS,
  min: MINUTE_MS,
  h: 60 * MINUTE_MS,
  d: 1_440 * MINUTE_MS,
}

/** `Offset: -1min 2.5ms` of `timedatectl timesync-status`: the server's time less ours [systemd, timedatectl.c]. Ahead is positive here. */
export function parseTimesyncStatus(text: string): number | null {
  const found = /^\s*Offset: ([+-])(\S.*)$/m.exec(text)
  if (found === null) return null
  let total = 0
  for (const part of (found[2] ?? '').trim().split(/\s+/)) {
    const [, number, unit] = /^(\d+(?:\.\d+)?)([a-z]*)$/.exec(part) ?? []
    const unitMs = number === '0' && unit === '' ? 1 : UNIT_MS[unit ?? '']
    if (number === undefined || unitMs === undefined) return null
    total += Number(number) * unitMs
  }
  return asMs(found[1] === '-' ? total : -total)
}

/** To the microsecond; never -0. */
const asMs = (ms: number) => Math.round(ms * 1_000) / 1_000 + 0
