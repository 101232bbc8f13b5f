/**
 * The review of use by somebody else: when a period of the policy is over, what each person did in it is looked at once, and what
 * stands out becomes a finding that a reviewer decides, never about themselves. Called by upkeep and the API. Owns tables
 * review_periods and review_findings.
 */
import { type Clock, DAY_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { Database, Statement } from './database/database.ts'
import type { ReviewFindingsTable } from './database/schema-usage.ts'
import type { PolicyKeeper } from './policy.ts'
import { EARLIER_PERIODS, type Flag, type Flagged, flagsOf, type Search } from './review/flags.ts'
import { utcDay } from './usage/figures.ts'
import type { Usage } from './usage.ts'

/** Of one period; beyond it only the number is kept, and told. */
export const MAX_FINDINGS = 1_000
/** People of one period. */
export const MAX_PEOPLE = 10_000
/** Searches of one person in one period that are looked at; and as many of the earlier ones. */
export const MAX_PERSON_SEARCHES = 5_000
/** Audit numbers that a finding names; it says how many there are. */
export const MAX_NAMED_ENTRIES = 50
export const MAX_FINDING_PAGE = 200
export const MAX_REVIEW_NOTE = 1_000
/** Letters of a note that says something. */
export const MIN_NOTE_CHARACTERS = 10

export const DECISIONS = ['no_concern', 'explained', 'concern'] as const
export type Decision = (typeof DECISIONS)[number]

export interface Finding {
  findingId: string
  /** The period, from its first moment to before its end. */
  fromMs: number
  toMs: number
  /** An account, or `organisation/account` of another organisation. */
  who: string
  flag: Flag
  why: string
  /** Audit numbers, at most MAX_NAMED_ENTRIES of `entryCount`. */
  entries: number[]
  entryCount: number
  madeAtMs: number
  decision: Decision | 'open'
  note: string | null
  decidedAtMs: number | null
  decidedBy: string | null
}

export interface ReviewStatus {
  open: number
  /** Open for longer than a period. */
  overdue: number
  oldestOpenAtMs: number | null
  /** The last period that was looked at; null: none is over yet. */
  last: { fromMs: number; toMs: number; findings: number; leftOut: number } | null
  /** When the running one is over; null: nothing was ever done. */
  nextAtMs: number | null
}

export interface Review {
  /** Looks at one period that is over, if there is one, then lets go of what no later one looks back to. Never rejects. */
  upkeep(): Promise<void>
  /** Newest first. */
  list(page: { decision: Decision | 'open' | null; limit: number; offset: number }): Promise<Finding[]>
  /** Throws `not_found`. */
  get(findingId: string): Promise<Finding>
  /** Throws `not_found`, `forbidden` for one's own, `conflict` when it is decided, `bad_input` without the note that it needs. */
  decide(findingId: string, decision: Decision, note: string, by: string): Promise<Finding>
  status(): Promise<ReviewStatus>
  /** How findings were decided within these times, by decision. */
  decided(fromMs: number, toMs: number): Promise<ReadonlyMap<string, number>>
}

export interface ReviewDeps {
  database: Database
  usage: Usage
  policy: Pick<PolicyKeeper, 'current'>
  clock: Clock
  log: Log
  newId: () => string
  /** After each look and decision. */
  onStatus: (status: Pick<ReviewStatus, 'open' | 'overdue'>) => void
}

const PURGE_ROWS = 500

export function createReview(deps: ReviewDeps): Review {
  const { database, usage, policy, clock } = deps
  const { build } = database
  const periodMs = () => policy.current().review.everyDays * DAY_MS

  async function lastPeriod() {
    const [row] = await database.read(
      build.selectFrom('review_periods').selectAll().orderBy('from_ms', 'desc').limit(1),
    )
    return row ?? null
  }

  /** Where the next period begins: at the end of the last one, or with the day of the first search. */
  async function nextFromMs(last: { to_ms: number } | null): Promise<number | null> {
    if (last !== null) return last.to_ms
    const [first] = await database.read(build.selectFrom('usage_searches').select('at_ms').orderBy('at_ms').limit(1))
    return first === undefined ? null : utcDay(first.at_ms) * DAY_MS
  }

  async function searchesOf(who: string, fromMs: number, toMs: number): Promise<Search[]> {
    const rows = await database.read(
      build
        .selectFrom('usage_searches')
        .selectAll()
        .where('who', '=', who)
        .where('at_ms', '>=', fromMs)
        .where('at_ms', '<', toMs)
        .orderBy('at_ms')
        .limit(MAX_PERSON_SEARCHES),
    )
    return rows
      .filter(({ page }) => page === 0)
      .map((row) => ({
        ...{
          seq: row.seq,
          atMs: row.at_ms,
          outcome: row.outcome === 'refused' ? 'refused' : 'allowed',
          rule: row.rule,
        },
        plateDigest: row.plate_digest?.toString('hex') ?? null,
        ...{ caseNumber: row.case_number, offenceType: row.offence_type, reason: row.reason },
      }))
  }

  /** When the person's earlier allowed searches were, and how many each period had since the first of them. */
  async function earlierOf(who: string, fromMs: number, lengthMs: number) {
    const rows = await database.read(
      build
        .selectFrom('usage_searches')
        .select('at_ms')
        .where('who', '=', who)
        .where('at_ms', '>=', fromMs - EARLIER_PERIODS * lengthMs)
        .where('at_ms', '<', fromMs)
        .where('outcome', '=', 'allowed')
        .where('page', '=', 0)
        .orderBy('at_ms', 'desc')
        .limit(MAX_PERSON_SEARCHES),
    )
    const earlierAtMs = rows.map(({ at_ms }) => at_ms)
    const back = (atMs: number) => Math.floor((fromMs - 1 - atMs) / lengthMs)
    const first = earlierAtMs.at(-1)
    const earlierCounts = first === undefined ? [] : new Array<number>(back(first) + 1).fill(0)
    for (const atMs of earlierAtMs) earlierCounts[back(atMs)] = (earlierCounts[back(atMs)] ?? 0) + 1
    return { earlierAtMs, earlierCounts }
  }

  async function peopleOf(table: 'usage_searches' | 'usage_switches', fromMs: number, toMs: number): Promise<string[]> {
    const rows = await database.read(
      build
        .selectFrom(table)
        .select('who')
        .distinct()
        .where('at_ms', '>=', fromMs)
        .where('at_ms', '<', toMs)
        .limit(MAX_PEOPLE),
    )
    return rows.map(({ who }) => who)
  }

  async function flagsOfPerson(who: string, fromMs: number, toMs: number): Promise<Flagged[]> {
    const switches = await database.read(
      build
        .selectFrom('usage_switches')
        .selectAll()
        .where('who', '=', who)
        .where('at_ms', '>=', fromMs)
        .where('at_ms', '<', toMs)
        .orderBy('at_ms')
        .limit(MAX_PERSON_SEARCHES),
    )
    return flagsOf(
      {
        searches: await searchesOf(who, fromMs, toMs),
        ...(await earlierOf(who, fromMs, toMs - fromMs)),
        switches: switches.map((row) => ({ seq: row.seq, beforeSeq: row.before_seq, atMs: row.at_ms })),
      },
      policy.current(),
    )
  }

  /** The findings of one period, all or none. */
  async function look(fromMs: number, toMs: number): Promise<void> {
    const people = new Set([
      ...(await peopleOf('usage_searches', fromMs, toMs)),
      ...(await peopleOf('usage_switches', fromMs, toMs)),
    ])
    const nowMs = clock.nowMs()
    const inserts: Statement[] = []
    let leftOut = 0
    for (const who of [...people].sort()) {
      for (const { flag, why, entries } of await flagsOfPerson(who, fromMs, toMs)) {
        if (inserts.length >= MAX_FINDINGS) {
          leftOut += 1
          continue
        }
        inserts.push(
          build.insertInto('review_findings').values({
            ...{ finding_id: deps.newId(), from_ms: fromMs, to_ms: toMs, who, flag, why },
            ...{ entries: JSON.stringify(entries.slice(0, MAX_NAMED_ENTRIES)), entry_count: entries.length },
            ...{ made_at_ms: nowMs, decision: 'open', note: null, decided_at_ms: null, decided_by: null },
          }),
        )
      }
      await clock.sleep(0)
    }
    await database.writeBatch([
      build
        .insertInto('review_periods')
        .values({ from_ms: fromMs, to_ms: toMs, made_at_ms: nowMs, findings: inserts.length, left_out: leftOut }),
      ...inserts,
    ])
  }

  /** Findings go with the audit entries that they are about, if those go at all. */
  async function purge(nextMs: number): Promise<void> {
    await usage.purge(nextMs - EARLIER_PERIODS * periodMs(), PURGE_ROWS)
    const { days } = policy.current().audit
    if (days === null) return
    const old = build
      .selectFrom('review_findings')
      .select('finding_id')
      .where('made_at_ms', '<', clock.nowMs() - days * DAY_MS)
      .limit(PURGE_ROWS)
    await database.writeBatch([build.deleteFrom('review_findings').where('finding_id', 'in', old)])
  }

  async function get(findingId: string): Promise<Finding> {
    const [row] = await database.read(
      build.selectFrom('review_findings').selectAll().where('finding_id', '=', findingId),
    )
    if (row === undefined) throw new AppError('not_found', 'there is no such finding')
    return toFinding(row)
  }

  async function status(): Promise<ReviewStatus> {
    const open = build.selectFrom('review_findings').where('decision', '=', 'open')
    const [all] = await database.read(
      open.select((eb) => [eb.fn.countAll<number>().as('count'), eb.fn.min('made_at_ms').as('oldest')]),
    )
    const [late] = await database.read(
      open.where('made_at_ms', '<=', clock.nowMs() - periodMs()).select((eb) => eb.fn.countAll<number>().as('count')),
    )
    const last = await lastPeriod()
    const fromMs = await nextFromMs(last)
    return {
      open: all?.count ?? 0,
      overdue: late?.count ?? 0,
      oldestOpenAtMs: all?.oldest ?? null,
      last:
        last === null
          ? null
          : { fromMs: last.from_ms, toMs: last.to_ms, findings: last.findings, leftOut: last.left_out },
      nextAtMs: fromMs === null ? null : fromMs + periodMs(),
    }
  }

  return {
    get,
    status,
    async upkeep() {
      try {
        await usage.follow()
        const fromMs = await nextFromMs(await lastPeriod())
        if (fromMs !== null && clock.nowMs() >= fromMs + periodMs()) await look(fromMs, fromMs + periodMs())
        if (fromMs !== null) await purge(fromMs)
        deps.onStatus(await status())
      } catch (thrown) {
        // The purge waits for this: it must go on when the audit cannot be read.
        deps.log.error('review_not_made', { error: toAppError(thrown).message })
      }
    },
    async list({ decision, limit, offset }) {
      let query = build.selectFrom('review_findings').selectAll()
      query =
        decision === null
          ? query.orderBy('from_ms', 'desc')
          : query.where('decision', '=', decision).orderBy('made_at_ms', 'desc')
      const rows = await database.read(query.limit(Math.min(limit, MAX_FINDING_PAGE)).offset(offset))
      return rows.map(toFinding)
    },
    async decide(findingId, decision, note, by) {
      const finding = await get(findingId)
      if (finding.who === by) {
        throw new AppError('forbidden', 'this finding is about yourself', { hint: 'another reviewer decides it' })
      }
      const text = note.trim()
      if (decision !== 'no_concern' && (text.match(/[\p{L}\p{N}]/gu) ?? []).length < MIN_NOTE_CHARACTERS) {
        throw new AppError('bad_input', 'a note is missing', {
          hint: decision === 'concern' ? 'say what follows from it, and who does that' : 'say what explains it',
        })
      }
      const [written] = await database.writeBatch([
        build
          .updateTable('review_findings')
          .set({ decision, note: text === '' ? null : text, decided_at_ms: clock.nowMs(), decided_by: by })
          .where('finding_id', '=', findingId)
          .where('decision', '=', 'open'),
      ])
      if (written?.changes !== 1) throw new AppError('conflict', 'this finding is decided already')
      deps.onStatus(await status())
      return get(findingId)
    },
    async decided(fromMs, toMs) {
      const rows = await database.read(
        build
          .selectFrom('review_findings')
          .select((eb) => ['decision', eb.fn.countAll<number>().as('count')])
          .where('decided_at_ms', '>=', fromMs)
          .where('decided_at_ms', '<', toMs)
          .groupBy('decision'),
      )
      return new Map(rows.map(({ decision, count }) => [decision, count]))
    },
  }
}

function toFinding(row: ReviewFindingsTable): Finding {
  return {
    ...{ findingId: row.finding_id, fromMs: row.from_ms, toMs: row.to_ms, who: row.who, flag: row.flag as Flag },
    ...{ why: row.why, entries: JSON.parse(row.entries) as number[], entryCount: row.entry_count },
    ...{ madeAtMs: row.made_at_ms, decision: row.decision as Finding['decision'], note: row.note },
    ...{ decidedAtMs: row.decided_at_ms, decidedBy: row.decided_by },
  }
}
