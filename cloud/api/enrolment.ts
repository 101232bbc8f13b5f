/** Routes by which a unit becomes a camera: claims and their approval for people, and the two that a unit itself calls. */
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { MAX_CLAIM_TEXT } from '../../shared/claim-code.ts'
import { SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import {
  enrolmentAnswerSchema,
  enrolmentDoorSchema,
  enrolmentRequestSchema,
  siteSchema,
  timeMsSchema,
} from '../../shared/wire/index.ts'
import { CLAIM_STATES, type Claim } from '../enrolment/claim.ts'
import { createWrongCodes } from '../enrolment/wrong-codes.ts'
import { type ClaimRefusal, DEFAULT_CLAIM_HOURS, MAX_CLAIM_HOURS } from '../enrolment.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'
import { describeIssued } from './fleet.ts'

/** From one address: twenty units of one workshop that ask again every ASK_AGAIN_MS. */
export const MAX_ENROLMENT_REQUESTS_PER_MINUTE = 120
/** A unit that waits for its approval asks again after so long. */
export const ASK_AGAIN_MS = 10 * SECOND_MS

const limited = { rateLimit: { max: MAX_ENROLMENT_REQUESTS_PER_MINUTE, timeWindow: 60_000 } }

const claimSchema = z.object({
  claimId: z.string(),
  camera: slugSchema,
  site: z.string().nullable(),
  replaces: z.boolean().describe('the unit takes the place of a camera that is registered'),
  state: z.enum(CLAIM_STATES),
  madeAtMs: timeMsSchema,
  madeBy: slugSchema,
  expiresAtMs: timeMsSchema.describe('of the state: of the claim, of the wait for an administrator, of the fetching'),
  fingerprint: z.string().nullable().describe('of the key that has used it'),
  askedAtMs: timeMsSchema.nullable(),
  source: z.string().nullable(),
  decidedAtMs: timeMsSchema.nullable(),
  decidedBy: z.string().nullable(),
  fetchedAtMs: timeMsSchema.nullable(),
  misuses: z.int().describe('times that another key has tried it'),
  misusedAtMs: timeMsSchema.nullable(),
  alarm: z.boolean().describe('another key has tried it, and nobody has ended the alarm'),
})

/** What it is signed by and asked with stays inside. */
const show = ({ keySha256: _key, csrPem: _csr, ...claim }: Claim): z.infer<typeof claimSchema> => claim

const cameraParams = z.object({ camera: slugSchema })
const fingerprintSchema = z.string().max(MAX_CLAIM_TEXT).describe('as the unit shows it')

export function registerEnrolment(app: TypedApi, parts: CloudParts, door: Door): void {
  const { agency, authority, clock, denials, enrolment, metrics } = parts
  const wrongCodes = createWrongCodes(clock)
  const by = (request: FastifyRequest) => door.session(request).account
  const subject = (camera: string) => ({ kind: 'camera', id: camera })

  app.route({
    method: 'GET',
    url: '/api/v1/claims',
    onRequest: door.guard('cameras.read'),
    schema: {
      summary: 'Claims of camera units, newest first, without their codes',
      response: { 200: z.object({ claims: z.array(claimSchema) }) },
    },
    handler: async () => ({ claims: (await enrolment.list()).map(show) }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/claims',
    onRequest: door.guard('cameras.write'),
    schema: {
      summary: 'Makes a claim: a code with which one unit may ask once for one certificate',
      body: z.strictObject({
        camera: slugSchema,
        site: siteSchema.nullable().default(null),
        hours: z.number().gt(0).max(MAX_CLAIM_HOURS).default(DEFAULT_CLAIM_HOURS),
        replaces: z.boolean().default(false),
      }),
      response: {
        201: z.object({
          claim: claimSchema,
          code: z.string().describe('shown now and never again'),
          agency: slugSchema,
          caPem: z.string(),
        }),
      },
    },
    async handler(request, reply) {
      const { camera, hours, replaces } = request.body
      const record = { operation: 'camera.claim', subject: subject(camera), detail: { hours, replaces } }
      const { claim, code } = await door.audited(request, record, () => enrolment.claim(request.body, by(request)))
      return reply.code(201).send({ claim: show(claim), code, agency, caPem: authority.trustedPem })
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/claims/:camera/approve',
    onRequest: door.guard('cameras.write'),
    schema: {
      summary: 'The unit whose key has this fingerprint becomes the camera',
      params: cameraParams,
      body: z.strictObject({ fingerprint: fingerprintSchema }),
      response: { 200: claimSchema },
    },
    async handler(request) {
      const { camera } = request.params
      const { fingerprint } = request.body
      const record = { operation: 'camera.approve', subject: subject(camera), detail: { fingerprint } }
      return show(await door.audited(request, record, () => enrolment.approve(camera, fingerprint, by(request))))
    },
  })

  const ending = (verb: 'reject' | 'revoke', operation: string, summary: string) =>
    app.route({
      method: 'POST',
      url: `/api/v1/claims/:camera/${verb}`,
      onRequest: door.guard('cameras.write'),
      schema: { summary, params: cameraParams, response: { 200: claimSchema } },
      async handler(request) {
        const { camera } = request.params
        const work = () => enrolment[verb](camera, by(request))
        return show(await door.audited(request, { operation, subject: subject(camera) }, work))
      },
    })
  ending('reject', 'camera.reject', 'The unit that asks does not become the camera')
  ending('revoke', 'camera.claim_revoke', 'Ends the newest claim for the camera, and the alarm about it')

  app.route({
    method: 'GET',
    url: '/api/v1/enrolment',
    config: limited,
    schema: {
      summary: 'For a unit without a clock: by what, and at which time, it checks this cloud before it shows its claim',
      response: { 200: enrolmentDoorSchema },
    },
    handler: async () => ({ agency, caPem: authority.trustedPem, nowMs: clock.nowMs() }),
  })

  function refuse(request: FastifyRequest, reason: ClaimRefusal, camera: string | null): never {
    const rule = `claim_${reason}` as const
    const who = camera ?? `${request.method} ${request.routeOptions.url ?? ''}`
    denials.note({ door: 'enrolment', rule, who, address: request.ip, topic: null })
    metrics.denied(rule)
    if (reason === 'unknown') wrongCodes.note(request.ip)
    throw new AppError('forbidden', REFUSALS[reason], { hint: 'have a new one made: `candor camera claim`' })
  }

  app.route({
    method: 'POST',
    url: '/api/v1/enrolment',
    config: limited,
    schema: {
      summary: 'A unit asks with its claim, and again until an administrator has approved',
      body: enrolmentRequestSchema,
      response: { 200: enrolmentAnswerSchema },
    },
    async handler(request) {
      if (wrongCodes.isBlocked(request.ip))
        throw Object.assign(new Error('too many wrong claim codes'), { statusCode: 429 })
      const asked = await enrolment.ask(request.body.code, request.body.csrPem, request.ip)
      if (!asked.ok) return refuse(request, asked.reason, asked.claim?.camera ?? null)
      const { camera, fingerprint } = asked.claim
      return asked.certificate === null
        ? { state: 'pending' as const, camera, fingerprint: fingerprint ?? '', askAgainMs: ASK_AGAIN_MS }
        : { state: 'issued' as const, issued: describeIssued(parts, camera, asked.certificate) }
    },
  })
}

const REFUSALS: Readonly<Record<ClaimRefusal, string>> = {
  unknown: 'there is no such claim',
  over: 'the claim has expired, was ended or rejected, or its camera was revoked',
  reused: 'another unit has used this claim already, and the agency has been alarmed',
}
