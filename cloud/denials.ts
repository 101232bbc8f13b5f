/**
 * Refused connections, publishes and subscriptions, and requests of nobody known, into the audit: the first of its kind at once, repeats of the same within a
 * minute as one entry with their number, so that a hostile client can neither hide nor fill the log.
 */
import { type Clock, MINUTE_MS } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { parseTopic } from '../shared/topics.ts'
import { type AuditRecord, CLOUD_ACTOR } from './audit/entry.ts'

/** Why somebody was refused; a metric's label and the rule in the audit. */
export type Denial =
  | 'too_many_connections'
  | 'certificate_untrusted'
  | 'certificate_expired'
  | 'camera_unknown'
  | 'camera_revoked'
  | 'camera_other_agency'
  | 'client_id'
  | 'credentials'
  | 'second_factor_missing'
  | 'publish'
  | 'publish_mode'
  | 'subscribe'
  | 'packet_too_large'
  | 'origin'
  /** Over HTTP; `who` is the route then. */
  | 'unauthenticated'
  | 'partner_unknown'
  /** At the log-in, of nobody known; `who` is the route. */
  | 'unknown_account'
  | 'wrong_cli_code'
  | 'oidc_unasked'
  | 'oidc_refused'
  /** At set-up; `who` is the route. */
  | 'setup_refused'
  /** Of a unit that asks to become a camera; `who` is the route, or the camera that the claim is for. */
  | 'claim_unknown'
  | 'claim_over'
  | 'claim_reused'

export interface Denied {
  /** Where they stood; absent: at the broker. */
  door?: 'enrolment' | 'federation' | 'login' | 'setup'
  rule: Denial
  /** Account, camera or client id as far as known. */
  who: string | null
  address: string | null
  topic: string | null
}

export const DENIAL_WINDOW_MS = MINUTE_MS
/** Kinds told apart within a window; beyond that they are counted together. */
export const MAX_DENIAL_KINDS = 100

const OPERATIONS = {
  broker: 'broker.denied',
  enrolment: 'camera.claim_refused',
  federation: 'federation.denied',
  login: 'session.login',
  setup: 'account.first',
} as const

/** What `who` names. */
function kindOf({ door, rule }: Denied): string {
  if (rule === 'claim_over' || rule === 'claim_reused') return 'camera'
  return rule === 'unauthenticated' || door === 'login' || door === 'setup' || door === 'enrolment' ? 'route' : 'client'
}

export interface DenialAudit {
  note(denied: Denied): void
  /**
   * Writes down what was counted and not yet written; called once a minute, or the end of a burst would wait for the next. When it is through, everything
   * noted before it stands in the audit: also first ones that were still being written.
   */
  flush(): Promise<void>
}

interface Counted {
  denied: Denied
  repeats: number
}

export function createDenialAudit(deps: {
  audit: { append(record: AuditRecord): Promise<{ seq: number }> }
  clock: Clock
  log: Log
}): DenialAudit {
  let counted = new Map<string, Counted>()
  let windowStartMs = deps.clock.monotonicMs()
  const underWay = new Set<Promise<void>>()

  async function write(denied: Denied, count: number): Promise<void> {
    try {
      await deps.audit.append({
        operation: denied.rule === 'unauthenticated' ? 'api.denied' : OPERATIONS[denied.door ?? 'broker'],
        outcome: 'refused',
        rule: denied.rule,
        actor: { ...CLOUD_ACTOR, source: denied.address },
        subject: { kind: kindOf(denied), id: (denied.who ?? 'unknown').slice(0, 128) },
        // The kind alone: a topic that somebody made up may hold a plate, and the audit is kept for ever.
        detail: { count, topic: denied.topic === null ? null : (parseTopic(denied.topic)?.kind ?? 'other') },
      })
    } catch (thrown) {
      deps.log.error('denial_not_audited', { code: denied.rule, error: toAppError(thrown).message })
    }
  }

  async function flush(): Promise<void> {
    const done = counted
    counted = new Map()
    windowStartMs = deps.clock.monotonicMs()
    await Promise.all(underWay)
    for (const { denied, repeats } of done.values()) if (repeats > 0) await write(denied, repeats)
  }

  function writeFirst(denied: Denied): void {
    const writing = write(denied, 1).finally(() => underWay.delete(writing))
    underWay.add(writing)
  }

  return {
    note(denied) {
      if (deps.clock.monotonicMs() - windowStartMs >= DENIAL_WINDOW_MS) void flush()
      const key =
        counted.size < MAX_DENIAL_KINDS ? `${denied.rule} ${denied.door} ${denied.who} ${denied.address}` : denied.rule
      const known = counted.get(key)
      if (known !== undefined) {
        known.repeats += 1
        return
      }
      counted.set(key, { denied, repeats: 0 })
      writeFirst(denied)
    },
    flush,
  }
}
