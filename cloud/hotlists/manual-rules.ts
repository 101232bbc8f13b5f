/** What an entry made by hand must say, how long it may live, and how it is shown. Pure. Called by manual.ts. */
import { HOUR_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { ListRule } from '../../shared/wire/hotlist.ts'
import type { HotlistRules } from '../../shared/wire/policy.ts'
import type { ManualEntriesTable } from '../database/schema-administration.ts'
import { isProhibited, MAX_CASE_LENGTH, MAX_CATEGORY_LENGTH, MAX_REASON_LENGTH } from './csv.ts'
import type { HotlistRow } from './list-row.ts'
import { nextShiftEnd } from './shifts.ts'

/** Of one list, in force or waiting. */
export const MAX_MANUAL_ENTRIES = 1_000
/** Letters and digits that a reason must have. */
export const MIN_REASON_CHARACTERS = 5
export interface ManualRequest {
  /** Made when new. */
  list: string
  /** By rule `wildcard` a pattern. */
  plate: string
  jurisdiction: string | null
  category: string
  /** null: the list's. */
  priority: number | null
  rule: ListRule | null
  reason: string
  caseNumber: string
  /** When it ends: a time, or with the shift. */
  expires: number | 'end-of-shift'
  /** Takes a pattern although cameras send matches alone, and so nothing that only a pattern meets. */
  acceptCloudOnly?: boolean
  by: string
}

export interface ManualEntry {
  entryId: string
  list: string
  /**
   * `waiting`: for a second person. `approved`: it comes into force with the next version of its list, when nothing is in the way.
   * `over`: its time is over, it was taken off, or it was refused.
   */
  state: 'waiting' | 'approved' | 'in_force' | 'over'
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  rule: ListRule
  reason: string
  caseNumber: string
  madeAtMs: number
  madeBy: string
  /** Who approved or refused it. */
  decidedBy: string | null
  expiresAtMs: number
}

const letters = (text: string) => (text.match(/[\p{L}\p{N}]/gu) ?? []).length

/** Throws `bad_input`. By the shift, but never longer than the policy allows. */
export function expiryOf(
  expires: ManualRequest['expires'],
  { shifts, manualMaxHours, manualEndsWithShift }: HotlistRules,
  nowMs: number,
): number {
  const latestMs = nowMs + manualMaxHours * HOUR_MS
  if (manualEndsWithShift && shifts !== null && expires !== 'end-of-shift' && expires > nextShiftEnd(shifts, nowMs)) {
    throw new AppError('bad_input', 'expires: by policy an entry made by hand ends with the shift', {
      hint: 'say that it ends with the shift, and enter it again in the next one if it is still needed',
    })
  }
  if (expires === 'end-of-shift') {
    if (shifts === null) {
      throw new AppError('bad_input', 'the policy does not say when shifts end', { hint: 'say a time of expiry' })
    }
    return Math.min(nextShiftEnd(shifts, nowMs), latestMs)
  }
  if (expires <= nowMs) throw new AppError('bad_input', 'expires: the time is past')
  if (expires > latestMs) {
    throw new AppError(
      'bad_input',
      `expires: by policy an entry made by hand lives for at most ${manualMaxHours} hours`,
    )
  }
  return expires
}

/** What is compulsory and what is prohibited. */
export function checkRequest(
  { category, reason, caseNumber, priority }: ManualRequest,
  { prohibitedCategories }: HotlistRules,
): void {
  if (letters(reason) < MIN_REASON_CHARACTERS || reason.length > MAX_REASON_LENGTH) {
    throw new AppError(
      'bad_input',
      `reason: at least ${MIN_REASON_CHARACTERS} letters, at most ${MAX_REASON_LENGTH} characters`,
    )
  }
  if (letters(caseNumber) < 2 || caseNumber.length > MAX_CASE_LENGTH) {
    throw new AppError('bad_input', `case: a case number of at most ${MAX_CASE_LENGTH} characters is needed`)
  }
  if (category.length > MAX_CATEGORY_LENGTH) {
    throw new AppError('bad_input', `category: longer than ${MAX_CATEGORY_LENGTH} characters`)
  }
  if (isProhibited(category, prohibitedCategories)) {
    throw new AppError('forbidden', 'the category is prohibited by policy')
  }
  if (priority !== null && !(Number.isInteger(priority) && priority >= 1 && priority <= 5)) {
    throw new AppError('bad_input', 'priority: must be 1 (most urgent) to 5')
  }
}

export function toRow(row: ManualEntriesTable): HotlistRow {
  return {
    plate: row.plate,
    jurisdiction: row.jurisdiction,
    category: row.category,
    priority: row.priority,
    rule: row.rule as ListRule,
    reason: row.reason,
    caseNumber: row.case_number,
    effectiveAtMs: row.effective_at_ms,
    expiresAtMs: row.expires_at_ms,
  }
}

export function toManualEntry(row: ManualEntriesTable, nowMs: number): ManualEntry {
  const isOver = row.state === 'over' || row.over_at_ms <= nowMs
  const { reason, caseNumber, effectiveAtMs: _, expiresAtMs, ...listed } = toRow(row)
  return {
    ...listed,
    entryId: row.entry_id,
    list: row.list,
    state: isOver ? 'over' : (row.state as ManualEntry['state']),
    reason: reason ?? '',
    caseNumber: caseNumber ?? '',
    madeAtMs: row.made_at_ms,
    madeBy: row.made_by,
    decidedBy: row.decided_by,
    expiresAtMs: row.expires_at_ms,
  }
}
