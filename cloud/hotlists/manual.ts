/**
 * Entries that people make by hand, on lists of their own: with a reason, a case number and an end, and where the policy asks for it only
 * after a second person has looked. Each change is a new version of the list. Owns table manual_entries. Called by hotlists.ts.
 */
import { type Clock, HOUR_MS } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { slugSchema } from '../../shared/names.ts'
import type { ListRule } from '../../shared/wire/hotlist.ts'
import type { HotlistRules } from '../../shared/wire/policy.ts'
import type { Database } from '../database/database.ts'
import type { ManualEntriesTable } from '../database/schema-administration.ts'
import { isProhibited, MAX_CASE_LENGTH, MAX_CATEGORY_LENGTH, MAX_ENTRIES_PER_PLATE, MAX_REASON_LENGTH } from './csv.ts'
import { type HotlistRow, readPlate } from './list-row.ts'
import { identity, type ListRows } from './rows.ts'
import { type ListSettings, resolveSettings, toSettings } from './settings.ts'
import { nextShiftEnd } from './shifts.ts'

/** Of one list, in force or waiting. */
export const MAX_MANUAL_ENTRIES = 1_000
/** Letters and digits that a reason must have. */
export const MIN_REASON_CHARACTERS = 5
/** Who made a version that nobody asked for. */
const CLOUD_ITSELF = 'cloud'

export interface ManualRequest {
  /** Made when new. */
  list: string
  /** By rule `wildcard` a pattern. */
  plate: string
  jurisdiction: string | null
  category: string
  /** null: the list's. */
  priority: number | null
  rule: ListRule | null
  reason: string
  caseNumber: string
  /** When it ends: a time, or with the shift. */
  expires: number | 'end-of-shift'
  by: string
}

export interface ManualEntry {
  entryId: string
  list: string
  /** `waiting`: for a second person. `over`: its time is over, it was taken off, or it was refused. */
  state: 'waiting' | 'in_force' | 'over'
  plate: string
  jurisdiction: string | null
  category: string
  priority: number
  rule: ListRule
  reason: string
  caseNumber: string
  madeAtMs: number
  madeBy: string
  /** Who approved or refused it. */
  decidedBy: string | null
  expiresAtMs: number
}

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
  /** Deletes at most `limit` that were over at `overBeforeMs`. */
  purge(overBeforeMs: number, limit: number): Promise<number>
}

export interface ManualEntriesDeps {
  database: Database
  rows: ListRows
  clock: Pick<Clock, 'nowMs'>
  newId: () => string
  log: Log
  rules: () => HotlistRules
  /** One change of the lists after the other. */
  alone<T>(work: () => Promise<T>): Promise<T>
  noRoomFor(list: string, sizes: { entries: number; patterns: number }): string | null
  enforce(list: string, version: number, settings: ListSettings): Promise<unknown>
}

const letters = (text: string) => (text.match(/[\p{L}\p{N}]/gu) ?? []).length

