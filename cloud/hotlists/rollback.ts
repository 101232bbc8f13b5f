/** An older version of a list on its way back, as a new one. Called by hotlists.ts. */
import { AppError } from '../../shared/errors.ts'
import type { ListRows } from './rows.ts'

export interface Rollback {
  list: string
  /** null: the one before. */
  toVersion: number | null
  by: string
  /** Also to a version without rows: it ends all matching of the list. */
  allowEmpty: boolean
}

/**
 * Stages a new version with the rows of an older one; what they hold is as old as that. Throws `not_found` when those are gone, `conflict` for the
 * version in force, for one without rows unless that is allowed, and for a list of entries made by hand.
 */
export async function stageOlder(
  rows: ListRows,
  { list, toVersion, by, allowEmpty }: Rollback,
): Promise<{ version: number; contentAtMs: number | undefined }> {
  const row = await rows.get(list)
  if (row.kind !== 'file') {
    throw new AppError('conflict', `${list} is a list of entries made by hand`, {
      hint: 'end entries or make new ones',
    })
  }
  const { versions } = await rows.statusOf(row)
  const current = row.current_version ?? 0
  const target = toVersion ?? versions.find((one) => one.kept && one.version < current)?.version
  if (target === undefined) throw new AppError('not_found', `there is no version of ${list} to go back to`)
  if (target === row.current_version) throw new AppError('conflict', `version ${target} is in force already`)
  await rows.requireKept(list, target)
  if (versions.find((one) => one.version === target)?.entries === 0 && !allowEmpty) {
    throw new AppError('conflict', `version ${target} of ${list} has no entry`, {
      hint: 'going back to it ends all matching of the list; say so with `--allow-empty`',
    })
  }
  const contentAtMs = versions.find((one) => one.version === target)?.madeAtMs
  const version = await rows.openVersion(list, by)
  try {
    await rows.copy(list, target, version)
  } catch (thrown) {
    await rows.discard(list, version).catch(() => {})
    throw thrown
  }
  return { version, contentAtMs }
}
