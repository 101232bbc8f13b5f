/**
 * The rows of all lists: versions staged, brought in step by step, compared, counted and deleted, each step short enough that the
 * event loop does not wait. Writes the tables that hotlists.ts owns, and is called by it alone.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { ListRule } from '../../shared/wire/hotlist.ts'
import type { Database } from '../database/database.ts'
import type { HotlistEntriesTable, HotlistsTable } from '../database/schema-administration.ts'
import { compareVersions, type ListDiff } from './diff.ts'
import type { HotlistRow } from './list-row.ts'
import { createPending, type PendingVersion } from './pending.ts'
import { createReading, type PackedRow, ROWS_PER_STEP } from './reading.ts'
import { createRetiring, HAS_ROWS, KEPT_VERSIONS } from './retiring.ts'
import { type ListSettings, settingsRow, toSettings } from './settings.ts'

export const MAX_LISTS = 64
/** Versions that a status lists. */
const LISTED_VERSIONS = 10

/** The same entry in the version in force. */
export interface KnownEntry extends Omit<HotlistRow, 'plate' | 'jurisdiction' | 'caseNumber'> {
  entryId: string
}

export interface ListStatus extends ListSettings {
  list: string
  version: number | null
  entries: number
  /** Of the entries: patterns, which no camera has. */
  cloudEntries: number
  issuedAtMs: number | null
  ageMs: number | null
  /** Older than its maximum age: matches are still raised, marked as of a stale list. */
  stale: boolean
  /** Versions that wait for a second person. */
  pending: PendingVersion[]
  /** Newest first, with their rows kept or not. */
  versions: { version: number; entries: number; madeAtMs: number; madeBy: string; kept: boolean }[]
}

/** Versions whose entries can be shown. */
const LOOKED_AT: readonly string[] = ['ready', 'pending']

export type ListRows = ReturnType<typeof createListRows>

