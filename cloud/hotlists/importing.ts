/**
 * A list file on its way to a version: read, compared with what is in force, and either brought into force, refused, or, where it would
 * take away most of the list, kept until a second person has looked. Called by hotlists.ts, one at a time.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import type { Policy } from '../../shared/wire/policy.ts'
import type { EnforcedAgain } from '../hotlists.ts'
import { isProhibited, type ParseReport } from './csv.ts'
import type { HotlistRow } from './list-row.ts'
import type { ListMapping } from './mapping.ts'
import { readHotlistFile } from './parse.ts'
import type { ListDifference } from './pending.ts'
import type { OnEnforceStep, OnImportStep } from './progress.ts'
import { identity, type KnownEntry, type ListRows } from './rows.ts'
import { type ListSettings, resolveSettings } from './settings.ts'

/** A refresh that takes away more than this share of a list is most likely a broken extract. */
export const IMPLAUSIBLE_SHARE = 0.5
/** Lists shorter than this may change as they like. */
export const MIN_JUDGED_ENTRIES = 20

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
  /** Takes patterns although cameras send matches alone, and so nothing that only a pattern meets. */
  acceptCloudOnly?: boolean
  by: string
  /** null or none: a header row of known names. */
  mapping?: ListMapping | null
  onStep?: OnImportStep
}

export interface ImportReport extends ParseReport {
  list: string
  applied: boolean
  /** The new version; null when nothing was applied. */
  version: number | null
  /** Why nothing was applied; null when it was. */
  notApplied: string | null
  /** A second person must approve the version, or would have to. */
  needsApproval: boolean
  /** The version that waits for a second person's approval. */
  pendingVersion: number | null
  /** Beside what is in force: of the good rows, those that are new, those that are there, changed or not; and of its entries, those that would go. */
  difference: ListDifference
  sourceSha256: string
}

export interface ImportingDeps {
  rows: ListRows
  clock: Pick<Clock, 'nowMs' | 'sleep'>
  noRoomFor(list: string, sizes: { entries: number; patterns: number }): string | null
  policy: () => Pick<Policy, 'upload' | 'hotlists'>
  enforce(
    list: string,
    version: number,
    settings: ListSettings,
    sourceSha256: string | null,
    change?: { onStep?: OnEnforceStep; contentAtMs?: number },
  ): Promise<unknown>
  isInForce(list: string, version: number): boolean
  /** Of a list of entries made by hand: none is left, and it may become one that files replace. */
  isFreeOfEntries(list: string): Promise<boolean>
}

export function isImplausible({ unchanged, changed, removed, ended }: ListDifference): boolean {
  const before = unchanged + changed + removed
  return before >= MIN_JUDGED_ENTRIES && removed + ended > before * IMPLAUSIBLE_SHARE
}

/** Of a page's entries that are there: how many something is new about. */
function changedIn(page: readonly HotlistRow[], known: ReadonlyMap<string, KnownEntry>): number {
  return page.filter((row) => {
    const before = known.get(identity(row.plate, row.jurisdiction, row.caseNumber))
    return before !== undefined && COMPARED.some((name) => before[name] !== row[name])
  }).length
}

const COMPARED = ['category', 'priority', 'rule', 'reason', 'effectiveAtMs', 'expiresAtMs'] as const

/** How many entries of a page match today and would not any more. */
function endedIn(page: readonly HotlistRow[], known: ReadonlyMap<string, KnownEntry>, nowMs: number): number {
  const isLive = ({ effectiveAtMs, expiresAtMs }: Pick<KnownEntry, 'effectiveAtMs' | 'expiresAtMs'>) =>
    (effectiveAtMs === null || effectiveAtMs <= nowMs) && (expiresAtMs === null || expiresAtMs > nowMs)
  return page.filter((row) => {
    const before = known.get(identity(row.plate, row.jurisdiction, row.caseNumber))
    return before !== undefined && isLive(before) && !isLive(row)
  }).length
}

