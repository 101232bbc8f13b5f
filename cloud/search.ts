/**
 * Searching stored reads. Every search needs a case number, an offence type and a reason; it is written into the audit before
 * the first row is looked at, and how much it found before the answer leaves. No audit, no answer.
 */
import { timingSafeEqual } from 'node:crypto'
import type { ExpressionBuilder, SelectQueryBuilder } from 'kysely'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import {
  comparePlates,
  confusableKey,
  MAX_PATTERN_STARS,
  MIN_PATTERN_CHARACTERS,
  normalisePattern,
  normalisePlate,
} from '../shared/plate.ts'
import type { Sighting } from '../shared/wire/index.ts'
import type { Actor, AuditRecord } from './audit/entry.ts'
import type { Audit } from './audit/log.ts'
import { withoutPlates } from './audit/plates.ts'
import type { Database } from './database/database.ts'
import type { Schema, SightingsTable } from './database/schema.ts'
import type { Sightings } from './sightings.ts'

export const MAX_SEARCH_PAGE = 200
/** Sightings that one search sorts; more gives `truncated`, and the person narrows it. */
export const MAX_SEARCH_MATCHES = 5_000
export const MAX_SEARCH_CAMERAS = 64
/** Letters and digits that a reason must have; "." and "investigation" are what audits elsewhere are full of. */
export const MIN_REASON_CHARACTERS = 10
export const MIN_REASON_WORDS = 2
export const MAX_REASON_CHARACTERS = 500
export const MAX_PURPOSE_CHARACTERS = 64
/** Rows looked at in one turn of the event loop by a search; about 10 ms. */
export const ROWS_PER_SLICE = 2_000

export interface SearchRequest {
  /** A plate, or a pattern with `*` (any number of characters) and `?` (one). */
  plate: string
  /** Seen from this time on, and before that. */
  fromMs: number | null
  toMs: number | null
  /** Empty: all. */
  cameras: readonly string[]
  caseNumber: string
  offenceType: string
  reason: string
  limit: number
  offset: number
}

export interface SearchResult {
  /** `near` is shown as ≈ and never as a fact. */
  kind: 'exact' | 'near' | 'pattern'
  sighting: Sighting
  receivedAtMs: number
  /** When the vehicle was seen: captured, or received when the camera's clock cannot be trusted. Window and order go by it. */
  seenAtMs: number
  clockTrusted: boolean
  /** With it, and the search's number, the session that searched may see the evidence picture; null: there is none. */
  pictureVoucher: string | null
}

export interface SearchAnswer {
  /** Number of the audit entry of this search. */
  auditSeq: number
  /** Newest first. */
  results: SearchResult[]
  /** Sightings found in all; with `truncated` at least so many. */
  total: number
  truncated: boolean
}

export interface Search {
  /** Throws `bad_input` without a purpose or plate (audited as refused) and `unavailable` when the audit cannot be written. */
  run(request: SearchRequest, actor: Actor): Promise<SearchAnswer>
  /** Did search `auditSeq` of this actor's session yield the sighting? */
  vouchesFor(shown: { auditSeq: number; cameraId: string; sightingId: string; voucher: string }, actor: Actor): boolean
}

export interface SearchDeps {
  database: Database
  sightings: Sightings
  audit: Pick<Audit, 'append' | 'plateDigest' | 'voucher'>
  clock: Clock
}

interface Found {
  cameraId: string
  sightingId: string
  seenAtMs: number
  kind: SearchResult['kind']
}

type Query = { kind: 'exact'; plate: string } | { kind: 'pattern'; pattern: string }

/** Where a slice of the index of plates ends. */
interface Place {
  confusableKey: string
  seenAtMs: number
}

type Rows<O> = SelectQueryBuilder<Schema, 'sightings', O>

/** How one kind of query walks the index of plates. */
interface Walk {
  /** Narrows `query` to what lies beyond the end of the last slice and not beyond that of this one. */
  between<O>(query: Rows<O>, after: Place | null, last: Place | null): Rows<O>
  /** The pattern, in SQL; null: none. */
  like: string | null
  /** What a plate that lies there is to the query; null: nothing. */
  kindOf(plate: string): SearchResult['kind'] | null
}

