/** What may be asked of stored sightings, its bounds, and how what people type becomes a query. Pure; called by everything here and by the API. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../shared/clock.ts'
import { normalisePattern, normalisePlate } from '../../shared/plate.ts'
import type { Sighting, Vehicle } from '../../shared/wire/index.ts'

/** Results of one page. */
export const MAX_SEARCH_PAGE = 200
/** Sightings that one search finds; more gives `truncated`, and the person narrows it. */
export const MAX_SEARCH_MATCHES = 5_000
export const MAX_SEARCH_CAMERAS = 64
export const MAX_SEARCH_LISTS = 16
/** Places of one search, and how many of them a vehicle must have passed at least. */
export const MAX_SEARCH_PLACES = 16
export const MIN_PLACES_MET = 2
/** From when to when at one of several places, milliseconds. */
export const MAX_PLACE_WINDOW_MS = DAY_MS
/** Sightings looked at for one place; more gives `truncated`. */
export const MAX_PLACE_SIGHTINGS = 20_000
/** Without a plate: the longest window past cameras that are named, and past all of them. Everybody who drove by is in it. */
export const MAX_CAMERAS_WINDOW_MS = 7 * DAY_MS
export const MAX_TOWN_WINDOW_MS = HOUR_MS
/** Letters and digits that a reason must have; "." and "investigation" are what audits elsewhere are full of. */
export const MIN_REASON_CHARACTERS = 10
export const MIN_REASON_WORDS = 2
export const MAX_REASON_CHARACTERS = 500
export const MAX_PURPOSE_CHARACTERS = 64
/** A search ends with what it has found until then, milliseconds. */
export const MAX_SEARCH_MS = 10_000
/** How long pages and exports of a search may be asked for, milliseconds. */
export const SEARCH_KEPT_MS = 15 * MINUTE_MS

/** Seen past this camera, from this time on and before that. */
export interface Place {
  camera: string
  fromMs: number
  toMs: number
}

export interface SearchRequest {
  /** A plate, or a pattern with `*` (any number of characters) and `?` (one). Absent: any. */
  plate?: string | null
  /** `confusable`: what reading may have taken for it as well, shown as ≈. Absent: for a whole plate, not for a pattern. */
  match?: 'exact' | 'confusable' | null
  /** Seen from this time on, and before that. */
  fromMs: number | null
  toMs: number | null
  /** Empty: all. */
  cameras: readonly string[]
  /** That raised or joined an alert of one of these lists, or that its camera matched. Empty: whatever it matched. */
  lists?: readonly string[]
  /** A country's code means its states as well. */
  jurisdiction?: string | null
  colour?: Vehicle['colour'] | null
  /** Vehicles that passed at least `placesMet` of these. */
  places?: readonly Place[]
  placesMet?: number | null
  /** A code of the policy's purposes. */
  purpose?: string | null
  caseNumber: string
  offenceType: string
  reason: string
  limit: number
  offset: number
}

/** `near` is shown as ≈ and never as a fact; `any`: no plate was asked for. */
export type ResultKind = 'exact' | 'near' | 'pattern' | 'any'

export interface SearchResult {
  kind: ResultKind
  sighting: Sighting
  receivedAtMs: number
  /** When the vehicle was seen: captured, or received when the camera's clock cannot be trusted. Window and order go by it. */
  seenAtMs: number
  clockTrusted: boolean
  /** Which of the places asked for its vehicle passed, from 0; its results stand together. Null: no places were asked for. */
  placesMet: number[] | null
  /** With it, and the search's number, the session that searched may open the sighting. */
  voucher: string
  /** The same, for its evidence picture; null: there is none. */
  pictureVoucher: string | null
}

export interface SearchAnswer {
  /** Number of the audit entry of this search. */
  auditSeq: number
  /** Newest first; of several places: the vehicle that passed most of them first. */
  results: SearchResult[]
  /** Sightings found in all; with `truncated` at least so many. */
  total: number
  /** Of a search in several places: how many vehicles they are of. */
  vehicles: number | null
  truncated: boolean
  /** It was `truncated` because it took MAX_SEARCH_MS. */
  timedOut: boolean
  /** What the search looked back to; later than asked for where the own scope ends. Null: all that is kept. */
  fromMs: number | null
}

export interface PlateQuery {
  kind: 'exact' | 'pattern'
  /** Normalised. */
  text: string
}

/** What is looked for, or null when it is neither a plate nor a pattern narrow enough. */
export function parseQuery(text: string): PlateQuery | null {
  const isPattern = /[*?]/.test(text)
  const normal = isPattern ? normalisePattern(text) : normalisePlate(text)
  return normal === null ? null : { kind: isPattern ? 'pattern' : 'exact', text: normal }
}