export function createImporting({
  rows,
  clock,
  noRoomFor,
  policy,
  enforce,
  isInForce,
  isFreeOfEntries,
}: ImportingDeps) {
  async function importFile(request: ImportRequest): Promise<ImportReport> {
    const { list, bytes, dryRun, skipBad, mapping = null, onStep } = request
    if (!slugSchema.safeParse(list).success)
      throw new AppError('bad_input', 'a list name must be 1-32 of a-z, 0-9 and -')
    const known = await rows.find(list)
    if (known?.kind !== 'file') {
      if (!(await isFreeOfEntries(list))) {
        throw new AppError('conflict', `${list} is a list of entries made by hand`, {
          hint: 'import to another list, or end its entries first',
        })
      }
      if (!dryRun) await rows.becomeFile(list)
    }
    const settings = resolveSettings(known, request.settings)
    const current = known?.current_version ?? null
    let version: number | null = null
    if (!dryRun) {
      await rows.ensureList(list, settings)
      version = await rows.openVersion(list, request.by)
    }
    try {
      let [there, changed, ended] = [0, 0, 0]
      const { rule, priority } = settings
      const options = { rule, priority, prohibited: policy().hotlists.prohibitedCategories, mapping }
      const { report, sourceSha256 } = await readHotlistFile(bytes, options, async (page, soFar) => {
        onStep?.({ phase: 'reading', done: soFar.bytes, total: bytes.length, rows: soFar.rows })
        const ids = await rows.knownIds(list, current, page)
        there += ids.size
        changed += changedIn(page, ids)
        ended += endedIn(page, ids, clock.nowMs())
        // Looking up and writing a page are two turns of the event loop: together they take longer than one may.
        if (current !== null) await clock.sleep(0)
        if (version !== null) await rows.stage(list, version, ids, page)
      })
      const before = current === null ? 0 : await rows.entriesIn(list, current)
      const [added, unchanged, removed] = [report.good - there, there - changed, before - there]
      const difference = { added, unchanged, changed, removed, ended }
      const needsApproval = isImplausible(difference)
      const told = {
        ...{ ...report, list, applied: false, version: null, pendingVersion: null },
        ...{ needsApproval, difference, sourceSha256 },
      }
      const nothing = async (notApplied: string): Promise<ImportReport> => {
        if (version !== null) await rows.discard(list, version)
        return { ...told, notApplied }
      }
      if (report.unusable) return await nothing('the file cannot be used')
      if (report.bad > 0 && !skipBad) return await nothing(`${report.bad} bad rows; nothing is applied by half`)
      if (report.good === 0 && !request.allowEmpty) return await nothing('the file has no entry')
      const noRoom = noRoomFor(list, { entries: report.good, patterns: report.patterns })
      if (noRoom !== null) return await nothing(noRoom)
      if (report.patterns > 0 && policy().upload === 'matches-only' && !request.acceptCloudOnly) {
        return await nothing(
          `${report.patterns} entries are patterns, which cameras cannot match, and by policy cameras send only their matches: ` +
            'none of these would ever be met; say so with `--accept-cloud-only` to apply the rest',
        )
      }
      if (version === null) return await nothing('dry run')
      if (needsApproval) {
        const { good: entries, patterns } = report
        const wanted = { settings: request.settings, difference, entries, patterns, sourceSha256 }
        await rows.setAside(list, version, wanted)
        // The newest takes the place of one that nobody has approved.
        await discardPending(list, version)
        const gone = difference.removed + ended
        const notApplied = `${gone} of ${before} entries would go; a second person must approve version ${version}`
        return { ...told, notApplied, pendingVersion: version }
      }
      await enforce(list, version, settings, sourceSha256, {
        onStep: (phase, done, total) =>
          onStep?.({ phase, done, total: phase === 'digesting' ? report.good : total, rows: report.rows }),
      })
      await discardPending(list, version)
      return { ...told, applied: true, version, notApplied: null }
    } catch (thrown) {
      // The old version is still in force; what cannot be removed now is removed at the next start.
      if (version !== null && !isInForce(list, version)) await rows.discard(list, version).catch(() => {})
      throw thrown
    }
  }

  /** Those that `version` has taken the place of. */
  async function discardPending(list: string, version: number): Promise<void> {
    for (const waiting of await rows.pendingOf(list))
      if (waiting.version < version) await rows.discard(list, waiting.version)
  }

  async function pendingOf(list: string, version: number) {
    const found = (await rows.pendingOf(list)).find((one) => one.version === version)
    if (found === undefined) throw new AppError('not_found', `no version ${version} of ${list} waits for approval`)
    return found
  }

  return {
    importFile,
    /** Brings a version that waits into force. Throws `not_found`, also when an import came into force since, and `forbidden` for who imported it. */
    async approve(list: string, version: number, by: string): Promise<EnforcedAgain> {
      const waiting = await pendingOf(list, version)
      if (waiting.madeBy === by) {
        throw new AppError('forbidden', 'who imported a version cannot approve it', { hint: 'a second person must' })
      }
      const row = await rows.get(list)
      const noRoom = noRoomFor(list, waiting)
      if (noRoom !== null) throw new AppError('too_large', noRoom)
      const settings = resolveSettings(row, waiting.settings)
      // What the policy has prohibited since, and as old as the file.
      const { prohibitedCategories } = policy().hotlists
      const prohibited = await rows.dropProhibited(list, version, (one) => isProhibited(one, prohibitedCategories))
      const change = { contentAtMs: waiting.madeAtMs }
      const entries = waiting.entries - prohibited
      if ((row.current_version ?? 0) < version) {
        await enforce(list, version, settings, waiting.sourceSha256, change)
        return { version, entries, prohibited }
      }
      // The list key was replaced since: cameras take no number that is lower than the last.
      const next = await rows.openVersion(list, by)
      try {
        await rows.copy(list, version, next)
        await enforce(list, next, settings, waiting.sourceSha256, change)
      } catch (thrown) {
        if (!isInForce(list, next)) await rows.discard(list, next).catch(() => {})
        throw thrown
      }
      await rows.discard(list, version)
      return { version: next, entries, prohibited }
    },
    /** Drops a version that waits; whoever may import may. Throws `not_found`. */
    async reject(list: string, version: number): Promise<void> {
      await pendingOf(list, version)
      await rows.discard(list, version)
    },
  }
}
