/**
 * Hotlists: imported as new versions, matched against every sighting, published signed to the cameras. A version is written
 * row by row as `staging` and comes into force in one transaction; until then, and if anything fails, the old one matches.
 * Owns tables hotlists, hotlist_versions and hotlist_entries. Called by the API, ingest (`match`) and main (`publishCurrent`).
 */
import { type Clock, HOUR_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { Signer } from '../shared/signing.ts'
import type { Manifest } from '../shared/wire/hotlist.ts'
import type { Policy } from '../shared/wire/policy.ts'
import type { Database } from './database/database.ts'
import { isProhibited } from './hotlists/csv.ts'
import type { ListDiff } from './hotlists/diff.ts'
import { createImporting, type ImportReport, type ImportRequest } from './hotlists/importing.ts'
import { createManualEntries, type ManualEntries } from './hotlists/manual.ts'
import {
  createListIndex,
  findMatch,
  inForceOf,
  type ListIndex,
  type ListInForce,
  type ListMatch,
  MAX_MATCHED_ENTRIES,
  type MatchedRead,
  noRoomFor,
} from './hotlists/matcher.ts'
import type { OnEnforceStep } from './hotlists/progress.ts'
import { createPublishing, type Publish } from './hotlists/publishing.ts'
import { stageOlder } from './hotlists/rollback.ts'
import { createListRows, type ListStatus, MAX_LISTS, toEntry } from './hotlists/rows.ts'
import { type ListSettings, resolveSettings, settingsRow, toSettings } from './hotlists/settings.ts'
import { createSigningAgain } from './hotlists/signing.ts'
import { sealManifest } from './hotlists/snapshot.ts'
import type { RecordTotals } from './hotlists/sorted-records.ts'
import type { ListKeys } from './list-keys.ts'

export type { ListMatch, MatchedRead } from './hotlists/matcher.ts'
export type { Publish } from './hotlists/publishing.ts'

/** What came of bringing older entries into force. */
export interface EnforcedAgain {
  version: number
  entries: number
  /** Left out: of a category that is prohibited by now. */
  prohibited: number
}

interface Enforced {
  /** The version before must not match any more, not even until this one has arrived. */
  recall?: boolean
  /** When what it holds was true; default: now. */
  contentAtMs?: number | undefined
  /** The same entries under another key or other dates: as old as they were. */
  sameContentAs?: Pick<Manifest, 'issuedAtMs' | 'expiresAtMs'>
  onStep?: OnEnforceStep
}

/** What is over its age when it comes into force lives so long, or cameras would refuse it. Milliseconds. */
const MIN_LIFE_MS = HOUR_MS

/** Who made a version that nobody asked for. */
const CLOUD_ITSELF = 'cloud'

export type { ImportReport, ImportRequest } from './hotlists/importing.ts'

export interface Hotlists {
  /** The best entry in force for a read, or null. Synchronous; some µs. */
  match(read: MatchedRead, nowMs: number): ListMatch | null
  /** Throws `bad_input` for names and settings, `conflict` while another import runs; a bad file gives a report. */
  import(request: ImportRequest): Promise<ImportReport>
  /** A second person's word for a version that an import has set aside; see importing.ts for what is thrown. */
  approve(list: string, version: number, by: string): Promise<EnforcedAgain>
  reject(list: string, version: number): Promise<void>
  /**
   * A new version with the rows of an older one (default: the one before). Throws `not_found` when its rows are gone, `conflict` for
   * a version without rows unless that is allowed: it ends all matching of the list.
   */
  rollback(
    list: string,
    toVersion: number | null,
    by: string,
    options?: { allowEmpty: boolean },
  ): Promise<EnforcedAgain>
  diff(list: string, from: number, to: number): Promise<ListDiff>
  /** What the list says of an entry, for the person who verifies an alert; null when no kept version has it. */
  source(list: string, entryId: string): Promise<{ reason: string | null; caseNumber: string | null } | null>
  /** What is known of the list beside its entries. Age, dates, rule and priority count for cameras from the next version on. */
  configure(list: string, settings: Partial<ListSettings>): Promise<ListStatus>
  status(): Promise<ListStatus[]>
  /** Entries that people make by hand. */
  readonly entries: ManualEntries
  /** A new key for the plates on cameras, and with it a new version of every list: what a stolen unit holds is then worth nothing more. */
  replaceKey(by: string): Promise<{ lists: number }>
  /** Signs current manifests with the signing key of now and publishes them. Throws `conflict` while a list is being changed. */
  signAgain(publish: Publish): Promise<void>
  /** Publishes every current version that is not yet (retained) and clears the chunks of older ones; later versions go out by themselves. */
  publishCurrent(publish: Publish): Promise<void>
  /** Goes on with what could not be published or brought to the current key. Never rejects; call now and then. */
  upkeep(): Promise<void>
}

export interface HotlistsDeps {
  database: Database
  agency: string
  signer: Signer
  keys: Pick<ListKeys, 'current' | 'find' | 'hasOld' | 'replace' | 'forgetOld'>
  /** Of an entry that an officer has cleared until a time. */
  isSuppressed: (list: string, entryId: string, nowMs: number) => boolean
  policy: () => Pick<Policy, 'upload' | 'hotlists'>
  clock: Clock
  newId: () => string
  log: Log
  /** A version may be due to be held against the past. */
  onInForce?: () => void
  /** Entries of all lists in force together. */
  maxMatchedEntries?: number
}

export async function createHotlists(deps: HotlistsDeps): Promise<Hotlists> {
  const { database, agency, clock, log, maxMatchedEntries = MAX_MATCHED_ENTRIES } = deps
  const { build } = database
  const rows = createListRows(deps)
  const { versionOf, deltaStart, walk, publishList } = createPublishing({ ...deps, rows })
  const inForce = new Map<string, ListInForce>()
  let busy = false
  let publish: Publish | null = null

  /** What has not been on the list before is held against the past, where the policy allows. */
  function pastOf(change: Enforced, before: { pastFromMs: number | null }, since: number | null, nowMs: number) {
    const { checkPastHours } = deps.policy().hotlists
    if (change.sameContentAs !== undefined)
      return before.pastFromMs === null ? {} : { past_from_ms: before.pastFromMs, past_since: since }
    if (checkPastHours === 0 || change.recall === true) return {}
    return { past_from_ms: nowMs - Math.round(checkPastHours * HOUR_MS), past_since: since }
  }

  /** For matching here alone. */
  async function indexOf(list: string, version: number): Promise<ListIndex> {
    const index = createListIndex()
    for await (const row of rows.entriesOf(list, version)) index.add(toEntry(row))
    return index
  }

  /** Brings a staged version into force: signed, committed, matched, published; then the rows of the oldest go. */
  async function enforce(
    list: string,
    version: number,
    settings: ListSettings,
    sourceSha256: string | null,
    change: Enforced = {},
  ): Promise<RecordTotals> {
    const key = deps.keys.current
    const { onStep } = change
    const beforeVersion = inForce.get(list)?.version ?? null
    const before = await versionOf(list, beforeVersion ?? 0)
    const start = await deltaStart(list, key.keyId)
    const { index, totals, delta, ...packed } = await walk(list, version, { key, dates: settings }, start, onStep)
    const noRoom = noRoomFor(
      inForce.values(),
      list,
      { entries: index.size, patterns: index.patternSize },
      maxMatchedEntries,
    )
    if (noRoom !== null) throw new AppError('too_large', noRoom)
    const nowMs = clock.nowMs()
    const { sameContentAs: same, contentAtMs } = change
    const issuedAtMs = same?.issuedAtMs ?? contentAtMs ?? nowMs
    const fullLifeMs = issuedAtMs + settings.maxAgeMs
    const manifest: Manifest = {
      agency,
      list,
      version,
      // Only what is called back stops matching before the next version is there.
      minimumVersion: change.recall === true ? version : (before.manifest?.minimumVersion ?? 1),
      ...totals,
      delta,
      keyId: key.keyId,
      issuedAtMs,
      // A camera would refuse a list that is over its age: it is taken, and counts as stale soon again.
      expiresAtMs: issuedAtMs === nowMs ? fullLifeMs : Math.max(same?.expiresAtMs ?? fullLifeMs, nowMs + MIN_LIFE_MS),
    }
    await database.writeBatch([
      build
        .updateTable('hotlist_versions')
        .set({
          state: 'ready',
          pending: null,
          entries: index.size,
          cloud_entries: index.patternSize,
          chunks: totals.chunks,
          chunks_retained: totals.chunks,
          delta_chunks_retained: delta?.chunks ?? 0,
          manifest: sealManifest(deps.signer, manifest),
          source_sha256: sourceSha256,
          made_at_ms: issuedAtMs,
          effective_at_ms: settings.effectiveAtMs,
          expires_at_ms: settings.expiresAtMs,
          ...pastOf(change, before, before.pastSince === undefined ? beforeVersion : before.pastSince, nowMs),
        })
        .where('list', '=', list)
        .where('version', '=', version),
      build
        .updateTable('hotlists')
        .set({ current_version: version, ...settingsRow(settings) })
        .where('list', '=', list),
    ])
    inForce.set(list, inForceOf({ list, version, index }, settings, manifest.expiresAtMs))
    deps.onInForce?.()
    log.info('hotlist_in_force', { list, listVersion: version, entries: index.size })
    try {
      if (publish !== null) await publishList(list, version, publish, packed, onStep)
    } catch (thrown) {
      // The version is committed and matches here; a broker that is closing publishes it at the next start.
      log.warn('hotlist_not_published', { list, listVersion: version, error: toAppError(thrown).message })
    }
    onStep?.('clearing', 0, 0)
    await rows.retire(list, version).catch((thrown: unknown) => {
      // It is in force all the same; the next version clears what is left.
      log.warn('hotlist_not_cleared', { list, listVersion: version, error: toAppError(thrown).message })
    })
    return { ...totals, entries: index.size }
  }

  /** One change of the lists after the other: a version is staged over many turns of the event loop. */
  async function alone<T>(work: () => Promise<T>): Promise<T> {
    if (busy) throw new AppError('conflict', 'another list is being changed', { hint: 'try again in a minute' })
    busy = true
    try {
      return await work()
    } finally {
      busy = false
      // What people made by hand meanwhile.
      entries.retry()
    }
  }

  /** The same rows as a new version; returns its number. */
  async function enforceCopy(
    list: string,
    version: number,
    by: string,
    settings: ListSettings,
    sourceSha256: string | null,
    change: Enforced,
  ): Promise<number> {
    const next = await rows.openVersion(list, by)
    try {
      await rows.copy(list, version, next)
      await enforce(list, next, settings, sourceSha256, change)
    } catch (thrown) {
      // Tried again: half a copy must not be left on a full disk each time.
      if (inForce.get(list)?.version !== next) await rows.discard(list, next).catch(() => {})
      throw thrown
    }
    return next
  }

  const isProhibitedNow = (category: string) => isProhibited(category, deps.policy().hotlists.prohibitedCategories)

  /** Every list whose current version is digested with another key than the current one gets a new version, as old as it was. */
  async function bringToKey(by: string): Promise<number> {
    let count = 0
    let isDone = true
    for (const { list, version } of [...inForce.values()]) {
      const { manifest, isPublished, sourceSha256 } = await versionOf(list, version)
      if (manifest?.keyId === deps.keys.current.keyId) {
        isDone &&= isPublished
        continue
      }
      const same = manifest === null ? {} : { sameContentAs: manifest }
      const next = await enforceCopy(list, version, by, toSettings(await rows.get(list)), sourceSha256, same)
      // Its entries are those of the new one: it must not take the place of a version that one may want to go back to.
      await rows.dropRows(list, version)
      isDone &&= (await versionOf(list, next)).isPublished
      count += 1
    }
    // Cameras may still ask for an old key until they can have the versions under the new one.
    if (isDone) await deps.keys.forgetOld()
    return count
  }

  /** Cameras hold each entry within the list's dates: other dates are another version, as old as the one before. */
  async function carryDates(list: string, version: number, settings: ListSettings): Promise<void> {
    const { manifest, dates, sourceSha256 } = await versionOf(list, version)
    const isSame = dates.effectiveAtMs === settings.effectiveAtMs && dates.expiresAtMs === settings.expiresAtMs
    if (isSame || manifest === null) return
    await enforceCopy(list, version, CLOUD_ITSELF, settings, sourceSha256, { sameContentAs: manifest })
  }

  /** What was cut short or could not be published, on a full disk perhaps. A cloud must start all the same, or nothing would make room. */
  async function catchUp(send: Publish): Promise<void> {
    await alone(async () => {
      await bringToKey(CLOUD_ITSELF).catch((thrown: unknown) => {
        log.error('list_key_not_replaced', { error: toAppError(thrown).message })
      })
      for (const { list, version } of [...inForce.values()]) {
        await publishList(list, version, send).catch((thrown: unknown) => {
          log.warn('hotlist_not_published', { list, listVersion: version, error: toAppError(thrown).message })
        })
      }
    })
  }

  async function isBehind(): Promise<boolean> {
    for (const { list, version } of [...inForce.values()]) {
      const { manifest, isPublished } = await versionOf(list, version)
      if (!isPublished || manifest?.keyId !== deps.keys.current.keyId) return true
    }
    return deps.keys.hasOld
  }

  const entries = createManualEntries({
    ...{ database, rows, clock, newId: deps.newId, log, alone, policy: deps.policy },
    isFree: () => !busy,
    enforce: (list, version, settings) => enforce(list, version, settings, null),
  })

  /** What was taken off by hand raises nothing, also while its list cannot be changed. */
  const isSuppressed: HotlistsDeps['isSuppressed'] = (list, entryId, nowMs) =>
    entries.isEnded(entryId) || deps.isSuppressed(list, entryId, nowMs)

  const importing = createImporting({
    isFreeOfEntries: entries.isEmpty,
    ...{ rows, clock, enforce, policy: deps.policy },
    noRoomFor: (list, sizes) => noRoomFor(inForce.values(), list, sizes, maxMatchedEntries),
    isInForce: (list, version) => inForce.get(list)?.version === version,
  })

  await rows.clearLeftovers(log)
  await entries.open()
  for (const row of await database.read(build.selectFrom('hotlists').selectAll())) {
    if (row.current_version === null) continue
    const index = await indexOf(row.list, row.current_version)
    const { manifest } = await versionOf(row.list, row.current_version)
    const current = { list: row.list, version: row.current_version, index }
    inForce.set(row.list, inForceOf(current, toSettings(row), manifest?.expiresAtMs ?? 0))
  }

  return {
    match: (read, nowMs) => findMatch(inForce.values(), read, nowMs, isSuppressed, deps.policy().hotlists.staleLists),
    import: (request) => alone(() => importing.importFile(request)),
    approve: (list, version, by) => alone(() => importing.approve(list, version, by)),
    reject: (list, version) => alone(() => importing.reject(list, version)),
    rollback: (list, toVersion, by, options = { allowEmpty: false }) =>
      alone(async () => {
        const staged = await stageOlder(rows, { list, toVersion, by, ...options })
        const { version, contentAtMs } = staged
        try {
          const prohibited = await rows.dropProhibited(list, version, isProhibitedNow)
          const change = { recall: true, contentAtMs }
          const { entries } = await enforce(list, version, toSettings(await rows.get(list)), null, change)
          return { version, entries, prohibited }
        } catch (thrown) {
          if (inForce.get(list)?.version !== version) await rows.discard(list, version).catch(() => {})
          throw thrown
        }
      }),
    diff: rows.diff,
    source: rows.source,
    entries,
    configure: (list, settings) =>
      alone(async () => {
        const checked = resolveSettings(await rows.get(list), settings)
        await database.writeBatch([build.updateTable('hotlists').set(settingsRow(checked)).where('list', '=', list)])
        const known = inForce.get(list)
        if (known !== undefined) {
          inForce.set(list, inForceOf(known, checked, known.staleAtMs))
          await carryDates(list, known.version, checked)
        }
        return rows.statusOf(await rows.get(list))
      }),
    replaceKey: (by) =>
      alone(async () => {
        await deps.keys.replace()
        log.warn('list_key_replaced', { count: inForce.size })
        return { lists: await bringToKey(by) }
      }),
    signAgain: createSigningAgain(deps, inForce, alone),
    async status() {
      const lists = await database.read(build.selectFrom('hotlists').selectAll().orderBy('list').limit(MAX_LISTS))
      return Promise.all(lists.map(rows.statusOf))
    },
    async publishCurrent(send) {
      publish = send
      await catchUp(send)
    },
    async upkeep() {
      if (publish !== null && !busy) {
        await entries.upkeep().catch((thrown: unknown) => {
          log.error('manual_entries_not_kept', { error: toAppError(thrown).message })
        })
      }
      // An import must not meet a list that is being changed when there is nothing to do.
      const isDue = publish !== null && !busy && (await isBehind().catch(() => false))
      if (isDue && publish !== null && !busy) await catchUp(publish)
    },
  }
}