export function createListRows(deps: { database: Database; clock: Clock; newId: () => string }) {
  const { database, clock } = deps
  const { build } = database
  const { setAside, pendingOf } = createPending(database)
  const { entriesOf, packedOf } = createReading(deps)
  const { deleteRows, dropRows, retire } = createRetiring(deps)

  async function find(list: string): Promise<HotlistsTable | null> {
    const [row] = await database.read(build.selectFrom('hotlists').selectAll().where('list', '=', list))
    return row ?? null
  }

  async function get(list: string): Promise<HotlistsTable> {
    const row = await find(list)
    if (row === null) throw new AppError('not_found', `there is no list ${list}`)
    return row
  }

  async function discard(list: string, version: number): Promise<void> {
    await deleteRows(list, version)
    await database.writeBatch([
      build.deleteFrom('hotlist_versions').where('list', '=', list).where('version', '=', version),
      // A list whose first version was refused was never made.
      build
        .deleteFrom('hotlists')
        .where('list', '=', list)
        .where('current_version', 'is', null)
        // One of entries made by hand stands by them, not by its versions.
        .where('kind', '=', 'file')
        .where(({ not, exists, selectFrom }) =>
          not(exists(selectFrom('hotlist_versions').select('version').where('hotlist_versions.list', '=', list))),
        ),
    ])
  }

  /** The ids that the same entries have in `version`, so that an entry keeps its id over refreshes. */
  async function knownIds(
    list: string,
    version: number | null,
    rows: readonly HotlistRow[],
  ): Promise<Map<string, KnownEntry>> {
    if (version === null) return new Map()
    // By plate alone: asked for list and version as well, SQLite walks the whole version for each page of rows.
    const known = await database.read(
      build
        .selectFrom('hotlist_entries')
        .selectAll()
        .where('plate', 'in', [...new Set(rows.map((row) => row.plate))]),
    )
    const wanted = new Set(rows.map((row) => identity(row.plate, row.jurisdiction, row.caseNumber)))
    return new Map(
      known
        .filter((row) => row.list === list && row.version === version)
        .map((row): [string, KnownEntry] => {
          const { entryId, category, priority, rule, effectiveAtMs, expiresAtMs } = toEntry(row)
          const entry = { entryId, category, priority, rule, effectiveAtMs, expiresAtMs, reason: row.reason }
          return [identity(row.plate, row.jurisdiction, row.case_number), entry]
        })
        .filter(([key]) => wanted.has(key)),
    )
  }

  async function entriesIn(list: string, version: number): Promise<number> {
    const [row] = await database.read(
      build.selectFrom('hotlist_versions').select('entries').where('list', '=', list).where('version', '=', version),
    )
    return row?.entries ?? 0
  }

  /** `ids`: of `knownIds`. */
  async function stage(
    list: string,
    version: number,
    ids: ReadonlyMap<string, Pick<KnownEntry, 'entryId'>>,
    rows: readonly HotlistRow[],
  ): Promise<void> {
    await database.writeBatch([
      build.insertInto('hotlist_entries').values(
        rows.map((row) => ({
          list,
          version,
          entry_id: ids.get(identity(row.plate, row.jurisdiction, row.caseNumber))?.entryId ?? deps.newId(),
          plate: row.plate,
          jurisdiction: row.jurisdiction,
          category: row.category,
          priority: row.priority,
          rule: row.rule,
          reason: row.reason,
          case_number: row.caseNumber,
          effective_at_ms: row.effectiveAtMs,
          expires_at_ms: row.expiresAtMs,
        })),
      ),
    ])
    await clock.sleep(0)
  }

  async function openVersion(list: string, by: string): Promise<number> {
    const [last] = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select('version')
        .where('list', '=', list)
        .orderBy('version', 'desc')
        .limit(1),
    )
    const version = Math.max(last?.version ?? 0, (await get(list)).last_version) + 1
    await database.writeBatch([
      build.insertInto('hotlist_versions').values({
        list,
        version,
        state: 'staging',
        entries: 0,
        chunks: 0,
        chunks_retained: 0,
        delta_chunks_retained: 0,
        published: 0,
        cloud_entries: 0,
        effective_at_ms: null,
        expires_at_ms: null,
        past_from_ms: null,
        past_since: null,
        manifest: null,
        source_sha256: null,
        pending: null,
        made_at_ms: clock.nowMs(),
        made_by: by,
      }),
    ])
    return version
  }

  async function ensureList(list: string, settings: ListSettings, kind: 'file' | 'manual' = 'file'): Promise<void> {
    if ((await find(list)) !== null) return
    const lists = await database.read(build.selectFrom('hotlists').select('list').limit(MAX_LISTS))
    if (lists.length >= MAX_LISTS)
      throw new AppError('too_large', `there are ${MAX_LISTS} lists, the most there may be`)
    await database.writeBatch([
      build
        .insertInto('hotlists')
        .values({ list, kind, last_version: 0, created_at_ms: clock.nowMs(), ...settingsRow(settings) }),
    ])
  }

  /** `states`: what counts as kept; one that waits for approval can be looked at, not gone back to. */
  async function requireKept(list: string, version: number, states: readonly string[] = ['ready']): Promise<void> {
    const [row] = await database.read(
      build.selectFrom('hotlist_versions').select('state').where('list', '=', list).where('version', '=', version),
    )
    if (row === undefined || !states.includes(row.state)) {
      throw new AppError('not_found', `version ${version} of ${list} is not kept`, {
        hint: `the last ${KEPT_VERSIONS} versions are; \`candor hotlist status\` shows them`,
      })
    }
  }

  async function statusOf(row: HotlistsTable): Promise<ListStatus> {
    const versions = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select(['version', 'state', 'entries', 'cloud_entries', 'made_at_ms', 'made_by'])
        .where('list', '=', row.list)
        .where('state', 'not in', ['staging', 'pending'])
        .orderBy('version', 'desc')
        .limit(LISTED_VERSIONS),
    )
    const current = versions.find((version) => version.version === row.current_version)
    const ageMs = current === undefined ? null : clock.nowMs() - current.made_at_ms
    return {
      list: row.list,
      ...toSettings(row),
      version: row.current_version,
      entries: current?.entries ?? 0,
      cloudEntries: current?.cloud_entries ?? 0,
      issuedAtMs: current?.made_at_ms ?? null,
      ageMs,
      stale: ageMs === null || ageMs >= row.max_age_ms,
      pending: await pendingOf(row.list),
      versions: versions.map((version) => ({
        version: version.version,
        entries: version.entries,
        madeAtMs: version.made_at_ms,
        madeBy: version.made_by,
        kept: version.state === 'ready',
      })),
    }
  }

  return {
    entriesOf,
    packedOf,
    find,
    get,
    discard,
    knownIds,
    entriesIn,
    setAside,
    pendingOf,
    stage,
    openVersion,
    retire,
    dropRows,
    ensureList,
    requireKept,
    statusOf,
    async diff(list: string, from: number, to: number): Promise<ListDiff> {
      await get(list)
      await requireKept(list, from, LOOKED_AT)
      await requireKept(list, to, LOOKED_AT)
      const diff = await compareVersions({ from, to }, entriesOf(list, from), entriesOf(list, to))
      // A version that an import retired meanwhile was not read whole.
      await requireKept(list, from, LOOKED_AT)
      await requireKept(list, to, LOOKED_AT)
      return diff
    },
    async source(list: string, entryId: string): Promise<{ reason: string | null; caseNumber: string | null } | null> {
      const [row] = await database.read(
        build
          .selectFrom('hotlist_entries')
          .select(['reason', 'case_number'])
          .where('list', '=', list)
          .where('entry_id', '=', entryId)
          .where(
            'version',
            'in',
            build
              .selectFrom('hotlist_versions')
              .select('version')
              .where('list', '=', list)
              .where(HAS_ROWS)
              .where('state', '=', 'ready'),
          )
          .orderBy('version', 'desc')
          .limit(1),
      )
      return row === undefined ? null : { reason: row.reason, caseNumber: row.case_number }
    },
    async isKept(list: string, version: number): Promise<boolean> {
      const kept = build.selectFrom('hotlist_versions').select('state').where('list', '=', list)
      const [row] = await database.read(kept.where('version', '=', version))
      return row?.state === 'ready'
    },
    /** What the last run did not end: versions that were being staged, and rows that were going. */
    async clearLeftovers(log: Log): Promise<void> {
      const left = build.selectFrom('hotlist_versions').select(['list', 'version']).where(HAS_ROWS)
      for (const { list, version } of await database.read(left.where('state', '=', 'staging'))) {
        log.warn('hotlist_import_cut_short', { list, listVersion: version })
        await discard(list, version)
      }
      for (const { list, version } of await database.read(left.where('state', '=', 'retiring'))) {
        await dropRows(list, version)
      }
    },
    async becomeFile(list: string): Promise<void> {
      await database.writeBatch([build.updateTable('hotlists').set({ kind: 'file' }).where('list', '=', list)])
    },
    /** Deletes the rows of a version whose category is prohibited now; returns how many. */
    async dropProhibited(list: string, version: number, isProhibited: (category: string) => boolean): Promise<number> {
      let [count, page]: [number, string[]] = [0, []]
      const drop = async () => {
        const rows = build.deleteFrom('hotlist_entries').where('list', '=', list).where('version', '=', version)
        if (page.length > 0) await database.writeBatch([rows.where('entry_id', 'in', page)])
        count += page.length
        page = []
      }
      for await (const row of entriesOf(list, version)) {
        if (isProhibited(row.category)) page.push(row.entry_id)
        if (page.length === ROWS_PER_STEP) await drop()
      }
      await drop()
      return count
    },
    /** The rows of one version again, under another. */
    async copy(list: string, from: number, to: number): Promise<void> {
      let batch: HotlistEntriesTable[] = []
      const write = async () => {
        if (batch.length > 0) await database.writeBatch([build.insertInto('hotlist_entries').values(batch)])
        batch = []
      }
      for await (const entry of entriesOf(list, from)) {
        batch.push({ ...entry, version: to })
        if (batch.length === ROWS_PER_STEP) await write()
      }
      await write()
    },
  }
}

export function identity(plate: string, jurisdiction: string | null, caseNumber: string | null): string {
  return `${plate} ${jurisdiction ?? ''} ${caseNumber ?? ''}`
}

/** As it is matched and packed. */
export function toEntry(row: HotlistEntriesTable) {
  return { ...toPacked(row), category: row.category }
}

/** As it is packed. */
export function toPacked(row: PackedRow) {
  return {
    entryId: row.entry_id,
    plate: row.plate,
    jurisdiction: row.jurisdiction,
    priority: row.priority,
    rule: row.rule as ListRule,
    effectiveAtMs: row.effective_at_ms,
    expiresAtMs: row.expires_at_ms,
  }
}
