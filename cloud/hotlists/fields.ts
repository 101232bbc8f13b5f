/** Values as list files write them: dates, and NCIC's state codes. */
import { DAY_MS } from '../../shared/clock.ts'
import { EARLIEST_TIME_MS, LATEST_TIME_MS } from '../../shared/wire/sighting.ts'
import type { DateFormat } from './mapping.ts'

/**
 * A date (`2026-01-31`, NCIC's `20260131`: the whole day in UTC, so `end` gives the midnight after it) or a time with its
 * zone. null: empty. undefined: no date, or outside 2020-2100.
 */
export function parseDate(text: string, edge: 'start' | 'end'): number | null | undefined {
  if (text === '') return null
  const day = /^(\d{4})-?(\d{2})-?(\d{2})$/.exec(text)
  let ms: number
  if (day !== null) {
    const [year, month, date] = [Number(day[1]), Number(day[2]), Number(day[3])]
    ms = Date.UTC(year, month - 1, date)
    // Date.UTC carries 2026-02-30 over into March.
    if (new Date(ms).getUTCMonth() !== month - 1 || new Date(ms).getUTCDate() !== date) return undefined
    if (edge === 'end') ms += DAY_MS
  } else {
    if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/i.test(text)) return undefined
    ms = Date.parse(text)
  }
  if (!Number.isFinite(ms)) return undefined
  // A list may say "for ever" or "since always" by a far date.
  if (edge === 'end' && ms > LATEST_TIME_MS) return LATEST_TIME_MS
  if (edge === 'start' && ms < EARLIEST_TIME_MS) return EARLIEST_TIME_MS
  return ms >= EARLIEST_TIME_MS && ms <= LATEST_TIME_MS ? ms : undefined
}

/** As parseDate, of a date in a stated format only; `pivotYear` (0-99): two-digit years below it are 20xx, the others 19xx. */
export function parseDateAs(
  text: string,
  edge: 'start' | 'end',
  { format, pivotYear }: { format: DateFormat; pivotYear: number },
): number | null | undefined {
  if (text === '') return null
  if (text.length !== format.length) return undefined
  const part = (letter: string) => text.slice(format.indexOf(letter), format.lastIndexOf(letter) + 1)
  const [year, month, date] = [part('Y'), part('M'), part('D')]
  const isAsStated = [...format].every((mark, i) => (/[YMD]/.test(mark) ? /\d/.test(text[i] ?? '') : text[i] === mark))
  if (!isAsStated) return undefined
  const century = year.length === 4 ? '' : Number(year) < pivotYear ? '20' : '19'
  return parseDate(`${century}${year}-${month}-${date}`, edge)
}

/** NCIC LIS codes that equal the ISO 3166-2 part: states, the district and the territories [USPS Publication 28, appendix B]. */
const US = new Set(
  `AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD
  TN TX UT VT VA WA WV WI WY AS GU MP PR VI`.split(/\s+/),
)
/** Canadian provinces and territories. */
const CANADA = new Set('AB BC MB NB NL NS NT NU ON PE QC SK YT'.split(' '))

/** Two-letter state or province as our jurisdiction code, or null when it is none. */
export function jurisdictionOfNcic(code: string): string | null {
  if (US.has(code)) return `US-${code}`
  return CANADA.has(code) ? `CA-${code}` : null
}
