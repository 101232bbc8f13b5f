/** Which keys sign lists, policy and commands: a chain of documents, each signed by a key of the one before, after TUF's root rules. */
import { z } from 'zod'
import { slugSchema } from '../names.ts'
import { timeMsSchema } from './sighting.ts'

/** Keys that may be trusted at one time: the one that signs, and that of before while cameras follow. */
export const MAX_SIGNING_KEYS = 4
/** Largest document with its signatures, bytes. */
export const MAX_SIGNING_KEYS_BYTES = 4 * 1024
/** Documents that stay published; a camera that missed more than these must be enrolled again. A rotation makes two. */
export const MAX_KEPT_SIGNING_KEYS = 64

const keyIdSchema = z.string().regex(/^[0-9a-f]{16}$/)

/** Retained at `signing-keys/{version}`. Version 1 has no document: it is what a camera was enrolled with before any rotation. */
export const signingKeysSchema = z.strictObject({
  agency: slugSchema,
  version: z.int().min(2).max(999_999_999).describe('one more than that of the document before'),
  keys: z
    .array(z.strictObject({ keyId: keyIdSchema, publicKeyPem: z.string().max(256) }))
    .min(1)
    .max(MAX_SIGNING_KEYS)
    .describe('trusted from now on; the first one signs'),
  retired: z.array(keyIdSchema).max(MAX_SIGNING_KEYS).describe('trusted by the version before, and no more'),
  issuedAtMs: timeMsSchema,
})
export type SigningKeysDocument = z.infer<typeof signingKeysSchema>

/** The document's exact bytes with the signatures of a key of the version before and of each key that is new. */
export const cosignedSchema = z.strictObject({
  payload: z.base64(),
  signatures: z
    .array(z.strictObject({ keyId: keyIdSchema, signature: z.base64().length(88) }))
    .min(1)
    .max(MAX_SIGNING_KEYS + 1),
})
export type Cosigned = z.infer<typeof cosignedSchema>

/** Published by a camera at `acks/signing-keys`: the version that it trusts from now on, or would not follow to. */
export const signingKeysAckSchema = z.strictObject({
  version: z.int().min(0),
  result: z.enum(['applied', 'refused']),
  reason: z.string().max(200).nullable(),
  atMs: timeMsSchema,
})
export type SigningKeysAck = z.infer<typeof signingKeysAckSchema>
