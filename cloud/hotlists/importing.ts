/**
 * A list file on its way to a version: read, compared with what is in force, and either brought into force, refused, or, where it would
 * take away most of the list, kept until a second person has looked. Called by hotlists.ts, one at a time.
 */
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import type { ParseReport } from './csv.ts'
import { readHotlistFile } from './parse.ts'
import type { ListDifference, ListRows } from './rows.ts'
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
  by: string
}

export interface ImportReport extends ParseReport {
  list: string
  applied: boolean
  /** The new version; null when nothing was applied. */
  version: number | null
  /** Why nothing was applied; null when it was. */
  notApplied: string | null
  /** The version that waits for a second person's approval. */
  pendingVersion: number | null
  /** Beside what is in force: of the good rows, those that are new, those that are there; and of its entries, those that would go. */
  difference: ListDifference
  sourceSha256: string
}

export interface ImportingDeps {
  rows: ListRows
  /** Is there room for so many entries of this list beside those of the others? */
  roomFor(list: string, entries: number): boolean
  maxMatchedEntries: number
  enforce(list: string, version: number, settings: ListSettings, sourceSha256: string | null): Promise<unknown>
  isInForce(list: string, version: number): boolean
}

export function isImplausible({ unchanged, removed }: ListDifference): boolean {
  const before = unchanged + removed
  return before >= MIN_JUDGED_ENTRIES && removed > before * IMPLAUSIBLE_SHARE
}

export function createImporting({ rows, roomFor, maxMatchedEntries, enforce, isInForce }: ImportingDeps) {
  async function importFile(request: ImportRequest): Promise<ImportReport> {
    const { list, bytes, dryRun, skipBad } = request
    if (!slugSchema.safeParse(list).success)
      throw new AppError('bad_input', 'a list name must be 1-32 of a-z, 0-9 and -')
    const known = await rows.find(list)
    const settings = resolveSettings(known, request.settings)
    const current = known?.current_version ?? null
    let version: number | null = null
    if (!dryRun) {
      await rows.ensureList(list, settings)
      version = await rows.openVersion(list, request.by)
    }
    try {
      let unchanged = 0
      const { report, sourceSha256 } = await readHotlistFile(bytes, { rule: settings.rule }, async (page) => {
        const ids = await rows.knownIds(list, current, page)
        unchanged += ids.size
        if (version !== null) await rows.stage(list, version, ids, page)
      })
      const before = current === null ? 0 : await rows.entriesIn(list, current)
      const difference = { added: report.good - unchanged, unchanged, removed: before - unchanged }
      const told = { ...report, list, applied: false, version: null, pendingVersion: null, difference, sourceSha256 }
      const nothing = async (notApplied: string): Promise<ImportReport> => {
        if (version !== null) await rows.discard(list, version)
        return { ...told, notApplied }
      }
      if (report.unusable) return await nothing('the file cannot be used')
      if (report.bad > 0 && !skipBad) return await nothing(`${report.bad} bad rows; nothing is applied by half`)
      if (report.good === 0 && !request.allowEmpty) return await nothing('the file has no entry')
      if (!roomFor(list, report.good)) {
        return await nothing(`more than ${maxMatchedEntries} entries in all lists together`)
      }
      if (version === null) return await nothing('dry run')
      if (isImplausible(difference)) {
        const { removed } = difference
        // The newest takes the place of one that nobody has approved.
        for (const waiting of await rows.pendingOf(list)) await rows.discard(list, waiting.version)
        await rows.setAside(list, version, { settings, difference, entries: report.good, sourceSha256 })
        const notApplied = `${removed} of ${before} entries would go; a second person must approve version ${version}`
        return { ...told, notApplied, pendingVersion: version }
      }
      await enforce(list, version, settings, sourceSha256)
      return { ...told, applied: true, version, notApplied: null }
    } catch (thrown) {
      // The old version is still in force; what cannot be removed now is removed at the next start.
      if (version !== null && !isInForce(list, version)) await rows.discard(list, version).catch(() => {})
      throw thrown
    }
  }

  async function pendingOf(list: string, version: number) {
    const found = (await rows.pendingOf(list)).find((one) => one.version === version)
    if (found === undefined) throw new AppError('not_found', `no version ${version} of ${list} waits for approval`)
    return found
  }

  return {
    importFile,
    /** Brings a version that waits into force. Throws `not_found`, `forbidden` for who imported it, `conflict` when another came into force since. */
    async approve(list: string, version: number, by: string): Promise<{ version: number; entries: number }> {
      const waiting = await pendingOf(list, version)
      if (waiting.madeBy === by) {
        throw new AppError('forbidden', 'who imported a version cannot approve it', { hint: 'a second person must' })
      }
      if (((await rows.get(list)).current_version ?? 0) > version) {
        throw new AppError('conflict', `a newer version of ${list} is in force`, { hint: 'reject this one' })
      }
      if (!roomFor(list, waiting.entries)) {
        throw new AppError('too_large', `more than ${maxMatchedEntries} entries in all lists together`)
      }
      await enforce(list, version, waiting.settings, waiting.sourceSha256)
      return { version, entries: waiting.entries }
    },
    /** Drops a version that waits; whoever may import may. Throws `not_found`. */
    async reject(list: string, version: number): Promise<void> {
      await pendingOf(list, version)
      await rows.discard(list, version)
    },
  }
}
