/**
 * A published report as one document, from which page, table file and comparison are made: sections of figures, tables and plain
 * text, each figure with what it means and where it comes from. Types, schema and the words for values; pure.
 */
import { z } from 'zod'
import { DAY_MS } from '../../shared/clock.ts'
import { slugSchema } from '../../shared/names.ts'

export const REPORT_KIND = 'candor-transparency-report'
export const MANIFEST_KIND = 'candor-transparency-manifest'

const valueSchema = z.union([
  z.strictObject({ count: z.number().min(0) }),
  z.strictObject({ fewerThan: z.int().min(1) }),
  z.strictObject({ withheld: z.literal(true) }),
  /** Of 1; low and high: where it lies with 95 % certainty. */
  z.strictObject({ rate: z.number(), low: z.number().optional(), high: z.number().optional() }),
  z.strictObject({ text: z.string() }),
])
export type Value = z.infer<typeof valueSchema>

const explained = {
  id: z.string().regex(/^[a-z0-9-]+$/),
  explanation: z.string().describe('what it means'),
  source: z.string().describe('what it was counted from'),
}

const figureSchema = z.strictObject({ ...explained, label: z.string(), value: valueSchema, unit: z.string() })
export type FigureShown = z.infer<typeof figureSchema>

const tableSchema = z.strictObject({
  ...explained,
  caption: z.string(),
  head: z.array(z.string()).min(2),
  rows: z.array(z.strictObject({ label: z.string(), values: z.array(valueSchema) })),
  /** Why there are no rows; null: there are, or there is nothing. */
  withheld: z.string().nullable(),
})
export type TableShown = z.infer<typeof tableSchema>

const sectionSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]+$/),
  title: z.string(),
  paragraphs: z.array(z.string()),
  figures: z.array(figureSchema),
  tables: z.array(tableSchema),
  lists: z.array(z.strictObject({ title: z.string(), points: z.array(z.string()) })),
})
export type Section = z.infer<typeof sectionSchema>

const placeOfAuditSchema = z
  .strictObject({
    entries: z.int().min(0),
    root: z.base64().describe('of the tree of those entries [RFC 6962, 2.1]'),
    checkpoint: z.string().describe('the audit’s own signed note that says so [c2sp.org/tlog-checkpoint]'),
  })
  .describe('how long the audit was when the figures were made')
export type PlaceOfAudit = z.infer<typeof placeOfAuditSchema>

export const reportSchema = z.strictObject({
  kind: z.literal(REPORT_KIND),
  agency: slugSchema,
  /** null: a draft, which nobody has published. */
  reportId: z.int().min(1).nullable(),
  period: z.strictObject({ from: z.iso.date(), to: z.iso.date(), days: z.int().min(1) }),
  generatedAt: z.iso.datetime(),
  /** Reports of the same period that this one corrects. */
  corrects: z.array(z.int()),
  policyVersion: z.int().min(1),
  smallCount: z.int().min(0),
  audit: placeOfAuditSchema,
  sections: z.array(sectionSchema),
})
export type Report = z.infer<typeof reportSchema>

/** What is signed. */
export const manifestSchema = z.strictObject({
  kind: z.literal(MANIFEST_KIND),
  agency: slugSchema,
  reportId: z.int().min(1),
  period: z.strictObject({ from: z.iso.date(), to: z.iso.date(), days: z.int().min(1) }),
  /** Name → SHA-256 of its bytes, hex. */
  files: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
  audit: placeOfAuditSchema,
})
export type Manifest = z.infer<typeof manifestSchema>

export const FILES = { json: 'report.json', csv: 'report.csv', html: 'index.html', manifest: 'manifest.json' } as const

export const dateOf = (utcDay: number) => new Date(utcDay * DAY_MS).toISOString().slice(0, 10)
export const dayOf = (date: string) => Date.parse(`${date}T00:00:00Z`) / DAY_MS

const WITHHELD = 'not shown'

/** For a person, with thousands apart. */
export function inWords(value: Value): string {
  if ('count' in value) return value.count.toLocaleString('en-US', { maximumFractionDigits: 1 })
  if ('fewerThan' in value) return `fewer than ${value.fewerThan}`
  if ('withheld' in value) return WITHHELD
  if ('text' in value) return value.text
  const percent = (rate: number) => `${(rate * 100).toFixed(2)} %`
  if (value.low === undefined || value.high === undefined) return percent(value.rate)
  return `${percent(value.rate)} (${percent(value.low)} to ${percent(value.high)})`
}
