/**
 * A hotlist file taken apart: delimited text with a header row of names that are known, or whatever a mapping describes (columns.ts,
 * fixed-width.ts). Every row is checked and every bad one reported with its line. Pure but for csv-parse; runs in a worker for large files.
 */
import { isUtf8 } from 'node:buffer'
import { Readable } from 'node:stream'
import { type CsvError, type InfoRecord, parse } from 'csv-parse'
import { AppError } from '../../shared/errors.ts'
import { type ListRule, MAX_LIST_ENTRIES } from '../../shared/wire/hotlist.ts'
import { type ColumnPlan, type ColumnUse, checkTrailer, planColumns } from './columns.ts'
import { fixedWidthRecords } from './fixed-width.ts'
import { MAX_ENTRIES_PER_PLATE, MAX_IMPORT_BYTES, MAX_ROW_BYTES } from './limits.ts'
import { createLineCount, type FileRecord, offsetAfterLines, UnusableFile } from './lines.ts'
import { type HotlistRow, readRow } from './list-row.ts'
import { hasHeader, type ListMapping } from './mapping.ts'

export * from './limits.ts'

/** Bad rows named in the report; all are counted. */
export const MAX_REPORTED_PROBLEMS = 100
/** Kinds of problems that are counted each; the rest together. */
export const MAX_PROBLEM_KINDS = 32
/** Rows read in one turn of the event loop; about 5 ms. */
const ROWS_PER_TURN = 100
/** Rows handed on together: one INSERT. */
export const ROWS_PER_BATCH = 250

/**
 * The NCIC extract mixes in an immigration-violator file (deported felons, absconders, NSEERS); plate reading must not serve it (the
 * reference city's published policy, Washington SB 6002). Rows of such a category, and of those that the policy names beside it, are
 * dropped and counted and never reach the database or a camera.
 */
const ALWAYS_PROHIBITED = ['immigration', 'deport', 'nseers']

/** `named`: by the policy. A category that contains one is meant, however it is written. */
export function isProhibited(category: string, named: readonly string[]): boolean {
  if (category === '') return false
  const text = category.toLowerCase()
  return (
    ALWAYS_PROHIBITED.some((word) => text.includes(word)) || named.some((word) => text.includes(word.toLowerCase()))
  )
}

export interface Problem {
  /** First line of the row in the file, from 1; null when it concerns the whole file. */
  line: number | null
  /** Never holds a plate. */
  problem: string
}

export interface ParseReport {
  /** Without header and trailer. */
  rows: number
  good: number
  bad: number
  /** Rows of a prohibited category, dropped. */
  prohibited: number
  /** Of the good rows: patterns, which the cloud alone matches. */
  patterns: number
  /** The first MAX_REPORTED_PROBLEMS. */
  problems: Problem[]
  /** How many rows each kind of problem made bad; the first MAX_PROBLEM_KINDS kinds. */
  problemKinds: { problem: string; rows: number }[]
  columns: ColumnUse[]
  /** Known, and not taken. */
  leftOutColumns: string[]
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
  /** null or none: a header row of known names. */
  mapping?: ListMapping | null
}

/** An entry of a plate, and the one of it before. */
interface SeenEntry {
  /** Jurisdiction and case. */
  rest: string
  line: number
  before: SeenEntry | null
}

/** How far a file has been read. */
export interface ReadSoFar {
  rows: number
  bytes: number
}

/**
 * Hands the good rows to `onRows` in batches of ROWS_PER_BATCH, waiting for each, and returns the report. A file that is no
 * text, has no plate column or breaks off gives a report with `unusable`; rows may have been handed on before that shows.
 */
