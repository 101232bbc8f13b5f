/**
 * A hotlist file taken apart: delimited text with a header row, by column names of ours or of NCIC's message field codes.
 * Every row is checked and every bad one reported with its line. Pure but for csv-parse; runs in a worker for large files.
 */
import { isUtf8 } from 'node:buffer'
import { Readable } from 'node:stream'
import { type CsvError, type InfoRecord, parse } from 'csv-parse'
import { AppError } from '../../shared/errors.ts'
import { MAX_PATTERN_STARS, MIN_PATTERN_CHARACTERS, normalisePattern, normalisePlate } from '../../shared/plate.ts'
import { type ListRule, listRuleSchema, MAX_LIST_ENTRIES } from '../../shared/wire/hotlist.ts'
import { jurisdictionSchema } from '../../shared/wire/sighting.ts'
import { jurisdictionOfNcic, parseDate } from './fields.ts'

/** A million rows of 64 characters. */
export const MAX_IMPORT_BYTES = 64 * 1024 * 1024
/** Bad rows named in the report; all are counted. */
export const MAX_REPORTED_PROBLEMS = 100
/** Bytes of one row. */
export const MAX_ROW_BYTES = 16 * 1024
export const MAX_CATEGORY_LENGTH = 64
export const MAX_REASON_LENGTH = 500
export const MAX_CASE_LENGTH = 64
export const MAX_COLUMNS = 128
/** Rows handed on together: one INSERT. */
export const ROWS_PER_BATCH = 500

/** Column name, lower case → field. The upper-case codes are NCIC's message field codes. */
const COLUMNS: Readonly<Record<string, Field>> = {
  plate: 'plate',
  lic: 'plate',
  jurisdiction: 'jurisdiction',
  lis: 'ncicState',
  category: 'category',
  mke: 'category',
  priority: 'priority',
  reason: 'reason',
  case: 'caseNumber',
  oca: 'caseNumber',
  effective: 'effective',
  expires: 'expires',
  match: 'match',
}
type Field =
  | 'plate'
  | 'jurisdiction'
  | 'ncicState'
  | 'category'
  | 'priority'
  | 'reason'
  | 'caseNumber'
  | 'effective'
  | 'expires'
  | 'match'

/**
 * The NCIC extract mixes in an immigration-violator file (deported felons, absconders, NSEERS); plate reading must not serve it (the
 * reference city's published policy, Washington SB 6002). Rows of such a category, and of those that the policy names beside it, are
 * dropped and counted and never reach the database or a camera.
 */
const ALWAYS_PROHIBITED = ['immigration', 'deport', 'nseers']

/** `named`: by the policy. A category that contains one is meant, however it is written. */
export function isProhibited(category: string, named: readonly string[]): boolean {
  const text = category.toLowerCase()
  return [...ALWAYS_PROHIBITED, ...named].some((word) => text.includes(word.toLowerCase()))
}

export interface HotlistRow {
  /** By rule `wildcard`: a pattern. */
  plate: string
  jurisdiction: string | null
  category: string
  /** 1 (most urgent) to 5. */
  priority: number
  rule: ListRule
  reason: string | null
  caseNumber: string | null
  effectiveAtMs: number | null
  expiresAtMs: number | null
}

export interface Problem {
  /** First line of the row in the file, from 1; null when it concerns the whole file. */
  line: number | null
  /** Never holds a plate. */
  problem: string
}

export interface ParseReport {
  /** Rows under the header. */
  rows: number
  good: number
  bad: number
  /** Rows of a prohibited category, dropped. */
  prohibited: number
  /** Of the good rows: patterns, which the cloud alone matches. */
  patterns: number
  /** The first MAX_REPORTED_PROBLEMS. */
  problems: Problem[]
  unknownColumns: string[]
  /** The file cannot be used at all, not even without its bad rows. */
  unusable: boolean
}

export interface ParseOptions {
  /** For rows that do not say. */
  rule: ListRule
  priority: number
  /** Categories that the policy prohibits. */
  prohibited: readonly string[]
}

/**
 * Hands the good rows to `onRows` in batches of ROWS_PER_BATCH, waiting for each, and returns the report. A file that is no
 * text, has no plate column or breaks off gives a report with `unusable`; rows may have been handed on before that shows.
 */
