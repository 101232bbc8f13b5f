/** Routes of releases and roll-outs, and the one from which a unit fetches its release. */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import {
  cameraSettingsSchema,
  compatibleSchema,
  MAX_RELEASE_BYTES,
  ROLL_OUT_KINDS,
  releaseVersionSchema,
  sha256Schema,
  timeMsSchema,
} from '../../shared/wire/index.ts'
import type { CloudParts } from '../parts.ts'
import { auditedSettings, settingsDigest } from '../roll-outs/audited-settings.ts'
import { MAX_STAGES, ROLL_OUT_STATES, type RollOutVerb } from '../roll-outs/plan.ts'
import { MAX_PART_BYTES, MAX_RELEASE_NOTES } from '../roll-outs/releases.ts'
import { MAX_TURNS } from '../roll-outs/turns.ts'
import type { RollOut } from '../roll-outs/types.ts'
import { DEFAULT_SOAK_MINUTES, MAX_ROLL_OUT_REASON, MAX_SOAK_MINUTES } from '../roll-outs.ts'
import type { Door, TypedApi } from './door.ts'

/** Units that fetch a release at a time; others are told to come again. */
export const MAX_FETCHING = 8

const releaseSchema = z.object({
  version: releaseVersionSchema,
  compatible: compatibleSchema,
  sha256: sha256Schema,
  bytes: z.int(),
  notes: z.string().nullable(),
  addedAtMs: timeMsSchema,
  addedBy: slugSchema,
})

const rollOutSchema = z.object({
  number: z.int().describe('also the version of its settings'),
  kind: z.enum(ROLL_OUT_KINDS),
  sha256: sha256Schema.nullable(),
  settings: cameraSettingsSchema.nullable(),
  settingsSha256: sha256Schema.nullable().describe('of their canonical JSON (RFC 8785), as the audit has it'),
  stages: z.array(z.number()).describe('percent of the cameras'),
  soakMs: z.int(),
  state: z.enum(ROLL_OUT_STATES),
  stage: z.int().describe('from 0'),
  because: z.string().nullable().describe('why it was halted'),
  stillSinceMs: timeMsSchema.nullable().describe('when it last moved, where that is too long ago'),
  reason: z.string(),
  madeAtMs: timeMsSchema,
  madeBy: slugSchema,
  approvedBy: slugSchema.nullable(),
  endedAtMs: timeMsSchema.nullable(),
  counts: z.record(z.string(), z.int()).describe('cameras by state of their turn'),
})

const turnSchema = z.object({
  camera: slugSchema,
  stage: z.int(),
  state: z.string(),
  message: z.string().nullable(),
  toldAtMs: timeMsSchema.nullable(),
  changedAtMs: timeMsSchema,
})

const releaseParams = z.object({ sha256: sha256Schema })
const numberParams = z.object({ number: z.coerce.number().int().min(1) })
const cameras = z.array(slugSchema).max(MAX_TURNS).default([])

const startSchema = z.strictObject({
  what: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('image'), sha256: sha256Schema }),
    z.strictObject({ kind: z.literal('settings'), settings: cameraSettingsSchema }),
  ]),
  cameras: cameras.describe('empty: all'),
  first: cameras.describe('whose turn it is first; empty: they are drawn'),
  stages: z.array(z.number().gt(0).max(100)).min(1).max(MAX_STAGES).optional(),
  soakMinutes: z
    .number()
    .min(0)
    .max(MAX_SOAK_MINUTES)
    .default(DEFAULT_SOAK_MINUTES)
    .describe('from the last camera of a stage that went well to the next stage'),
  reason: z.string().trim().min(1).max(MAX_ROLL_OUT_REASON),
})

const show = (rollOut: RollOut) => ({
  ...rollOut,
  settingsSha256: rollOut.settings === null ? null : settingsDigest(rollOut.settings),
})

