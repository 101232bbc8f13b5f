/**
 * How a unit becomes a camera: a technician makes a claim, the unit asks with it once, by a key of its own, and an administrator who
 * has compared that key approves. A claim is kept as a digest, is bound to the first key that used it, and can do nothing else.
 * Called by the API; the broker tells it of units that take over. Owns table camera_claims.
 */
import { sql } from 'kysely'
import { sameFingerprint, shortFingerprint } from '../shared/certificate-request.ts'
import { claimDigest, newClaimCode, parseClaimCode } from '../shared/claim-code.ts'
import { type Clock, DAY_MS, HOUR_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import type { NewId } from '../shared/ids.ts'
import { slugSchema } from '../shared/names.ts'
import { CLOUD_ACTOR } from './audit/entry.ts'
import type { Audit } from './audit/log.ts'
import type { Authority } from './authority.ts'
import type { Cameras } from './cameras.ts'
import type { Database } from './database/database.ts'
import { type Claim, type ClaimState, toClaim } from './enrolment/claim.ts'

/** A claim that no unit has used ends after so long. */
export const DEFAULT_CLAIM_HOURS = 72
export const MAX_CLAIM_HOURS = 14 * 24
/** From its use on a claim waits as long for an administrator, and from the approval on for the unit to fetch its certificate. */
export const DECISION_MS = 7 * DAY_MS
/** Waiting for a unit or for an administrator at once. */
export const MAX_OPEN_CLAIMS = 1_000
/** Ended claims are shown for so long; the audit has them for ever. */
export const CLAIM_KEPT_MS = 90 * DAY_MS
export const MAX_CLAIM_PAGE = 500

const OPEN = ['waiting', 'asked'] as const

/** `unknown`: no such code; `over`: it is used up, expired or ended; `reused`: by another key than its first: an alarm. */
export type ClaimRefusal = 'unknown' | 'over' | 'reused'
export type Asked =
  | { ok: true; claim: Claim; certificate: { certPem: string; serial: string; expiresAtMs: number } | null }
  /** `claim`: that the code belongs to. */
  | { ok: false; reason: ClaimRefusal; claim: Claim | null }

export interface NewClaim {
  camera: string
  site: string | null
  hours: number
  /** For a unit in the place of a camera that is registered. */
  replaces: boolean
}

export interface Enrolment {
  /** The code is told here and never again. Throws `bad_input`, `conflict`, `not_found`, `too_large`. */
  claim(wanted: NewClaim, by: string): Promise<{ claim: Claim; code: string }>
  /** Newest first, ended ones too. */
  list(): Promise<Claim[]>
  /** A unit asks, the first time or again. Throws `bad_input` for a request that is none. */
  ask(code: string, csrPem: string, source: string): Promise<Asked>
  /**
   * The second look: the unit that shows this fingerprint becomes the camera. Throws `not_found`, `conflict` for another fingerprint or a
   * claim that two keys have used, `forbidden` where the policy wants another person than made the claim.
   */
  approve(camera: string, fingerprint: string, by: string): Promise<Claim>
  reject(camera: string, by: string): Promise<Claim>
  /** Ends the camera's newest claim, if it is open, and the alarm about it. Throws `not_found`. */
  revoke(camera: string, by: string): Promise<Claim>
  /** After the camera was revoked: nobody becomes it by a claim of before. */
  endOf(camera: string, by: string): Promise<void>
  /** Claims that a second key has used, which nobody has said to have seen. */
  alarms(): Promise<number>
  /** Those claims. */
  misused(): Promise<{ camera: string; misuses: number }[]>
  /** Called by the broker, see identify.ts. In the audit before it is done. */
  takeOver(camera: string, fingerprint: string): Promise<void>
  /** Once a minute: forgets claims that ended long ago. */
  upkeep(): Promise<void>
}

export interface EnrolmentDeps {
  database: Database
  authority: Pick<Authority, 'requestKey'>
  cameras: Pick<Cameras, 'enrol' | 'certificateOf' | 'isRegistered' | 'takeOver'>
  audit: Pick<Audit, 'append'>
  /** Does the policy want a second person? */
  secondPerson: () => boolean
  /** Told how many alarms there are whenever that may have changed. */
  onAlarms: (alarms: number) => void
  clock: Clock
  newId: NewId
  newSecret: (byteCount: number) => string
}

export function createEnrolment(deps: EnrolmentDeps): Enrolment {
  const { database, authority, cameras, clock } = deps
  const { build } = database

  const all = () => build.selectFrom('camera_claims').selectAll()

  async function byCode(codeSha256: string): Promise<Claim | null> {
    const [row] = await database.read(all().where('code_sha256', '=', codeSha256))
    return row === undefined ? null : toClaim(row)
  }

  async function newest(camera: string): Promise<Claim> {
    const [row] = await database.read(
      all().where('camera_id', '=', camera).orderBy('made_at_ms', 'desc').orderBy('claim_id', 'desc').limit(1),
    )
    if (row !== undefined) return toClaim(row)
    throw new AppError('not_found', `there is no claim for ${camera}`, { hint: '`candor camera claim`' })
  }

  const isOver = (claim: Claim) => clock.nowMs() >= claim.expiresAtMs

  async function askedFor(camera: string): Promise<Claim & { csrPem: string; keySha256: string }> {
    const claim = await newest(camera)
    const { csrPem, keySha256 } = claim
    if (claim.state === 'asked' && !isOver(claim) && csrPem !== null && keySha256 !== null)
      return { ...claim, csrPem, keySha256 }
    throw new AppError('conflict', `no unit waits to become ${camera}`, { hint: 'see `candor camera claims`' })
  }

  /** Only from one of `states`: two who decide at once do not both. */
  async function move(claim: Claim, states: readonly ClaimState[], change: Record<string, unknown>): Promise<Claim> {
    const [moved] = await database.writeBatch([
      build
        .updateTable('camera_claims')
        .set(change)
        .where('claim_id', '=', claim.claimId)
        .where('state', 'in', [...states]),
    ])
    if (moved?.changes !== 1) throw new AppError('conflict', `the claim for ${claim.camera} was decided meanwhile`)
    return newest(claim.camera)
  }

  const decided = (state: ClaimState, by: string) => ({ state, decided_at_ms: clock.nowMs(), decided_by: by })

  async function alarms(): Promise<number> {
    const [counted] = await database.read(
      build
        .selectFrom('camera_claims')
        .select(({ fn }) => fn.countAll<number>().as('alarms'))
        .where('alarm', '=', 1),
    )
    return counted?.alarms ?? 0
  }

  async function raiseAlarm(claim: Claim): Promise<Asked> {
    await database.writeBatch([
      build
        .updateTable('camera_claims')
        .set(({ eb }) => ({ misuses: eb('misuses', '+', 1), misused_at_ms: clock.nowMs(), alarm: 1 }))
        .where('claim_id', '=', claim.claimId),
    ])
    deps.onAlarms(await alarms())
    return { ok: false, reason: 'reused', claim }
  }

  /** The first key takes the claim, unless another one did meanwhile. In the audit before it is done. */
  async function bind(claim: Claim, key: { keySha256: string; csrPem: string; source: string }): Promise<void> {
    const nowMs = clock.nowMs()
    const record = {
      ...{ operation: 'camera.claim_used', actor: { ...CLOUD_ACTOR, source: key.source } },
      subject: { kind: 'camera', id: claim.camera },
      detail: { fingerprint: shortFingerprint(key.keySha256), replaces: claim.replaces, madeBy: claim.madeBy },
    }
    const { seq } = await deps.audit.append({ ...record, outcome: 'allowed' })
    const [bound] = await database.writeBatch([
      build
        .updateTable('camera_claims')
        .set({
          ...{ state: 'asked', key_sha256: key.keySha256, csr_pem: key.csrPem, source: key.source },
          ...{ asked_at_ms: nowMs, expires_at_ms: nowMs + DECISION_MS },
        })
        .where('claim_id', '=', claim.claimId)
        .where('state', '=', 'waiting'),
    ])
    if (bound?.changes === 1) return
    await deps.audit.append({ ...record, outcome: 'refused', rule: 'conflict', completes: seq })
  }

  const turns = new Map<string, Promise<unknown>>()
  /** Decisions about one camera, one after the other: an approval is several steps, and a revocation must not come between them. */
  function inTurn<T>(camera: string, work: () => Promise<T>): Promise<T> {
    const turn = (turns.get(camera) ?? Promise.resolve()).then(work, work)
    turns.set(camera, turn)
    const done = () => {
      if (turns.get(camera) === turn) turns.delete(camera)
    }
    turn.then(done, done)
    return turn
  }

  return {
    async claim({ camera, site, hours, replaces }, by) {
      if (!slugSchema.safeParse(camera).success)
        throw new AppError('bad_input', 'a camera name must be 1-32 of a-z, 0-9 and -')
      const isThere = cameras.isRegistered(camera)
      if (isThere && !replaces) {
        throw new AppError('conflict', `there is a camera ${camera} already`, {
          hint: 'for another unit in its place: `candor camera claim --replace`',
        })
      }
      if (!isThere && replaces) throw new AppError('not_found', `there is no camera ${camera} to replace`)
      const nowMs = clock.nowMs()
      const [counted] = await database.read(
        build
          .selectFrom('camera_claims')
          .select(({ fn }) => fn.countAll<number>().as('open'))
          // The condition of the partial index, word for word: only so is it used.
          .where(sql<boolean>`state IN ('waiting', 'asked')`),
      )
      if ((counted?.open ?? 0) >= MAX_OPEN_CLAIMS) {
        throw new AppError('too_large', `${MAX_OPEN_CLAIMS} claims are open, the most there may be`, {
          hint: 'end those that are not needed: `candor camera claim-revoke`',
        })
      }
      const code = newClaimCode(deps.newSecret)
      const [, inserted] = await database.writeBatch([
        build
          .updateTable('camera_claims')
          .set({ state: 'expired' })
          .where('camera_id', '=', camera)
          .where('state', 'in', [...OPEN])
          .where('expires_at_ms', '<=', nowMs),
        build
          .insertInto('camera_claims')
          .values({
            claim_id: deps.newId(),
            code_sha256: claimDigest(parseClaimCode(code) ?? ''),
            camera_id: camera,
            site,
            replaces: replaces ? 1 : 0,
            state: 'waiting',
            made_at_ms: nowMs,
            made_by: by,
            expires_at_ms: nowMs + hours * HOUR_MS,
            misuses: 0,
            alarm: 0,
          })
          .onConflict((conflict) => conflict.doNothing()),
      ])
      if (inserted?.changes !== 1) {
        throw new AppError('conflict', `there is an open claim for ${camera}`, {
          hint: 'see `candor camera claims`; `candor camera claim-revoke` ends it',
        })
      }
      return { claim: await newest(camera), code }
    },

    async list() {
      const rows = await database.read(all().orderBy('claim_id', 'desc').limit(MAX_CLAIM_PAGE))
      return rows.map(toClaim).map((claim) => {
        const isOpen = claim.state === 'waiting' || claim.state === 'asked'
        return isOpen && isOver(claim) ? { ...claim, state: 'expired' as const } : claim
      })
    },

    async ask(typed, csrPem, source) {
      const code = parseClaimCode(typed)
      let claim = code === null ? null : await byCode(claimDigest(code))
      if (claim === null || code === null) return { ok: false, reason: 'unknown', claim: null }
      const keySha256 = await authority.requestKey(csrPem)
      const over = { ok: false, reason: 'over', claim } as const
      if (claim.state === 'waiting') {
        if (isOver(claim)) return over
        await bind(claim, { keySha256, csrPem, source })
        claim = (await byCode(claimDigest(code))) ?? claim
      }
      // Also of a claim that is over: somebody has a code that was used.
      if (claim.keySha256 !== null && claim.keySha256 !== keySha256) return raiseAlarm(claim)
      if (claim.keySha256 === null || isOver(claim)) return over
      if (claim.state === 'asked') return { ok: true, claim, certificate: null }
      if (claim.state !== 'approved') return over
      const certificate = await cameras.certificateOf(claim.camera, keySha256)
      if (certificate === null) return over
      await database.writeBatch([
        build
          .updateTable('camera_claims')
          .set({ fetched_at_ms: clock.nowMs() })
          .where('claim_id', '=', claim.claimId)
          .where('fetched_at_ms', 'is', null),
      ])
      return { ok: true, claim, certificate }
    },

    approve: (camera, fingerprint, by) =>
      inTurn(camera, async () => {
        const claim = await askedFor(camera)
        if (claim.misuses > 0) {
          throw new AppError('conflict', `two keys have used the claim for ${camera}: one of them is not your unit`, {
            hint: `\`candor camera reject ${camera}\`, find out who had the code, and make a new claim`,
          })
        }
        if (!sameFingerprint(fingerprint, shortFingerprint(claim.keySha256))) {
          throw new AppError('conflict', `the unit that asks to become ${camera} shows another fingerprint`, {
            hint: `look again; if it is not your unit: \`candor camera reject ${camera}\``,
          })
        }
        if (deps.secondPerson() && claim.madeBy === by) {
          throw new AppError('forbidden', 'the policy wants a second person', {
            hint: 'another camera technician approves; who made the claim may reject it',
          })
        }
        const { csrPem, keySha256, replaces } = claim
        await cameras.enrol({ camera, csrPem, keySha256, replaces, by })
        return move(claim, ['asked'], { ...decided('approved', by), expires_at_ms: clock.nowMs() + DECISION_MS })
      }),

    reject: (camera, by) =>
      inTurn(camera, async () => move(await askedFor(camera), ['asked'], decided('rejected', by))),

    revoke: (camera, by) =>
      inTurn(camera, async () => {
        const claim = await newest(camera)
        await database.writeBatch([
          build.updateTable('camera_claims').set({ alarm: 0 }).where('camera_id', '=', camera).where('alarm', '=', 1),
        ])
        deps.onAlarms(await alarms())
        const isOpen = claim.state === 'waiting' || claim.state === 'asked'
        return isOpen ? move(claim, OPEN, decided('revoked', by)) : newest(camera)
      }),

    endOf: (camera, by) =>
      inTurn(camera, async () => {
        await database.writeBatch([
          build
            .updateTable('camera_claims')
            .set(decided('revoked', by))
            .where('camera_id', '=', camera)
            .where('state', 'in', [...OPEN, 'approved']),
        ])
      }),

    alarms,

    async misused() {
      const rows = await database.read(
        build.selectFrom('camera_claims').select(['camera_id', 'misuses']).where('alarm', '=', 1).limit(MAX_CLAIM_PAGE),
      )
      return rows.map(({ camera_id: camera, misuses }) => ({ camera, misuses }))
    },

    async takeOver(camera, fingerprint) {
      await deps.audit.append({
        ...{ operation: 'camera.taken_over', outcome: 'allowed', actor: { ...CLOUD_ACTOR, source: camera } },
        ...{ subject: { kind: 'camera', id: camera }, detail: { certificate: fingerprint } },
      })
      await cameras.takeOver(camera, fingerprint)
    },

    async upkeep() {
      await database.writeBatch([
        build
          .deleteFrom('camera_claims')
          .where('expires_at_ms', '<', clock.nowMs() - CLAIM_KEPT_MS)
          .where('alarm', '=', 0),
      ])
      deps.onAlarms(await alarms())
    },
  }
}