export async function parseHotlist(
  bytes: Uint8Array,
  options: ParseOptions,
  onRows: (rows: HotlistRow[]) => Promise<void>,
): Promise<ParseReport> {
  const report: ParseReport = {
    rows: 0,
    good: 0,
    bad: 0,
    prohibited: 0,
    patterns: 0,
    problems: [],
    unknownColumns: [],
    unusable: false,
  }
  const note = (line: number | null, problem: string) => {
    if (report.problems.length < MAX_REPORTED_PROBLEMS) report.problems.push({ line, problem })
  }
  const unusable = (problem: string, line: number | null = null) => {
    report.unusable = true
    note(line, problem)
    return report
  }
  if (bytes.length > MAX_IMPORT_BYTES) return unusable(`the file is larger than ${MAX_IMPORT_BYTES} bytes`)
  if (!isUtf8(bytes)) return unusable('the file is not UTF-8 text')
  if (bytes.includes(0)) return unusable('the file holds zero bytes: it is no text')

  const text = startsWithBom(bytes) ? bytes.subarray(BOM.length) : bytes
  const lines = createLineCount(text)
  const parser = parse({
    delimiter: detectDelimiter(text),
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
    max_record_size: MAX_ROW_BYTES,
  })
  const source = Readable.from(slices(text))
  source.pipe(parser)

  let header: (Field | null)[] | null = null
  let seen: Map<string, number> | null = null
  let batch: HotlistRow[] = []
  try {
    for await (const parsed of parser) {
      const { record, info } = parsed as { record: string[]; info: InfoRecord }
      const line = lines.pass(info.bytes)
      if (header === null) {
        const read = readHeader(record)
        if (typeof read === 'string') return unusable(read, line)
        header = read.fields
        report.unknownColumns = read.unknown
        seen = new Map()
        continue
      }
      report.rows += 1
      const row = readRow(record, header, options)
      if (typeof row === 'string') {
        report.bad += 1
        note(line, row)
        continue
      }
      if (isProhibited(row.category, options.prohibited)) {
        report.prohibited += 1
        continue
      }
      const key = `${row.plate} ${row.jurisdiction ?? ''} ${row.caseNumber ?? ''}`
      const earlier = seen?.get(key)
      if (earlier !== undefined) {
        report.bad += 1
        note(line, `the same plate, jurisdiction and case as in line ${earlier}`)
        continue
      }
      if (report.good >= MAX_LIST_ENTRIES) return unusable(`more than ${MAX_LIST_ENTRIES} entries`, line)
      seen?.set(key, line)
      report.good += 1
      if (row.rule === 'wildcard') report.patterns += 1
      batch.push(row)
      if (batch.length === ROWS_PER_BATCH) {
        await onRows(batch)
        batch = []
      }
    }
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown
    const error = thrown as CsvError
    return unusable(explain(error), typeof error.lines === 'number' ? error.lines : null)
  } finally {
    source.destroy()
    parser.destroy()
  }
  if (header === null) return unusable('the file is empty: a header row with a column `plate` is needed')
  if (batch.length > 0) await onRows(batch)
  return report
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf])

function startsWithBom(bytes: Uint8Array): boolean {
  return BOM.equals(bytes.subarray(0, BOM.length))
}

/** Pieces small enough that parsing one stalls nothing. */
function* slices(bytes: Uint8Array): Generator<Buffer> {
  const step = 64 * 1024
  for (let at = 0; at < bytes.length; at += step) {
    const piece = bytes.subarray(at, at + step)
    yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
  }
}

/** The delimiter that the header row holds most of, outside quotes. */
function detectDelimiter(bytes: Uint8Array): string {
  const counts = new Map([
    [',', 0],
    [';', 0],
    ['\t', 0],
    ['|', 0],
  ])
  let quoted = false
  for (const character of Buffer.from(bytes.subarray(0, MAX_ROW_BYTES))
    .toString('utf8')
    .replace(/^[\r\n]*/, '')) {
    if (character === '"') quoted = !quoted
    if (quoted) continue
    if (character === '\n' || character === '\r') break
    const count = counts.get(character)
    if (count !== undefined) counts.set(character, count + 1)
  }
  let best = ','
  for (const [delimiter, count] of counts) if (count > (counts.get(best) ?? 0)) best = delimiter
  return best
}

/**
 * The lines on which records begin, counted in the file itself: csv-parse counts a CRLF inside quotes as two. `\r\n`, `\n` and
 * `\r` each end a line.
 */
function createLineCount(bytes: Uint8Array) {
  const LF = 10
  const CR = 13
  let at = 0
  let line = 1
  const step = () => {
    const byte = bytes[at]
    if (byte === LF || (byte === CR && bytes[at + 1] !== LF)) line += 1
    at += 1
  }
  return {
    /** First line of the record that ends before byte `end`: after what is left of the last line's end, and after empty lines. */
    pass(end: number): number {
      while (at < bytes.length && (bytes[at] === LF || bytes[at] === CR)) step()
      const first = line
      while (at < end) step()
      return first
    },
  }
}

