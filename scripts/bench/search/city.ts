/**
 * Sightings of an invented city, the same each time: 95 cameras of unequal traffic, vehicles of which some pass daily and most once
 * (Zipf), plates of several formats, day and night. Used by `candor bench search` and by tests that want many rows.
 */
import { DAY_MS, HOUR_MS } from '../../../shared/clock.ts'
import { CONFUSABLE_CLASSES, confusableKey } from '../../../shared/plate.ts'
import { seeded } from '../statistics.ts'

/** Of the reference city (September 2024): 2,077,502 vehicles in 30 days past 95 cameras. */
export const CITY_CAMERAS = 95
export const CITY_DAYS = 30
/** Vehicles for each hundred sightings; with the exponent below, one plate of five is seen once. */
const VEHICLES_PERCENT = 40
/** Exponent of the power by which vehicles differ in how often they pass. */
const SKEW = 2
const MISREAD_SHARE = 0.02
const PREVIEW_SHARE = 0.03
const UNSYNCED_SHARE = 0.003
/** 86,069 hits of 2,077,502. */
const MATCHED_SHARE = 0.041
const NO_PLATE_SHARE = 0.02

/** Traffic of each hour of a day, beside each other. */
export const HOURLY = [2, 1, 1, 1, 2, 4, 8, 14, 15, 11, 10, 11, 12, 12, 12, 14, 16, 17, 14, 10, 7, 6, 5, 3]
const TRAFFIC = HOURLY.reduce((sum, share) => sum + share, 0)

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
type Format = readonly [number, string, string]
/** How often in a hundred; L: a letter, D: a digit. After the issues of California, Virginia, Florida, Texas, Illinois, Germany. */
const FORMATS: readonly [Format, ...Format[]] = [
  [52, '#LLLDDD', 'US-CA'],
  [20, 'LLLDDDD', 'US-VA'],
  [10, 'LLLLDD', 'US-FL'],
  [8, 'LLLDDDD', 'US-TX'],
  [6, 'LLDDDDD', 'US-IL'],
  [4, 'LLLDDD', 'DE'],
]
const COLOURS = ['white', 'black', 'grey', 'silver', 'blue', 'red', 'green', 'brown'] as const

export interface CityRow {
  cameraId: string
  sightingId: string
  revision: 0 | 1
  seenAtMs: number
  receivedAtMs: number
  clockTrusted: 0 | 1
  plate: string | null
  confusableKey: string | null
  matched: 0 | 1
  document: string
}

export const cameraName = (index: number) => `cam-${String(index).padStart(2, '0')}`

/** How many vehicles so many sightings are of. */
export const vehiclesOf = (count: number) => Math.max(1, Math.floor((count * VEHICLES_PERCENT) / 100))

/** The plate of vehicle `index`: the same vehicle has the same one in every run. */
export function plateOf(index: number): { plate: string; code: string } {
  const random = seeded(Math.imul(index, 0x9e3779b1))
  let share = random() * 100
  let [, format, code] = FORMATS[0]
  for (const one of FORMATS) {
    if (share >= 0) [, format, code] = one
    share -= one[0]
  }
  let plate = ''
  for (let i = 0; i < format.length; i++) {
    const place = format.charAt(i)
    if (place === 'L') plate += LETTERS.charAt(Math.floor(random() * LETTERS.length))
    else plate += place === 'D' ? Math.floor(random() * 10) : 1 + Math.floor(random() * 9)
  }
  return { plate, code }
}

export interface CityOptions {
  /** Whose traffic it is; more for more sightings of the month. */
  vehicles?: number
  /** That the sightings take. */
  days?: number
  seed?: number
}