export function registerRollOuts(app: TypedApi, parts: CloudParts, door: Door): void {
  const { rollOuts } = parts
  const { releases } = rollOuts
  const by = (request: FastifyRequest) => door.session(request).account
  const subject = (number: number) => ({ kind: 'roll_out', id: String(number) })

  /** Audited before it is done, and then under which number and with what it was: there an auditor finds the whole settings. */
  async function started(
    request: FastifyRequest,
    record: Parameters<Door['audited']>[1],
    work: () => Promise<RollOut>,
  ) {
    let completes = 0
    const rollOut = show(
      await door.audited(request, record, (seq) => {
        completes = seq
        return work()
      }),
    )
    const { kind, number, sha256, settingsSha256 } = rollOut
    const detail = kind === 'image' ? { sha256 } : { settingsSha256 }
    await door.audit(request, { operation: 'roll_out.started', subject: subject(number), completes, detail })
    return rollOut
  }

  app.addContentTypeParser(
    'application/octet-stream',
    { parseAs: 'buffer', bodyLimit: MAX_PART_BYTES },
    (_request, body, done) => done(null, body),
  )

  app.route({
    method: 'GET',
    url: '/api/v1/releases',
    onRequest: door.guard('roll_outs.read'),
    schema: {
      summary: 'Releases of the units’ system',
      response: { 200: z.object({ releases: z.array(releaseSchema) }) },
    },
    handler: async () => ({ releases: await releases.list() }),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/releases/:sha256/parts',
    onRequest: door.guard('roll_outs.write'),
    schema: {
      summary: 'How much of a release is here, to go on sending from there',
      params: releaseParams,
      response: { 200: z.object({ bytes: z.int() }) },
    },
    handler: async (request) => ({ bytes: await releases.received(request.params.sha256) }),
  })

  app.route({
    method: 'PUT',
    url: '/api/v1/releases/:sha256/parts',
    onRequest: door.guard('roll_outs.write'),
    bodyLimit: MAX_PART_BYTES,
    schema: {
      summary:
        'Sends a part of a release, as application/octet-stream; refused where it would leave too little room on the disk',
      params: releaseParams,
      querystring: z.strictObject({ offset: z.coerce.number().int().min(0).max(MAX_RELEASE_BYTES) }),
      response: { 200: z.object({ bytes: z.int() }) },
    },
    async handler(request) {
      const { body } = request
      if (!Buffer.isBuffer(body) || body.length === 0)
        throw new AppError('bad_input', 'send the part as application/octet-stream')
      const { sha256 } = request.params
      const { offset } = request.query
      const receive = async () => ({ bytes: await releases.receive(sha256, offset, body) })
      // Once for all parts: who began to fill the disk.
      if (offset > 0) return receive()
      const record = { operation: 'release.upload', subject: { kind: 'release', id: sha256 } }
      return door.audited(request, record, receive)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/releases',
    onRequest: door.guard('roll_outs.write'),
    schema: {
      summary: 'Of what was sent in parts: from now on it can be rolled out',
      body: z.strictObject({
        version: releaseVersionSchema,
        compatible: compatibleSchema,
        sha256: sha256Schema,
        bytes: z.int().min(1).max(MAX_RELEASE_BYTES),
        notes: z.string().max(MAX_RELEASE_NOTES).nullable().default(null),
      }),
      response: { 201: releaseSchema },
    },
    async handler(request, reply) {
      const { version, compatible, sha256 } = request.body
      const record = {
        ...{ operation: 'release.add', subject: { kind: 'release', id: version } },
        detail: { compatible, sha256 },
      }
      const added = await door.audited(request, record, () => releases.add(request.body, by(request)))
      return reply.code(201).send(added)
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/releases/:sha256',
    onRequest: door.guard('roll_outs.write'),
    schema: { summary: 'Forgets a release and its file', params: releaseParams, response: { 204: z.null() } },
    async handler(request, reply) {
      const { sha256 } = request.params
      const { version } = await releases.get(sha256)
      const record = { operation: 'release.remove', subject: { kind: 'release', id: version }, detail: { sha256 } }
      await door.audited(request, record, () => rollOuts.removeRelease(sha256))
      return reply.code(204).send(null)
    },
  })

  /** By turn: a unit that asks again has given up the connection of before. */
  const fetching = new Map<string, Readable>()

  app.route({
    method: 'GET',
    url: '/api/v1/releases/:sha256/bundle',
    schema: {
      summary: 'A unit fetches the release that it was told to install, from a byte on',
      params: releaseParams,
      headers: z.looseObject({ range: z.string().max(40).optional() }),
    },
    async handler(request, reply) {
      const { sha256 } = request.params
      const token = /^Bearer ([A-Za-z0-9_-]{20,100})$/.exec(request.headers.authorization ?? '')?.[1]
      const turn = token === undefined ? null : await rollOuts.mayFetch(sha256, token)
      if (turn === null) {
        const who = `${request.method} ${request.routeOptions.url ?? ''}`
        parts.denials.note({ rule: 'unauthenticated', who, address: request.ip, topic: null })
        throw new AppError('unauthenticated', 'this release is not for whoever shows that')
      }
      fetching.get(turn)?.destroy()
      fetching.delete(turn)
      if (fetching.size >= MAX_FETCHING)
        throw new AppError('unavailable', `${MAX_FETCHING} units fetch a release now: come again`)
      const { bytes } = await releases.get(sha256)
      const start = Number(/^bytes=([0-9]{1,12})-$/.exec(request.headers.range ?? 'bytes=0-')?.[1] ?? Number.NaN)
      if (!(start < bytes)) throw new AppError('bad_input', `Range must be bytes=N- with N under ${bytes}`)
      const file = createReadStream(releases.path(sha256), { start })
      fetching.set(turn, file)
      file.once('close', () => {
        if (fetching.get(turn) === file) fetching.delete(turn)
      })
      return reply
        .code(206)
        .header('content-type', 'application/octet-stream')
        .header('content-length', String(bytes - start))
        .header('content-range', `bytes ${start}-${bytes - 1}/${bytes}`)
        .send(file)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/roll-outs',
    onRequest: door.guard('roll_outs.read'),
    schema: { summary: 'Roll-outs, newest first', response: { 200: z.object({ rollOuts: z.array(rollOutSchema) }) } },
    handler: async () => ({ rollOuts: (await rollOuts.list()).map(show) }),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/roll-outs/:number',
    onRequest: door.guard('roll_outs.read'),
    schema: {
      summary: 'One roll-out, camera by camera',
      params: numberParams,
      response: { 200: z.object({ rollOut: rollOutSchema, turns: z.array(turnSchema) }) },
    },
    async handler(request) {
      const { rollOut, turns } = await rollOuts.get(request.params.number)
      return { rollOut: show(rollOut), turns }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/roll-outs',
    onRequest: door.guard('roll_outs.write'),
    bodyLimit: 512 * 1024,
    schema: {
      summary: 'Brings a release or settings to cameras, in stages',
      body: startSchema,
      response: { 201: rollOutSchema },
    },
    async handler(request, reply) {
      const { what, reason, cameras: named, stages } = request.body
      const record = {
        ...{ operation: 'roll_out.start', subject: { kind: 'roll_out', id: what.kind } },
        detail: {
          ...(what.kind === 'image' ? { sha256: what.sha256 } : auditedSettings(what.settings)),
          ...{ cameras: named.length === 0 ? 'all' : named.length, stages: stages?.join(',') ?? 'default', reason },
        },
      }
      const begun = await started(request, record, () => rollOuts.start(request.body, by(request)))
      return reply.code(201).send(begun)
    },
  })

  const acting = (verb: RollOutVerb, summary: string) =>
    app.route({
      method: 'POST',
      url: `/api/v1/roll-outs/:number/${verb}`,
      onRequest: door.guard('roll_outs.write'),
      schema: { summary, params: numberParams, response: { 200: rollOutSchema } },
      async handler(request) {
        const { number } = request.params
        const record = { operation: `roll_out.${verb}`, subject: subject(number) }
        return show(await door.audited(request, record, () => rollOuts.act(number, verb, by(request))))
      },
    })
  acting('approve', 'The second person, where the policy wants one')
  acting('pause', 'No further camera is told')
  acting('resume', 'Goes on, also in spite of cameras that went wrong')
  acting('advance', 'The next stage now')
  acting('end', 'Ends it; cameras that have it keep it')

  app.route({
    method: 'POST',
    url: '/api/v1/roll-outs/:number/revert',
    onRequest: door.guard('roll_outs.write'),
    schema: {
      summary: 'Its cameras get the settings of before it',
      params: numberParams,
      response: { 201: rollOutSchema },
    },
    async handler(request, reply) {
      const { number } = request.params
      const record = { operation: 'roll_out.revert', subject: subject(number) }
      const begun = await started(request, record, () => rollOuts.revert(number, by(request)))
      return reply.code(201).send(begun)
    },
  })
}