export async function parseHotlist(
  bytes: Uint8Array,
  options: ParseOptions,
  onRows: (rows: HotlistRow[], soFar: ReadSoFar) => Promise<void>,
): Promise<ParseReport> {
  const { mapping = null } = options
  const report: ParseReport = {
    rows: 0,
    good: 0,
    bad: 0,
    prohibited: 0,
    patterns: 0,
    problems: [],
    problemKinds: [],
    columns: [],
    leftOutColumns: [],
    unknownColumns: [],
    unusable: false,
  }
  const note = (line: number | null, problem: string) => {
    if (report.problems.length < MAX_REPORTED_PROBLEMS) report.problems.push({ line, problem })
  }
  /** `kind`: what it is counted as. */
  const refuse = (line: number, problem: string, kind = problem) => {
    report.bad += 1
    note(line, problem)
    const isNew = !report.problemKinds.some((one) => one.problem === kind)
    const name = isNew && report.problemKinds.length >= MAX_PROBLEM_KINDS - 1 ? 'other problems' : kind
    const counted = report.problemKinds.find((one) => one.problem === name)
    if (counted === undefined) report.problemKinds.push({ problem: name, rows: 1 })
    else counted.rows += 1
  }
  const unusable = (problem: string, line: number | null = null) => {
    report.unusable = true
    note(line, problem)
    return report
  }
  if (bytes.length > MAX_IMPORT_BYTES) return unusable(`the file is larger than ${MAX_IMPORT_BYTES} bytes`)
  const hasBom = startsWithBom(bytes)
  if (mapping?.encoding === 'latin-1') {
    if (hasBom) return unusable('the file begins as UTF-8 does, and its mapping says latin-1')
  } else if (!isUtf8(bytes)) return unusable('the file is not UTF-8 text; a mapping may say latin-1')
  if (bytes.includes(0)) return unusable('the file holds zero bytes: it is no text')

  const skipped = mapping?.skipLines ?? 0
  const withoutBom = hasBom ? bytes.subarray(BOM.length) : bytes
  const text = withoutBom.subarray(offsetAfterLines(withoutBom, skipped))
  const records =
    mapping?.format === 'fixed-width'
      ? fixedWidthRecords(text, mapping, skipped + 1)
      : delimitedRecords(text, mapping, skipped + 1)

  const isFirstTheHeader = mapping === null || hasHeader(mapping)
  const trailer = mapping?.trailer ?? null
  let last: FileRecord | null = null
  let plan: ColumnPlan | null = null
  const seen = new Map<string, SeenEntry>()
  let batch: HotlistRow[] = []
  let end = 0
  try {
    for await (const next of trailer === null ? records : allButLast(records, (one) => (last = one))) {
      const { record, line } = next
      if (plan === null) {
        const planned = planColumns(record, mapping)
        if (typeof planned === 'string') return unusable(planned, line)
        plan = planned
        report.columns = plan.used
        report.leftOutColumns = plan.leftOut
        report.unknownColumns = plan.unknown
        if (isFirstTheHeader) continue
      }
      report.rows += 1
      // Rows are read here where the file is small, and bad ones are handed to nobody.
      if (report.rows % ROWS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
      end = next.end
      if (plan.width !== null && record.length !== plan.width) {
        const kind = isFirstTheHeader ? 'not as many fields as the header' : 'not as many fields as the first row'
        const than = isFirstTheHeader ? 'the header' : 'the first row'
        refuse(line, `${record.length} fields, ${than} has ${plan.width}`, kind)
        continue
      }
      const row = readRow(plan.valuesOf(record), plan, options)
      if (typeof row === 'string') {
        refuse(line, row)
        continue
      }
      const { prohibited } = options
      if (
        isProhibited(row.category, prohibited) ||
        plan.categoriesOf(record).some((category) => isProhibited(category, prohibited))
      ) {
        report.prohibited += 1
        continue
      }
      const rest = `${row.jurisdiction ?? ''} ${row.caseNumber ?? ''}`
      const before = seen.get(row.plate) ?? null
      let [count, earlier] = [0, before]
      for (; earlier !== null && earlier.rest !== rest; earlier = earlier.before) count += 1
      if (earlier !== null) {
        const problem = 'the same plate, jurisdiction and case as'
        refuse(line, `${problem} in line ${earlier.line}`, `${problem} in an earlier line`)
        continue
      }
      if (count >= MAX_ENTRIES_PER_PLATE) {
        refuse(line, `more than ${MAX_ENTRIES_PER_PLATE} entries of one plate`)
        continue
      }
      if (report.good >= MAX_LIST_ENTRIES) return unusable(`more than ${MAX_LIST_ENTRIES} entries`, line)
      seen.set(row.plate, { rest, line, before })
      report.good += 1
      if (row.rule === 'wildcard') report.patterns += 1
      batch.push(row)
      if (batch.length === ROWS_PER_BATCH) {
        await onRows(batch, { rows: report.rows, bytes: end })
        batch = []
      }
    }
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown
    if (thrown instanceof UnusableFile) return unusable(thrown.message, thrown.line)
    const error = thrown as CsvError
    return unusable(explain(error), typeof error.lines === 'number' ? error.lines + skipped : null)
  }
  if (plan === null && (isFirstTheHeader || last === null)) {
    return unusable(isFirstTheHeader ? 'the file is empty: a header row is needed' : 'the file is empty')
  }
  if (trailer !== null) {
    const found = last as FileRecord | null
    const problem = found === null ? 'there is no trailer' : checkTrailer(trailer, found, report.rows)
    if (problem !== null) return unusable(problem, found?.line ?? null)
  }
  if (batch.length > 0) await onRows(batch, { rows: report.rows, bytes: bytes.length })
  return report
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf])