/** `count` sightings that end at `endMs`, oldest first, as ingest stores them; previews come beside their finals. */
export function* cityRows(
  count: number,
  endMs: number,
  { vehicles = vehiclesOf(count), days = CITY_DAYS, seed = 1 }: CityOptions = {},
): Generator<CityRow> {
  const random = seeded(seed)
  for (let i = 0; i < count; i++) {
    const vehicle = Math.floor(vehicles * random() ** SKEW)
    const { plate: truth, code } = plateOf(vehicle)
    const cameraId = cameraName(Math.floor(CITY_CAMERAS * random() ** 1.5))
    const capturedAtMs = Math.floor(endMs - days * DAY_MS + timeInto((i / count) * days))
    const trusted = random() >= UNSYNCED_SHARE
    const receivedAtMs = capturedAtMs + 200 + Math.floor(random() * 800)
    const plate = random() < NO_PLATE_SHARE ? null : random() < MISREAD_SHARE ? misread(truth, random) : truth
    const colour = random() < 0.7 ? COLOURS[vehicle % COLOURS.length] : undefined
    const sightingId = idAt(capturedAtMs, random)
    const row = {
      cameraId,
      sightingId,
      seenAtMs: trusted ? capturedAtMs : receivedAtMs,
      receivedAtMs,
      clockTrusted: trusted ? 1 : 0,
      plate,
      confusableKey: plate === null ? null : confusableKey(plate),
      matched: random() < MATCHED_SHARE ? 1 : 0,
    } as const
    const jurisdiction = random() < 0.8 && plate !== null ? `{"code":"${code}","confidence":0.9}` : 'null'
    const candidates =
      plate === null ? '' : `{"plate":"${plate}","confidence":0.94},{"plate":"8${plate.slice(1)}","confidence":0.31}`
    // Put together by hand: of some millions, JSON.stringify would take minutes.
    const document = (revision: 0 | 1, x: number) =>
      `{"sightingId":"${sightingId}","revision":${revision},"cameraId":"${cameraId}","capturedAtMs":${capturedAtMs},` +
      `"clock":"${trusted ? 'synced' : 'unsynced'}","plate":${plate === null ? 'null' : `"${plate}"`},"confidence":0.94,` +
      `"candidates":[${candidates}],"jurisdiction":${jurisdiction},` +
      `"region":{"x":${x},"y":420.25,"width":118,"height":40.5},` +
      `"vehicle":${colour === undefined ? 'null' : `{"colour":"${colour}","confidence":0.8}`},"frames":4,"match":null,"crop":null,` +
      '"versions":{"software":"0.1.0","detector":"candor","reader":"candor"}}'
    if (random() < PREVIEW_SHARE && i + 1 < count) {
      i += 1
      yield { ...row, revision: 0, document: document(0, 510) }
    }
    yield { ...row, revision: 1, document: document(1, 512.5) }
  }
}

/** Milliseconds from the first day's midnight to where the traffic of so many days has passed. */
function timeInto(days: number): number {
  let left = (days - Math.floor(days)) * TRAFFIC
  let hour = 0
  while (left >= (HOURLY[hour] ?? Number.POSITIVE_INFINITY)) left -= HOURLY[hour++] ?? 0
  return Math.floor(days) * DAY_MS + (hour + left / (HOURLY[hour] ?? 1)) * HOUR_MS
}

function misread(plate: string, random: () => number): string {
  const at = Math.floor(random() * plate.length)
  const members = CONFUSABLE_CLASSES.find((one) => one.includes(plate.charAt(at)))
  const other =
    members === undefined
      ? LETTERS.charAt(Math.floor(random() * LETTERS.length))
      : members.charAt(Math.floor(random() * members.length))
  return plate.slice(0, at) + other + plate.slice(at + 1)
}

/** A UUIDv7 of that millisecond. */
function idAt(atMs: number, random: () => number): string {
  const time = atMs.toString(16).padStart(12, '0')
  const hex = (digits: number) =>
    Math.floor(random() * 16 ** digits)
      .toString(16)
      .padStart(digits, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(3)}-8${hex(3)}-${hex(6)}${hex(6)}`
}
