/** One row of a list, from what its columns say. Pure. Called by csv.ts, and manual.ts for its plate. */
import { MAX_PATTERN_STARS, MIN_PATTERN_CHARACTERS, normalisePattern, normalisePlate } from '../../shared/plate.ts'
import { type ListRule, listRuleSchema } from '../../shared/wire/hotlist.ts'
import { jurisdictionSchema } from '../../shared/wire/sighting.ts'
import type { ColumnPlan, RowValues } from './columns.ts'
import type { ParseOptions } from './csv.ts'
import { jurisdictionOfNcic } from './fields.ts'
import { MAX_CASE_LENGTH, MAX_CATEGORY_LENGTH, MAX_REASON_LENGTH } from './limits.ts'

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

/** By hand what listRuleSchema says: a million rows through it take ten seconds. */
const RULES: ReadonlySet<string> = new Set(listRuleSchema.options)
const isRule = (text: string): text is ListRule => RULES.has(text)

/** The row, or what is wrong with it. */
export function readRow(
  values: RowValues,
  { readDate, dateExample }: Pick<ColumnPlan, 'readDate' | 'dateExample'>,
  options: ParseOptions,
): HotlistRow | string {
  const wanted = values.match === undefined || values.match === '' ? options.rule : values.match.toLowerCase()
  if (!isRule(wanted)) return 'match: must be exact, near or wildcard'
  const plate = readPlate(values.plate ?? '', wanted)
  if (plate instanceof Error) return plate.message
  const jurisdiction = readJurisdiction(values)
  if (jurisdiction instanceof Error) return jurisdiction.message
  const category = values.category ?? ''
  if (category.length > MAX_CATEGORY_LENGTH) return `category: longer than ${MAX_CATEGORY_LENGTH} characters`
  const priority = values.priority === undefined || values.priority === '' ? options.priority : Number(values.priority)
  if (!Number.isInteger(priority) || priority < 1 || priority > 5) return 'priority: must be 1 (most urgent) to 5'
  const reason = values.reason ?? ''
  if (reason.length > MAX_REASON_LENGTH) return `reason: longer than ${MAX_REASON_LENGTH} characters`
  const caseNumber = values.case ?? ''
  if (caseNumber.length > MAX_CASE_LENGTH) return `case: longer than ${MAX_CASE_LENGTH} characters`
  const effectiveAtMs = readDate(values.effective ?? '', 'start')
  if (effectiveAtMs === undefined) return `effective: not a date (${dateExample})`
  const expiresAtMs = readDate(values.expires ?? '', 'end')
  if (expiresAtMs === undefined) return `expires: not a date (${dateExample})`
  if (effectiveAtMs !== null && expiresAtMs !== null && expiresAtMs <= effectiveAtMs) {
    return 'expires before it is effective'
  }
  return {
    plate: plate.plate,
    rule: plate.rule,
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

function readJurisdiction(values: RowValues): string | null | Error {
  const own = (values.jurisdiction ?? '').toUpperCase()
  if (own !== '') {
    return jurisdictionSchema.safeParse(own).success ? own : new Error('jurisdiction: must be like US-CA or RO')
  }
  const state = (values.state ?? '').toUpperCase()
  if (state === '') return null
  return jurisdictionOfNcic(state) ?? new Error('state (LIS): not a state or province code')
}
