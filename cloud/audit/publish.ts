/**
 * Writes what outsiders check: the tiles of the log as files that any web server can serve, and the export for an auditor. Each file
 * is whole or absent and the checkpoint comes last, so that a reader never meets a tree whose tiles are not there.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { AppError } from '../../shared/errors.ts'
import {
  PUBLIC_MODE,
  readFileIfThere,
  removeIfThere,
  renameDurably,
  SECRET_MODE,
  writeFileDurably,
} from '../../shared/secret-file.ts'
import { COPY_FORMAT, type CopyHeader, PLACE_FILES } from './copies.ts'
import { openCheckpoint, verifierKey } from './note.ts'
import { proofText } from './proof.ts'
import type { LogSource } from './source.ts'
import { bundlePath, encodeBundle, TILE_WIDTH, type Tile, tilePath, tilesOf } from './tiles.ts'
import { inclusionRanges, proofOf, rangeRoot } from './tree.ts'

export interface Published {
  size: number
  /** Of the publication before, 0: there was none. */
  before: number
  files: number
}

export interface PublishRequest {
  source: LogSource
  folder: string
  /** Entries too, for an auditor: they name accounts, cases and reasons. */
  entries: boolean
  /** The stand-alone verifier; null: it was not built. */
  verifier: Buffer | null
}

/**
 * Publishes the log into `folder`, only what is new since the last time. Throws `integrity` when what was published there before is
 * not the beginning of this log.
 */
export async function publishLog({ source, folder, entries, verifier }: PublishRequest): Promise<Published> {
  const mode = entries ? SECRET_MODE : PUBLIC_MODE
  const before = await publishedBefore(source, folder)
  let files = 0
  const write = async (path: string, content: string | Uint8Array) => {
    const target = join(folder, path)
    await mkdir(dirname(target), { recursive: true, mode: entries ? 0o700 : 0o755 })
    await writeFileDurably(target, content, mode)
    files += 1
  }
  // With entries for the first time, those from before are new as well.
  const from = entries && !(await isThere(join(folder, 'tile', 'entries'))) ? 0 : before
  for (const tile of tilesOf(source.size, from)) {
    await write(tilePath(tile), Buffer.concat(source.tile(tile)))
    if (tile.width === TILE_WIDTH) await dropPartial(folder, tilePath(tile))
    if (entries && tile.level === 0) await writeBundle(source, tile, folder, write)
  }
  if (entries) await dropPurged(source, folder)
  await write(PLACE_FILES.key, `${verifierKey(source.key)}\n`)
  if (verifier !== null) await write(PLACE_FILES.verifier, verifier)
  if (source.cosigned !== null) await write(PLACE_FILES.cosigned, source.cosigned)
  await write(PLACE_FILES.checkpoint, source.checkpoint)
  return { size: source.size, before, files }
}

async function writeBundle(
  source: LogSource,
  tile: Tile,
  folder: string,
  write: (path: string, content: Uint8Array) => Promise<void>,
): Promise<void> {
  const bytes = source.entries(tile.index * TILE_WIDTH, tile.width).map((entry) => entry.bytes)
  // Whole segments go by policy, so a bundle is there or it is not.
  if (bytes.some(({ length }) => length === 0)) return
  await write(bundlePath(tile), encodeBundle(bytes))
  if (tile.width === TILE_WIDTH) await dropPartial(folder, bundlePath(tile))
}

/** A whole tile replaces the partial ones of before. */
function dropPartial(folder: string, path: string): Promise<void> {
  return rm(join(folder, `${path}.p`), { recursive: true, force: true })
}

/** Bundles whose entries went by policy since they were published. */
async function dropPurged(source: LogSource, folder: string): Promise<void> {
  for (const tile of tilesOf(source.size)) {
    if (tile.level > 0 || tile.width < TILE_WIDTH) break
    const [first] = source.entries(tile.index * TILE_WIDTH, 1)
    // They go from the oldest on.
    if (first === undefined || first.bytes.length > 0) break
    await removeIfThere(join(folder, bundlePath(tile)))
  }
}

async function publishedBefore(source: LogSource, folder: string): Promise<number> {
  const text = await readFileIfThere(join(folder, PLACE_FILES.checkpoint))
  if (text === null) return 0
  const other = (problem: string) =>
    new AppError('integrity', `what was published in ${folder} is not the beginning of this log: ${problem}`, {
      hint: 'keep that folder as evidence, and publish into another one',
    })
  const { size, root } = openCheckpoint(text, source.key)
  if (size > source.size) throw other(`it has ${size} entries, the log has ${source.size}`)
  if (!root.equals(await rangeRoot({ start: 0, end: size }, source.subtree))) throw other('its tree differs')
  return size
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null
}

/** The proof file of one entry. Throws `not_found`. */
export async function proveEntry(source: LogSource, seq: number): Promise<string> {
  if (seq > source.size) throw new AppError('not_found', `there is no audit entry ${seq}: the log has ${source.size}`)
  const [entry] = source.entries(seq - 1, 1)
  if (entry === undefined || entry.bytes.length === 0)
    throw new AppError('not_found', `entry ${seq} went by the policy's retention`)
  const hashes = await proofOf(inclusionRanges(seq - 1, source.size), source.subtree)
  return proofText({ seq, entry: entry.bytes, hashes, checkpoint: source.checkpoint })
}

/** Entries read and written in one step. */
const EXPORT_STEP = TILE_WIDTH

/** The whole log in one file for an auditor, readable by its owner alone. Throws `conflict` when the file is there. */
export async function exportLog(source: LogSource, path: string): Promise<{ entries: number }> {
  if (await isThere(path)) throw new AppError('conflict', `${path} is there already`)
  const header: CopyHeader = {
    format: COPY_FORMAT,
    key: verifierKey(source.key),
    checkpoint: source.checkpoint,
    cosigned: source.cosigned,
  }
  const beside = `${path}.tmp`
  await pipeline(
    function* () {
      yield `${JSON.stringify(header)}\n`
      for (let at = 0; at < source.size; at += EXPORT_STEP) {
        const step = source.entries(at, Math.min(EXPORT_STEP, source.size - at))
        yield Buffer.concat(step.flatMap(({ bytes, hash }) => [lineOf(bytes, hash), LINE_END]))
      }
    },
    createWriteStream(beside, { mode: SECRET_MODE, flush: true }),
  )
  await renameDurably(beside, path)
  return { entries: source.size }
}
const LINE_END = Buffer.from('\n')

function lineOf(bytes: Buffer, hash: Buffer): Buffer {
  return bytes.length > 0 ? bytes : Buffer.from(JSON.stringify({ purged: hash.toString('hex') }))
}
