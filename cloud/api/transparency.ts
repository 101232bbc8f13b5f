/**
 * Routes of what is published, for those who publish it, and the public pages, which need no log-in. Whether a plate was searched is
 * answered here as well, to an auditor.
 */
import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { normalisePlate } from '../../shared/plate.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import { entrySchema } from '../audit/entry.ts'
import { MAX_ENTRIES_READ, readEntries } from '../audit/reading.ts'
import type { CloudParts } from '../parts.ts'
import { dayOf, FILES } from '../transparency/document.ts'
import { indexPage } from '../transparency/html.ts'
import type { ReportFile } from '../transparency.ts'
import { PAGE_HEADERS } from '../web/pages.ts'
import type { Door, TypedApi } from './door.ts'

/** Letters of a plate with separators. */
const MAX_PLATE_FIELD = 32
const MAX_REQUEST_REASON = 500

const daysSchema = z.strictObject({ from: z.iso.date(), to: z.iso.date() }).describe('UTC days, both included')
const publishedSchema = z.object({
  reportId: z.int(),
  from: z.iso.date(),
  to: z.iso.date(),
  madeAtMs: timeMsSchema,
  madeBy: z.string().nullable().describe('null: the cloud, by its policy'),
})
const daysOf = ({ from, to }: z.infer<typeof daysSchema>) => ({ from: dayOf(from), to: dayOf(to) })

export function registerTransparency(app: TypedApi, parts: CloudParts, door: Door): void {
  const { transparency, usage, audit, database } = parts

  app.route({
    method: 'GET',
    url: '/api/v1/transparency/draft',
    onRequest: door.guard('transparency.read'),
    schema: {
      summary: 'What a report of these days would say; nothing is published',
      querystring: daysSchema,
      response: { 200: z.object({ json: z.string(), csv: z.string(), html: z.string() }) },
    },
    handler: (request) =>
      door.audited(request, { operation: 'transparency.draft', detail: request.query }, () =>
        transparency.draft(daysOf(request.query)),
      ),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/transparency/reports',
    onRequest: door.guard('transparency.read'),
    schema: {
      summary: 'Published reports, newest first',
      response: { 200: z.object({ reports: z.array(publishedSchema) }) },
    },
    handler: async () => ({ reports: await transparency.list() }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/transparency/reports',
    onRequest: door.guard('transparency.publish'),
    schema: {
      summary: 'Publishes a report of days that are over; for those of an earlier report, a correction',
      body: daysSchema,
      response: { 201: publishedSchema.extend({ manifestSha256: z.string() }) },
    },
    async handler(request, reply) {
      const { account } = door.session(request)
      const published = await door.audited(request, { operation: 'transparency.publish', detail: request.body }, () =>
        transparency.publish(daysOf(request.body), account),
      )
      return reply.code(201).send(published)
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/audit/searched',
    onRequest: door.guard('audit.read'),
    schema: {
      summary: 'Was exactly this plate searched? For whoever asks about their own',
      body: z.strictObject({
        plate: z.string().max(MAX_PLATE_FIELD),
        reason: z.string().max(MAX_REQUEST_REASON).default('').describe('whose request it is'),
      }),
      response: {
        200: z.object({
          auditSeq: z.int().describe('number of this question in the audit'),
          total: z.int().describe('searches for exactly this plate, refused ones too'),
          entries: z.array(entrySchema).describe(`the newest, at most ${MAX_ENTRIES_READ}, oldest first`),
        }),
      },
    },
    async handler(request) {
      const plate = normalisePlate(request.body.plate)
      if (plate === null) throw new AppError('bad_input', 'that is no plate', { hint: '2-12 letters and digits' })
      const plateDigest = audit.plateDigest(plate)
      const { seq } = await door.audit(request, {
        operation: 'audit.searched',
        reason: request.body.reason === '' ? null : request.body.reason,
        query: { plateDigest, plateKind: 'exact', fromMs: null, toMs: null, cameras: [], limit: null },
      })
      await usage.follow()
      const { total, searches } = await usage.searchesOf(plateDigest, MAX_ENTRIES_READ)
      const entries = await readEntries(
        database,
        searches.map((one) => one.seq),
      )
      return { auditSeq: seq, total, entries }
    },
  })
}

const TYPES: Readonly<Record<ReportFile, string>> = {
  html: 'text/html; charset=utf-8',
  json: 'application/json; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  manifest: 'application/json; charset=utf-8',
}

/** The public pages: what was published, byte for byte, to anybody. */
export function registerPublicPages(app: FastifyInstance, { transparency, agency }: CloudParts): void {
  const hidden = { schema: { hide: true } }

  app.get('/transparency', hidden, (_request, reply) => reply.redirect('/transparency/', 308))
  app.get('/transparency/', hidden, async (_request, reply) => {
    const reports = (await transparency.list()).map((one) => ({
      ...{ reportId: one.reportId, from: one.from, to: one.to },
      madeAt: new Date(one.madeAtMs).toISOString().slice(0, 10),
    }))
    const html = indexPage(agency, reports)
    return reply.headers(headersOf('html', html)).send(html)
  })
  for (const [file, name] of Object.entries(FILES) as [ReportFile, string][]) {
    const path = file === 'html' ? '' : name
    app.get<{ Params: { reportId: string } }>(
      `/transparency/reports/:reportId/${path}`,
      hidden,
      async (request, reply) => {
        const { reportId } = request.params
        const text = /^[1-9]\d{0,8}$/.test(reportId) ? await transparency.file(Number(reportId), file) : null
        if (text === null) throw new AppError('not_found', 'there is no such report')
        return reply.headers(headersOf(file, text)).send(text)
      },
    )
  }
}

/** A page may use its own style and nothing else. [CSP Level 3, 8.4] */
function headersOf(file: ReportFile, text: string): Record<string, string> {
  const style = file === 'html' ? /<style>([\s\S]*?)<\/style>/.exec(text)?.[1] : undefined
  const digest = style === undefined ? '' : createHash('sha256').update(style).digest('base64')
  const styles = style === undefined ? '' : ` style-src 'sha256-${digest}';`
  return {
    ...PAGE_HEADERS,
    'content-security-policy': `default-src 'none';${styles} base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    'content-type': TYPES[file],
    // Anybody may show these figures elsewhere.
    'cross-origin-resource-policy': 'cross-origin',
  }
}
