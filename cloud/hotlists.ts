/**
 * Hotlists: imported as new versions, matched against every sighting, published signed to the cameras. A version is written
 * row by row as `staging` and comes into force in one transaction; until then, and if anything fails, the old one matches.
 * Owns tables hotlists, hotlist_versions and hotlist_entries. Called by the API, ingest (`match`) and main (`publishCurrent`).
 */
import { type Clock, DAY_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { slugSchema } from '../shared/names.ts'
import { type Signer, sha256Hex } from '../shared/signing.ts'
import { topics } from '../shared/topics.ts'
import { MAX_LIST_ENTRIES, type Manifest, type MatchRule } from '../shared/wire/hotlist.ts'
import type { Database } from './database/database.ts'
import type { HotlistEntriesTable, HotlistsTable } from './database/schema-administration.ts'
import type { HotlistRow, ParseReport } from './hotlists/csv.ts'
import {
  createListIndex,
  findMatch,
  type ListInForce,
  type ListMatch,
  MAX_MATCHED_ENTRIES,
} from './hotlists/matcher.ts'
import { readHotlistFile } from './hotlists/parse.ts'
import { createSnapshotWriter, type SnapshotTotals, sealManifest } from './hotlists/snapshot.ts'

export type { ListMatch } from './hotlists/matcher.ts'

export const MAX_LISTS = 64
export const MAX_GROUPS_PER_LIST = 32
/** Groups alerted when nothing else is said. */
export const DEFAULT_GROUPS: readonly string[] = ['patrol']
/** Exact: a near match stops people whose plate only looks alike, so it is asked for by list or by entry. */
export const DEFAULT_RULE: MatchRule = 'exact'
/** A list older than this is stale: NCIC's extract is refreshed twice a day. */
export const DEFAULT_MAX_AGE_MS = 2 * DAY_MS
export const MAX_MAX_AGE_MS = 366 * DAY_MS
/** Versions whose rows are kept: the current one and those that can be rolled back to. */
export const KEPT_VERSIONS = 3
/** Rows read, written or deleted in one turn of the event loop; about 10 ms. */
const ROWS_PER_STEP = 500
/** Entries named by `diff` on each side; all are counted. */
export const MAX_DIFF_ENTRIES = 100

export type Publish = (topic: string, payload: Buffer, options: { qos: 0 | 1; retain: boolean }) => Promise<void>

export interface ListSettings {
  groups: readonly string[]
  rule: MatchRule
  maxAgeMs: number
}

export interface ImportRequest {
  list: string
  bytes: Uint8Array
  /** Only what is given changes; a new list starts with the defaults. */
  settings: Partial<ListSettings>
  dryRun: boolean
  /** Applies the good rows although there are bad ones. */
  skipBad: boolean
  /** Allows a file without a single entry, which ends all matching of the list. */
  allowEmpty: boolean
  by: string
}

export interface ImportReport extends ParseReport {
  list: string
  applied: boolean
  /** The new version; null when nothing was applied. */
  version: number | null
  /** Why nothing was applied; null when it was. */
  notApplied: string | null
  sourceSha256: string
}

export interface ListStatus extends ListSettings {
  list: string
  version: number | null
  entries: number
  issuedAtMs: number | null
  ageMs: number | null
  /** Older than its maximum age: matches are still raised, marked as of a stale list. */
  stale: boolean
  /** Newest first, with their rows kept or not. */
  versions: { version: number; entries: number; madeAtMs: number; madeBy: string; kept: boolean }[]
}

export interface DiffEntry {
  plate: string
  jurisdiction: string | null
  caseNumber: string | null
}

export interface ListDiff {
  from: number
  to: number
  added: number
  removed: number
  addedEntries: DiffEntry[]
  removedEntries: DiffEntry[]
}

export interface Hotlists {
  /** The best entry in force for a normalised plate, or null. Synchronous; about 1 µs. `jurisdiction` as read, if any. */
  match(plate: string, nowMs: number, jurisdiction?: string | null): ListMatch | null
  /** Throws `bad_input` for names and settings, `conflict` while another import runs; a bad file gives a report. */
  import(request: ImportRequest): Promise<ImportReport>
  /** A new version with the rows of an older one (default: the one before). Throws `not_found` when its rows are gone. */
  rollback(list: string, toVersion: number | null, by: string): Promise<{ version: number; entries: number }>
  diff(list: string, from: number, to: number): Promise<ListDiff>
  /** What the list says of an entry, for the person who verifies an alert; null when no kept version has it. */
  source(list: string, entryId: string): Promise<{ reason: string | null; caseNumber: string | null } | null>
  /** Groups, rule for later imports, maximum age. A new age counts from the next version on, for it is signed. */
  configure(list: string, settings: Partial<ListSettings>): Promise<ListStatus>
  status(): Promise<ListStatus[]>
  /** Publishes every current version (retained) and clears the chunks of older ones; later versions go out by themselves. */
  publishCurrent(publish: Publish): Promise<void>
}

export interface HotlistsDeps {
  database: Database
  agency: string
  signer: Signer
  clock: Clock
  newId: () => string
  log: Log
}

export async function createHotlists(deps: HotlistsDeps): Promise<Hotlists> {
  const { database, agency, clock, log } = deps
  const { build } = database
  const inForce = new Map<string, ListInForce>()
  let busy = false
  let publish: Publish | null = null

  async function* entriesOf(list: string, version: number): AsyncGenerator<HotlistEntriesTable> {
    let after = ''
    for (;;) {
      const rows = await database.read(
        build
          .selectFrom('hotlist_entries')
          .selectAll()
          .where('list', '=', list)
          .where('version', '=', version)
          .where('entry_id', '>', after)
          .orderBy('entry_id')
          .limit(ROWS_PER_STEP),
      )
      yield* rows
      const last = rows.at(-1)
      if (rows.length < ROWS_PER_STEP || last === undefined) return
      after = last.entry_id
      await clock.sleep(0)
    }
  }

  async function find(list: string): Promise<HotlistsTable | null> {
    const [row] = await database.read(build.selectFrom('hotlists').selectAll().where('list', '=', list))
    return row ?? null
  }

  async function get(list: string): Promise<HotlistsTable> {
    const row = await find(list)
    if (row === null) throw new AppError('not_found', `there is no list ${list}`)
    return row
  }

  /** Walks a version once: fills an index for matching, and packs the snapshot. */
  async function walk(list: string, version: number, onChunk: (chunk: Buffer, number: number) => Promise<void>) {
    const index = createListIndex()
    const writer = createSnapshotWriter(onChunk)
    for await (const row of entriesOf(list, version)) {
      const entry = toEntry(row)
      index.add(entry)
      await writer.add(entry)
    }
    return { index, totals: await writer.end() }
  }

  async function deleteRows(list: string, version: number): Promise<void> {
    for (;;) {
      const page = build
        .selectFrom('hotlist_entries')
        .select('entry_id')
        .where('list', '=', list)
        .where('version', '=', version)
        .limit(ROWS_PER_STEP)
      const [deleted] = await database.writeBatch([
        build
          .deleteFrom('hotlist_entries')
          .where('list', '=', list)
          .where('version', '=', version)
          .where('entry_id', 'in', page),
      ])
      if ((deleted?.changes ?? 0) < ROWS_PER_STEP) return
      await clock.sleep(0)
    }
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
  ): Promise<Map<string, string>> {
    if (version === null) return new Map()
    const known = await database.read(
      build
        .selectFrom('hotlist_entries')
        .select(['entry_id', 'plate', 'jurisdiction', 'case_number'])
        .where('list', '=', list)
        .where('version', '=', version)
        .where('plate', 'in', [...new Set(rows.map((row) => row.plate))]),
    )
    return new Map(known.map((row) => [identity(row.plate, row.jurisdiction, row.case_number), row.entry_id]))
  }

  async function stage(
    list: string,
    version: number,
    current: number | null,
    rows: readonly HotlistRow[],
  ): Promise<void> {
    const ids = await knownIds(list, current, rows)
    await database.writeBatch([
      build.insertInto('hotlist_entries').values(
        rows.map((row) => ({
          list,
          version,
          entry_id: ids.get(identity(row.plate, row.jurisdiction, row.caseNumber)) ?? deps.newId(),
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

  async function openVersion(list: string, by: string, sourceSha256: string | null): Promise<number> {
    const [last] = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select('version')
        .where('list', '=', list)
        .orderBy('version', 'desc')
        .limit(1),
    )
    const version = (last?.version ?? 0) + 1
    await database.writeBatch([
      build.insertInto('hotlist_versions').values({
        list,
        version,
        state: 'staging',
        entries: 0,
        chunks: 0,
        chunks_retained: 0,
        manifest: null,
        source_sha256: sourceSha256,
        made_at_ms: clock.nowMs(),
        made_by: by,
      }),
    ])
    return version
  }

  /** Brings a staged version into force: signed, committed, matched, published; then the rows of the oldest go. */
  async function enforce(list: string, version: number, settings: ListSettings): Promise<SnapshotTotals> {
    const { index, totals } = await walk(list, version, async () => {})
    const nowMs = clock.nowMs()
    const manifest: Manifest = {
      agency,
      list,
      version,
      minimumVersion: version,
      entries: totals.entries,
      chunks: totals.chunks,
      bytes: totals.bytes,
      digest: totals.digest,
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + settings.maxAgeMs,
    }
    await database.writeBatch([
      build
        .updateTable('hotlist_versions')
        .set({
          state: 'ready',
          entries: totals.entries,
          chunks: totals.chunks,
          chunks_retained: totals.chunks,
          manifest: sealManifest(deps.signer, manifest),
          made_at_ms: nowMs,
        })
        .where('list', '=', list)
        .where('version', '=', version),
      build
        .updateTable('hotlists')
        .set({ current_version: version, ...settingsRow(settings) })
        .where('list', '=', list),
    ])
    inForce.set(list, { list, version, groups: settings.groups, index })
    log.info('hotlist_in_force', { list, listVersion: version, entries: totals.entries })
    try {
      if (publish !== null) await publishList(list, version, publish)
    } catch (thrown) {
      // The version is committed and matches here; a broker that is closing publishes it at the next start.
      log.warn('hotlist_not_published', { list, listVersion: version, error: toAppError(thrown).message })
    }
    await retire(list, version)
    return totals
  }

  async function publishList(list: string, version: number, send: Publish): Promise<void> {
    const [row] = await database.read(
      build.selectFrom('hotlist_versions').select('manifest').where('list', '=', list).where('version', '=', version),
    )
    if (row?.manifest == null) return
    const retained = { qos: 1, retain: true } as const
    // Chunks first: a camera that sees the manifest finds all of them.
    await walk(list, version, (chunk, number) =>
      send(topics.snapshotChunk(agency, list, version, number), chunk, retained),
    )
    await send(topics.manifest(agency, list), Buffer.from(row.manifest), retained)
    const older = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select(['version', 'chunks_retained'])
        .where('list', '=', list)
        .where('version', '<', version)
        .where('chunks_retained', '>', 0),
    )
    for (const old of older) {
      for (let chunk = 0; chunk < old.chunks_retained; chunk++) {
        // An empty retained message clears the topic [MQTT-3.3.1-10].
        await send(topics.snapshotChunk(agency, list, old.version, chunk), Buffer.alloc(0), retained)
      }
      await database.writeBatch([
        build
          .updateTable('hotlist_versions')
          .set({ chunks_retained: 0 })
          .where('list', '=', list)
          .where('version', '=', old.version),
      ])
    }
  }

  async function retire(list: string, current: number): Promise<void> {
    const kept = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select('version')
        .where('list', '=', list)
        .where('state', '=', 'ready')
        .where('version', '<=', current)
        .orderBy('version', 'desc')
        .offset(KEPT_VERSIONS)
        .limit(KEPT_VERSIONS),
    )
    for (const { version } of kept) {
      await deleteRows(list, version)
      await database.writeBatch([
        build
          .updateTable('hotlist_versions')
          .set({ state: 'retired' })
          .where('list', '=', list)
          .where('version', '=', version),
      ])
    }
  }

  /** One change of the lists after the other: a version is staged over many turns of the event loop. */
  async function alone<T>(work: () => Promise<T>): Promise<T> {
    if (busy) throw new AppError('conflict', 'another list is being changed', { hint: 'try again in a minute' })
    busy = true
    try {
      return await work()
    } finally {
      busy = false
    }
  }

  async function settingsFor(list: string, wanted: Partial<ListSettings>): Promise<ListSettings> {
    const row = await find(list)
    const now: ListSettings =
      row === null ? { groups: DEFAULT_GROUPS, rule: DEFAULT_RULE, maxAgeMs: DEFAULT_MAX_AGE_MS } : toSettings(row)
    return checkSettings({
      groups: wanted.groups ?? now.groups,
      rule: wanted.rule ?? now.rule,
      maxAgeMs: wanted.maxAgeMs ?? now.maxAgeMs,
    })
  }

  async function ensureList(list: string, settings: ListSettings): Promise<void> {
    if ((await find(list)) !== null) return
    const lists = await database.read(build.selectFrom('hotlists').select('list').limit(MAX_LISTS))
    if (lists.length >= MAX_LISTS)
      throw new AppError('too_large', `there are ${MAX_LISTS} lists, the most there may be`)
    await database.writeBatch([
      build.insertInto('hotlists').values({ list, created_at_ms: clock.nowMs(), ...settingsRow(settings) }),
    ])
  }

  function roomFor(list: string, entries: number): boolean {
    let others = 0
    for (const known of inForce.values()) if (known.list !== list) others += known.index.size
    return entries <= MAX_LIST_ENTRIES && others + entries <= MAX_MATCHED_ENTRIES
  }

  async function importFile(request: ImportRequest): Promise<ImportReport> {
    const { list, bytes, dryRun, skipBad } = request
    if (!slugSchema.safeParse(list).success)
      throw new AppError('bad_input', 'a list name must be 1-32 of a-z, 0-9 and -')
    const settings = await settingsFor(list, request.settings)
    const sourceSha256 = sha256Hex(bytes)
    let version: number | null = null
    let current: number | null = null
    if (!dryRun) {
      await ensureList(list, settings)
      current = (await get(list)).current_version
      version = await openVersion(list, request.by, sourceSha256)
    }
    const nothing = async (report: ParseReport, notApplied: string): Promise<ImportReport> => {
      if (version !== null) await discard(list, version)
      return { ...report, list, applied: false, version: null, notApplied, sourceSha256 }
    }
    try {
      const report = await readHotlistFile(bytes, { rule: settings.rule }, async (rows) => {
        if (version !== null) await stage(list, version, current, rows)
      })
      if (report.unusable) return await nothing(report, 'the file cannot be used')
      if (report.bad > 0 && !skipBad) return await nothing(report, `${report.bad} bad rows; nothing is applied by half`)
      if (report.good === 0 && !request.allowEmpty) return await nothing(report, 'the file has no entry')
      if (!roomFor(list, report.good)) {
        return await nothing(report, `more than ${MAX_MATCHED_ENTRIES} entries in all lists together`)
      }
      if (version === null) return await nothing(report, 'dry run')
      await enforce(list, version, settings)
      return { ...report, list, applied: true, version, notApplied: null, sourceSha256 }
    } catch (thrown) {
      // The old version is still in force; what cannot be removed now is removed at the next start.
      if (version !== null && inForce.get(list)?.version !== version) await discard(list, version).catch(() => {})
      throw thrown
    }
  }

  async function requireKept(list: string, version: number): Promise<void> {
    const [row] = await database.read(
      build.selectFrom('hotlist_versions').select('state').where('list', '=', list).where('version', '=', version),
    )
    if (row?.state !== 'ready') {
      throw new AppError('not_found', `version ${version} of ${list} is not kept`, {
        hint: `the last ${KEPT_VERSIONS} versions are; \`candor hotlist status\` shows them`,
      })
    }
  }

  async function diffSide(list: string, inVersion: number, notIn: number) {
    const only = build
      .selectFrom('hotlist_entries as one')
      .where('one.list', '=', list)
      .where('one.version', '=', inVersion)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('hotlist_entries as other')
              .select('other.entry_id')
              .where('other.list', '=', list)
              .where('other.version', '=', notIn)
              .whereRef('other.entry_id', '=', 'one.entry_id'),
          ),
        ),
      )
    const [counted] = await database.read(only.select((eb) => eb.fn.countAll<number>().as('count')))
    const rows = await database.read(
      only.select(['one.plate', 'one.jurisdiction', 'one.case_number']).orderBy('one.entry_id').limit(MAX_DIFF_ENTRIES),
    )
    const entries = rows.map((row) => ({
      plate: row.plate,
      jurisdiction: row.jurisdiction,
      caseNumber: row.case_number,
    }))
    return { count: counted?.count ?? 0, entries }
  }

  async function statusOf(row: HotlistsTable): Promise<ListStatus> {
    const versions = await database.read(
      build
        .selectFrom('hotlist_versions')
        .select(['version', 'state', 'entries', 'made_at_ms', 'made_by'])
        .where('list', '=', row.list)
        .where('state', '!=', 'staging')
        .orderBy('version', 'desc')
        .limit(10),
    )
    const current = versions.find((version) => version.version === row.current_version)
    const ageMs = current === undefined ? null : clock.nowMs() - current.made_at_ms
    return {
      list: row.list,
      ...toSettings(row),
      version: row.current_version,
      entries: current?.entries ?? 0,
      issuedAtMs: current?.made_at_ms ?? null,
      ageMs,
      stale: ageMs === null || ageMs >= row.max_age_ms,
      versions: versions.map((version) => ({
        version: version.version,
        entries: version.entries,
        madeAtMs: version.made_at_ms,
        madeBy: version.made_by,
        kept: version.state === 'ready',
      })),
    }
  }

  for (const left of await database.read(
    build.selectFrom('hotlist_versions').select(['list', 'version']).where('state', '=', 'staging'),
  )) {
    log.warn('hotlist_import_cut_short', { list: left.list, listVersion: left.version })
    await discard(left.list, left.version)
  }
  for (const row of await database.read(build.selectFrom('hotlists').selectAll())) {
    if (row.current_version === null) continue
    const { index } = await walk(row.list, row.current_version, async () => {})
    inForce.set(row.list, { list: row.list, version: row.current_version, groups: toSettings(row).groups, index })
  }

  return {
    match: (plate, nowMs, jurisdiction = null) => findMatch(inForce.values(), plate, nowMs, jurisdiction),
    import: (request) => alone(() => importFile(request)),
    rollback: (list, toVersion, by) =>
      alone(async () => {
        const row = await get(list)
        const target =
          toVersion ?? (await statusOf(row)).versions.find((one) => one.version < (row.current_version ?? 0))?.version
        if (target === undefined) throw new AppError('not_found', `there is no version of ${list} to go back to`)
        if (target === row.current_version) throw new AppError('conflict', `version ${target} is in force already`)
        await requireKept(list, target)
        const version = await openVersion(list, by, null)
        let batch: HotlistEntriesTable[] = []
        const write = async () => {
          if (batch.length > 0) await database.writeBatch([build.insertInto('hotlist_entries').values(batch)])
          batch = []
        }
        for await (const entry of entriesOf(list, target)) {
          batch.push({ ...entry, version })
          if (batch.length === ROWS_PER_STEP) await write()
        }
        await write()
        const totals = await enforce(list, version, toSettings(row))
        return { version, entries: totals.entries }
      }),
    async diff(list, from, to) {
      await get(list)
      await requireKept(list, from)
      await requireKept(list, to)
      const added = await diffSide(list, to, from)
      const removed = await diffSide(list, from, to)
      return {
        from,
        to,
        added: added.count,
        removed: removed.count,
        addedEntries: added.entries,
        removedEntries: removed.entries,
      }
    },
    async source(list, entryId) {
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
              .where('state', '=', 'ready'),
          )
          .orderBy('version', 'desc')
          .limit(1),
      )
      return row === undefined ? null : { reason: row.reason, caseNumber: row.case_number }
    },
    configure: (list, settings) =>
      alone(async () => {
        await get(list)
        const checked = await settingsFor(list, settings)
        await database.writeBatch([build.updateTable('hotlists').set(settingsRow(checked)).where('list', '=', list)])
        const known = inForce.get(list)
        if (known !== undefined) inForce.set(list, { ...known, groups: checked.groups })
        return statusOf(await get(list))
      }),
    async status() {
      const rows = await database.read(build.selectFrom('hotlists').selectAll().orderBy('list').limit(MAX_LISTS))
      return Promise.all(rows.map(statusOf))
    },
    async publishCurrent(send) {
      publish = send
      for (const known of [...inForce.values()]) await publishList(known.list, known.version, send)
    },
  }
}

