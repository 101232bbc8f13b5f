/**
 * What a reviewer is to look at in one person's use of one period, and why, in words. Pure: rows in, flags out; each rule can be told
 * in a sentence. What a flag says is a question, never a verdict.
 */
import { HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import type { Policy } from '../../shared/wire/policy.ts'

/** One reason for so many different cases says nothing of any of them. */
export const REPEATED_REASON_CASES = 3
/** Words of a reason that say something of this one case. */
export const MIN_TELLING_WORDS = 2
/** So many refused searches in a period. */
export const REFUSED_SEARCHES = 5
/** Fewer searches than this are never sudden, whatever was usual. */
export const MIN_SUDDEN_SEARCHES = 10
/** Periods before this one that tell what is usual; with fewer than the second, nothing is. */
export const EARLIER_PERIODS = 8
export const MIN_EARLIER_PERIODS = 3
/** Earlier searches from which a person's usual hours are known. */
export const MIN_HOURS_SEARCHES = 20
/** Searches outside them that are one too many. */
export const OUTSIDE_SEARCHES = 3
/** Where no shifts are set: within so many hours of the hour of an earlier search is usual. */
export const USUAL_HOURS_MARGIN = 2
/** Where shifts are set: usual are those in which at least this share of the earlier searches was. */
export const USUAL_SHIFT_SHARE = 0.1
/** From one session and source to another and back and forth so often, within so long: more than one person, or one with two devices. */
export const SHARED_SWITCHES = 3
export const SHARED_WINDOW_MS = HOUR_MS

export const FLAGS = [
  'repeated_reason',
  'vague_reason',
  'repeated_target',
  'outside_shift',
  'sudden_volume',
  'shared_login',
  'refused_searches',
  'prohibited_words',
] as const
export type Flag = (typeof FLAGS)[number]

export interface Search {
  seq: number
  atMs: number
  outcome: 'allowed' | 'refused'
  rule: string | null
  /** Hex; null: none was given. */
  plateDigest: string | null
  caseNumber: string | null
  offenceType: string | null
  reason: string | null
}

export interface PersonsUse {
  /** Of the period, in order, without turned pages. */
  searches: readonly Search[]
  /** When the allowed searches of the earlier periods were. */
  earlierAtMs: readonly number[]
  /** How many each earlier period had, since the person's first; oldest first. */
  earlierCounts: readonly number[]
  /** Acts of the period that followed one from another session and source within minutes. */
  switches: readonly { seq: number; beforeSeq: number; atMs: number }[]
}

export interface Flagged {
  flag: Flag
  why: string
  /** Audit numbers, in order. */
  entries: number[]
}

export type ReviewPolicy = Pick<Policy, 'review' | 'uses' | 'hotlists'>

export function flagsOf(use: PersonsUse, policy: ReviewPolicy): Flagged[] {
  const allowed = use.searches.filter(({ outcome }) => outcome === 'allowed')
  return [
    ...repeatedReasons(allowed),
    ...vagueReasons(allowed),
    ...repeatedTargets(allowed, policy.review.repeatedTarget),
    ...outsideShift(allowed, use.earlierAtMs, policy.hotlists.shifts),
    ...suddenVolume(allowed, use.earlierCounts, policy.review.suddenVolume),
    ...sharedLogin(use.switches),
    ...refusedSearches(use.searches),
    ...prohibitedWords(use.searches, policy.uses.prohibited),
  ]
}

const numbers = (searches: readonly { seq: number }[]) => searches.map(({ seq }) => seq)

/** Letters and digits alone, in lower case: a full stop makes no other reason. A plate that was withheld is no word. */
const plain = (text: string | null) =>
  (text ?? '')
    .replace(/\[plate [0-9a-f]*\]/g, ' ')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()

function grouped<T>(all: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) {
    const key = keyOf(one)
    groups.set(key, [...(groups.get(key) ?? []), one])
  }
  return groups
}

