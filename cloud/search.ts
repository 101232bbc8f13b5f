/**
 * Searching stored sightings, for a stated purpose and fully accounted: each search, page, opened sighting and export is an entry of
 * the audit before anything of it is shown. No audit, no answer. The rules are in search/rules.ts, the finding runs in a worker thread.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../shared/clock.ts'
import { AppError, type ErrorCode, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { SLUG_PATTERN } from '../shared/names.ts'
import { sha256Hex } from '../shared/signing.ts'
import type { Actor, AuditEntry, AuditRecord } from './audit/entry.ts'
import type { Audit } from './audit/log.ts'
import { withoutPlates } from './audit/plates.ts'
import type { PolicyKeeper } from './policy.ts'
import { type ExportFormat, ended, exportBody, MARK_DIGITS, type Watermark } from './search/export.ts'
import type { Found } from './search/find.ts'
import { type Finder, openFinder } from './search/finder.ts'
import { createKeptSearches, type KeptSearch } from './search/kept.ts'
import {
  MAX_PURPOSE_CHARACTERS,
  MAX_REASON_CHARACTERS,
  MAX_SEARCH_MATCHES,
  MAX_SEARCH_MS,
  MAX_SEARCH_PAGE,
  MIN_PLACES_MET,
  type PlateQuery,
  parseQuery,
  type SearchAnswer,
  type SearchRequest,
  type SearchResult,
} from './search/request.ts'
import { refusalOf, scopeOf } from './search/rules.ts'
import type { Sightings, StoredSighting } from './sightings.ts'

/** Where a sighting was shown: by which search, and the voucher that came with it. */
export interface Shown {
  auditSeq: number
  cameraId: string
  sightingId: string
  voucher: string
}

export interface Export {
  /** Number of the audit entry, which every row of the file names. */
  auditSeq: number
  rows: number
  text: string
}

/** What a mark in a file says, held against the audit. */
export interface Traced {
  mark: Watermark
  /** The export that the mark is of; null: the mark was never made by this agency. */
  entry: AuditEntry | null
}

export interface Search {
  /**
   * Throws `bad_input` or `forbidden` for what a rule refuses (audited with the rule), `unavailable` when the audit cannot be written
   * or too much is searched. `signal`: nobody waits for the answer any more.
   */
  run(request: SearchRequest, actor: Actor, signal?: AbortSignal): Promise<SearchAnswer>
  /** Another page of a search of this session. Throws `not_found` when it is not, or no longer, kept. */
  page(auditSeq: number, page: { offset: number; limit: number }, actor: Actor): Promise<SearchAnswer>
  /** A sighting that a search of this session has shown, opened. Throws `forbidden` (audited) when none has, `not_found` past its retention. */
  view(shown: Shown, actor: Actor): Promise<StoredSighting>
  /** Did search `auditSeq` of this actor's session show the sighting? */
  vouchesFor(shown: Shown, actor: Actor): boolean
  /** All that a search of this session found, marked. Throws as `page`, and `forbidden` (audited) where the scope has no exports. */
  export(auditSeq: number, format: ExportFormat, actor: Actor): Promise<Export>
  /** Which exports these marks are of; and whether `end` is what was written at the end of the file with this SHA-256. */
  trace(
    marks: readonly Watermark[],
    end: { bodySha256: string; digest: string } | null,
  ): Promise<{ traced: Traced[]; isUnchanged: boolean | null }>
  close(): Promise<void>
}

export interface SearchDeps {
  agency: string
  databaseFile: string
  sightings: Pick<Sightings, 'at' | 'get'>
  audit: Pick<Audit, 'append' | 'list' | 'plateDigest' | 'voucher'>
  policy: Pick<PolicyKeeper, 'current' | 'retention'>
  clock: Clock
  log: Log
}

