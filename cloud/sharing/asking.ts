/**
 * The asking side of sharing: a person's search, once our own rules have let it through, is put to partners. Written into our audit before
 * it leaves, and completed with the partner's number and count before anybody sees the answer. Nothing that a partner says is
 * believed: what was not asked for, or is malformed, is dropped and counted. Called by asks.ts and the API. Owns no table.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import { comparePlates, patternToRegExp } from '../../shared/plate.ts'
import type { Actor, AuditRecord } from '../audit/entry.ts'
import type { Audit } from '../audit/log.ts'
import { type Asked, factsOf, sameText, soughtIn } from './facts.ts'
import { askPartner, LINK_FAILURES, type LinkDeps } from './link.ts'
import type { Partners } from './partners.ts'
import type { SharedRecord } from './record.ts'
import {
  cropAnswerSchema,
  foreignAnswerSchema,
  type GivenGrant,
  givenGrantsSchema,
  MAX_ANSWER_BYTES,
  MAX_CROP_ANSWER_BYTES,
  PATHS,
  REPLAY_WINDOW_MS,
  refusalSchema,
  type SharedResult,
  type SharedSearchRequest,
  sharedResultSchema,
} from './wire.ts'

/** `not_granted`: nothing was asked, as the partner grants nothing for this purpose; `busy`: we asked too often or too much at once; `failed`: something is wrong at one of the ends. */
export const ASK_OUTCOMES = ['answered', 'refused', 'not_granted', 'busy', 'failed', ...LINK_FAILURES] as const
export type AskOutcome = (typeof ASK_OUTCOMES)[number]

/** What became of a search at one agency. */
export interface AgencyAnswer {
  agency: string
  outcome: AskOutcome
  /** Number of our own entry about asking; null: it could not be written, and nothing was asked. */
  auditSeq: number | null
  /** Number that the other agency's audit gave it. */
  theirAuditSeq: number | null
  /** By which of their rules it was refused, and what they say of it. */
  rule: string | null
  message: string | null
  results: (Omit<SharedResult, 'pictureVoucher'> & { picture: string | null })[]
  total: number
  truncated: boolean
  /** Results that were malformed, twice there or not what was asked for. */
  dropped: number
}

export interface AskingDeps extends LinkDeps {
  agency: string
  partners: Pick<Partners, 'active' | 'onChanged'>
  record: SharedRecord
  audit: Pick<Audit, 'append' | 'plateDigest' | 'voucher'>
  clock: Clock
  newId: () => string
}

export interface AskedBy {
  actor: Actor
  /** Number of the own search. */
  completes: number
  /** Do not ask who grants nothing for the purpose. */
  isOnlyGranted?: boolean
}

export interface Asking {
  /** Never throws: what went wrong is the answer. */
  search(partner: string, asked: Asked, by: AskedBy): Promise<AgencyAnswer>
  /** The picture that a result names, for the session that searched. Throws `forbidden`, `not_found`, `unavailable`. */
  picture(shown: { partner: string; picture: string }, actor: Actor): Promise<Buffer>
  /** What the partner has granted us. Throws `unavailable`, `not_found`. */
  grants(partner: string): Promise<GivenGrant[]>
  /** One request to a partner that is active, ended when it is revoked. */
  send(partner: string, asked: { path: string; body: unknown; maxBytes: number }): ReturnType<typeof askPartner>
  close(): void
}