function repeatedReasons(allowed: readonly Search[]): Flagged[] {
  return [...grouped(allowed, ({ reason }) => plain(reason))].flatMap(([reason, searches]) => {
    const cases = new Set(searches.map(({ caseNumber }) => plain(caseNumber)))
    if (reason === '' || cases.size < REPEATED_REASON_CASES) return []
    const why = `The same reason, “${shortened(reason)}”, was given for ${cases.size} different case numbers (${REPEATED_REASON_CASES} or more are flagged).`
    return [{ flag: 'repeated_reason' as const, why, entries: numbers(searches) }]
  })
}

/** Words that stand in any reason whatever. */
const EMPTY_WORDS = new Set(
  (
    'active assigned assist assistance authorised authorized background business case check checking crime criminal current duty enforcement ' +
    'for general incident information inquiry enquiry intel intelligence investigate investigating investigation investigative law lead license ' +
    'licence locate location look looking lookup lpr alpr need needed official ongoing per person plate police pursuant query read reads reason ' +
    'regarding related request requested research routine run running search searching see sup supervisor suspect suspected suspicious the this ' +
    'urgent vehicle veh verify with work working and from of on in to is was my our car auto test testing stuff misc other follow followup up'
  ).split(' '),
)

function vagueReasons(allowed: readonly Search[]): Flagged[] {
  const vague = allowed.filter(({ reason, caseNumber, offenceType }) => {
    const said = new Set(plain(`${caseNumber ?? ''} ${offenceType ?? ''}`).split(' '))
    const telling = new Set(
      plain(reason)
        .split(' ')
        .filter((word) => word.length > 2 && !EMPTY_WORDS.has(word) && !said.has(word)),
    )
    return telling.size < MIN_TELLING_WORDS
  })
  if (vague.length === 0) return []
  const why = `${counted(vague.length, 'search')} gave a reason with fewer than ${MIN_TELLING_WORDS} words that say more than the case number, the offence type and words such as “investigation”.`
  return [{ flag: 'vague_reason', why, entries: numbers(vague) }]
}

function repeatedTargets(allowed: readonly Search[], limit: number): Flagged[] {
  const known = allowed.filter(({ plateDigest }) => plateDigest !== null)
  return [...grouped(known, ({ plateDigest }) => plateDigest ?? '').values()]
    .filter((searches) => searches.length >= limit)
    .map((searches) => {
      const cases = new Set(searches.map(({ caseNumber }) => plain(caseNumber))).size
      const why = `One plate or pattern was searched ${searches.length} times, for ${counted(cases, 'case number')} (${limit} or more are flagged).`
      return { flag: 'repeated_target', why, entries: numbers(searches) }
    })
}

type Shifts = Policy['hotlists']['shifts']

/** The policy knows when shifts end, so each begins where the one before it ends; who works which, earlier use tells. */
function outsideShift(allowed: readonly Search[], earlierAtMs: readonly number[], shifts: Shifts): Flagged[] {
  if (earlierAtMs.length < MIN_HOURS_SEARCHES) return []
  const minuteOf = minuteIn(shifts?.timeZone ?? 'UTC')
  const earlier = earlierAtMs.map(minuteOf)
  const isUsual = shifts === null ? usualHours(earlier) : usualShifts(earlier, shifts.ends)
  const outside = allowed.filter(({ atMs }) => !isUsual(minuteOf(atMs)))
  if (outside.length < OUTSIDE_SEARCHES) return []
  const usual =
    shifts === null
      ? `more than ${USUAL_HOURS_MARGIN} hours from every hour of day (UTC) of the ${earlier.length} searches before`
      : `in a shift that had less than ${USUAL_SHIFT_SHARE * 100} % of the ${earlier.length} searches before`
  const why = `${counted(outside.length, 'search')} lay outside the person’s usual time: ${usual} (${OUTSIDE_SEARCHES} or more are flagged).`
  return [{ flag: 'outside_shift', why, entries: numbers(outside) }]
}

const HOURS = 24

function usualHours(earlier: readonly number[]): (minute: number) => boolean {
  const hours = new Set(earlier.map((minute) => Math.floor(minute / 60)))
  return (minute) => {
    const hour = Math.floor(minute / 60)
    for (let by = -USUAL_HOURS_MARGIN; by <= USUAL_HOURS_MARGIN; by += 1) {
      if (hours.has((hour + by + HOURS) % HOURS)) return true
    }
    return false
  }
}

