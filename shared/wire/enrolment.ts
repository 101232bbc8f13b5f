/** A camera's enrolment, over HTTPS: the claim that is carried to the unit, what the unit asks with it, and what it is given. */
import { z } from 'zod'
import { MAX_CLAIM_TEXT } from '../claim-code.ts'
import { slugSchema } from '../names.ts'
import { policySchema } from './policy.ts'
import { timeMsSchema } from './sighting.ts'

/** A P-256 request is under 1 KiB of PEM. */
export const MAX_CSR_CHARACTERS = 8 * 1024
/** One certificate is under 1 KiB; while an authority is replaced there are two. */
export const MAX_CA_CHARACTERS = 16 * 1024
/** A claim's file: the code, and the authority's certificate. */
export const MAX_CLAIM_FILE_BYTES = 32 * 1024
export const MAX_SITE_CHARACTERS = 100
const MAX_URL_CHARACTERS = 300

export const csrSchema = z.string().max(MAX_CSR_CHARACTERS).describe('certificate request, PKCS #10 PEM, P-256')
const caSchema = z.string().max(MAX_CA_CHARACTERS)

export const siteSchema = z
  .string()
  .max(MAX_SITE_CHARACTERS)
  .regex(/^[\p{L}\p{N}\p{P}\p{S} ]*$/u, 'must be one line of text')
  .describe('where the camera is put up')

/** What lies on the card's FAT partition: the cloud to ask, the only authority to trust, and the right to ask once. */
export const claimFileSchema = z.strictObject({
  candorClaim: z.literal(1),
  cloud: z.url({ protocol: /^https$/ }).max(MAX_URL_CHARACTERS),
  agency: slugSchema,
  camera: slugSchema,
  code: z.string().max(MAX_CLAIM_TEXT),
  caPem: caSchema,
  madeAtMs: timeMsSchema,
})
export type ClaimFile = z.infer<typeof claimFileSchema>

/** Said to anybody: what a certificate of this cloud is checked by. */
export const enrolmentDoorSchema = z.object({
  agency: slugSchema,
  caPem: caSchema,
  nowMs: timeMsSchema,
})
export type EnrolmentDoor = z.infer<typeof enrolmentDoorSchema>

export const enrolmentRequestSchema = z.strictObject({ code: z.string().max(MAX_CLAIM_TEXT), csrPem: csrSchema })

/** Everything that a camera's folder needs besides its own key. */
export const issuedCameraSchema = z.object({
  agency: slugSchema,
  camera: slugSchema,
  certificatePem: z.string(),
  serial: z.string(),
  expiresAtMs: timeMsSchema,
  caPem: caSchema,
  listKeysPem: z.string().describe('public keys trusted for lists and policy'),
  sealingPem: z.string().describe('public key to which the camera seals what waits on it'),
  mqttPort: z.int(),
  policy: z
    .object({
      upload: policySchema.shape.upload,
      unmatchedInMemory: z.boolean(),
      retention: policySchema.shape.retention,
    })
    .describe('what the camera obeys until it has been sent the signed policy'),
})
export type IssuedCamera = z.infer<typeof issuedCameraSchema>

export const enrolmentAnswerSchema = z.discriminatedUnion('state', [
  z.object({
    state: z.literal('pending'),
    camera: slugSchema,
    fingerprint: z.string().describe('of the key; who approves compares it with what the unit shows'),
    askAgainMs: z.int(),
  }),
  z.object({ state: z.literal('issued'), issued: issuedCameraSchema }),
])
export type EnrolmentAnswer = z.infer<typeof enrolmentAnswerSchema>

/** Published by a camera at `requests/certificate/{id}`, when the cloud has told it to by `commands/renew/{id}`. */
export const certificateRequestSchema = z.strictObject({ csrPem: csrSchema })
export type CertificateRequest = z.infer<typeof certificateRequestSchema>

/** Signed; the answer at `commands/certificate/{id}`, QoS 0. The first connection with it ends the certificate of before. */
export const certificateAnswerSchema = z.strictObject({
  agency: slugSchema,
  cameraId: slugSchema,
  requestId: z.uuidv7(),
  certificatePem: z.string().max(MAX_CA_CHARACTERS),
  caPem: caSchema,
})
export type CertificateAnswer = z.infer<typeof certificateAnswerSchema>
