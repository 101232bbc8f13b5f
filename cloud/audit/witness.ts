/**
 * A witness: run by an organisation outside the agency, it remembers the largest tree of a log that it has seen and cosigns a newer
 * one only when that continues it. So an agency cannot show different histories to different people without two witnesses' help.
 * Part of the stand-alone program; owns its state file.
 */
import { mkdir, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { AppError, systemCode } from '../../shared/errors.ts'
import { readFileIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import { PLACE_FILES } from './copies.ts'
import {
  cosign,
  type NoteKey,
  noteOf,
  openCheckpoint,
  parseVerifierKey,
  verifierKey,
  type WitnessSigner,
} from './note.ts'
import type { Place } from './place.ts'
import { decodeTile, subtreeHashes, TILE_WIDTH, tilePath } from './tiles.ts'
import { consistencyRanges, HASH_BYTES, isConsistent, proofOf } from './tree.ts'

const stateSchema = z.strictObject({
  format: z.literal('candor-witness-1'),
  /** Verifier key of the log, fixed at the first time. */
  key: z.string(),
  /** The largest checkpoint that was cosigned. */
  checkpoint: z.string(),
})

export interface WitnessRequest {
  place: Place
  signer: WitnessSigner
  stateFile: string
  /** The log's key as the agency gave it; null: that of the state file, which then must be there. */
  key: NoteKey | null
  nowMs: number
}

export interface Witnessed {
  origin: string
  /** Entries that were cosigned before, 0: none. */
  before: number
  size: number
  /** The checkpoint with the log's and the witness's signature. */
  note: string
}

/**
 * Looks at the log once and cosigns it. Throws `integrity` when it does not continue what was seen before: nothing is signed then,
 * and the state file still holds the checkpoint that proves it; `configuration` when it is not known whose log it is.
 */
export async function witnessLog({ place, signer, stateFile, key, nowMs }: WitnessRequest): Promise<Witnessed> {
  await mkdir(dirname(stateFile), { recursive: true })
  return alone(`${stateFile}.lock`, async () => {
    const seen = await readState(stateFile)
    const logKey = key ?? seen?.key ?? null
    if (logKey === null)
      throw new AppError('configuration', 'whose log is it? Give its verifier key the first time', {
        hint: 'the agency publishes it as the file `key`; compare it with what it has published elsewhere',
      })
    if (seen !== null && verifierKey(seen.key) !== verifierKey(logKey))
      throw new AppError('integrity', `${stateFile} is about the log of another key, ${verifierKey(seen.key)}`)
    const text = (await place.read(PLACE_FILES.checkpoint))?.toString('utf8')
    if (text === undefined) throw new AppError('not_found', `${place.name} has no checkpoint`)
    const now = openCheckpoint(text, logKey)
    const before = seen === null ? null : openCheckpoint(seen.checkpoint, logKey)
    if (before !== null) await mustContinue(place, before, now)
    // Kept before the signature leaves: a witness must never sign what it would forget.
    const state = { format: 'candor-witness-1', key: verifierKey(logKey), checkpoint: text } as const
    await writeFileDurably(stateFile, `${JSON.stringify(state, null, 2)}\n`)
    const own = now.note.signatures.filter(({ name }) => name === logKey.name).map(({ line }) => line)
    const note = noteOf(now.note.text, [...own, cosign(now.note.text, signer, nowMs)])
    return { origin: now.origin, before: before?.size ?? 0, size: now.size, note }
  })
}

type Tree = { size: number; root: Buffer }

async function mustContinue(place: Place, before: Tree, now: Tree): Promise<void> {
  if (now.size < before.size)
    throw new AppError('integrity', `THE LOG WAS CUT: ${before.size} entries were cosigned, ${now.size} are shown now`)
  const hashOf = subtreeHashes(now.size, async (tile) => {
    const whole = { ...tile, width: TILE_WIDTH }
    const bytes = (await place.read(tilePath(tile))) ?? (await place.read(tilePath(whole)))
    if (bytes === null) throw new AppError('not_found', `${place.name} has no ${tilePath(tile)}`)
    return decodeTile(bytes, bytes.length === TILE_WIDTH * HASH_BYTES ? TILE_WIDTH : tile.width)
  })
  const proof = await proofOf(consistencyRanges(before.size, now.size), hashOf)
  if (isConsistent(before, now, proof)) return
  throw new AppError(
    'integrity',
    `HISTORY WAS REWRITTEN: the tree of ${now.size} entries does not continue that of ${before.size}, which was cosigned`,
    { hint: 'keep the state file and what is shown now: the two signed checkpoints together are the evidence' },
  )
}

async function readState(path: string): Promise<{ key: NoteKey; checkpoint: string } | null> {
  const text = await readFileIfThere(path)
  if (text === null) return null
  try {
    const state = stateSchema.parse(JSON.parse(text))
    return { key: parseVerifierKey(state.key), checkpoint: state.checkpoint }
  } catch (cause) {
    throw new AppError('integrity', `${path} is no state of a witness, or is damaged`, { cause })
  }
}

/** Two at once could each sign on from the same place. */
async function alone<T>(lock: string, work: () => Promise<T>): Promise<T> {
  try {
    await (await open(lock, 'wx')).close()
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') throw new AppError('unavailable', `${lock} cannot be made`, { cause })
    throw new AppError('conflict', `${lock} is there: the witness runs already`, {
      hint: 'remove the file when it does not',
      cause,
    })
  }
  try {
    return await work()
  } finally {
    await rm(lock, { force: true })
  }
}