export function openSearch(deps: SearchDeps): Search {
  const { sightings, audit, policy, clock } = deps
  const finder: Finder = openFinder(deps)
  const kept = createKeptSearches(clock)

  async function refuse(
    record: Omit<AuditRecord, 'outcome'>,
    { code, rule, message, hint }: { code: ErrorCode; rule: string; message: string; hint: string },
  ): Promise<never> {
    const { seq } = await audit.append({ ...record, outcome: 'refused', rule })
    throw new AppError(code, `${message} (refused, audit entry ${seq})`, { hint })
  }

  const voucherOf = ({ auditSeq, cameraId, sightingId }: Omit<Shown, 'voucher'>, actor: Actor) =>
    audit.voucher(['picture', auditSeq, actor.session ?? '', cameraId, sightingId])

  const isVouched = (shown: Shown, actor: Actor) => equalText(shown.voucher, voucherOf(shown, actor))

  /** What is still visible of `found`, in its order. */
  async function load(found: readonly Found[], auditSeq: number, actor: Actor): Promise<SearchResult[]> {
    const results: SearchResult[] = []
    for (let from = 0; from < found.length; from += MAX_SEARCH_PAGE) {
      if (from > 0) await clock.sleep(0)
      const some = found.slice(from, from + MAX_SEARCH_PAGE)
      const stored = await sightings.at(
        some.map(({ row }) => row),
        clock.nowMs(),
      )
      for (const one of some) {
        const there = stored.get(one.row)
        // Purged since, and the row perhaps given to another.
        if (there === undefined || !isSame(one, there)) continue
        const { sighting, receivedAtMs, seenAtMs, clockTrusted } = there
        const { cameraId, sightingId } = sighting
        const voucher = voucherOf({ auditSeq, cameraId, sightingId }, actor)
        const shown = { kind: one.kind, sighting, receivedAtMs, seenAtMs, clockTrusted, placesMet: one.placesMet }
        results.push({ ...shown, voucher, pictureVoucher: sighting.crop === null ? null : voucher })
      }
    }
    return results
  }

  const answerOf = (search: KeptSearch, results: SearchResult[]): SearchAnswer => {
    const { auditSeq, found, vehicles, truncated, timedOut, fromMs } = search
    return { auditSeq, results, total: found.length, vehicles, truncated, timedOut, fromMs }
  }

  const pageOf = ({ found }: KeptSearch, { offset, limit }: { offset: number; limit: number }) =>
    found.slice(offset, offset + Math.min(limit, MAX_SEARCH_PAGE))

  /** The kept search, or a refusal in the audit. */
  async function keptOf(auditSeq: number, operation: string, actor: Actor): Promise<KeptSearch> {
    const search = kept.get(auditSeq, actor)
    if (search !== null) return search
    const subject = { kind: 'search', id: String(auditSeq) }
    return refuse(
      { operation, actor, subject },
      {
        ...{ code: 'not_found', rule: 'not_own_search', message: 'this session has no such search, or not any more' },
        hint: 'search again: what a search found is kept for a quarter of an hour',
      },
    )
  }

  return {
    async run(request, actor, signal) {
      const nowMs = clock.nowMs()
      const plate = request.plate == null ? null : parseQuery(request.plate)
      const record = recordOf(request, plate, { audit, actor })
      const scope = scopeOf(actor.roles, policy.current())
      const refusal = refusalOf(request, { policy: policy.current(), scope, nowMs })
      if (refusal !== null || scope === null) {
        const rule = refusal ?? { rule: 'scope_search', message: 'your role may not search', hint: '' }
        return refuse(record, { code: rule.rule.startsWith('scope_') ? 'forbidden' : 'bad_input', ...rule })
      }
      const { caseNumber = null, offenceType = null, reason = null } = record
      const { seq: auditSeq } = await audit.append({ ...record, outcome: 'allowed' })
      const oldestMs = scope.maxAgeMs === null ? null : nowMs - scope.maxAgeMs
      const fromMs = request.fromMs ?? oldestMs
      const answered = { operation: 'search.answered', actor, completes: auditSeq, caseNumber }
      const found = await finder
        .find(
          {
            ...{ nowMs, retention: policy.retention(), plate, confusable: isConfusable(request, plate), fromMs },
            ...{ toMs: request.toMs, cameras: request.cameras, lists: request.lists ?? [] },
            ...{ jurisdiction: request.jurisdiction ?? null, colour: request.colour ?? null },
            ...{ places: request.places ?? [], placesMet: request.placesMet ?? request.places?.length ?? 0 },
            ...{ limit: MAX_SEARCH_MATCHES, limitMs: MAX_SEARCH_MS },
          },
          signal,
        )
        .catch(async (thrown: unknown) => {
          await audit.append({ ...answered, outcome: 'refused', rule: toAppError(thrown).code })
          throw thrown
        })
      const search: KeptSearch = { ...found, auditSeq, purpose: { caseNumber, offenceType, reason }, fromMs }
      kept.add(search, actor)
      const results = await load(pageOf(search, request), auditSeq, actor)
      const { truncated, timedOut, vehicles } = found
      await audit.append({
        ...answered,
        outcome: 'allowed',
        results: found.found.length,
        detail: { shown: results.length, offset: request.offset, truncated, timedOut, vehicles },
      })
      return answerOf(search, results)
    },

    async page(auditSeq, page, actor) {
      const operation = 'search.page_viewed'
      const search = await keptOf(auditSeq, operation, actor)
      const results = await load(pageOf(search, page), auditSeq, actor)
      await audit.append({
        ...{ operation, outcome: 'allowed', actor, completes: auditSeq, caseNumber: search.purpose.caseNumber },
        ...{ results: search.found.length, detail: { shown: results.length, offset: page.offset } },
      })
      return answerOf(search, results)
    },

    async view(shown, actor) {
      const { auditSeq, cameraId, sightingId } = shown
      const record = { operation: 'sighting.viewed', actor, subject: { kind: 'sighting', id: sightingId } }
      if (!isVouched(shown, actor)) {
        return refuse(record, {
          ...{
            code: 'forbidden',
            rule: 'not_found_by_search',
            message: 'no search of this session has found that sighting',
          },
          hint: 'sightings are opened after a search with case number, offence type and reason',
        })
      }
      const stored = await sightings.get(sightingId, clock.nowMs(), cameraId)
      if (stored === null) throw new AppError('not_found', 'there is no such sighting, or it is past its retention')
      const caseNumber = (kept.get(auditSeq, actor)?.purpose ?? (await entryOf(auditSeq)))?.caseNumber ?? null
      await audit.append({
        ...record,
        outcome: 'allowed',
        completes: auditSeq,
        caseNumber,
        detail: { camera: cameraId },
      })
      return stored
    },

    vouchesFor: isVouched,

    async export(auditSeq, format, actor) {
      const operation = 'search.exported'
      const search = await keptOf(auditSeq, operation, actor)
      const record = { operation, actor, completes: auditSeq, ...search.purpose }
      if (scopeOf(actor.roles, policy.current())?.exports !== true) {
        return refuse(record, {
          ...{ code: 'forbidden', rule: 'scope_exports', message: 'your role may not take results out of the system' },
          hint: 'the policy says who may export',
        })
      }
      const results = await load(search.found, auditSeq, actor)
      const { seq } = await audit.append({
        ...record,
        outcome: 'allowed',
        results: results.length,
        detail: { format, truncated: search.truncated },
      })
      const entry = await entryOf(seq)
      if (entry === null) throw new AppError('internal', 'an entry of the audit that was just written is not there')
      const facts = { ...markOf(entry), searchSeq: auditSeq, at: entry.at, account: entry.actor.account }
      const { caseNumber, offenceType } = search.purpose
      const body = exportBody(format, { ...facts, caseNumber, offenceType }, results)
      const text = ended(format, body, endOf(seq, sha256Hex(Buffer.from(body))))
      return { auditSeq: seq, rows: results.length, text }
    },

    async trace(marks, end) {
      const traced: Traced[] = []
      for (const mark of marks) {
        const entry = mark.agency === deps.agency ? await entryOf(mark.auditSeq) : null
        const isOurs =
          entry?.operation === 'search.exported' &&
          entry.outcome === 'allowed' &&
          equalText(mark.digest, markOf(entry).digest)
        traced.push({ mark, entry: isOurs ? entry : null })
      }
      const [only] = traced
      const isWhole = end !== null && traced.length === 1 && only !== undefined && only.entry !== null
      return {
        traced,
        isUnchanged: isWhole ? equalText(end.digest, endOf(only.mark.auditSeq, end.bodySha256)) : null,
      }
    },

    close: () => finder.close(),
  }

  async function entryOf(seq: number): Promise<AuditEntry | null> {
    const [entry] = await audit.list({ before: seq + 1, limit: 1 })
    return entry?.seq === seq ? entry : null
  }

  /** Only from what the entry itself says, so that it can be made again for as long as the entry is there. */
  function markOf({ agency, seq, at, completes, actor }: AuditEntry): Watermark {
    const digest = audit.voucher(['export', agency, seq, at, completes ?? 0, actor.account ?? ''])
    return { agency, auditSeq: seq, digest: digest.slice(0, MARK_DIGITS) }
  }

  function endOf(seq: number, bodySha256: string): string {
    return audit.voucher(['export end', seq, bodySha256])
  }
}

