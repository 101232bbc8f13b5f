/**
 * Which searches are refused, and by which rule: purpose first, then what the policy says of uses and of who may search what, then
 * whether it is narrow enough. Pure. Called by search.ts, which writes each refusal into the audit.
 */
import { DAY_MS } from '../../shared/clock.ts'
import { SLUG_PATTERN } from '../../shared/names.ts'
import { MAX_PATTERN_STARS, MIN_PATTERN_CHARACTERS } from '../../shared/plate.ts'
import type { Policy } from '../../shared/wire/policy.ts'
import type { Role } from '../permissions.ts'
import {
  MAX_CAMERAS_WINDOW_MS,
  MAX_PLACE_WINDOW_MS,
  MAX_TOWN_WINDOW_MS,
  MIN_PLACES_MET,
  MIN_REASON_CHARACTERS,
  MIN_REASON_WORDS,
  parseQuery,
  type SearchRequest,
} from './request.ts'

export interface Refusal {
  /** Stands in the audit. */
  rule: string
  message: string
  hint: string
}

export type UsePolicy = Pick<Policy, 'uses' | 'search'>

/** What somebody may search by their roles. */
export interface Scope {
  /** Null: all that is kept. */
  maxAgeMs: number | null
  /** Empty: each. */
  purposes: readonly string[]
  patterns: boolean
  exports: boolean
}

const EVERYTHING: Scope = { maxAgeMs: null, purposes: [], patterns: true, exports: true }

/** The widest of what the roles allow, field by field; null: nothing. A partner's cloud needs a scope of its own. */
export function scopeOf(roles: readonly Role[], { search }: UsePolicy): Scope | null {
  const scopes = (['investigator', 'partner'] as const)
    .filter((role) => roles.includes(role))
    .flatMap((role): Scope[] => {
      const named = search.scopes.filter((scope) => scope.role === role)
      if (named.length === 0) return role === 'investigator' ? [EVERYTHING] : []
      return named.map(({ maxAgeDays, purposes, patterns, exports }) => ({
        ...{ maxAgeMs: maxAgeDays === null ? null : maxAgeDays * DAY_MS, purposes, patterns, exports },
      }))
    })
  if (scopes.length === 0) return null
  const ages = scopes.map(({ maxAgeMs }) => maxAgeMs)
  return {
    maxAgeMs: ages.includes(null) ? null : Math.max(...ages.map(Number)),
    purposes: scopes.some(({ purposes }) => purposes.length === 0) ? [] : scopes.flatMap(({ purposes }) => purposes),
    patterns: scopes.some(({ patterns }) => patterns),
    exports: scopes.some(({ exports }) => exports),
  }
}

/** The first rule that the search breaks, or null. */
export function refusalOf(
  request: SearchRequest,
  { policy, scope, nowMs }: { policy: UsePolicy; scope: Scope | null; nowMs: number },
): Refusal | null {
  if (scope === null) {
    return refuse('scope_search', 'your role may not search here', 'the policy says who may search what')
  }
  return (
    unpurposed(request) ??
    misused(request, policy, scope) ??
    misformed(request) ??
    tooWide(request) ??
    beyondScope(request, scope, nowMs)
  )
}

const refuse = (rule: string, message: string, hint: string): Refusal => ({ rule, message, hint })

const count = (text: string) => (text.match(/[\p{L}\p{N}]/gu) ?? []).length

function unpurposed({ caseNumber, offenceType, reason }: SearchRequest): Refusal | null {
  const purpose = 'every search needs a case number, an offence type and a reason'
  if (count(caseNumber) < 2) return refuse('case_number_missing', 'a case number is missing', purpose)
  if (count(offenceType) < 3) return refuse('offence_type_missing', 'an offence type is missing', purpose)
  if (count(reason) === 0) return refuse('reason_missing', 'a reason is missing', purpose)
  const words = reason
    .trim()
    .split(/\s+/)
    .filter((word) => count(word) > 0)
  if (count(reason) >= MIN_REASON_CHARACTERS && words.length >= MIN_REASON_WORDS && new Set(reason).size >= 5)
    return null
  return refuse(
    'reason_vague',
    'the reason says too little',
    `say in at least ${MIN_REASON_WORDS} words and ${MIN_REASON_CHARACTERS} letters what the search is for`,
  )
}

/** Lower case, without accents, words apart by one space; letters that stand alone are one word: `I.C.E.` → `ice`. */
function words(text: string): string {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
  return plain.replace(/(?<![\p{L}\p{N}])\p{L}(?: \p{L}(?![\p{L}\p{N}]))+/gu, (apart) => apart.replaceAll(' ', ''))
}

