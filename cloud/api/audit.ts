/** Routes of the audit: reading it is written into it as well. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import type { Verdict } from '../audit/check.ts'
import { type AuditEntry, entrySchema } from '../audit/entry.ts'
import { type Audit, MAX_AUDIT_PAGE } from '../audit/log.ts'
import type { CloudParts } from '../parts.ts'
import { startWorker } from '../worker.ts'
import type { Door, TypedApi } from './door.ts'

/** A verification reads the whole log; one address may order this many in a minute, and one runs at a time. */
export const MAX_VERIFICATIONS_PER_MINUTE = 6

/** Entries that one filtered listing looks at; the reply says where to go on. */
export const MAX_FILTERED_ENTRIES = 5_000

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

interface Filter {
  operation?: string | undefined
  account?: string | undefined
  fromMs?: number | undefined
  toMs?: number | undefined
}

/** Newest first. Entries have no index by their contents: it reads on until it has enough, or MAX_FILTERED_ENTRIES were looked at. */
async function listMatching(audit: Audit, page: { before: number | null; limit: number }, filter: Filter) {
  const isFiltered = Object.values(filter).some((value) => value !== undefined)
  const found: AuditEntry[] = []
  let { before } = page
  for (let looked = 0; looked < MAX_FILTERED_ENTRIES; ) {
    const some = await audit.list({ before, limit: isFiltered ? MAX_AUDIT_PAGE : page.limit })
    for (const entry of some) {
      before = entry.seq
      if (matches(entry, filter)) found.push(entry)
      if (found.length === page.limit) return { entries: found, continueBefore: before > 1 ? before : null }
    }
    looked += some.length
    if (some.length === 0) return { entries: found, continueBefore: null }
  }
  return { entries: found, continueBefore: before }
}

/** What was asked for, without what was not. */
function given(filter: Filter): Record<string, string | number> {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined))
}

function matches(entry: AuditEntry, { operation, account, fromMs, toMs }: Filter): boolean {
  const atMs = Date.parse(entry.at)
  if (operation !== undefined && entry.operation !== operation && !entry.operation.startsWith(`${operation}.`))
    return false
  if (account !== undefined && entry.actor.account !== account) return false
  return (fromMs === undefined || atMs >= fromMs) && (toMs === undefined || atMs < toMs)
}

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
        operation: z.string().min(1).max(64).optional().describe('this one, or those below it: search, search.run'),
        account: slugSchema.optional(),
        fromMs: z.coerce.number().int().min(0).optional(),
        toMs: z.coerce.number().int().min(0).optional().describe('before this time'),
      }),
      response: {
        200: z.object({
          entries: z.array(entrySchema),
          continueBefore: z.int().nullable().describe('`before` of the next page; null: nothing is older'),
        }),
      },
    },
    async handler(request) {
      const { before = null, limit, ...filter } = request.query
      await door.audit(request, { operation: 'audit.list', detail: { before, limit, ...given(filter) } })
      return listMatching(audit, { before, limit }, filter)
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
