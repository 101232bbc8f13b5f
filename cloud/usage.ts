/**
 * Use, counted: by day without a plate, and by person as far as reviews look back. Reads the audit on from where it stopped, a few
 * entries a step, and stores what it made of them together with the place, so that each entry counts once. Called by upkeep, by reviews
 * and by publication before they look. Owns the tables usage_…, with the files of its folder.
 */
import type { Clock } from '../shared/clock.ts'
import type { AuditEntry } from './audit/entry.ts'
import { parseEntry } from './audit/entry.ts'
import { lastPurge } from './audit/reading.ts'
import type { Database, Statement } from './database/database.ts'
import { type CameraDays, createCameraDays } from './usage/cameras.ts'
import {
  addTo,
  type Counts,
  countEntry,
  countStatements,
  type Figure,
  isSearch,
  utcDay,
  whoOf,
} from './usage/figures.ts'

/** Entries of one step: some 10 ms. */
export const USAGE_STEP_ENTRIES = 200
/** Two acts from different sources within this time are too near for one person to have gone from one to the other. */
export const SWITCH_WINDOW_MS = 5 * 60_000
/** Days of one question. */
export const MAX_USAGE_DAYS = 366
const READER = 'audit'

/** Days since 1970-01-01, both included. */
export interface Days {
  from: number
  to: number
}

export interface PlateSearched {
  seq: number
  outcome: string
  organisation: string
}

export interface Usage {
  /** Vehicles and hits of one transaction of ingest: the statements that count them in it. */
  countSightings(counts: Counts, atMs: number): Statement[]
  readonly cameras: CameraDays
  /** Counts every entry that there is now; concurrent calls join. Throws `integrity` for an entry that cannot be read. */
  follow(): Promise<{ seq: number }>
  /** Sums by name, by figure. */
  figures(days: Days): Promise<ReadonlyMap<Figure, ReadonlyMap<string, number>>>
  /** Sums of all cameras but the time online, which is by camera. */
  cameraFigures(days: Days): Promise<{
    onlineMs: ReadonlyMap<string, number>
    made: number
    withheld: number
    lost: number
  }>
  /** Searches for exactly this plate in the whole audit, newest first, at most `limit` of them, and how many there are. */
  searchesOf(plateDigest: string, limit: number): Promise<{ total: number; searches: PlateSearched[] }>
  /** Deletes what reviews do not look back to any more, and digests of entries that the audit let go of; at most `limit` rows of each kind. */
  purge(beforeMs: number, limit: number): Promise<number>
}