function identity(plate: string, jurisdiction: string | null, caseNumber: string | null): string {
  return `${plate} ${jurisdiction ?? ''} ${caseNumber ?? ''}`
}

function toEntry(row: HotlistEntriesTable) {
  return {
    entryId: row.entry_id,
    plate: row.plate,
    jurisdiction: row.jurisdiction,
    category: row.category,
    priority: row.priority,
    rule: row.rule === 'near' ? ('near' as const) : ('exact' as const),
    effectiveAtMs: row.effective_at_ms,
    expiresAtMs: row.expires_at_ms,
  }
}

function toSettings(row: HotlistsTable): ListSettings {
  return {
    groups: JSON.parse(row.alert_groups) as string[],
    rule: row.default_rule === 'near' ? 'near' : 'exact',
    maxAgeMs: row.max_age_ms,
  }
}

function settingsRow(settings: ListSettings) {
  return {
    alert_groups: JSON.stringify(settings.groups),
    default_rule: settings.rule,
    max_age_ms: settings.maxAgeMs,
  }
}

function checkSettings(settings: ListSettings): ListSettings {
  const groups = [...new Set(settings.groups)].sort()
  if (groups.length === 0 || groups.length > MAX_GROUPS_PER_LIST) {
    throw new AppError('bad_input', `a list alerts 1 to ${MAX_GROUPS_PER_LIST} groups`)
  }
  for (const group of groups) {
    if (!slugSchema.safeParse(group).success) throw new AppError('bad_input', 'a group must be 1-32 of a-z, 0-9 and -')
  }
  if (!(settings.maxAgeMs > 0 && settings.maxAgeMs <= MAX_MAX_AGE_MS)) {
    throw new AppError('bad_input', 'the maximum age must be more than 0 and at most 366 days')
  }
  return { ...settings, groups, maxAgeMs: Math.round(settings.maxAgeMs) }
}
