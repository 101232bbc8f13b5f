/**
 * Tells in time that the authority itself ends, which nothing renews, and that a rotation to the next one stands still. Once a minute,
 * called by main; the API shows the same. Owns table authority_alarms: what has been told, so that a restart does not tell it again.
 */
import { type Clock, DAY_MS } from '../../shared/clock.ts'
import type { Log, LogFields } from '../../shared/log.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { CLOUD_ACTOR } from '../audit/entry.ts'
import type { Audit } from '../audit/log.ts'
import type { Authority } from '../authority.ts'
import type { Cameras } from '../cameras.ts'
import type { Database } from '../database/database.ts'
import { expiryAlarm } from '../renewals.ts'
import type { WebhookNotice } from '../webhooks/notices.ts'
import type { Queued } from '../webhooks.ts'
import type { RotationStep } from './rotation.ts'

/** An alarm at each of them, and at the end: in the last year certificates of cameras are cut short, and a rotation takes weeks. */
export const AUTHORITY_ALARM_DAYS = [365, 180, 90, 30, 7, 1] as const
/** So long after its last step a rotation that is not over stands still; told again after each further one. */
export const ROTATION_STALLED_MS = 14 * DAY_MS

export interface AuthorityState {
  expiresAtMs: number
  /** The smallest of AUTHORITY_ALARM_DAYS within which it ends; 0: it has ended; null: later than all of them. */
  alarmDays: number | null
  /** Null: none is under way. `takenUp`: the cloud was started again after the step. `behind`: cameras that have not followed it. */
  rotation: { step: RotationStep; sinceMs: number; takenUp: boolean; behind: number; stalled: boolean } | null
}

/** What is wrong with it, for people. Empty: nothing. */
export function authorityWarnings({ expiresAtMs, alarmDays, rotation }: AuthorityState): string[] {
  const day = new Date(expiresAtMs).toISOString().slice(0, 10)
  const warnings: string[] = []
  if (alarmDays === 0)
    warnings.push(`The certificate authority ended on ${day}: no camera and no person can connect safely any more.`)
  else if (alarmDays !== null)
    warnings.push(
      `The certificate authority ends on ${day}, and every certificate with it: replace it before (\`candor cloud authority\`).`,
    )
  if (rotation?.stalled === true) {
    const { step, sinceMs, takenUp, behind } = rotation
    const why = takenUp
      ? `${behind} camera(s) have not followed`
      : 'the cloud has not been started again since, and so no camera follows'
    const since = new Date(sinceMs).toISOString().slice(0, 10)
    warnings.push(`The change to another authority stands still at \`${step}\` since ${since}: ${why}.`)
  }
  return warnings
}

export interface AuthorityWatch {
  state(): Promise<AuthorityState>
  /** Rejects when the audit cannot be written; what was not told is told at the next call. */
  upkeep(): Promise<void>
}

export interface AuthorityWatchDeps {
  database: Database
  authority: Pick<Authority, 'caPem' | 'expiresAtMs' | 'trustedSinceMs' | 'lastStep'>
  cameras: Pick<Cameras, 'certificatesInUse'>
  audit: Pick<Audit, 'append'>
  /** For other programs, in the transaction that writes down that they were told. */
  queue: (notices: readonly WebhookNotice[]) => Queued
  onState: (state: AuthorityState) => void
  clock: Clock
  log: Log
}

export function createAuthorityWatch(deps: AuthorityWatchDeps): AuthorityWatch {
  const { database, authority, cameras, clock } = deps
  const { build } = database
  const authorityId = sha256Hex(Buffer.from(authority.caPem)).slice(0, 16)

  async function state(): Promise<AuthorityState> {
    const nowMs = clock.nowMs()
    const { expiresAtMs } = authority
    const last = await authority.lastStep()
    const stated = { expiresAtMs, alarmDays: expiryAlarm(expiresAtMs - nowMs, AUTHORITY_ALARM_DAYS) }
    if (last === null) return { ...stated, rotation: null }
    const { step, atMs: sinceMs } = last
    const takenUp = authority.trustedSinceMs === sinceMs
    const behind = cameras.certificatesInUse().filter(({ issuedAtMs }) => issuedAtMs < sinceMs).length
    if (step === 'retire' && takenUp && behind === 0) return { ...stated, rotation: null }
    const stalled = nowMs - sinceMs >= ROTATION_STALLED_MS
    return { ...stated, rotation: { step, sinceMs, takenUp, behind, stalled } }
  }

  /** Once, whatever happens in between; `alarm` names it. */
  async function tell(
    alarm: string,
    notice: 'ending' | 'rotation_stalled',
    detail: Record<string, string | number | boolean>,
    logged: LogFields,
  ): Promise<void> {
    const [told] = await database.read(build.selectFrom('authority_alarms').select('alarm').where('alarm', '=', alarm))
    if (told !== undefined) return
    await deps.audit.append({
      ...{ operation: `authority.${notice}`, outcome: 'allowed', actor: CLOUD_ACTOR },
      ...{ subject: { kind: 'authority', id: authorityId }, detail },
    })
    const nowMs = clock.nowMs()
    const { statements, committed } = deps.queue([
      // A later word of the same takes the place of one that was not delivered.
      {
        ...{ kind: 'authority_alarm', noticeId: `${notice}-${authorityId}`, revision: nowMs },
        document: { authority: { alarm: notice, ...detail } },
      },
    ])
    const [_told, ...queued] = await database.writeBatch([
      build.insertInto('authority_alarms').values({ alarm, told_at_ms: nowMs }),
      ...statements,
    ])
    committed(queued)
    deps.log.warn(`authority_${notice}`, logged)
  }

  return {
    state,
    async upkeep() {
      const now = await state()
      deps.onState(now)
      const { expiresAtMs, alarmDays, rotation } = now
      if (alarmDays !== null)
        await tell(
          `ending/${authorityId}/${alarmDays}`,
          'ending',
          { days: alarmDays, expiresAtMs },
          { limit: alarmDays },
        )
      if (rotation === null || !rotation.stalled) return
      const { stalled: _stalled, ...detail } = rotation
      const periods = Math.floor((clock.nowMs() - rotation.sinceMs) / ROTATION_STALLED_MS)
      const logged = { operation: detail.step, count: detail.behind }
      await tell(`stalled/${rotation.sinceMs}/${periods}`, 'rotation_stalled', detail, logged)
    },
  }
}