export function createSearch(deps: SearchDeps): Search {
  const { database, sightings, clock } = deps

  const visible = (request: SearchRequest, nowMs: number) => {
    // A preview that its final has corrected is no answer.
    let query = sightings
      .visible(nowMs)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('sightings as later')
              .select('later.revision')
              .whereRef('later.camera_id', '=', 'sightings.camera_id')
              .whereRef('later.sighting_id', '=', 'sightings.sighting_id')
              .whereRef('later.revision', '>', 'sightings.revision'),
          ),
        ),
      )
    if (request.cameras.length > 0) query = query.where('camera_id', 'in', [...request.cameras])
    return inWindow(query, request)
  }

  /**
   * Walks the index of plates in slices, newest first within a key, so that neither a search over millions of rows nor a plate
   * that passes all day ever holds up the broker.
   */
  async function find(request: SearchRequest, { between, like, kindOf }: Walk, nowMs: number): Promise<Found[]> {
    const found: Found[] = []
    for (let after: Place | null = null; ; ) {
      const index = database.build.selectFrom('sightings').select(['confusable_key', 'seen_at_ms'])
      const [boundary]: Pick<SightingsTable, 'confusable_key' | 'seen_at_ms'>[] = await database.read(
        between(index, after, null)
          .orderBy('confusable_key', 'desc')
          .orderBy('seen_at_ms', 'desc')
          .offset(ROWS_PER_SLICE)
          .limit(1),
      )
      const last: Place | null =
        boundary?.confusable_key == null
          ? null
          : { confusableKey: boundary.confusable_key, seenAtMs: boundary.seen_at_ms }
      const slice = between(visible(request, nowMs).select(FOUND_COLUMNS), after, last)
      const rows = await database.read(like === null ? slice : slice.where('plate', 'like', like))
      for (const row of rows) {
        const kind = row.plate === null ? null : kindOf(row.plate)
        if (kind !== null) found.push(toFound(row, kind))
      }
      if (last === null || found.length > MAX_SEARCH_MATCHES) return found
      after = last
      await clock.sleep(0)
    }
  }

  const voucherOf = (auditSeq: number, actor: Actor, cameraId: string, sightingId: string) =>
    deps.audit.voucher(['picture', auditSeq, actor.session ?? '', cameraId, sightingId])

  async function load(
    page: readonly Found[],
    nowMs: number,
    by: { auditSeq: number; actor: Actor },
  ): Promise<SearchResult[]> {
    const results: SearchResult[] = []
    for (const found of page) {
      const stored = await sightings.get(found.sightingId, nowMs, found.cameraId)
      // Purged between the two queries.
      if (stored === null) continue
      const { sighting, receivedAtMs, seenAtMs, clockTrusted } = stored
      const pictureVoucher =
        sighting.crop === null ? null : voucherOf(by.auditSeq, by.actor, found.cameraId, found.sightingId)
      results.push({ kind: found.kind, sighting, receivedAtMs, seenAtMs, clockTrusted, pictureVoucher })
    }
    return results
  }

  return {
    async run(request, actor) {
      const query = parseQuery(request.plate)
      const sought = query?.kind === 'exact' ? query.plate : null
      const text = (typed: string) => withoutPlates(typed, [sought], deps.audit.plateDigest)
      const record: Omit<AuditRecord, 'outcome'> = {
        operation: 'search.run',
        actor,
        caseNumber: text(request.caseNumber.slice(0, MAX_PURPOSE_CHARACTERS)) || null,
        offenceType: text(request.offenceType.slice(0, MAX_PURPOSE_CHARACTERS)) || null,
        reason: text(request.reason.slice(0, MAX_REASON_CHARACTERS)) || null,
        query: {
          plateDigest:
            query === null ? null : deps.audit.plateDigest(query.kind === 'exact' ? query.plate : query.pattern),
          plateKind: query?.kind ?? null,
          fromMs: request.fromMs,
          toMs: request.toMs,
          cameras: [...request.cameras],
          limit: request.limit,
        },
      }
      const refusal = refuse(request, query)
      if (refusal !== null) {
        const { seq } = await deps.audit.append({ ...record, outcome: 'refused', rule: refusal.rule })
        throw new AppError('bad_input', `${refusal.message} (refused, audit entry ${seq})`, { hint: refusal.hint })
      }
      if (query === null) throw new AppError('internal', 'a search without a plate was not refused')
      const { seq } = await deps.audit.append({ ...record, outcome: 'allowed' })
      const nowMs = clock.nowMs()
      const walk = query.kind === 'exact' ? walkPlate(query.plate, request) : walkPattern(query.pattern)
      const found = await find(request, walk, nowMs)
      const truncated = found.length > MAX_SEARCH_MATCHES
      const kept = found.sort(newestFirst).slice(0, MAX_SEARCH_MATCHES)
      const results = await load(
        kept.slice(request.offset, request.offset + Math.min(request.limit, MAX_SEARCH_PAGE)),
        nowMs,
        { auditSeq: seq, actor },
      )
      await deps.audit.append({
        operation: 'search.answered',
        outcome: 'allowed',
        actor,
        completes: seq,
        results: kept.length,
        detail: { shown: results.length, offset: request.offset, truncated },
      })
      return { auditSeq: seq, results, total: kept.length, truncated }
    },
    vouchesFor: ({ auditSeq, cameraId, sightingId, voucher }, actor) =>
      equalText(voucher, voucherOf(auditSeq, actor, cameraId, sightingId)),
  }
}

