/**
 * The signed head: how many entries the audit has and the hash of the last one, in a file outside the database, and beside it
 * the checkpoint: the same number with the tree's root, as a signed note for outsiders. Whoever can rewrite the database but
 * has not the signing key cannot rewrite the head with it. One file, so that the two are never apart.
 *
 * The head of the next group is signed and flushed as `{path}.next` before the group is committed and renamed after it. So
 * after a crash the table always ends at a signed place, and nothing unsigned is ever signed in retrospect.
 */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { PUBLIC_MODE, readFileIfThere, renameDurably, writeFlushed } from '../../shared/secret-file.ts'
import { createVerifier, type Signer } from '../../shared/signing.ts'
import { timeMsSchema } from '../../shared/wire/sighting.ts'
import { type ChainPoint, canonicalBytes } from './entry.ts'
import { logKey, openCheckpoint, originOf, signCheckpoint } from './note.ts'

const HEAD_KIND = 'candor-audit-head'

const headSchema = z.strictObject({
  /** Names the kind of document, so that nothing else signed by the same key passes for a head. */
  kind: z.literal(HEAD_KIND),
  agency: slugSchema,
  seq: z.int().min(0),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  atMs: timeMsSchema,
})
type HeadPayload = z.infer<typeof headSchema>

export interface Head extends HeadPayload {
  /** Null in a head from before there was a tree. */
  readonly checkpoint: { readonly note: string; readonly root: Buffer } | null
}

export function nextPath(headPath: string): string {
  return `${headPath}.next`
}

/** Bytes of a signed head as they stand in the file. `root`: of the tree of its entries; null: no checkpoint. */
export function sealHead(signer: Signer, head: Omit<HeadPayload, 'kind'>, root: Buffer | null): string {
  return headText(signer, head, root === null ? {} : { checkpoint: sealCheckpoint(signer, head, root) })
}

function headText(signer: Signer, head: Omit<HeadPayload, 'kind'>, beside: { checkpoint?: string }): string {
  const envelope = signer.seal(canonicalBytes({ kind: HEAD_KIND, ...head }))
  return `${JSON.stringify({ ...envelope, ...beside })}\n`
}

function sealCheckpoint(signer: Signer, { agency, seq }: { agency: string; seq: number }, root: Buffer): string {
  const origin = originOf(agency)
  return signCheckpoint({ origin, size: seq, root }, logKey(origin, signer.publicKeyPem), (bytes) =>
    Buffer.from(signer.seal(bytes).signature, 'base64'),
  )
}

/** The head in `path`, or null when there is no file. Throws `integrity` for anything but a head signed by the key. */
export async function readHead(path: string, publicKeyPem: string): Promise<Head | null> {
  const text = await readFileIfThere(path)
  return text === null ? null : openHead(text, publicKeyPem, path)
}

/** Throws `integrity`; `configuration` for a key that is none. */
export function openHead(text: string, publicKeyPem: string, path: string): Head {
  const verifier = createVerifier([publicKeyPem])
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (cause) {
    throw new AppError('integrity', `${path}: not a signed head`, { cause })
  }
  const { checkpoint: note = null, ...envelope } = fileSchema.parse(document)
  const opened = <T>(open: () => T): T => {
    try {
      return open()
    } catch (cause) {
      const why = cause instanceof AppError ? cause.message : 'not a signed head'
      throw new AppError('integrity', `${path}: ${why}`, { cause })
    }
  }
  const payload = opened(() => verifier.open(envelope))
  // Base64 has several spellings of the same bytes; a file with another one was changed.
  for (const text of [envelope.payload, envelope.signature]) {
    if (typeof text !== 'string' || Buffer.from(text, 'base64').toString('base64') !== text)
      throw new AppError('integrity', `${path}: the signed head was changed`)
  }
  const head = headSchema.safeParse(JSON.parse(payload.toString('utf8')))
  if (!head.success) throw new AppError('integrity', `${path}: signed, but not a head`)
  if (note === null) return { ...head.data, checkpoint: null }
  const { size, root } = opened(() => openCheckpoint(note, logKey(originOf(head.data.agency), publicKeyPem)))
  if (size !== head.data.seq) throw new AppError('integrity', `${path}: head and checkpoint are not of the same moment`)
  return { ...head.data, checkpoint: { note, root } }
}

/** What is signed is judged by the verifier. */
const fileSchema = z.looseObject({ checkpoint: z.string().optional() }).catch({})

/** The signed head of a group that was being committed at a crash, or null: a damaged one was cut short while written. */
export async function readNextHead(headPath: string, publicKeyPem: string): Promise<Head | null> {
  try {
    return await readHead(nextPath(headPath), publicKeyPem)
  } catch (thrown) {
    if (thrown instanceof AppError && thrown.code === 'integrity') return null
    throw thrown
  }
}

export interface HeadFile {
  read(): Promise<Head | null>
  readNext(): Promise<Head | null>
  /** Signs `point` and the tree's root there, and flushes both as the next head. */
  prepare(point: ChainPoint, root: Buffer, atMs: number): Promise<void>
  /** The prepared head becomes the head. */
  adopt(): Promise<void>
}

export function createHeadFile(options: { path: string; agency: string; signer: Signer }): HeadFile {
  const { path, agency, signer } = options
  /** The head that was last signed or read: the same text need not be verified again for each group. */
  let known: { text: string; head: Head } | null = null
  return {
    async read() {
      const text = await readFileIfThere(path)
      if (text === null) return null
      if (known?.text !== text) known = { text, head: openHead(text, signer.publicKeyPem, path) }
      return known.head
    },
    readNext: () => readNextHead(path, signer.publicKeyPem),
    async prepare({ seq, hash }, root, atMs) {
      const head = { agency, seq, hash, atMs }
      const note = sealCheckpoint(signer, head, root)
      const text = headText(signer, head, { checkpoint: note })
      await writeFlushed(nextPath(path), text, PUBLIC_MODE)
      known = { text, head: { kind: HEAD_KIND, ...head, checkpoint: { note, root } } }
    },
    adopt: () => renameDurably(nextPath(path), path),
  }
}
