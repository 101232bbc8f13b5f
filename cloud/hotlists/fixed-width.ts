/** A fixed-width list file taken apart, by its mapping: one row a line, columns by character. Called by csv.ts, which reads the rows. */
import { MAX_ROW_BYTES } from './limits.ts'
import { type FileRecord, linesOf, UnusableFile } from './lines.ts'
import type { ListMapping, Span } from './mapping.ts'

/** A DOS end-of-file mark, alone on the last line of old extracts. */
const END_MARK = '\u001a'

/**
 * Rows with one field a column of the mapping, in its order; a line that ends early has empty ones. Blank lines are left out.
 * `firstLine`: number of the first. Throws UnusableFile.
 */
export function* fixedWidthRecords(
  text: Uint8Array,
  { columns, encoding }: ListMapping,
  firstLine: number,
): Generator<FileRecord> {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength)
  const spans = columns.flatMap(({ from }) => (typeof from === 'object' ? [from] : []))
  let line = firstLine - 1
  for (const { from, to, next } of linesOf(bytes)) {
    line += 1
    if (to - from > MAX_ROW_BYTES) throw new UnusableFile(`a row is longer than ${MAX_ROW_BYTES} bytes`, line)
    const row = bytes.toString(encoding === 'utf-8' ? 'utf8' : 'latin1', from, to)
    if (row.trim() === '' || row === END_MARK) continue
    yield { record: spans.map((span) => sliceOf(row, span)), line, end: next, text: row }
  }
}

/** Characters are code points: one outside the basic plane counts once. */
export function sliceOf(row: string, { start, length }: Span): string {
  const [from, to] = [start - 1, start - 1 + length]
  const text = /[\ud800-\udfff]/.test(row) ? Array.from(row).slice(from, to).join('') : row.slice(from, to)
  return text.trim()
}
