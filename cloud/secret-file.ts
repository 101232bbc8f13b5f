/** Small files that must be whole or absent: written beside, flushed, renamed. Used for keys, certificates and the audit's head. */
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError, systemCode, toAppError } from '../shared/errors.ts'

/** Only the account that runs the cloud may read it. */
export const SECRET_MODE = 0o600
/** Certificates and public keys. */
export const PUBLIC_MODE = 0o644

/**
 * Replaces `path` by `content` so that after a power cut it holds the old bytes or the new ones, never a part. The folder is
 * flushed as well: without that the rename itself may be lost [fsync(2)]. Throws `storage_full`, else `unavailable`.
 */
export function writeFileDurably(path: string, content: string | Uint8Array, mode = SECRET_MODE): void {
  const beside = `${path}.tmp`
  writeFlushed(beside, content, mode, path)
  renameDurably(beside, path)
}

/** Writes and flushes `path` in place, without renaming. Used where the rename must wait for something else. */
export function writeFlushed(path: string, content: string | Uint8Array, mode = SECRET_MODE, named = path): void {
  try {
    const file = openSync(path, 'w', mode)
    try {
      writeFileSync(file, content)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    // The mode given to open does not change a file that was there.
    chmodSync(path, mode)
  } catch (thrown) {
    throw toFileError(thrown, named)
  }
}

/** Renames and flushes the folder. */
export function renameDurably(from: string, to: string): void {
  try {
    renameSync(from, to)
    const folder = openSync(dirname(to), 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  } catch (thrown) {
    throw toFileError(thrown, to)
  }
}

/** The file's text, or null when there is none. */
export function readFileIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return null
    throw toFileError(thrown, path)
  }
}

export function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (thrown) {
    if (systemCode(thrown) !== 'ENOENT') throw toFileError(thrown, path)
  }
}

/** Reads `path`, or makes it once from `make` (mode 0600). */
export function readOrMakeSecretFile(path: string, make: () => string): string {
  const there = readFileIfThere(path)
  if (there !== null) return there
  const content = make()
  writeFileDurably(path, content)
  return content
}

function toFileError(thrown: unknown, path: string): AppError {
  const error = toAppError(thrown)
  if (error.code === 'storage_full') return new AppError('storage_full', `no space left for ${path}`, { cause: thrown })
  return new AppError('unavailable', `${path} cannot be written or read: ${systemCode(thrown) ?? error.message}`, {
    hint: 'check that the folder exists, is on a mounted disk and belongs to the account that runs the cloud',
    cause: thrown,
  })
}