function inWindow<O>(query: Rows<O>, { fromMs, toMs }: Pick<SearchRequest, 'fromMs' | 'toMs'>): Rows<O> {
  const from = fromMs === null ? query : query.where('seen_at_ms', '>=', fromMs)
  return toMs === null ? from : from.where('seen_at_ms', '<', toMs)
}

function walkPlate(plate: string, window: Pick<SearchRequest, 'fromMs' | 'toMs'>): Walk {
  return {
    between(query, after, last) {
      const ofKey = inWindow(query.where('confusable_key', '=', confusableKey(plate)), window)
      const beyond = after === null ? ofKey : ofKey.where('seen_at_ms', '<', after.seenAtMs)
      return last === null ? beyond : beyond.where('seen_at_ms', '>=', last.seenAtMs)
    },
    like: null,
    kindOf: (found) => comparePlates(found, plate),
  }
}

function walkPattern(pattern: string): Walk {
  // The one index of plates is by key; the key of a plate starts with the key of the plate's own start.
  const prefix = confusableKey(/^[A-Z0-9]*/.exec(pattern)?.[0] ?? '')
  const place = (eb: ExpressionBuilder<Schema, 'sightings'>) => eb.refTuple('confusable_key', 'seen_at_ms')
  return {
    between(query, after, last) {
      // One bound on each side, or SQLite may choose the wider one and walk from the start in every slice.
      const beyond =
        after === null
          ? // '~' sorts after every character of a key.
            query.where('confusable_key', '<', `${prefix}~`)
          : query.where((eb) => eb(place(eb), '<', eb.tuple(after.confusableKey, after.seenAtMs)))
      return last === null
        ? beyond.where('confusable_key', '>=', prefix)
        : beyond.where((eb) => eb(place(eb), '>=', eb.tuple(last.confusableKey, last.seenAtMs)))
    },
    like: pattern.replaceAll('*', '%').replaceAll('?', '_'),
    kindOf: () => 'pattern',
  }
}

const FOUND_COLUMNS = ['camera_id', 'sighting_id', 'seen_at_ms', 'plate'] as const

function toFound(
  row: { camera_id: string; sighting_id: string; seen_at_ms: number },
  kind: SearchResult['kind'],
): Found {
  return {
    cameraId: row.camera_id,
    sightingId: row.sighting_id,
    seenAtMs: row.seen_at_ms,
    kind,
  }
}

function newestFirst(a: Found, b: Found): number {
  return b.seenAtMs - a.seenAtMs || (a.sightingId < b.sightingId ? 1 : -1)
}

/** What is looked for, or null when it is neither a plate nor a pattern narrow enough. */
export function parseQuery(text: string): Query | null {
  if (!/[*?]/.test(text)) {
    const plate = normalisePlate(text)
    return plate === null ? null : { kind: 'exact', plate }
  }
  const pattern = normalisePattern(text)
  return pattern === null ? null : { kind: 'pattern', pattern }
}

interface SearchRefusal {
  rule: string
  message: string
  hint: string
}

/** In a time that tells nothing of where they differ. */
function equalText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const count = (text: string) => (text.match(/[\p{L}\p{N}]/gu) ?? []).length

/** The first rule that the search breaks, or null. */
function refuse(request: SearchRequest, query: Query | null): SearchRefusal | null {
  const purpose = 'every search needs a case number, an offence type and a reason'
  if (count(request.caseNumber) < 2) {
    return { rule: 'case_number_missing', message: 'a case number is missing', hint: purpose }
  }
  if (count(request.offenceType) < 3) {
    return { rule: 'offence_type_missing', message: 'an offence type is missing', hint: purpose }
  }
  if (count(request.reason) === 0) return { rule: 'reason_missing', message: 'a reason is missing', hint: purpose }
  const words = request.reason
    .trim()
    .split(/\s+/)
    .filter((word) => count(word) > 0)
  if (
    count(request.reason) < MIN_REASON_CHARACTERS ||
    words.length < MIN_REASON_WORDS ||
    new Set(request.reason).size < 5
  ) {
    return {
      rule: 'reason_vague',
      message: 'the reason says too little',
      hint: `say in at least ${MIN_REASON_WORDS} words and ${MIN_REASON_CHARACTERS} letters what the search is for`,
    }
  }
  if (query === null) {
    return {
      rule: 'plate_unusable',
      message: 'that is no plate and no pattern that is narrow enough',
      hint: `2-12 letters and digits; with * or ?, at least ${MIN_PATTERN_CHARACTERS} of them and at most ${MAX_PATTERN_STARS} *`,
    }
  }
  if (request.fromMs !== null && request.toMs !== null && request.toMs <= request.fromMs) {
    return { rule: 'window_empty', message: 'the time window ends before it begins', hint: 'exchange from and to' }
  }
  return null
}
