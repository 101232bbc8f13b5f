/** Routes of webhooks. A secret leaves the cloud in one answer, when it is made; the address of a webhook is shown without its path. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import type { CloudParts } from '../parts.ts'
import { MAX_WEBHOOK_URL, parseWebhookUrl } from '../webhooks/address.ts'
import { NOTICE_KINDS } from '../webhooks/notices.ts'
import { MAX_WEBHOOK_GROUPS } from '../webhooks.ts'
import type { Door, TypedApi } from './door.ts'

const params = z.object({ webhook: slugSchema })
const madeSchema = z.object({
  webhook: slugSchema,
  secret: z.string().describe('key of the signatures; shown this once'),
})

const webhookSchema = z.object({
  webhook: slugSchema,
  origin: z.string().describe('scheme, host and port; the path is not shown'),
  groups: z.array(slugSchema).readonly().describe('whose alerts it gets'),
  includePlate: z.boolean(),
  notices: z.array(z.enum(NOTICE_KINDS)).readonly().describe('what else it is told'),
  createdAtMs: timeMsSchema,
  createdBy: slugSchema,
  state: z.enum(['ok', 'failing', 'paused']),
  failingSinceMs: timeMsSchema.nullable(),
  pausedAtMs: timeMsSchema.nullable(),
  pausedBy: slugSchema.nullable(),
  lastAttemptAtMs: timeMsSchema.nullable(),
  lastStatus: z.int().nullable().describe('of the last answer; null: there was none'),
  lastReason: z.string().nullable().describe('why the last attempt failed; null: it did not'),
  lastDeliveredAtMs: timeMsSchema.nullable(),
  waiting: z.int().describe('alerts not delivered yet'),
  oldestQueuedAtMs: timeMsSchema.nullable(),
  dropped: z.int().describe('alerts dropped because too many waited'),
  droppingSinceMs: timeMsSchema.nullable(),
})

export function registerWebhooks(app: TypedApi, parts: CloudParts, door: Door): void {
  const { webhooks } = parts
  const subject = (webhook: string) => ({ kind: 'webhook', id: webhook })
  const by = (request: Parameters<Door['session']>[0]) => door.session(request).account
  const writes = door.guard('webhooks.write')

  app.route({
    method: 'GET',
    url: '/api/v1/webhooks',
    onRequest: door.guard('webhooks.read'),
    schema: {
      summary: 'Webhooks, how they are doing and what waits for them',
      response: { 200: z.object({ webhooks: z.array(webhookSchema) }) },
    },
    handler: async () => ({ webhooks: await webhooks.list() }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/webhooks',
    onRequest: writes,
    schema: {
      summary: 'Adds a webhook for the alerts of some groups and for alarms about cameras, from the next one on',
      body: z.strictObject({
        webhook: slugSchema,
        url: z.string().min(1).max(MAX_WEBHOOK_URL).describe('https://…; http only to this machine'),
        groups: z.array(slugSchema).max(MAX_WEBHOOK_GROUPS).default([]),
        notices: z
          .array(z.enum(NOTICE_KINDS))
          .max(NOTICE_KINDS.length)
          .default([])
          .describe('what else it is told: alarms about cameras, claims that were used twice'),
        includePlate: z.boolean().default(false).describe('send the whole alert, with the plate'),
      }),
      response: { 201: madeSchema },
    },
    async handler(request, reply) {
      const { webhook, groups, includePlate, notices } = request.body
      if (groups.length + notices.length === 0) throw new AppError('bad_input', 'groups or notices must name something')
      const url = parseWebhookUrl(request.body.url)
      const detail = { origin: url.origin, groups, includePlate, notices }
      const made = await door.audited(request, { operation: 'webhook.add', subject: subject(webhook), detail }, () =>
        webhooks.add({ webhook, url, groups, includePlate, notices, by: by(request) }),
      )
      return reply.code(201).send({ webhook, ...made })
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/webhooks/:webhook/secret',
    onRequest: writes,
    schema: {
      summary: 'A new secret; the old one signs nothing more',
      params,
      response: { 200: madeSchema },
    },
    async handler(request) {
      const { webhook } = request.params
      const record = { operation: 'webhook.replace_secret', subject: subject(webhook) }
      return { webhook, ...(await door.audited(request, record, () => webhooks.replaceSecret(webhook))) }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/webhooks/:webhook/test',
    onRequest: writes,
    schema: {
      summary: 'Sends a body that says that it is a test, and tells how it was answered',
      params,
      response: {
        200: z.object({
          delivered: z.boolean(),
          status: z.int().nullable(),
          reason: z.string().nullable(),
          durationMs: z.int(),
        }),
      },
    },
    async handler(request) {
      const { webhook } = request.params
      const record = { operation: 'webhook.test', subject: subject(webhook) }
      return door.audited(request, record, () => webhooks.test(webhook))
    },
  })

  /** Changes that take nothing and answer nothing. */
  const plain = (
    method: 'POST' | 'DELETE',
    ending: string,
    operation: string,
    summary: string,
    work: (webhook: string, account: string) => Promise<void>,
  ) =>
    app.route({
      method,
      url: `/api/v1/webhooks/:webhook${ending}`,
      onRequest: writes,
      schema: { summary, params, response: { 204: z.null() } },
      async handler(request, reply) {
        const { webhook } = request.params
        await door.audited(request, { operation, subject: subject(webhook) }, () => work(webhook, by(request)))
        return reply.code(204).send(null)
      },
    })
  plain('POST', '/pause', 'webhook.pause', 'Nothing is sent until it is resumed; alerts go on waiting', webhooks.pause)
  plain('POST', '/resume', 'webhook.resume', 'What waits is sent at once', (webhook) => webhooks.resume(webhook))
  plain('DELETE', '', 'webhook.remove', 'Ends the webhook; what waits for it is dropped', (webhook) =>
    webhooks.remove(webhook),
  )
}