export function createManualEntries(deps: ManualEntriesDeps): ManualEntries {
  const { database, rows, clock, alone } = deps
  const { build } = database

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
    const entries = await live(list)
    const version = await rows.openVersion(list, by)
    try {
      const ids = new Map(
        entries.map((row) => [identity(row.plate, row.jurisdiction, row.case_number), { entryId: row.entry_id }]),
      )
      if (entries.length > 0) await rows.stage(list, version, ids, entries.map(toRow))
      await deps.enforce(list, version, toSettings(await rows.get(list)))
    } catch (thrown) {
      if ((await rows.get(list)).current_version !== version) await rows.discard(list, version).catch(() => {})
      throw thrown
    }
    const nowMs = clock.nowMs()
    await database.writeBatch([
      build
        .updateTable('manual_entries')
        .set({ state: 'in_force' })
        .where('list', '=', list)
        .where('entry_id', 'in', [...entries.map((row) => row.entry_id), '']),
      build
        .updateTable('manual_entries')
        .set({ state: 'over' })
        .where('list', '=', list)
        .where('state', 'in', ['approved', 'in_force'])
        .where('over_at_ms', '<=', nowMs),
    ])
  }

  /** Made durable before it matches: what is cut short here is brought into force by `upkeep`. */
  async function refreshLater(list: string, by: string): Promise<void> {
    await refresh(list, by).catch((thrown: unknown) => {
      deps.log.error('manual_entries_not_in_force', { list, error: toAppError(thrown).message })
      throw thrown
    })
  }

  function expiryOf(expires: ManualRequest['expires'], nowMs: number): number {
    const { shifts, manualMaxHours } = deps.rules()
    if (expires === 'end-of-shift') {
      if (shifts === null) {
        throw new AppError('bad_input', 'the policy does not say when shifts end', { hint: 'say a time of expiry' })
      }
      return nextShiftEnd(shifts, nowMs)
    }
    if (expires <= nowMs) throw new AppError('bad_input', 'expires: the time is past')
    if (expires > nowMs + manualMaxHours * HOUR_MS) {
      throw new AppError(
        'bad_input',
        `expires: by policy an entry made by hand lives for at most ${manualMaxHours} hours`,
      )
    }
    return expires
  }

  /** What is compulsory and what is prohibited. */
  function check({ category, reason, caseNumber, priority }: ManualRequest): void {
    if (letters(reason) < MIN_REASON_CHARACTERS || reason.length > MAX_REASON_LENGTH) {
      throw new AppError(
        'bad_input',
        `reason: at least ${MIN_REASON_CHARACTERS} letters, at most ${MAX_REASON_LENGTH} characters`,
      )
    }
    if (letters(caseNumber) < 2 || caseNumber.length > MAX_CASE_LENGTH) {
      throw new AppError('bad_input', `case: a case number of at most ${MAX_CASE_LENGTH} characters is needed`)
    }
    if (category.length > MAX_CATEGORY_LENGTH) {
      throw new AppError('bad_input', `category: longer than ${MAX_CATEGORY_LENGTH} characters`)
    }
    if (isProhibited(category, deps.rules().prohibitedCategories)) {
      throw new AppError('forbidden', 'the category is prohibited by policy')
    }
    if (priority !== null && !(Number.isInteger(priority) && priority >= 1 && priority <= 5)) {
      throw new AppError('bad_input', 'priority: must be 1 (most urgent) to 5')
    }
  }

  async function ensureList(list: string): Promise<ListSettings> {
    if (!slugSchema.safeParse(list).success) {
      throw new AppError('bad_input', 'a list name must be 1-32 of a-z, 0-9 and -')
    }
    const known = await rows.find(list)
    if (known !== null && known.kind !== 'manual') {
      throw new AppError('conflict', `${list} is a list that files replace`, { hint: 'make the entry on another list' })
    }
    const settings = resolveSettings(known, {})
    if (known === null) await rows.ensureList(list, settings, 'manual')
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

  return {
    add: (request) =>
      alone(async () => {
        check(request)
        const nowMs = clock.nowMs()
        const expiresAtMs = expiryOf(request.expires, nowMs)
        const known = await rows.find(request.list)
        const plate = readPlate(request.plate, request.rule ?? (known === null ? 'exact' : toSettings(known).rule))
        if (plate instanceof Error) throw new AppError('bad_input', `plate: ${plate.message}`)
        const settings = await ensureList(request.list)
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
        const patterns = [...present, plate].filter(({ rule }) => rule === 'wildcard').length
        const noRoom = deps.noRoomFor(request.list, { entries: present.length + 1, patterns })
        if (noRoom !== null) throw new AppError('too_large', noRoom)
        const isApproved = !deps.rules().manualNeedsSecondPerson
        const entryId = deps.newId()
        await database.writeBatch([
          build.insertInto('manual_entries').values({
            entry_id: entryId,
            list: request.list,
            state: isApproved ? 'approved' : 'waiting',
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
        if (isApproved) await refreshLater(request.list, request.by)
        return get(entryId)
      }),
    approve: (list, entryId, by) =>
      alone(async () => {
        const row = await waiting(list, entryId)
        if (row.made_by === by) {
          throw new AppError('forbidden', 'who made an entry cannot approve it', { hint: 'a second person must' })
        }
        await set(entryId, { state: 'approved', decided_by: by })
        await refreshLater(list, by)
        return get(entryId)
      }),
    reject: (list, entryId, by) =>
      alone(async () => {
        await waiting(list, entryId)
        await set(entryId, { state: 'over', decided_by: by, over_at_ms: clock.nowMs() })
        return get(entryId)
      }),
    end: (list, entryId, by) =>
      alone(async () => {
        const [row] = await database.read(
          of(list).where('entry_id', '=', entryId).where('state', 'in', ['approved', 'in_force']),
        )
        if (row === undefined || row.over_at_ms <= clock.nowMs()) {
          throw new AppError('not_found', `no such entry of ${list} is in force`)
        }
        await set(entryId, { over_at_ms: clock.nowMs() })
        await refreshLater(list, by)
        return get(entryId)
      }),
    async list(list, over) {
      let query = build
        .selectFrom('manual_entries')
        .selectAll()
        .orderBy('entry_id', 'desc')
        .limit(2 * MAX_MANUAL_ENTRIES)
      if (list !== null) query = query.where('list', '=', list)
      const nowMs = clock.nowMs()
      const all = (await database.read(query)).map((row) => toManualEntry(row, nowMs))
      return over ? all : all.filter(({ state }) => state !== 'over')
    },
    async upkeep() {
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
      for (const { list, max_age_ms, made_at_ms } of lists) {
        // Nobody refreshes it from outside: at half its age limit, so that it grows stale only where the cloud stands still.
        const isOld = made_at_ms !== null && nowMs - made_at_ms >= max_age_ms / 2
        if (isOld || (await isBehind(list, nowMs))) await alone(() => refreshLater(list, CLOUD_ITSELF))
      }
    },
    async purge(overBeforeMs, limit) {
      const page = build
        .selectFrom('manual_entries')
        .select('entry_id')
        .where('over_at_ms', '<=', overBeforeMs)
        .limit(limit)
      const [deleted] = await database.writeBatch([build.deleteFrom('manual_entries').where('entry_id', 'in', page)])
      return deleted?.changes ?? 0
    },
  }
}

function toRow(row: ManualEntriesTable): HotlistRow {
  return {
    plate: row.plate,
    jurisdiction: row.jurisdiction,
    category: row.category,
    priority: row.priority,
    rule: row.rule as ListRule,
    reason: row.reason,
    caseNumber: row.case_number,
    effectiveAtMs: row.effective_at_ms,
    expiresAtMs: row.expires_at_ms,
  }
}

function toManualEntry(row: ManualEntriesTable, nowMs: number): ManualEntry {
  const isOver = row.state === 'over' || row.over_at_ms <= nowMs
  const { reason, caseNumber, effectiveAtMs: _, expiresAtMs, ...listed } = toRow(row)
  return {
    ...listed,
    entryId: row.entry_id,
    list: row.list,
    state: isOver ? 'over' : row.state === 'waiting' ? 'waiting' : 'in_force',
    reason: reason ?? '',
    caseNumber: caseNumber ?? '',
    madeAtMs: row.made_at_ms,
    madeBy: row.made_by,
    decidedBy: row.decided_by,
    expiresAtMs: row.expires_at_ms,
  }
}