function misused(request: SearchRequest, { uses }: UsePolicy, scope: Scope): Refusal | null {
  const said = words(`${request.reason} | ${request.offenceType} | ${request.caseNumber}`)
  const prohibited = uses.prohibited.find((use) =>
    [use.label, ...use.words].some((word) => words(word) !== '' && ` ${said} `.includes(` ${words(word)} `)),
  )
  if (prohibited !== undefined) {
    const { code, label } = prohibited
    return refuse('prohibited_use', `that is a prohibited use: ${label}`, `the policy prohibits it (${code})`)
  }
  const purposes = uses.purposes.map(({ code }) => code)
  const purpose = request.purpose ?? null
  const named = (codes: readonly string[]) => `--purpose, one of: ${codes.join(', ')}`
  if (purpose === null && (purposes.length > 0 || scope.purposes.length > 0)) {
    return refuse(
      'purpose_missing',
      'a purpose is missing',
      named(scope.purposes.length > 0 ? scope.purposes : purposes),
    )
  }
  const isKnown = purposes.length === 0 ? SLUG_PATTERN.test(purpose ?? '') : purposes.includes(purpose ?? '')
  if (purpose !== null && !isKnown) {
    return refuse('purpose_unknown', 'the policy knows no such purpose', named(purposes))
  }
  if (purpose !== null && scope.purposes.length > 0 && !scope.purposes.includes(purpose)) {
    return refuse('scope_purpose', 'your role may not search for that purpose', named(scope.purposes))
  }
  const offence = words(request.offenceType)
  if (uses.offenceTypes.length > 0 && !uses.offenceTypes.some((listed) => words(listed) === offence)) {
    return refuse(
      'offence_type_unknown',
      'the policy knows no such offence type',
      `one of: ${uses.offenceTypes.join(', ')}`,
    )
  }
  return null
}

function misformed({
  plate = null,
  fromMs,
  toMs,
  places = [],
  placesMet = null,
  cameras,
}: SearchRequest): Refusal | null {
  if (plate !== null && parseQuery(plate) === null) {
    return refuse(
      'plate_unusable',
      'that is no plate and no pattern that is narrow enough',
      `2-12 letters and digits; with * or ?, at least ${MIN_PATTERN_CHARACTERS} of them and at most ${MAX_PATTERN_STARS} *`,
    )
  }
  const windows = [{ fromMs, toMs }, ...places]
  if (windows.some((one) => one.fromMs !== null && one.toMs !== null && one.toMs <= one.fromMs)) {
    return refuse('window_empty', 'the time window ends before it begins', 'exchange from and to')
  }
  if (places.length === 0) {
    return placesMet === null ? null : refuse('places_unusable', 'no places were named', 'name two places or more')
  }
  if (places.length < MIN_PLACES_MET || (placesMet ?? places.length) > places.length || cameras.length > 0) {
    return refuse(
      'places_unusable',
      'that is no search in several places',
      'name two places or more, each with its camera, and no other cameras; a vehicle can pass no more than all of them',
    )
  }
  return null
}

function tooWide({ plate = null, fromMs, toMs, places = [], cameras }: SearchRequest): Refusal | null {
  const hours = (ms: number) => `${ms / 3_600_000} hours`
  const tooLong = (windowMs: number, mostMs: number, where: string) =>
    windowMs <= mostMs
      ? null
      : refuse('too_wide', 'too many people are in that', `${where} at most ${hours(mostMs)}, or name a plate`)
  if (places.length > 0) {
    return tooLong(Math.max(...places.map((place) => place.toMs - place.fromMs)), MAX_PLACE_WINDOW_MS, 'at one place')
  }
  if (plate !== null) return null
  if (fromMs === null || toMs === null) {
    return refuse('too_wide', 'too many people are in that', 'name a plate, several places, or a time from and to')
  }
  return cameras.length > 0
    ? tooLong(toMs - fromMs, MAX_CAMERAS_WINDOW_MS, 'past named cameras')
    : tooLong(toMs - fromMs, MAX_TOWN_WINDOW_MS, 'past all cameras')
}

function beyondScope(request: SearchRequest, scope: Scope, nowMs: number): Refusal | null {
  const isWholePlate = request.plate != null && parseQuery(request.plate)?.kind === 'exact'
  if (!scope.patterns && (!isWholePlate || (request.places ?? []).length > 0)) {
    return refuse(
      'scope_patterns',
      'your role may search for whole plates alone',
      'the policy says who may search what',
    )
  }
  const startsMs = [request.fromMs ?? nowMs, ...(request.places ?? []).map(({ fromMs }) => fromMs)]
  if (scope.maxAgeMs !== null && Math.min(...startsMs) < nowMs - scope.maxAgeMs) {
    const days = scope.maxAgeMs / DAY_MS
    return refuse('scope_age', `your role may look back ${days} days`, 'search from a later time on')
  }
  return null
}
