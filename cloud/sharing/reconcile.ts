/**
 * Lays the two clouds' records of shared searches side by side and names every difference. Our own rows are held against our own
 * audit as well, which cannot be changed unnoticed; the partner's audit is the partner's auditor's to check. Called by the API.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { EARLIEST_TIME_MS, LATEST_TIME_MS } from '../../shared/wire/sighting.ts'
import type { Audit } from '../audit/log.ts'
import type { Asking } from './asking.ts'
import type { SharedRecord } from './record.ts'
import {
  MAX_ANSWER_BYTES,
  MAX_RECORD_PAGE,
  PATHS,
  REPLAY_WINDOW_MS,
  type RecordRow,
  recordAnswerSchema,
} from './wire.ts'

/** Rows of either side that one comparison holds; for more the period is made shorter. */
export const MAX_RECONCILED = 5_000
/** Rows that are looked up in one turn of the event loop. */
const LOOKED_UP_AT_ONCE = 32

export interface Difference {
  requestId: string
  /** Who asked: we, or the partner. */
  askedBy: 'us' | 'them'
  problem:
    | 'missing_here'
    | 'missing_there'
    | 'numbers_differ'
    | 'outcomes_differ'
    | 'results_differ'
    | 'not_in_own_audit'
  here: RecordRow | null
  there: RecordRow | null
}

export interface Reconciliation {
  /** Searches that both know. */
  compared: number
  /** Own rows whose entry the audit has let go of by policy: whether it spoke of them cannot be told any more. */
  untold: number
  differences: Difference[]
}

export interface ReconcileDeps {
  asking: Pick<Asking, 'send'>
  record: SharedRecord
  audit: Pick<Audit, 'list'>
  /** Number of the last entry whose bytes went by policy; 0: none. */
  purgedThrough: () => Promise<number>
  clock: Pick<Clock, 'sleep'>
}

/** Throws `unavailable` when the partner does not answer, `too_large` past MAX_RECONCILED. */
export async function reconcile(
  { asking, record, audit, purgedThrough, clock }: ReconcileDeps,
  partner: string,
  window: { fromMs: number; toMs: number },
): Promise<Reconciliation> {
  const wider = {
    fromMs: Math.max(EARLIEST_TIME_MS, window.fromMs - REPLAY_WINDOW_MS),
    toMs: Math.min(LATEST_TIME_MS, window.toMs + REPLAY_WINDOW_MS),
  }
  const here = await allPages((after) => record.page(partner, window, after))
  const there = await allPages(async (after) => {
    const got = await asking.send(partner, {
      path: PATHS.searches,
      body: { ...wider, after },
      maxBytes: MAX_ANSWER_BYTES,
    })
    const parsed = got.ok && got.status === 200 ? recordAnswerSchema.safeParse(got.json) : null
    if (parsed?.success !== true)
      throw new AppError('unavailable', `${partner}: ${got.ok ? `status ${got.status}` : got.reason}`)
    return parsed.data.rows
  })

  const keyOf = ({ requestId }: RecordRow, isTheirs: boolean, { direction }: RecordRow) =>
    `${(direction === 'asked') === isTheirs ? 'them' : 'us'} ${requestId}`
  const theirs = new Map(there.map((row) => [keyOf(row, true, row), row]))
  const differences: Difference[] = []
  let compared = 0
  let untold = 0
  for (const [index, own] of here.entries()) {
    if (index % LOOKED_UP_AT_ONCE === LOOKED_UP_AT_ONCE - 1) await clock.sleep(0)
    const askedBy = own.direction === 'asked' ? 'us' : 'them'
    const differs = (problem: Difference['problem'], other: RecordRow | null) =>
      differences.push({ requestId: own.requestId, askedBy, problem, here: own, there: other })
    if (!(await isInAudit(audit, own))) {
      // Asked behind the look: a purge may have begun meanwhile.
      if (own.ownSeq !== null && own.ownSeq <= (await purgedThrough())) untold += 1
      else differs('not_in_own_audit', null)
    }
    const other = theirs.get(`${askedBy} ${own.requestId}`)
    if (other === undefined) {
      differs('missing_there', null)
      continue
    }
    compared += 1
    // Who asked and heard nothing knows neither number nor count of what was answered.
    if (own.outcome !== other.outcome) differs('outcomes_differ', other)
    else if (own.ownSeq !== other.theirSeq || own.theirSeq !== other.ownSeq) differs('numbers_differ', other)
    else if (own.results !== other.results) differs('results_differ', other)
  }
  for (const [index, other] of there.entries()) {
    if (index % LOOKED_UP_AT_ONCE === LOOKED_UP_AT_ONCE - 1) await clock.sleep(0)
    const isInside = other.atMs >= window.fromMs && other.atMs < window.toMs
    const direction = other.direction === 'asked' ? 'answered' : 'asked'
    if (!isInside || (await record.find(partner, direction, other.requestId)) !== null) continue
    const askedBy = other.direction === 'asked' ? 'them' : 'us'
    differences.push({ requestId: other.requestId, askedBy, problem: 'missing_here', here: null, there: other })
  }
  return { compared, untold, differences }
}

async function allPages(
  page: (after: { atMs: number; requestId: string } | null) => Promise<RecordRow[]>,
): Promise<RecordRow[]> {
  const rows: RecordRow[] = []
  for (;;) {
    const last = rows.at(-1)
    const more = await page(last === undefined ? null : { atMs: last.atMs, requestId: last.requestId })
    rows.push(...more)
    if (rows.length > MAX_RECONCILED) {
      throw new AppError('too_large', `more than ${MAX_RECONCILED} searches`, { hint: 'choose a shorter period' })
    }
    if (more.length < MAX_RECORD_PAGE) return rows
  }
}

/** Does the entry that the row names speak of that request? */
async function isInAudit(audit: Pick<Audit, 'list'>, { direction, ownSeq, requestId }: RecordRow): Promise<boolean> {
  if (ownSeq === null) return false
  const [entry] = await audit.list({ before: ownSeq + 1, limit: 1 })
  const operation = direction === 'asked' ? 'search.asked_partner' : 'federation.searched'
  return entry?.seq === ownSeq && entry.operation === operation && entry.detail.request === requestId
}