function startsWithBom(bytes: Uint8Array): boolean {
  return BOM.equals(bytes.subarray(0, BOM.length))
}

/** csv-parse's rows with their lines. */
async function* delimitedRecords(
  text: Uint8Array,
  mapping: ListMapping | null,
  firstLine: number,
): AsyncGenerator<FileRecord> {
  const lines = createLineCount(text, firstLine)
  const quote = mapping?.quote === undefined ? '"' : mapping.quote
  const parser = parse({
    delimiter: mapping?.delimiter ?? detectDelimiter(text, quote),
    encoding: mapping?.encoding === 'latin-1' ? 'latin1' : 'utf8',
    quote,
    escape: quote ?? '"',
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
    max_record_size: MAX_ROW_BYTES,
  })
  const source = Readable.from(slices(text))
  source.pipe(parser)
  try {
    for await (const parsed of parser) {
      const { record, info } = parsed as { record: string[]; info: InfoRecord }
      yield { record, line: lines.pass(info.bytes), end: info.bytes, text: record[0] ?? '' }
    }
  } finally {
    source.destroy()
    parser.destroy()
  }
}

/** Holds one record back, and tells of it at the end. */
async function* allButLast(
  records: AsyncIterable<FileRecord> | Iterable<FileRecord>,
  onLast: (last: FileRecord) => void,
): AsyncGenerator<FileRecord> {
  let held: FileRecord | null = null
  for await (const record of records) {
    if (held !== null) yield held
    held = record
  }
  if (held !== null) onLast(held)
}

/** Pieces small enough that parsing one stalls nothing. */
function* slices(bytes: Uint8Array): Generator<Buffer> {
  const step = 64 * 1024
  for (let at = 0; at < bytes.length; at += step) {
    const piece = bytes.subarray(at, at + step)
    yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
  }
}

/** The delimiter that the first row holds most of, outside quotes. */
function detectDelimiter(bytes: Uint8Array, quote: string | null): string {
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
    if (character === quote) quoted = !quoted
    if (quoted) continue
    if (character === '\n' || character === '\r') break
    const count = counts.get(character)
    if (count !== undefined) counts.set(character, count + 1)
  }
  let best = ','
  for (const [delimiter, count] of counts) if (count > (counts.get(best) ?? 0)) best = delimiter
  return best
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