export function createUsage({ database, clock }: { database: Database; clock: Clock }): Usage {
  const { build } = database
  let following: Promise<{ seq: number }> | null = null

  async function place(): Promise<number> {
    const [row] = await database.read(build.selectFrom('usage_places').select('seq').where('reader', '=', READER))
    return row?.seq ?? 0
  }

  async function followAll(): Promise<{ seq: number }> {
    let seq = await place()
    for (;;) {
      const rows = await database.read(
        build
          .selectFrom('audit_entries')
          .select(['seq', 'bytes'])
          .where('seq', '>', seq)
          .orderBy('seq')
          .limit(USAGE_STEP_ENTRIES),
      )
      const last = rows.at(-1)
      if (last === undefined) return { seq }
      await database.writeBatch([
        // What went by policy has no bytes.
        ...(await statementsOf(rows.filter(({ bytes }) => bytes.length > 0).map(({ bytes }) => parseEntry(bytes)))),
        build
          .insertInto('usage_places')
          .values({ reader: READER, seq: last.seq })
          .onConflict((conflict) => conflict.column('reader').doUpdateSet({ seq: last.seq })),
      ])
      seq = last.seq
      await clock.sleep(0)
    }
  }

  async function statementsOf(entries: readonly AuditEntry[]): Promise<Statement[]> {
    const statements: Statement[] = []
    const byDay = new Map<number, Counts>()
    const acts = await lastActs(entries)
    for (const entry of entries) {
      const atMs = Date.parse(entry.at)
      const counts = byDay.get(utcDay(atMs)) ?? new Map()
      byDay.set(utcDay(atMs), counts)
      countEntry(counts, entry)
      statements.push(...searchOf(entry, atMs), ...acts.take(entry, atMs))
    }
    for (const [day, counts] of byDay) statements.push(...countStatements(build, day, counts))
    return [...statements, ...acts.store()]
  }

  function searchOf(entry: AuditEntry, atMs: number): Statement[] {
    const { seq, outcome, rule, query, actor } = entry
    const who = whoOf(actor)
    if (!isSearch(entry) || who === null) return []
    const digest = query?.plateDigest == null ? null : Buffer.from(query.plateDigest, 'hex')
    const search = build.insertInto('usage_searches').values({
      ...{ seq, who, at_ms: atMs, outcome, rule, plate_digest: digest },
      ...{ case_number: entry.caseNumber, offence_type: entry.offenceType, reason: entry.reason, page: 0 },
    })
    if (digest === null || query?.plateKind !== 'exact') return [search]
    const organisation = actor.organisation ?? ''
    return [search, build.insertInto('usage_plates').values({ plate_digest: digest, seq, outcome, organisation })]
  }

  /** What each person of these entries did before them, and from where. */
  async function lastActs(entries: readonly AuditEntry[]) {
    const people = new Set(entries.map(({ actor }) => whoOf(actor) ?? ''))
    people.delete('')
    const rows =
      people.size === 0
        ? []
        : await database.read(
            build
              .selectFrom('usage_last_acts')
              .selectAll()
              .where('who', 'in', [...people]),
          )
    const last = new Map(rows.map((row) => [row.who, row]))
    return {
      take({ seq, actor }: AuditEntry, atMs: number): Statement[] {
        const who = whoOf(actor)
        if (who === null || actor.session === null || actor.source === null) return []
        const before = last.get(who)
        const act = { who, session_id: actor.session, source: actor.source, at_ms: atMs, seq }
        last.set(who, act)
        const isSwitch =
          before !== undefined &&
          before.session_id !== act.session_id &&
          before.source !== act.source &&
          atMs - before.at_ms <= SWITCH_WINDOW_MS
        if (!isSwitch) return []
        return [build.insertInto('usage_switches').values({ seq, who, at_ms: atMs, before_seq: before.seq })]
      },
      store: (): Statement[] =>
        [...last.values()].map((act) =>
          build
            .insertInto('usage_last_acts')
            .values(act)
            .onConflict((conflict) => conflict.column('who').doUpdateSet(act)),
        ),
    }
  }

  return {
    countSightings: (counts, atMs) => countStatements(build, utcDay(atMs), counts),
    cameras: createCameraDays({ database, clock }),
    follow() {
      following ??= followAll().finally(() => {
        following = null
      })
      return following
    },
    async figures({ from, to }) {
      const sums: Counts = new Map()
      for (let day = from; day <= to; day += 1) {
        const rows = await database.read(build.selectFrom('usage_days').selectAll().where('utc_day', '=', day))
        for (const { figure, name, count } of rows) addTo(sums, figure as Figure, name, count)
        await clock.sleep(0)
      }
      const figures = new Map<Figure, Map<string, number>>()
      for (const { figure, name, count } of sums.values()) {
        figures.set(figure, (figures.get(figure) ?? new Map<string, number>()).set(name, count))
      }
      return figures
    },
    async cameraFigures({ from, to }) {
      const onlineMs = new Map<string, number>()
      const sums = { made: 0, withheld: 0, lost: 0 }
      for (let day = from; day <= to; day += 1) {
        const rows = await database.read(build.selectFrom('usage_camera_days').selectAll().where('utc_day', '=', day))
        for (const row of rows) {
          onlineMs.set(row.camera_id, (onlineMs.get(row.camera_id) ?? 0) + row.online_ms)
          for (const key of ['made', 'withheld', 'lost'] as const) sums[key] += row[key]
        }
        await clock.sleep(0)
      }
      return { onlineMs, ...sums }
    },
    async searchesOf(plateDigest, limit) {
      const of = build.selectFrom('usage_plates').where('plate_digest', '=', Buffer.from(plateDigest, 'hex'))
      const [counted] = await database.read(of.select((eb) => eb.fn.countAll<number>().as('total')))
      const searches = await database.read(
        of.select(['seq', 'outcome', 'organisation']).orderBy('seq', 'desc').limit(limit),
      )
      return { total: counted?.total ?? 0, searches }
    },
    async purge(beforeMs, limit) {
      const old = (table: 'usage_searches' | 'usage_switches') =>
        build
          .deleteFrom(table)
          .where('seq', 'in', build.selectFrom(table).select('seq').where('at_ms', '<', beforeMs).limit(limit))
      const { throughSeq, isDone } = await lastPurge(database)
      const gone = (table: 'usage_searches' | 'usage_plates') =>
        build.deleteFrom(table).where(
          'seq',
          'in',
          build
            .selectFrom(table)
            .select('seq')
            .where('seq', '<=', isDone ? throughSeq : 0)
            .limit(limit),
        )
      const written = await database.writeBatch([
        ...[old('usage_searches'), old('usage_switches')],
        ...[gone('usage_searches'), gone('usage_plates')],
      ])
      return written.reduce((sum, { changes }) => sum + changes, 0)
    },
  }
}
