/** Routes of the audit: reading it is written into it as well. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import type { Verdict } from '../audit/check.ts'
import { entrySchema } from '../audit/entry.ts'
import { MAX_AUDIT_PAGE } from '../audit/log.ts'
import type { CloudParts } from '../parts.ts'
import { startWorker } from '../worker.ts'
import type { Door, TypedApi } from './door.ts'

/** A verification reads the whole log; one address may order this many in a minute, and one runs at a time. */
export const MAX_VERIFICATIONS_PER_MINUTE = 6

const verdictSchema = z.union([
  z.object({
    ok: z.literal(true),
    entries: z.int(),
    headHash: z.string(),
    agency: z.string(),
    root: z.string().describe('of the Merkle tree, base64'),
    note: z.string().nullable(),
    purged: z.array(z.object({ from: z.int(), through: z.int() })).describe('entries whose bytes went by policy'),
  }),
  z.object({ ok: z.literal(false), entries: z.int(), firstBad: z.int().nullable(), problem: z.string() }),
])

export function registerAudit(app: TypedApi, parts: CloudParts, door: Door): void {
  const { audit } = parts
  let verifying = false

  app.route({
    method: 'GET',
    url: '/api/v1/audit',
    onRequest: door.guard('audit.read'),
    schema: {
      summary: 'Entries, newest first',
      querystring: z.strictObject({
        before: z.coerce.number().int().min(1).optional().describe('entries with a smaller number'),
        limit: z.coerce.number().int().min(1).max(MAX_AUDIT_PAGE).default(50),
      }),
      response: { 200: z.object({ entries: z.array(entrySchema) }) },
    },
    async handler(request) {
      const { before, limit } = request.query
      await door.audit(request, { operation: 'audit.list', detail: { before: before ?? null, limit } })
      return { entries: await audit.list({ before: before ?? null, limit }) }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/audit/verify',
    config: { rateLimit: { max: MAX_VERIFICATIONS_PER_MINUTE, timeWindow: 60_000 } },
    onRequest: door.guard('audit.read'),
    schema: { summary: 'Checks every entry against the signed head', response: { 200: verdictSchema } },
    async handler(request) {
      if (verifying) throw new AppError('conflict', 'a verification is running', { hint: 'try again in a minute' })
      verifying = true
      try {
        const { seq } = await door.audit(request, { operation: 'audit.verify' })
        const verdict = await verifyInWorker(parts)
        await door.audit(request, {
          operation: 'audit.verified',
          completes: seq,
          results: verdict.entries,
          detail: verdict.ok ? { ok: true } : { ok: false, firstBad: verdict.firstBad },
        })
        return verdict
      } finally {
        verifying = false
      }
    },
  })
}

function verifyInWorker(parts: CloudParts): Promise<Verdict> {
  const files = { ...parts.auditFiles, publicKeyPem: parts.audit.publicKeyPem }
  const worker = startWorker(new URL('../audit/verify-worker', import.meta.url), files)
  return new Promise<Verdict>((resolve, reject) => {
    worker.on('message', resolve)
    worker.on('error', (cause) => reject(new AppError('internal', 'the verification failed', { cause })))
    worker.on('exit', () => reject(new AppError('internal', 'the verification ended early')))
  }).finally(() => worker.terminate())
}