function usualShifts(earlier: readonly number[], ends: readonly string[]): (minute: number) => boolean {
  const sorted = ends.map((end) => Number(end.slice(0, 2)) * 60 + Number(end.slice(3))).sort((a, b) => a - b)
  // The shift that ends next; behind the last end of a day it is the first of the next one.
  const shiftOf = (minute: number) => sorted.findIndex((end) => minute < end)
  const counts = new Map<number, number>()
  for (const minute of earlier) counts.set(shiftOf(minute), (counts.get(shiftOf(minute)) ?? 0) + 1)
  const first = counts.get(0) ?? 0
  const last = counts.get(-1) ?? 0
  for (const shift of [0, -1]) counts.set(shift, first + last)
  return (minute) => (counts.get(shiftOf(minute)) ?? 0) >= earlier.length * USUAL_SHIFT_SHARE
}

/** Minute of the local day of a time. */
function minuteIn(timeZone: string): (atMs: number) => number {
  const format = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  return (atMs) => {
    const [hour = '0', minute = '0'] = format.format(atMs).split(':')
    return Number(hour) * 60 + Number(minute)
  }
}

function suddenVolume(allowed: readonly Search[], earlier: readonly number[], times: number): Flagged[] {
  if (earlier.length < MIN_EARLIER_PERIODS || allowed.length < MIN_SUDDEN_SEARCHES) return []
  const sorted = [...earlier].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const median = ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2
  if (allowed.length < times * Math.max(1, median)) return []
  const why = `${allowed.length} searches, where the middle of ${earlier.length} periods before is ${median} (${times} times that, and at least ${MIN_SUDDEN_SEARCHES}, are flagged).`
  return [{ flag: 'sudden_volume', why, entries: numbers(allowed) }]
}

function sharedLogin(switches: PersonsUse['switches']): Flagged[] {
  const entries = new Set<number>()
  let most = 0
  for (const [first, { atMs }] of switches.entries()) {
    const within = switches.slice(first).filter((one) => one.atMs - atMs <= SHARED_WINDOW_MS)
    if (within.length < SHARED_SWITCHES) continue
    most = Math.max(most, within.length)
    for (const { seq, beforeSeq } of within) entries.add(beforeSeq).add(seq)
  }
  if (entries.size === 0) return []
  const why = `The account was used from two sessions and addresses in turn, ${most} times to and fro within ${SHARED_WINDOW_MS / MINUTE_MS} minutes (${SHARED_SWITCHES} or more are flagged): several people with one account, or one person with two devices.`
  return [{ flag: 'shared_login', why, entries: [...entries].sort((a, b) => a - b) }]
}

function refusedSearches(searches: readonly Search[]): Flagged[] {
  const refused = searches.filter(({ outcome }) => outcome === 'refused')
  if (refused.length < REFUSED_SEARCHES) return []
  const rules = [...grouped(refused, ({ rule }) => rule ?? 'other')].map(([rule, of]) => `${of.length} by ${rule}`)
  const why = `${refused.length} searches were refused (${REFUSED_SEARCHES} or more are flagged): ${rules.join(', ')}.`
  return [{ flag: 'refused_searches', why, entries: numbers(refused) }]
}

function prohibitedWords(searches: readonly Search[], prohibited: Policy['uses']['prohibited']): Flagged[] {
  return prohibited.flatMap(({ label, words }) => {
    const sought = words.map((word) => ` ${plain(word)} `)
    const found = searches.filter(({ reason, offenceType }) => {
      const said = ` ${plain(`${reason ?? ''} ${offenceType ?? ''}`)} `
      return sought.some((word) => word.trim() !== '' && said.includes(word))
    })
    if (found.length === 0) return []
    const refused = found.filter(({ outcome }) => outcome === 'refused').length
    const why = `${counted(found.length, 'search')} had a word of a prohibited use, “${label}”, in the reason or offence type; ${refused} of them refused.`
    return [{ flag: 'prohibited_words' as const, why, entries: numbers(found) }]
  })
}

const SHOWN_REASON = 80
const shortened = (text: string) => (text.length > SHOWN_REASON ? `${text.slice(0, SHOWN_REASON)}…` : text)
const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : noun.endsWith('h') ? 'es' : 's'}`