export function createAsking(deps: AskingDeps): Asking {
  const { agency, partners, record, audit, clock, newId } = deps
  const sending = new Map<string, Set<AbortController>>()
  partners.onChanged((partner) => {
    if (partners.active(partner) === null) for (const one of sending.get(partner) ?? []) one.abort()
  })

  async function send(name: string, asked: { path: string; body: unknown; maxBytes: number }) {
    const partner = partners.active(name)
    if (partner === null) return { ok: false, failure: 'ended', reason: 'there is no such partner' } as const
    const ending = new AbortController()
    const all = sending.get(name) ?? new Set()
    sending.set(name, all.add(ending))
    try {
      return await askPartner(partner, asked, deps, ending.signal)
    } finally {
      all.delete(ending)
      if (all.size === 0) sending.delete(name)
    }
  }

  async function given(partner: string): Promise<{ grants: GivenGrant[] } | { failure: AskOutcome; reason: string }> {
    const got = await send(partner, { path: PATHS.grants, body: {}, maxBytes: MAX_ANSWER_BYTES })
    if (!got.ok) return got
    if (got.status !== 200) return { failure: got.status === 429 ? 'busy' : 'failed', reason: `status ${got.status}` }
    const parsed = givenGrantsSchema.safeParse(got.json)
    return parsed.success ? parsed.data : { failure: 'malformed', reason: 'not a list of grants' }
  }

  const personOf = (actor: Actor) => {
    if (actor.account === null) throw new AppError('internal', 'partners are asked for people alone')
    return { account: actor.account, roles: [...actor.roles], organisation: agency }
  }

  const ownVoucher = (partner: string, actor: Actor, picture: string) =>
    audit.voucher(['picture of partner', partner, actor.session ?? '', picture])

  /** What came back, in our words. */
  function judge(partner: string, asked: Asked, got: Awaited<ReturnType<typeof send>>, actor: Actor): AgencyAnswer {
    const none = { ...NOTHING, agency: partner }
    if (!got.ok) return { ...none, outcome: got.failure, message: got.reason }
    if (got.status === 429) return { ...none, outcome: 'busy', message: 'too many requests at once or in a minute' }
    const refused = refusalSchema.safeParse(got.json)
    if (refused.success) {
      const { auditSeq, rule, message } = refused.data.refused
      return { ...none, outcome: 'refused', theirAuditSeq: auditSeq, rule, message }
    }
    if (got.status !== 200) return { ...none, outcome: 'failed', message: `status ${got.status}` }
    const answer = foreignAnswerSchema.safeParse(got.json)
    if (!answer.success) return { ...none, outcome: 'malformed', message: 'not an answer to a search' }
    const { auditSeq, grantId, total, truncated } = answer.data
    const isWanted = wantedOf(asked, clock.nowMs())
    const seen = new Set<string>()
    const results = answer.data.results.flatMap((one): AgencyAnswer['results'] => {
      const parsed = sharedResultSchema.safeParse(one)
      if (!parsed.success || !isWanted(parsed.data)) return []
      const { pictureVoucher, ...result } = parsed.data
      const key = `${result.cameraId} ${result.sightingId}`
      if (seen.has(key) || seen.size >= asked.limit) return []
      seen.add(key)
      if (pictureVoucher === null) return [{ ...result, picture: null }]
      const facts = [auditSeq, grantId, result.cameraId, result.sightingId, pictureVoucher].join('.')
      return [{ ...result, picture: `${facts}.${ownVoucher(partner, actor, facts)}` }]
    })
    const dropped = answer.data.results.length - results.length
    return {
      ...none,
      outcome: 'answered',
      theirAuditSeq: auditSeq,
      results,
      total: Math.max(total, results.length),
      truncated,
      dropped,
    }
  }

  return {
    async search(partner, asked, { actor, completes, isOnlyGranted = false }) {
      const requestId = newId()
      const key = { partner, direction: 'asked', requestId } as const
      const facts = factsOf(asked, audit.plateDigest)
      let seq: number | null = null
      try {
        if (isOnlyGranted) {
          const got = await given(partner)
          if (!('grants' in got)) return { ...NOTHING, agency: partner, outcome: got.failure, message: got.reason }
          if (!got.grants.some(({ purposes }) => purposes.includes(asked.purpose)))
            return { ...NOTHING, agency: partner, outcome: 'not_granted' }
        }
        const written = await audit.append({
          operation: 'search.asked_partner',
          outcome: 'allowed',
          actor,
          subject: { kind: 'partner', id: partner },
          ...facts,
          query: { ...(facts.query as NonNullable<AuditRecord['query']>), agencies: [partner] },
          completes,
          detail: { request: requestId },
        })
        seq = written.seq
        await record.begin({ ...key, theirSeq: null })
        const body: SharedSearchRequest = {
          ...asked,
          ...{ requestId, sentAtMs: clock.nowMs(), auditSeq: seq, person: personOf(actor) },
        }
        const got = await send(partner, { path: PATHS.search, body, maxBytes: MAX_ANSWER_BYTES })
        const answer = judge(partner, asked, got, actor)
        await audit.append({
          operation: 'search.partner_answered',
          outcome: answer.outcome === 'answered' ? 'allowed' : 'refused',
          rule: answer.outcome === 'answered' ? null : (answer.rule ?? answer.outcome),
          actor,
          subject: { kind: 'partner', id: partner },
          completes: seq,
          results: answer.outcome === 'answered' ? answer.results.length : null,
          detail: {
            request: requestId,
            result: answer.outcome,
            partnerSeq: answer.theirAuditSeq,
            dropped: answer.dropped,
          },
        })
        await record.finish(key, {
          ownSeq: seq,
          theirSeq: answer.theirAuditSeq,
          outcome: answer.outcome,
          results: answer.outcome === 'answered' ? answer.results.length + answer.dropped : null,
        })
        return { ...answer, auditSeq: seq }
      } catch (thrown) {
        // No audit, no answer.
        return { ...NOTHING, agency: partner, auditSeq: seq, outcome: 'failed', message: toAppError(thrown).message }
      }
    },

    async picture({ partner, picture }, actor) {
      const parts = picture.split('.')
      const [auditSeq = '', grantId = '', cameraId = '', sightingId = '', voucher = '', own = ''] = parts
      if (parts.length !== 6 || !sameText(own, ownVoucher(partner, actor, parts.slice(0, 5).join('.'))))
        throw new AppError('forbidden', 'no search of this session has found that picture')
      const { seq } = await audit.append({
        operation: 'search.partner_picture',
        outcome: 'allowed',
        actor,
        subject: { kind: 'sighting', id: sightingId },
        detail: { partner, partnerSeq: Number(auditSeq) },
      })
      const body = { person: personOf(actor), auditSeq: Number(auditSeq), grantId, cameraId, sightingId, voucher }
      const got = await send(partner, { path: PATHS.crop, body, maxBytes: MAX_CROP_ANSWER_BYTES })
      const answer = got.ok && got.status === 200 ? cropAnswerSchema.safeParse(got.json) : null
      const jpeg = answer?.success === true ? Buffer.from(answer.data.jpeg, 'base64') : null
      if (jpeg?.subarray(0, 3).equals(JPEG_START)) return jpeg
      const refused = got.ok ? refusalSchema.safeParse(got.json) : null
      const rule = refused?.success === true ? refused.data.refused.rule : got.ok ? 'malformed' : got.failure
      await audit.append({
        operation: 'search.partner_picture',
        outcome: 'refused',
        rule,
        actor,
        subject: { kind: 'sighting', id: sightingId },
        completes: seq,
      })
      const why = refused?.success === true ? refused.data.refused.message : got.ok ? 'no picture came' : got.reason
      throw new AppError(refused?.success === true ? 'forbidden' : 'unavailable', `${partner}: ${why}`)
    },

    async grants(partner) {
      if (partners.active(partner) === null) throw new AppError('not_found', `there is no partner ${partner}`)
      const got = await given(partner)
      if ('grants' in got) return got.grants
      throw new AppError('unavailable', `${partner}: ${got.reason}`)
    },

    send,
    close() {
      for (const all of sending.values()) for (const one of all) one.abort()
    },
  }
}

/** [ITU T.81, B.1.1.3]: start of image, and the first byte of the marker behind it. */
const JPEG_START = Buffer.from([0xff, 0xd8, 0xff])

const NOTHING: Omit<AgencyAnswer, 'agency' | 'outcome'> = {
  auditSeq: null,
  theirAuditSeq: null,
  rule: null,
  message: null,
  results: [],
  total: 0,
  truncated: false,
  dropped: 0,
}

/** Is a result one of those that were asked for? */
function wantedOf(asked: Asked, nowMs: number): (result: SharedResult) => boolean {
  const sought = soughtIn(asked.plate)
  const pattern = sought?.kind === 'pattern' ? patternToRegExp(sought.text) : null
  return ({ plate, kind, cameraId, seenAtMs }) => {
    if (asked.cameras.length > 0 && !asked.cameras.includes(cameraId)) return false
    if (asked.fromMs !== null && seenAtMs < asked.fromMs) return false
    if (seenAtMs >= (asked.toMs ?? nowMs + REPLAY_WINDOW_MS)) return false
    if (pattern !== null) return kind === 'pattern' && pattern.test(plate)
    return sought !== null && kind === comparePlates(plate, sought.text)
  }
}
