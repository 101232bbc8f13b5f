/**
 * The signed head: how many entries the audit has and the hash of the last one, in a file outside the database. Whoever can
 * rewrite the database but has not the signing key cannot rewrite the head with it.
 *
 * The head of the next group is signed and flushed as `{path}.next` before the group is committed and renamed after it. So
 * after a crash the table always ends at a signed place, and nothing unsigned is ever signed in retrospect.
 */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { createVerifier, type Signer, type Verifier } from '../../shared/signing.ts'
import { timeMsSchema } from '../../shared/wire/sighting.ts'
import { PUBLIC_MODE, readFileIfThere, renameDurably, writeFlushed } from '../secret-file.ts'
import { type ChainPoint, canonicalBytes } from './entry.ts'

const headSchema = z.strictObject({
  /** Names the kind of document, so that nothing else signed by the same key passes for a head. */
  kind: z.literal('candor-audit-head'),
  agency: slugSchema,
  seq: z.int().min(0),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  atMs: timeMsSchema,
})
export type Head = z.infer<typeof headSchema>

export function nextPath(headPath: string): string {
  return `${headPath}.next`
}

/** Bytes of a signed head as they stand in the file. */
export function sealHead(signer: Signer, head: Omit<Head, 'kind'>): string {
  const payload = canonicalBytes({ kind: 'candor-audit-head', ...head })
  return `${JSON.stringify(signer.seal(payload))}\n`
}

/** The head in `path`, or null when there is no file. Throws `integrity` for anything but a head signed by a trusted key. */
export async function readHead(path: string, verifier: Verifier): Promise<Head | null> {
  const text = await readFileIfThere(path)
  return text === null ? null : openHead(text, verifier, path)
}

export function openHead(text: string, verifier: Verifier, path: string): Head {
  let envelope: unknown
  try {
    envelope = JSON.parse(text)
  } catch (cause) {
    throw new AppError('integrity', `${path}: not a signed head`, { cause })
  }
  let payload: Buffer
  try {
    payload = verifier.open(envelope)
  } catch (cause) {
    const why = cause instanceof AppError ? cause.message : 'not a signed head'
    throw new AppError('integrity', `${path}: ${why}`, { cause })
  }
  const head = headSchema.safeParse(JSON.parse(payload.toString('utf8')))
  if (!head.success) throw new AppError('integrity', `${path}: signed, but not a head`)
  return head.data
}

/** The signed head of a group that was being committed at a crash, or null: a damaged one was cut short while written. */
export async function readNextHead(headPath: string, verifier: Verifier): Promise<Head | null> {
  try {
    return await readHead(nextPath(headPath), verifier)
  } catch (thrown) {
    if (thrown instanceof AppError && thrown.code === 'integrity') return null
    throw thrown
  }
}

export interface HeadFile {
  readonly verifier: Verifier
  read(): Promise<Head | null>
  readNext(): Promise<Head | null>
  /** Signs `point` and flushes it as the next head. */
  prepare(point: ChainPoint, atMs: number): Promise<void>
  /** The prepared head becomes the head. */
  adopt(): Promise<void>
}

export function createHeadFile(options: { path: string; agency: string; signer: Signer }): HeadFile {
  const { path, agency, signer } = options
  const verifier = createVerifier([signer.publicKeyPem])
  return {
    verifier,
    read: () => readHead(path, verifier),
    readNext: () => readNextHead(path, verifier),
    prepare: (point, atMs) =>
      writeFlushed(nextPath(path), sealHead(signer, { agency, seq: point.seq, hash: point.hash, atMs }), PUBLIC_MODE),
    adopt: () => renameDurably(nextPath(path), path),
  }
}
