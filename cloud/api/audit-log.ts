/**
 * The audit as an open log: checkpoint, hash tiles, proofs and the stand-alone verifier for anybody, under `/audit/`; proofs of
 * entries and the witnesses for auditors. What is public holds hashes and signatures alone.
 */
import { readFile } from 'node:fs/promises'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { MINUTE_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { PLACE_FILES } from '../audit/copies.ts'
import { MAX_NOTE_CHARACTERS } from '../audit/note.ts'
import type { CloudParts } from '../parts.ts'
import { VERIFIER_FILE } from '../web/pages.ts'
import type { Door, TypedApi } from './door.ts'

/** From one address in a minute: a witness that is far behind asks for a few dozen tiles. */
export const MAX_PUBLIC_READS_PER_MINUTE = 300
/** Whole tiles never change. */
const FOR_EVER = 'public, max-age=31536000, immutable'
const A_MOMENT = 'public, max-age=5'

const size = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const PUBLIC = { rateLimit: { max: MAX_PUBLIC_READS_PER_MINUTE, timeWindow: MINUTE_MS } }

export function registerAuditLog(app: TypedApi, parts: CloudParts, door: Door): void {
  const { witnesses } = parts

  const text = (reply: FastifyReply, content: string, cache = A_MOMENT) =>
    reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', cache).send(content)

  app.get(`/audit/${PLACE_FILES.checkpoint}`, { config: PUBLIC, schema: { hide: true } }, async (_request, reply) =>
    text(reply, await witnesses.checkpoint()),
  )
  app.get(`/audit/${PLACE_FILES.cosigned}`, { config: PUBLIC, schema: { hide: true } }, async (_request, reply) => {
    const cosigned = await witnesses.cosigned()
    if (cosigned === null) throw new AppError('not_found', 'no witness has cosigned a checkpoint yet')
    return text(reply, cosigned)
  })
  app.get(`/audit/${PLACE_FILES.key}`, { config: PUBLIC, schema: { hide: true } }, async (_request, reply) =>
    text(reply, `${witnesses.key}\n`),
  )
  app.get('/audit/tile/*', { config: PUBLIC, schema: { hide: true } }, async (request, reply) => {
    const tile = await witnesses.tile((request.params as { '*': string })['*'])
    if (tile === null) throw new AppError('not_found', 'there is no such tile of hashes')
    return reply.header('content-type', 'application/octet-stream').header('cache-control', FOR_EVER).send(tile)
  })
  app.get(`/audit/${PLACE_FILES.verifier}`, { config: PUBLIC, schema: { hide: true } }, async (_request, reply) => {
    const program = await readFile(VERIFIER_FILE).catch((cause: unknown) => {
      throw new AppError('not_found', 'the verifier is not built', { hint: 'run ./scripts/setup', cause })
    })
    return reply
      .header('content-type', 'text/javascript; charset=utf-8')
      .header('cache-control', A_MOMENT)
      .send(program)
  })

  app.route({
    method: 'GET',
    url: '/audit/consistency',
    config: PUBLIC,
    schema: {
      summary: 'Proof that the log of `size` entries begins with that of `before` [RFC 6962, 2.1.2]; for anybody',
      querystring: z.strictObject({ before: size, size }),
      response: { 200: z.object({ proof: z.array(z.string()).describe('hashes, base64') }) },
    },
    async handler(request) {
      return { proof: await witnesses.consistency(request.query.before, request.query.size) }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/audit/entries/:seq/proof',
    onRequest: door.guard('audit.read'),
    schema: {
      summary: 'Proof file of one entry, with the entry and a signed checkpoint [c2sp.org/tlog-proof]',
      params: z.object({ seq: z.coerce.number().int().min(1) }),
      response: { 200: z.object({ proof: z.string() }) },
    },
    handler: (request) =>
      door.audited(
        request,
        { operation: 'audit.prove', subject: { kind: 'entry', id: String(request.params.seq) } },
        async () => ({
          proof: await witnesses.proof(request.params.seq),
        }),
      ),
  })

  const witnessSchema = z.object({
    witness: slugSchema,
    key: z.string(),
    addedAtMs: z.int(),
    addedBy: z.string(),
    cosigned: z.object({ size: z.int(), atMs: z.int() }).nullable().describe('the largest tree that it has cosigned'),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/audit/witnesses',
    onRequest: door.guard('audit.read'),
    schema: {
      summary: 'Known witnesses and what they last cosigned',
      response: { 200: z.object({ key: z.string(), witnesses: z.array(witnessSchema) }) },
    },
    async handler(request) {
      await door.audit(request, { operation: 'audit.witnesses' })
      return { key: witnesses.key, witnesses: await witnesses.list() }
    },
  })

  app.route({
    method: 'PUT',
    url: '/api/v1/audit/witnesses/:witness',
    onRequest: door.guard('audit.witness'),
    schema: {
      summary: 'Makes a witness known by its verifier key',
      params: z.object({ witness: slugSchema }),
      body: z.strictObject({ key: z.string().max(1_000) }),
      response: { 200: z.object({ witness: slugSchema }) },
    },
    handler: (request) => {
      const { witness } = request.params
      const record = {
        operation: 'audit.witness_added',
        subject: { kind: 'witness', id: witness },
        detail: { key: request.body.key },
      }
      return door.audited(request, record, async () => {
        await witnesses.add(witness, request.body.key, door.session(request).account)
        return { witness }
      })
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/audit/witnesses/:witness',
    onRequest: door.guard('audit.witness'),
    schema: {
      summary: 'A witness is no longer known; what it has cosigned stays',
      params: z.object({ witness: slugSchema }),
      response: { 200: z.object({ witness: slugSchema }) },
    },
    handler: (request) => {
      const { witness } = request.params
      const record = { operation: 'audit.witness_removed', subject: { kind: 'witness', id: witness } }
      return door.audited(request, record, async () => {
        await witnesses.remove(witness)
        return { witness }
      })
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/audit/cosignatures',
    onRequest: door.guard('audit.witness'),
    schema: {
      summary: 'A checkpoint of this log that witnesses have cosigned',
      body: z.strictObject({ checkpoint: z.string().max(MAX_NOTE_CHARACTERS) }),
      response: {
        200: z.object({
          size: z.int(),
          witnesses: z.array(z.object({ witness: slugSchema, atMs: z.int(), isNew: z.boolean() })),
        }),
      },
    },
    handler: (request) =>
      door.audited(request, { operation: 'audit.cosigned' }, () => witnesses.submit(request.body.checkpoint)),
  })
}
