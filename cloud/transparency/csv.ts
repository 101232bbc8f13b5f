/** A report as one CSV table [RFC 4180]: a line a value, as it is counted and not as it is written for people. Pure. */
import type { Report, Value } from './document.ts'

const HEAD = ['section', 'figure', 'row', 'column', 'value', 'low', 'high', 'shown_as', 'explanation', 'source']

export function toCsv(report: Report): string {
  const lines: string[][] = [HEAD]
  for (const { id, figures, tables } of report.sections) {
    for (const { id: name, label, value, explanation, source } of figures) {
      lines.push([id, name, '', label, ...cells(value), explanation, source])
    }
    for (const { id: name, head, rows, explanation, source } of tables) {
      for (const { label, values } of rows) {
        for (const [column, value] of values.entries()) {
          lines.push([id, name, label, head[column + 1] ?? '', ...cells(value), explanation, source])
        }
      }
    }
  }
  return lines.map((line) => `${line.map(quoted).join(',')}\r\n`).join('')
}

/** Value, low, high, and how it is to be taken. A small count has no value: the first number below which it lies stands in `high`. */
function cells(value: Value): [string, string, string, string] {
  if ('count' in value) return [String(value.count), '', '', 'count']
  if ('fewerThan' in value) return ['', '', String(value.fewerThan), 'fewer than']
  if ('withheld' in value) return ['', '', '', 'not shown']
  if ('text' in value) return [value.text, '', '', 'text']
  const { rate, low, high } = value
  return [String(rate), low === undefined ? '' : String(low), high === undefined ? '' : String(high), 'rate']
}

/** A text that a spreadsheet would run as a formula is one no longer: names of lists and organisations come from people. */
function quoted(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) && !/^-?[\d.]+$/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
