/**
 * Entries that people make by hand, on lists of their own: with a reason, a case number and an end, and where the policy asks for it only
 * after a second person has looked. What they say is kept at once; it comes into force as a new version of the list, while a long import
 * runs when that is over. What is taken off raises nothing from that moment. Owns table manual_entries. Called by hotlists.ts.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { slugSchema } from '../../shared/names.ts'
import type { Policy } from '../../shared/wire/policy.ts'
import type { Database } from '../database/database.ts'
import type { ManualEntriesTable } from '../database/schema-administration.ts'
import type { PurgeStep } from '../purge-receipt.ts'
import { isProhibited, MAX_ENTRIES_PER_PLATE } from './csv.ts'
import { readPlate } from './list-row.ts'
import {
  checkRequest,
  expiryOf,
  MAX_MANUAL_ENTRIES,
  type ManualEntry,
  type ManualRequest,
  toManualEntry,
  toRow,
} from './manual-rules.ts'
import { identity, type ListRows } from './rows.ts'
import { type ListSettings, resolveSettings } from './settings.ts'

/** Who made a version that nobody asked for. */
const CLOUD_ITSELF = 'cloud'

export interface ManualEntries {
  /** Throws `bad_input` (what is compulsory, prohibited category, too long a life), `conflict` (a file's list, listed already), `too_large`. */
  add(request: ManualRequest): Promise<ManualEntry>
  /** Throws `not_found`, and `forbidden` for who made it. */
  approve(list: string, entryId: string, by: string): Promise<ManualEntry>
  reject(list: string, entryId: string, by: string): Promise<ManualEntry>
  /** Takes it off the list before its time. */
  end(list: string, entryId: string, by: string): Promise<ManualEntry>
  /** Newest first: those in force and waiting, and with `over` those that are past and not yet forgotten. */
  list(list: string | null, over: boolean): Promise<ManualEntry[]>
  /** Brings what was cut short into force, drops what is over, and makes a new version before the last one is stale. */
  upkeep(): Promise<void>
  /** Remembers what the last run took off and did not bring into force. Before anything is matched. */
  open(): Promise<void>
  /** Taken off, and perhaps still on the version in force. */
  isEnded(entryId: string): boolean
  /** Nothing is on the list, or approved for it. */
  isEmpty(list: string): Promise<boolean>
  /** Nothing is in the way any more: brings what waited for that into force. Never throws. */
  retry(): void
  /** Deletes at most `limit` that were over at `overBeforeMs`. */
  purge(overBeforeMs: number, limit: number): Promise<PurgeStep>
}

export interface ManualEntriesDeps {
  database: Database
  rows: ListRows
  clock: Pick<Clock, 'nowMs'>
  newId: () => string
  log: Log
  policy: () => Pick<Policy, 'upload' | 'hotlists'>
  /** One change of the lists after the other. */
  alone<T>(work: () => Promise<T>): Promise<T>
  /** No list is being changed. */
  isFree(): boolean
  enforce(list: string, version: number, settings: ListSettings): Promise<unknown>
}

