/** The figures of a health report that are kept: which they are, and how those of an hour become least, mean and most. Pure. */
import type { CameraHealth } from '../../shared/wire/index.ts'

/** Short names: they stand in every row. */
export const METRICS = [
  'captured',
  'read',
  'temperature',
  'diskFree',
  'memoryFree',
  'outboxRows',
  'outboxAge',
  'luminance',
  'sharpness',
  'likeness',
  'displacement',
  'offset',
  'delay',
] as const
export type Metric = (typeof METRICS)[number]

/** With its unit, for people and in the API. */
export const METRIC_UNITS: Readonly<Record<Metric, string>> = {
  captured: 'frames a second that the source gave',
  read: 'frames a second that were looked at',
  temperature: 'of the processor, °C',
  diskFree: 'free part of the disk',
  memoryFree: 'free part of the memory',
  outboxRows: 'rows that wait',
  outboxAge: 'of the oldest row that waits, milliseconds',
  luminance: 'mean brightness, 0-255',
  sharpness: '0-1',
  likeness: 'of the view with the learned one, -1 to 1',
  displacement: "of the view, parts of the picture's width",
  offset: 'of the clock by its own time service, milliseconds, ahead is positive',
  delay: 'from the time in the report to its arrival, milliseconds',
}

export type Figures = Partial<Record<Metric, number>>

/** Least, mean and most, and of how many reports. */
export type Spread = [least: number, mean: number, most: number, reports: number]
export type Spreads = Partial<Record<Metric, Spread>>

export function figuresOf(health: CameraHealth, receivedAtMs: number): Figures {
  const { rate, device, picture, outbox } = health
  const found: Record<Metric, number | null | undefined> = {
    captured: rate?.capturedPerSecond,
    read: rate?.readPerSecond,
    temperature: device?.temperatureC,
    diskFree: device?.disk === undefined ? null : ratio(device.disk.freeBytes, device.disk.totalBytes),
    memoryFree: device?.memory === undefined ? null : ratio(device.memory.availableBytes, device.memory.totalBytes),
    outboxRows: outbox.rows,
    outboxAge: outbox.oldestAgeMs,
    luminance: picture?.luminance,
    sharpness: picture?.sharpness,
    likeness: picture?.likeness,
    displacement: picture?.displacementRatio,
    offset: device?.clockOffsetMs,
    delay: receivedAtMs - health.atMs,
  }
  const figures: Figures = {}
  for (const metric of METRICS) {
    const value = found[metric]
    if (value !== null && value !== undefined && Number.isFinite(value)) figures[metric] = rounded(value)
  }
  return figures
}

export const ratio = (part: number, whole: number): number => (whole <= 0 ? 0 : Math.min(1, part / whole))

/** To a ten-thousandth: rows stay short. */
const rounded = (value: number) => Math.round(value * 10_000) / 10_000

export function spreadOver(spreads: Spreads, figures: Figures): Spreads {
  const next: Spreads = { ...spreads }
  for (const metric of METRICS) {
    const value = figures[metric]
    if (value === undefined) continue
    const [least, mean, most, reports] = spreads[metric] ?? [value, value, value, 0]
    next[metric] = [
      Math.min(least, value),
      rounded(mean + (value - mean) / (reports + 1)),
      Math.max(most, value),
      reports + 1,
    ]
  }
  return next
}