function readHeader(record: readonly string[]): { fields: (Field | null)[]; unknown: string[] } | string {
  if (record.length > MAX_COLUMNS) return `more than ${MAX_COLUMNS} columns`
  const fields: (Field | null)[] = []
  const unknown: string[] = []
  for (const name of record) {
    const field = Object.hasOwn(COLUMNS, name.toLowerCase()) ? (COLUMNS[name.toLowerCase()] ?? null) : null
    if (field === null) unknown.push(name.slice(0, 64))
    else if (fields.includes(field)) return `two columns for ${field}`
    fields.push(field)
  }
  if (!fields.includes('plate')) return 'there is no column `plate` (or `LIC`) in the header row'
  return { fields, unknown }
}

/** The row, or what is wrong with it. */
function readRow(
  record: readonly string[],
  header: readonly (Field | null)[],
  options: ParseOptions,
): HotlistRow | string {
  if (record.length !== header.length) return `${record.length} fields, the header has ${header.length}`
  const values: Partial<Record<Field, string>> = {}
  for (const [i, field] of header.entries()) if (field !== null) values[field] = record[i] ?? ''

  const wanted = values.match === undefined || values.match === '' ? options.rule : values.match.toLowerCase()
  const rule = listRuleSchema.safeParse(wanted)
  if (!rule.success) return 'match: must be exact, near or wildcard'
  const plate = readPlate(values.plate ?? '', rule.data)
  if (plate instanceof Error) return plate.message
  const jurisdiction = readJurisdiction(values)
  if (jurisdiction instanceof Error) return jurisdiction.message
  const category = values.category ?? ''
  if (category.length > MAX_CATEGORY_LENGTH) return `category: longer than ${MAX_CATEGORY_LENGTH} characters`
  const priority = values.priority === undefined || values.priority === '' ? options.priority : Number(values.priority)
  if (!Number.isInteger(priority) || priority < 1 || priority > 5) return 'priority: must be 1 (most urgent) to 5'
  const reason = values.reason ?? ''
  if (reason.length > MAX_REASON_LENGTH) return `reason: longer than ${MAX_REASON_LENGTH} characters`
  const caseNumber = values.caseNumber ?? ''
  if (caseNumber.length > MAX_CASE_LENGTH) return `case: longer than ${MAX_CASE_LENGTH} characters`
  const effectiveAtMs = parseDate(values.effective ?? '', 'start')
  if (effectiveAtMs === undefined) return 'effective: not a date (2026-01-31, 20260131 or 2026-01-31T08:00:00Z)'
  const expiresAtMs = parseDate(values.expires ?? '', 'end')
  if (expiresAtMs === undefined) return 'expires: not a date (2026-01-31, 20260131 or 2026-01-31T08:00:00Z)'
  if (effectiveAtMs !== null && expiresAtMs !== null && expiresAtMs <= effectiveAtMs) {
    return 'expires before it is effective'
  }
  return {
    ...plate,
    jurisdiction,
    category,
    priority,
    reason: reason === '' ? null : reason,
    caseNumber: caseNumber === '' ? null : caseNumber,
    effectiveAtMs,
    expiresAtMs,
  }
}

/** A plate without `*` and `?` on a list of patterns is that plate. */
export function readPlate(text: string, rule: ListRule): Pick<HotlistRow, 'plate' | 'rule'> | Error {
  if (text === '') return new Error('no plate')
  if (!/[*?]/.test(text)) {
    const plate = normalisePlate(text)
    if (plate === null) return new Error('not a plate: 2 to 12 letters and digits are needed')
    return { plate, rule: rule === 'wildcard' ? 'exact' : rule }
  }
  if (rule !== 'wildcard') return new Error('a pattern (* or ?) needs match: wildcard')
  const pattern = normalisePattern(text)
  if (pattern !== null) return { plate: pattern, rule }
  const narrow = `at least ${MIN_PATTERN_CHARACTERS} letters and digits and at most ${MAX_PATTERN_STARS} *`
  return new Error(`not a pattern that is narrow enough: ${narrow}`)
}

function readJurisdiction(values: Partial<Record<Field, string>>): string | null | Error {
  const own = (values.jurisdiction ?? '').toUpperCase()
  if (own !== '') {
    return jurisdictionSchema.safeParse(own).success ? own : new Error('jurisdiction: must be like US-CA or RO')
  }
  const state = (values.ncicState ?? '').toUpperCase()
  if (state === '') return null
  return jurisdictionOfNcic(state) ?? new Error('LIS: not a state or province code')
}

function explain(error: CsvError): string {
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'a quote is opened and never closed'
    case 'INVALID_OPENING_QUOTE':
      return 'a quote stands in the middle of a field'
    case 'CSV_INVALID_CLOSING_QUOTE':
      return 'something stands between a closing quote and the delimiter'
    case 'CSV_MAX_RECORD_SIZE':
      return `a row is longer than ${MAX_ROW_BYTES} bytes`
    default:
      // The parser's own message may quote the row, and with it a plate.
      return 'the file is not well-formed delimited text'
  }
}
