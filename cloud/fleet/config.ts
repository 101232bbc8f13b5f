/** When a camera is worth an alarm: the cloud's configuration `fleet`. */
import { z } from 'zod'

export const fleetConfigSchema = z.strictObject({
  raiseAfter: z.int().min(1).max(20).default(3).describe('reports in a row that must say so before an alarm is raised'),
  clearAfter: z.int().min(1).max(60).default(4).describe('reports in a row without it that end an alarm'),
  quietIntervals: z
    .int()
    .min(2)
    .max(1_000)
    .default(6)
    .describe('usual intervals between reports without any, after which a camera is quiet'),
  disconnectedMinutes: z
    .int()
    .min(1)
    .max(1_440)
    .default(5)
    .describe('a camera that is offline this long is quiet, minutes'),
  neverHeardHours: z
    .int()
    .min(1)
    .max(336)
    .default(24)
    .describe('a camera that was given its certificate so long ago and was never heard of is quiet, hours'),
  readsLowRatio: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.3)
    .describe('vehicles in an hour beside the median of past weeks, below which the hour is low'),
  readsLowLeast: z
    .int()
    .min(1)
    .max(100_000)
    .default(20)
    .describe('vehicles in the same hour of past weeks, in the median, below which nothing is said'),
  darkRatio: z.number().min(0).max(0.9).default(0.3).describe('brightness beside the usual one of the hour'),
  blurredRatio: z.number().min(0).max(0.95).default(0.65).describe('sharpness beside the usual one'),
  movedRatio: z
    .number()
    .min(0.01)
    .max(0.25)
    .default(0.03)
    .describe("displacement of the view, parts of the picture's width"),
  hotC: z.number().min(40).max(150).default(80).describe('temperature of the processor, °C'),
  diskFreeRatio: z.number().min(0).max(0.9).default(0.05).describe('free part of the disk of the data folder'),
  clockOffsetMs: z
    .int()
    .min(10)
    .max(3_600_000)
    .default(2_000)
    .describe('of a clock against UTC, by its own time service or by when reports arrive, milliseconds'),
  outboxAgeMinutes: z
    .int()
    .min(1)
    .max(10_080)
    .default(15)
    .describe('age of the oldest sighting that waits on a camera that is connected, minutes'),
  rejectedRatio: z
    .number()
    .min(0.01)
    .max(1)
    .default(0.2)
    .describe('frames since the last report that were no pictures'),
  failedRatio: z
    .number()
    .min(0.01)
    .max(1)
    .default(0.2)
    .describe('frames since the last report that vision was given and failed at'),
  historyDays: z.int().min(1).max(90).default(7).describe('health reports are kept for, days'),
  summaryDays: z.int().min(7).max(800).default(100).describe('hourly summaries of them are kept for, days'),
})
export type FleetConfig = z.infer<typeof fleetConfigSchema>
