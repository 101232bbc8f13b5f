/**
 * Results that leave the system, as CSV or JSON: who took them, when and for which case stands at the top, and every row carries the
 * mark of its entry in the audit, so that a leaked file, or a row of it, is traced. Pure; called by search.ts and, for reading marks, by `candor audit trace`.
 */
import type { SearchResult } from './request.ts'

export type ExportFormat = 'csv' | 'json'
/** Hexadecimal digits of the keyed digest in a mark. */
export const MARK_DIGITS = 32
/** Marks of one file that are traced; a file has one, unless somebody put several together. */
export const MAX_TRACED_MARKS = 64

export interface Watermark {
  agency: string
  /** Of the entry `search.exported`. */
  auditSeq: number
  digest: string
}

export interface ExportFacts extends Watermark {
  searchSeq: number
  account: string | null
  at: string
  caseNumber: string | null
  offenceType: string | null
}

export interface ReadMarks {
  marks: Watermark[]
  /** What the end of the file says of everything before it; null: the end is missing. */
  end: { body: string; digest: string } | null
}

export const CJI_NOTICE =
  'CRIMINAL JUSTICE INFORMATION. For the case named here alone. Each row is marked; passing it on is traced.'

const markOf = ({ agency, auditSeq, digest }: Watermark) => `candor:${agency}:${auditSeq}:${digest}`
const END = { csv: '# end; digest of all before ', json: '"end": "' }

/** Everything but the end, which `ended` adds with the keyed digest of this. */
export function exportBody(format: ExportFormat, facts: ExportFacts, results: readonly SearchResult[]): string {
  return format === 'csv' ? csvBody(facts, results) : jsonBody(facts, results)
}

export function ended(format: ExportFormat, body: string, digest: string): string {
  return format === 'csv' ? `${body}${END.csv}${digest}\r\n` : `${body}${END.json}${digest}"\n}\n`
}

/** The marks in a file, or in what is left of it, each once. */
export function readMarks(text: string): ReadMarks {
  const marks = new Map<string, Watermark>()
  for (const [mark, agency = '', auditSeq, digest = ''] of text.matchAll(
    /candor:([a-z0-9-]{1,32}):(\d{1,15}):([0-9a-f]{32})(?![0-9a-f])/g,
  )) {
    if (marks.size < MAX_TRACED_MARKS) marks.set(mark, { agency, auditSeq: Number(auditSeq), digest })
  }
  const ends = [END.csv, END.json].map((end) => ({ end, at: text.lastIndexOf(end) })).filter(({ at }) => at >= 0)
  const [last] = ends.sort((a, b) => b.at - a.at)
  const digest = last === undefined ? null : /^[0-9a-f]{64}/.exec(text.slice(last.at + last.end.length))?.[0]
  return {
    marks: [...marks.values()],
    end: last === undefined || digest == null ? null : { body: text.slice(0, last.at), digest },
  }
}

const time = (ms: number) => new Date(ms).toISOString()
const MARKS_OF_KINDS = { exact: '=', near: '≈', pattern: '~', any: '' } as const

const COLUMNS: readonly [string, (result: SearchResult) => string][] = [
  ['seen', ({ seenAtMs }) => time(seenAtMs)],
  ['clock', ({ clockTrusted }) => (clockTrusted ? 'trusted' : 'received')],
  ['camera', ({ sighting }) => sighting.cameraId],
  ['plate', ({ sighting }) => sighting.plate ?? ''],
  ['match', ({ kind }) => kind],
  ['jurisdiction', ({ sighting }) => sighting.jurisdiction?.code ?? ''],
  ['colour', ({ sighting }) => sighting.vehicle?.colour ?? ''],
  ['confidence', ({ sighting }) => sighting.confidence.toFixed(2)],
  ['places', ({ placesMet }) => placesMet?.map((place) => place + 1).join(' ') ?? ''],
  ['sighting', ({ sighting }) => sighting.sightingId],
]

function csvBody(facts: ExportFacts, results: readonly SearchResult[]): string {
  const mark = markOf(facts)
  const head = [
    `# ${CJI_NOTICE}`,
    `# Candor export of ${facts.agency}, audit entry ${facts.auditSeq} of search ${facts.searchSeq}, by ${facts.account ?? 'the system'}, ${facts.at}`,
    `# case ${facts.caseNumber ?? ''}, offence ${facts.offenceType ?? ''}`,
    `# ${mark}`,
  ].map((line) => cell(line))
  const rows = results.map((result) => [...COLUMNS.map(([, of]) => of(result)), mark].map(cell).join(','))
  return [...head, [...COLUMNS.map(([name]) => name), 'mark'].join(','), ...rows, ''].join('\r\n')
}

/** A cell [RFC 4180]. One that begins as a formula does would be run by a spreadsheet: an apostrophe makes it text [OWASP, CSV Injection]. */
function cell(value: string): string {
  const text = (/^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value).replace(/[\r\n]+/g, ' ')
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function jsonBody(facts: ExportFacts, results: readonly SearchResult[]): string {
  const { digest: _, ...shown } = facts
  const mark = markOf(facts)
  const rows = results.map(({ voucher: _voucher, pictureVoucher: _picture, ...result }) =>
    JSON.stringify({ ...result, shownAs: MARKS_OF_KINDS[result.kind], mark }),
  )
  return `{\n"notice": ${JSON.stringify(CJI_NOTICE)},\n"export": ${JSON.stringify({ ...shown, mark })},\n"results": [\n${rows.join(',\n')}\n],\n`
}
