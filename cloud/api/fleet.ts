/** Routes of cameras, and of what everybody may know about the state of things. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import {
  cameraHealthSchema,
  cameraStatusSchema,
  csrSchema,
  type IssuedCamera,
  issuedCameraSchema,
  timeMsSchema,
} from '../../shared/wire/index.ts'
import type { CloudParts } from '../parts.ts'
import { PERMISSIONS, permissionsOf } from '../permissions.ts'
import type { Door, TypedApi } from './door.ts'

const ackSchema = z.object({
  subject: z.string(),
  version: z.int(),
  digest: z.string().nullable(),
  result: z.enum(['applied', 'refused']),
  reason: z.string().nullable(),
  atMs: timeMsSchema,
})

const cameraSchema = z.object({
  camera: slugSchema,
  state: z.enum(['active', 'revoked']),
  addedAtMs: timeMsSchema,
  addedBy: slugSchema,
  certificateExpiresAtMs: timeMsSchema.nullable(),
  status: cameraStatusSchema.nullable(),
  statusAtMs: timeMsSchema.nullable(),
  health: cameraHealthSchema.nullable(),
  healthAtMs: timeMsSchema.nullable(),
  acks: z.array(ackSchema),
})

/** What a camera is given with its certificate. */
export function describeIssued(
  parts: Pick<CloudParts, 'agency' | 'authority' | 'keys' | 'mqttPort' | 'policy'>,
  camera: string,
  issued: { certPem: string; serial: string; expiresAtMs: number },
): IssuedCamera {
  return {
    agency: parts.agency,
    camera,
    certificatePem: issued.certPem,
    serial: issued.serial,
    expiresAtMs: issued.expiresAtMs,
    caPem: parts.authority.trustedPem,
    listKeysPem: parts.keys.signing.enrolmentPem,
    sealingPem: parts.keys.sealing.publicKeyPem,
    mqttPort: parts.mqttPort(),
    policy: parts.policy.current(),
  }
}

export function registerFleet(app: TypedApi, parts: CloudParts, door: Door): void {
  const { cameras, policy, agency } = parts
  const subject = (camera: string) => ({ kind: 'camera', id: camera })
  const by = (request: Parameters<Door['session']>[0]) => door.session(request).account

  /** What is signed at once has had no second look. Throws `forbidden`. */
  function requireOnePersonEnough(camera: string): void {
    if (!policy.current().secondPerson) return
    throw new AppError('forbidden', 'the policy wants a second person: no certificate is signed at once', {
      hint: `make a claim (\`candor camera claim ${camera}\`, for a unit in its place with --replace), which another camera technician approves`,
    })
  }

  app.route({
    method: 'GET',
    url: '/api/v1/cameras',
    onRequest: door.guard('cameras.read'),
    schema: {
      summary: 'Cameras with what they last said of themselves',
      response: { 200: z.object({ cameras: z.array(cameraSchema) }) },
    },
    handler: async () => ({ cameras: await cameras.list() }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/cameras',
    onRequest: door.guard('cameras.write'),
    schema: {
      summary: 'Registers a camera and signs its certificate; not where the policy wants two people',
      body: z.strictObject({ camera: slugSchema, csrPem: csrSchema }),
      response: { 201: issuedCameraSchema },
    },
    async handler(request, reply) {
      const { camera, csrPem } = request.body
      const issued = await door.audited(request, { operation: 'camera.add', subject: subject(camera) }, async () => {
        requireOnePersonEnough(camera)
        return cameras.add(camera, csrPem, by(request))
      })
      return reply.code(201).send(describeIssued(parts, camera, issued))
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/cameras/:camera/replace',
    onRequest: door.guard('cameras.write'),
    schema: {
      summary:
        'A new certificate under the same name; the old one is revoked at once; not where the policy wants two people',
      params: z.object({ camera: slugSchema }),
      body: z.strictObject({ csrPem: csrSchema }),
      response: { 200: issuedCameraSchema },
    },
    async handler(request) {
      const { camera } = request.params
      const record = { operation: 'camera.replace', subject: subject(camera) }
      const issued = await door.audited(request, record, async () => {
        requireOnePersonEnough(camera)
        return cameras.replace(camera, request.body.csrPem, by(request))
      })
      return describeIssued(parts, camera, issued)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/cameras/:camera/revoke',
    onRequest: door.guard('cameras.write'),
    schema: {
      summary: 'Revokes the camera’s certificate and ends its connection',
      params: z.object({ camera: slugSchema }),
      response: { 204: z.null() },
    },
    async handler(request, reply) {
      const { camera } = request.params
      await door.audited(request, { operation: 'camera.revoke', subject: subject(camera) }, async () => {
        // First, so that none of before is approved between the two.
        await parts.enrolment.endOf(camera, by(request))
        await cameras.revoke(camera, by(request))
      })
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/status',
    onRequest: door.guard(null),
    schema: {
      summary: 'List versions and ages, cameras online, and what I may do',
      response: {
        200: z.object({
          agency: slugSchema,
          account: slugSchema,
          permissions: z.array(z.enum(PERMISSIONS as [string, ...string[]])),
          groups: z.array(slugSchema).describe('whose alerts I get'),
          nowMs: timeMsSchema,
          hotlists: z.array(
            z.object({
              list: slugSchema,
              version: z.int(),
              entries: z.int(),
              ageMs: z.int(),
              stale: z.boolean(),
            }),
          ),
          cameras: z.object({
            registered: z.int(),
            online: z.int(),
            claimAlarms: z.int().describe('claims that a second key has used'),
            certificatesEnding: z
              .record(z.string(), z.int())
              .describe('cameras by the days within which their certificate ends; 0: it has ended'),
          }),
          policyVersion: z.int(),
        }),
      },
    },
    async handler(request) {
      const session = door.session(request)
      const lists = await parts.hotlists.status()
      return {
        agency,
        account: session.account,
        permissions: permissionsOf(session.roles),
        groups: [...session.groups],
        nowMs: parts.clock.nowMs(),
        hotlists: lists.flatMap(({ list, version, entries, ageMs, stale }) =>
          version === null || ageMs === null ? [] : [{ list, version, entries, ageMs, stale }],
        ),
        cameras: {
          ...(await cameras.counts()),
          claimAlarms: await parts.enrolment.alarms(),
          certificatesEnding: parts.renewals.expiring(),
        },
        policyVersion: policy.current().version,
      }
    },
  })
}
