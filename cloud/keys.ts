/**
 * The cloud's own secrets besides the certificate authority: the key that signs lists and policy, the key that signs the
 * audit's head, the key of the plate digests in the audit, the key that opens what cameras seal, the key that the secrets of
 * webhooks are made of, and the key that seals the secrets of authenticator apps. Each is a file of its own (mode 0600)
 * outside the database, made at first start; `candor backup` takes the whole folder.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '../shared/errors.ts'
import { createOpener, newSealingKeyPem, type Opener } from '../shared/sealing.ts'
import { PUBLIC_MODE, readFileIfThere, readOrMakeSecretFile, writeFileDurably } from '../shared/secret-file.ts'
import { createSigner, newSigningKeyPem, type Signer } from '../shared/signing.ts'
import { openSigningKeys, type SigningKeys } from './signing-keys.ts'

export const KEY_FILES = {
  audit: 'audit-signing.pem',
  /** Public half of the audit key, for verifying on another machine. */
  auditPublic: 'audit-signing.public.pem',
  plateDigest: 'plate-digest.key',
  sealing: 'sealing.pem',
  webhooks: 'webhook-secrets.key',
  factors: 'factor-secrets.key',
  /** Opened by list-keys.ts. */
  listDigest: 'list-digest.key',
} as const

/** Bytes of a key for HMAC-SHA256, as long as its output [RFC 2104, 3], and for AES-256. */
export const DIGEST_KEY_BYTES = 32

export interface Keys {
  /** Signs hotlist manifests and the policy; cameras hold its public half. */
  readonly lists: Signer
  /** The same key, and those before and after it. */
  readonly signing: SigningKeys
  /** Signs the audit's head and the reports that name it, each saying what it is; never a list, so that none can pass for a head. */
  readonly audit: Signer
  readonly plateDigestKey: Buffer
  /** The secrets of webhooks are made of it, so that a copy of the database signs nothing. */
  readonly webhookKey: Buffer
  /** Seals the secrets of authenticator apps (AES-256), so that a copy of the database makes no codes. */
  readonly factorKey: Buffer
  /** Opens what cameras have sealed; they hold its public half. */
  readonly sealing: Opener
}

/** Opens the keys in `folder`, making what is missing. Throws `configuration` for a file that is no such key. */
export async function openKeys(options: { folder: string; newSecret: (byteCount: number) => string }): Promise<Keys> {
  const { folder, newSecret } = options
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const signing = await openSigningKeys(folder)
  const audit = await openSigner(join(folder, KEY_FILES.audit))
  const publicPath = join(folder, KEY_FILES.auditPublic)
  if ((await readFileIfThere(publicPath)) !== audit.publicKeyPem)
    await writeFileDurably(publicPath, audit.publicKeyPem, PUBLIC_MODE)
  const openSymmetricKey = async (path: string) => {
    const key = Buffer.from(await readOrMakeSecretFile(path, () => `${newSecret(DIGEST_KEY_BYTES)}\n`), 'base64url')
    if (key.length === DIGEST_KEY_BYTES) return key
    throw new AppError('configuration', `${path}: not a key of ${DIGEST_KEY_BYTES} bytes`)
  }
  const plateDigestKey = await openSymmetricKey(join(folder, KEY_FILES.plateDigest))
  const webhookKey = await openSymmetricKey(join(folder, KEY_FILES.webhooks))
  const factorKey = await openSymmetricKey(join(folder, KEY_FILES.factors))
  const sealing = await openSealing(join(folder, KEY_FILES.sealing))
  return { lists: signing.signer, signing, audit, plateDigestKey, webhookKey, factorKey, sealing }
}

async function openSealing(path: string): Promise<Opener> {
  const pem = await readOrMakeSecretFile(path, () => newSealingKeyPem().privateKeyPem)
  try {
    return createOpener(pem)
  } catch (cause) {
    throw new AppError('configuration', `${path}: not an X25519 private key`, {
      hint: 'restore it with `candor restore`',
      cause,
    })
  }
}

async function openSigner(path: string): Promise<Signer> {
  const pem = await readOrMakeSecretFile(path, () => newSigningKeyPem().privateKeyPem)
  try {
    return createSigner(pem)
  } catch (cause) {
    throw new AppError('configuration', `${path}: not an Ed25519 private key`, {
      hint: 'restore it with `candor restore`',
      cause,
    })
  }
}