const isConfusable = ({ match }: SearchRequest, plate: PlateQuery | null) =>
  match == null ? plate?.kind === 'exact' : match === 'confusable'

/** What the audit keeps of a request: a plate or a pattern as its digest alone, also where somebody wrote it into a text. */
function recordOf(
  request: SearchRequest,
  plate: PlateQuery | null,
  { audit, actor }: { audit: Pick<Audit, 'plateDigest'>; actor: Actor },
): Omit<AuditRecord, 'outcome'> {
  const { purpose = null, jurisdiction = null, colour = null, lists = [], places = [], fromMs, toMs, limit } = request
  const sought = plate?.kind === 'exact' ? plate.text : null
  const text = (typed: string, most: number) => withoutPlates(typed.slice(0, most), [sought], audit.plateDigest) || null
  const asks = request.plate != null
  return {
    operation: 'search.run',
    actor,
    caseNumber: text(request.caseNumber, MAX_PURPOSE_CHARACTERS),
    offenceType: text(request.offenceType, MAX_PURPOSE_CHARACTERS),
    reason: text(request.reason, MAX_REASON_CHARACTERS),
    query: {
      plateDigest: plate === null ? null : audit.plateDigest(plate.text),
      plateKind: plate?.kind ?? (asks ? null : 'any'),
      ...{ fromMs, toMs, limit },
      cameras: places.length > 0 ? [...new Set(places.map(({ camera }) => camera))] : [...request.cameras],
      ...(purpose !== null && SLUG_PATTERN.test(purpose) ? { purpose } : {}),
      ...(jurisdiction === null ? {} : { jurisdiction }),
      ...(colour === null ? {} : { colour }),
      ...(lists.length === 0 ? {} : { lists: [...lists] }),
      ...(places.length < MIN_PLACES_MET
        ? {}
        : { places: places.length, placesMet: Math.max(MIN_PLACES_MET, request.placesMet ?? places.length) }),
    },
    detail: {
      match: isConfusable(request, plate) ? 'confusable' : 'exact',
      ...(places.length === 0 ? {} : { places: places.map((one) => `${one.camera} ${one.fromMs} ${one.toMs}`) }),
    },
  }
}

function isSame({ cameraId, seenAtMs, plate }: Found, { sighting, seenAtMs: seen }: StoredSighting): boolean {
  return sighting.cameraId === cameraId && seen === seenAtMs && sighting.plate === plate
}

/** In a time that tells nothing of where they differ. */
function equalText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