export function createManualEntries(deps: ManualEntriesDeps): ManualEntries {
  const { database, rows, clock } = deps
  const { build } = database
  /** Entries that were taken off and may still be on the version in force, with their list. */
  const ended = new Map<string, string>()
  let lastChange: Promise<unknown> = Promise.resolve()
  let isDue = false

  /** One change of the entries after the other; short, whatever happens to lists. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = lastChange.then(work, work)
    lastChange = turn.catch(() => {})
    return turn
  }

  const of = (list: string) => build.selectFrom('manual_entries').selectAll().where('list', '=', list)

  /** Those that should match now. */
  async function live(list: string): Promise<ManualEntriesTable[]> {
    return database.read(
      of(list)
        .where('state', 'in', ['approved', 'in_force'])
        .where('over_at_ms', '>', clock.nowMs())
        .orderBy('entry_id'),
    )
  }

  /** A version of what should match now; entries keep their ids, so that suppressions and alerts do. */
  async function refresh(list: string, by: string): Promise<void> {
    const settings = await ensureList(list)
    const { prohibitedCategories } = deps.policy().hotlists
    const all = await live(list)
    // What the policy has prohibited since is over.
    const prohibited = all.filter(({ category }) => isProhibited(category, prohibitedCategories))
    for (const { entry_id } of prohibited) await set(entry_id, { over_at_ms: clock.nowMs() })
    if (prohibited.length > 0) deps.log.warn('manual_entries_prohibited', { list, count: prohibited.length })
    const entries = all.filter((row) => !prohibited.includes(row))
    const version = await rows.openVersion(list, by)
    try {
      const ids = new Map(
        entries.map((row) => [identity(row.plate, row.jurisdiction, row.case_number), { entryId: row.entry_id }]),
      )
      if (entries.length > 0) await rows.stage(list, version, ids, entries.map(toRow))
      await deps.enforce(list, version, settings)
    } catch (thrown) {
      if ((await rows.get(list)).current_version !== version) await rows.discard(list, version).catch(() => {})
      throw thrown
    }
    const nowMs = clock.nowMs()
    const onList = [...entries.map((row) => row.entry_id), '']
    await database.writeBatch([
      build
        .updateTable('manual_entries')
        .set({ state: 'in_force' })
        .where('list', '=', list)
        .where('entry_id', 'in', onList),
      // One that was ended while this version was made is on it: it leaves with the next.
      build
        .updateTable('manual_entries')
        .set({ state: 'over' })
        .where('list', '=', list)
        .where('entry_id', 'not in', onList)
        .where('state', 'in', ['approved', 'in_force'])
        .where('over_at_ms', '<=', nowMs),
    ])
    for (const [entryId, of] of ended) if (of === list && !onList.includes(entryId)) ended.delete(entryId)
  }

  /** What is kept already comes into force now, or when nothing is in the way any more. */
  async function bringIntoForce(list: string, by: string): Promise<void> {
    try {
      if (!deps.isFree()) throw new AppError('conflict', 'a list is being changed')
      await deps.alone(() => refresh(list, by))
    } catch (thrown) {
      isDue = true
      const error = toAppError(thrown)
      if (error.code !== 'conflict') deps.log.error('manual_entries_not_in_force', { list, error: error.message })
    }
  }

  /** Throws `conflict` for a list that files replace. */
  async function settingsOf(list: string): Promise<ListSettings> {
    if (!slugSchema.safeParse(list).success) {
      throw new AppError('bad_input', 'a list name must be 1-32 of a-z, 0-9 and -')
    }
    const known = await rows.find(list)
    if (known !== null && known.kind !== 'manual') {
      throw new AppError('conflict', `${list} is a list that files replace`, { hint: 'make the entry on another list' })
    }
    return resolveSettings(known, {})
  }

  /** Made with its first approved entry: one that only waits takes no name. */
  async function ensureList(list: string): Promise<ListSettings> {
    const settings = await settingsOf(list)
    await rows.ensureList(list, settings, 'manual')
    return settings
  }

  async function waiting(list: string, entryId: string): Promise<ManualEntriesTable> {
    const [row] = await database.read(of(list).where('entry_id', '=', entryId).where('state', '=', 'waiting'))
    if (row === undefined || row.over_at_ms <= clock.nowMs()) {
      throw new AppError('not_found', `no such entry of ${list} waits for approval`)
    }
    return row
  }

  /** Something was approved and is not in force, or is over and still on the list. */
  async function isBehind(list: string, nowMs: number): Promise<boolean> {
    const [row] = await database.read(
      of(list)
        .where(({ or, and, eb }) =>
          or([
            and([eb('state', '=', 'approved'), eb('over_at_ms', '>', nowMs)]),
            and([eb('state', '=', 'in_force'), eb('over_at_ms', '<=', nowMs)]),
          ]),
        )
        .limit(1),
    )
    return row !== undefined
  }

  async function get(entryId: string): Promise<ManualEntry> {
    const [row] = await database.read(build.selectFrom('manual_entries').selectAll().where('entry_id', '=', entryId))
    if (row === undefined) throw new AppError('not_found', 'there is no such entry')
    return toManualEntry(row, clock.nowMs())
  }

  const set = (entryId: string, change: Partial<ManualEntriesTable>) =>
    database.writeBatch([build.updateTable('manual_entries').set(change).where('entry_id', '=', entryId)])

  async function insert(request: ManualRequest): Promise<string> {
    const nowMs = clock.nowMs()
    const { upload, hotlists } = deps.policy()
    checkRequest(request, hotlists)
    const expiresAtMs = expiryOf(request.expires, hotlists, nowMs)
    const settings = await settingsOf(request.list)
    const plate = readPlate(request.plate, request.rule ?? settings.rule)
    if (plate instanceof Error) throw new AppError('bad_input', `plate: ${plate.message}`)
    if (plate.rule === 'wildcard' && upload === 'matches-only' && request.acceptCloudOnly !== true) {
      throw new AppError('bad_input', 'cameras cannot match a pattern, and by policy they send only their matches', {
        hint: 'it would never be met; say so with `--accept-cloud-only` to put it on the list all the same',
      })
    }
    const present = await database.read(
      of(request.list).where('state', 'in', ['waiting', 'approved', 'in_force']).where('over_at_ms', '>', nowMs),
    )
    const key = identity(plate.plate, request.jurisdiction, request.caseNumber)
    if (present.some((row) => identity(row.plate, row.jurisdiction, row.case_number) === key)) {
      throw new AppError('conflict', 'the same plate, jurisdiction and case are on the list or wait for approval')
    }
    if (present.filter((row) => row.plate === plate.plate).length >= MAX_ENTRIES_PER_PLATE) {
      throw new AppError('too_large', `more than ${MAX_ENTRIES_PER_PLATE} entries of one plate`)
    }
    if (present.length >= MAX_MANUAL_ENTRIES) {
      throw new AppError('too_large', `${request.list} has ${MAX_MANUAL_ENTRIES} entries, the most there may be`)
    }
    const entryId = deps.newId()
    await database.writeBatch([
      build.insertInto('manual_entries').values({
        entry_id: entryId,
        list: request.list,
        state: hotlists.manualNeedsSecondPerson ? 'waiting' : 'approved',
        ...plate,
        jurisdiction: request.jurisdiction,
        category: request.category,
        priority: request.priority ?? settings.priority,
        reason: request.reason,
        case_number: request.caseNumber,
        made_at_ms: nowMs,
        made_by: request.by,
        decided_by: null,
        effective_at_ms: nowMs,
        expires_at_ms: expiresAtMs,
        over_at_ms: expiresAtMs,
      }),
    ])
    return entryId
  }

  async function upkeep(): Promise<void> {
    const nowMs = clock.nowMs()
    const lists = await database.read(
      build
        .selectFrom('hotlists')
        .leftJoin('hotlist_versions', (join) =>
          join
            .onRef('hotlist_versions.list', '=', 'hotlists.list')
            .onRef('hotlist_versions.version', '=', 'hotlists.current_version'),
        )
        .select(['hotlists.list', 'max_age_ms', 'made_at_ms'])
        .where('kind', '=', 'manual'),
    )
    // Lists of which only the entries are there: the first version was cut short.
    const approved = await database.read(
      build.selectFrom('manual_entries').select('list').distinct().where('state', '=', 'approved'),
    )
    const known = new Set(lists.map(({ list }) => list))
    const first = approved.filter(({ list }) => !known.has(list)).map(({ list }) => ({ list, made_at_ms: null }))
    for (const { list, made_at_ms, ...row } of [...lists, ...first]) {
      // Nobody refreshes it from outside: at half its age limit, so that it grows stale only where the cloud stands still.
      const isOld = made_at_ms !== null && 'max_age_ms' in row && nowMs - made_at_ms >= row.max_age_ms / 2
      if (isOld || (await isBehind(list, nowMs))) await bringIntoForce(list, CLOUD_ITSELF)
    }
  }

  return {
    async add(request) {
      const entryId = await inTurn(() => insert(request))
      if (!deps.policy().hotlists.manualNeedsSecondPerson) await bringIntoForce(request.list, request.by)
      return get(entryId)
    },
    async approve(list, entryId, by) {
      await inTurn(async () => {
        const row = await waiting(list, entryId)
        if (row.made_by === by) {
          throw new AppError('forbidden', 'who made an entry cannot approve it', { hint: 'a second person must' })
        }
        await settingsOf(list)
        await set(entryId, { state: 'approved', decided_by: by })
      })
      await bringIntoForce(list, by)
      return get(entryId)
    },
    reject: (list, entryId, by) =>
      inTurn(async () => {
        await waiting(list, entryId)
        await set(entryId, { state: 'over', decided_by: by, over_at_ms: clock.nowMs() })
        return get(entryId)
      }),
    async end(list, entryId, by) {
      await inTurn(async () => {
        const [row] = await database.read(
          of(list).where('entry_id', '=', entryId).where('state', 'in', ['approved', 'in_force']),
        )
        if (row === undefined || row.over_at_ms <= clock.nowMs()) {
          throw new AppError('not_found', `no such entry of ${list} is in force`)
        }
        await set(entryId, { over_at_ms: clock.nowMs() })
        ended.set(entryId, list)
      })
      await bringIntoForce(list, by)
      return get(entryId)
    },
    isEnded: (entryId) => ended.has(entryId),
    async open() {
      const left = build.selectFrom('manual_entries').select(['entry_id', 'list']).where('state', '=', 'in_force')
      for (const row of await database.read(left.where('over_at_ms', '<=', clock.nowMs())))
        ended.set(row.entry_id, row.list)
    },
    async isEmpty(list) {
      const [row] = await database.read(
        of(list).where('state', 'in', ['approved', 'in_force']).where('over_at_ms', '>', clock.nowMs()).limit(1),
      )
      return row === undefined
    },
    retry() {
      if (!isDue) return
      isDue = false
      // After the change that was in the way has told its caller.
      setImmediate(() => {
        upkeep().catch((thrown: unknown) => {
          isDue = true
          deps.log.error('manual_entries_not_kept', { error: toAppError(thrown).message })
        })
      })
    },
    upkeep,
    async list(list, over) {
      let query = build
        .selectFrom('manual_entries')
        .selectAll()
        .orderBy('entry_id', 'desc')
        .limit(2 * MAX_MANUAL_ENTRIES)
      const nowMs = clock.nowMs()
      if (list !== null) query = query.where('list', '=', list)
      if (!over) query = query.where('state', '!=', 'over').where('over_at_ms', '>', nowMs)
      return (await database.read(query)).map((row) => toManualEntry(row, nowMs))
    },
    async purge(overBeforeMs, limit) {
      const page = build
        .selectFrom('manual_entries')
        .select('entry_id')
        .where('over_at_ms', '<=', overBeforeMs)
        .limit(limit)
      const [deleted] = await database.writeBatch([
        build.deleteFrom('manual_entries').where('entry_id', 'in', page).returning(['entry_id', 'over_at_ms']),
      ])
      const rows = (deleted?.rows ?? []) as Pick<ManualEntriesTable, 'entry_id' | 'over_at_ms'>[]
      const gone = rows.map((row) => ({ id: row.entry_id, sha256: null, retainedFromMs: row.over_at_ms }))
      return { deleted: { entries: gone }, isDone: gone.length < limit }
    },
  }
}
