/**
 * The key that signs lists, policy and commands, and the chain of documents by which cameras follow to the next one. The chain lies
 * beside the keys and not in the database, so that a backup never has one without the other. Each step leaves files from which
 * `finish` goes on. Opened by keys.ts, driven by key-rotation.ts.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '../shared/errors.ts'
import { readFileIfThere, readOrMakeSecretFile, removeIfThere, writeFileDurably } from '../shared/secret-file.ts'
import { createSigner, newSigningKeyPem, type Signer } from '../shared/signing.ts'
import { cosign, readSigningKeys } from '../shared/signing-keys.ts'
import { cosignedSchema, MAX_KEPT_SIGNING_KEYS, type SigningKeysDocument } from '../shared/wire/index.ts'

export const SIGNING_KEY_FILES = {
  current: 'list-signing.pem',
  /** There while a rotation is being begun. */
  next: 'list-signing.next.pem',
  chain: 'signing-keys.json',
} as const

const chainSchema = z.strictObject({
  /** The key of before is not waited for any longer. */
  retireNow: z.boolean(),
  documents: z.array(cosignedSchema).max(MAX_KEPT_SIGNING_KEYS),
})
type Chain = z.infer<typeof chainSchema>

export interface SigningKeys {
  /** The same object for the life of the process; signs with the key of now. */
  readonly signer: Signer
  readonly version: number
  /** Public keys that cameras may trust now, the one that signs first. */
  readonly trusted: readonly string[]
  /** The key of before is still trusted. */
  readonly isRotating: boolean
  readonly retireNow: boolean
  /** Oldest first, as published. */
  readonly documents: readonly { version: number; bytes: Buffer }[]
  /** What a new camera gets: the trusted keys, with their version. */
  readonly enrolmentPem: string
  /** A new key, trusted beside the one of before, signs from now on. Throws `conflict` while a rotation is under way. */
  begin(by: { agency: string; nowMs: number; retireNow: boolean }): Promise<void>
  /** Goes on with a `begin` that was cut short. */
  finish(by: { agency: string; nowMs: number }): Promise<void>
  /** From now on the key of before is to be retired without waiting for cameras. */
  hasten(): Promise<void>
  /** The key of before is trusted no more. */
  retire(by: { agency: string; nowMs: number }): Promise<void>
}

/** Opens the files in `folder`, making the first key when there is none. Throws `configuration` for files that do not belong together. */
export async function openSigningKeys(folder: string): Promise<SigningKeys> {
  const path = (file: keyof typeof SIGNING_KEY_FILES) => join(folder, SIGNING_KEY_FILES[file])
  let signer = toSigner(await readOrMakeSecretFile(path('current'), () => newSigningKeyPem().privateKeyPem))
  let chain = await readChain(path('chain'))
  let documents = chain.documents.map(toPublished)
  const newest = () => documents.at(-1)?.document ?? null
  const trustedIds = () => newest()?.keys.map(({ keyId }) => keyId) ?? [signer.keyId]
  if (!trustedIds().includes(signer.keyId)) {
    throw new AppError('configuration', `${path('current')}: not the key of ${path('chain')}`, {
      hint: 'restore both with `candor restore`',
    })
  }

  function toSigner(pem: string): Signer {
    try {
      return createSigner(pem)
    } catch (cause) {
      throw new AppError('configuration', `${folder}: a signing key is not an Ed25519 private key`, {
        hint: 'restore it with `candor restore`',
        cause,
      })
    }
  }

  async function keep(change: Partial<Chain>): Promise<void> {
    const changed = { ...chain, ...change }
    await writeFileDurably(path('chain'), JSON.stringify(changed))
    chain = changed
    documents = changed.documents.map(toPublished)
  }

  async function append(
    signers: readonly Signer[],
    keys: readonly { keyId: string; publicKeyPem: string }[],
    { agency, nowMs }: { agency: string; nowMs: number },
  ): Promise<void> {
    const document: SigningKeysDocument = {
      agency,
      version: (newest()?.version ?? 1) + 1,
      keys: keys.map(({ keyId, publicKeyPem }) => ({ keyId, publicKeyPem })),
      retired: trustedIds().filter((keyId) => keys.every((key) => key.keyId !== keyId)),
      issuedAtMs: nowMs,
    }
    await keep({ documents: [...chain.documents, cosign(document, signers)].slice(-MAX_KEPT_SIGNING_KEYS) })
  }

  async function finish(by: { agency: string; nowMs: number }): Promise<void> {
    const pem = await readFileIfThere(path('next'))
    if (pem === null) return
    const next = toSigner(pem)
    if (next.keyId !== signer.keyId) {
      if (!trustedIds().includes(next.keyId)) await append([signer, next], [next, signer], by)
      // The private key of before is gone from here on; cameras trust its public half until it is retired.
      await writeFileDurably(path('current'), pem)
      signer = next
    }
    await removeIfThere(path('next'))
  }

  const keys: SigningKeys = {
    signer: {
      get keyId() {
        return signer.keyId
      },
      get publicKeyPem() {
        return signer.publicKeyPem
      },
      seal: (payload) => signer.seal(payload),
    },
    get version() {
      return newest()?.version ?? 1
    },
    get trusted() {
      return newest()?.keys.map(({ publicKeyPem }) => publicKeyPem) ?? [signer.publicKeyPem]
    },
    get isRotating() {
      return trustedIds().length > 1
    },
    get retireNow() {
      return chain.retireNow
    },
    get documents() {
      return documents.map(({ document, bytes }) => ({ version: document.version, bytes }))
    },
    get enrolmentPem() {
      return `Signing keys, version ${keys.version}\n${keys.trusted.join('')}`
    },
    async begin(by) {
      if (keys.isRotating) throw new AppError('conflict', 'the key of before is not retired yet')
      await keep({ retireNow: by.retireNow })
      await writeFileDurably(path('next'), newSigningKeyPem().privateKeyPem)
      await finish(by)
    },
    finish,
    hasten: () => keep({ retireNow: true }),
    async retire(by) {
      if (keys.isRotating) await append([signer], [signer], by)
    },
  }
  return keys
}

async function readChain(path: string): Promise<Chain> {
  const text = await readFileIfThere(path)
  if (text === null) return { retireNow: false, documents: [] }
  try {
    return chainSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new AppError('configuration', `${path}: damaged`, { hint: 'restore it with `candor restore`', cause })
  }
}

function toPublished(cosigned: Chain['documents'][number]): { document: SigningKeysDocument; bytes: Buffer } {
  const bytes = Buffer.from(JSON.stringify(cosigned))
  return { document: readSigningKeys(bytes).document, bytes }
}
