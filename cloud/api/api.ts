/**
 * The HTTP side of the cloud: API, page, health and metrics on one HTTPS server, which also carries MQTT over WebSocket (main.ts
 * attaches that). Every route runs permit → parse → audit → call → reply; permission comes first, so that nobody's body is
 * read who may not send one. The OpenAPI document is made from the same zod schemas that check requests and replies.
 */
import type { Socket } from 'node:net'
import type { Server } from 'node:tls'
import fastifyRateLimit from '@fastify/rate-limit'
import fastifySwagger from '@fastify/swagger'
import fastify, { type FastifyInstance } from 'fastify'
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { softwareVersion } from '../../shared/version.ts'
import {
  CIPHERS,
  CONNECTION_LIMITS,
  type ConnectionLimits,
  createAdmission,
  endFailedHandshakes,
} from '../connections.ts'
import type { CloudParts } from '../parts.ts'
import { PAGE_HEADERS, registerPages } from '../web/pages.ts'
import { registerAlertRules } from './alert-rules.ts'
import { registerAlerts } from './alerts.ts'
import { registerAudit } from './audit.ts'
import { registerAuditLog } from './audit-log.ts'
import { createDoor, typed } from './door.ts'
import { registerEnrolment } from './enrolment.ts'
import { registerErrors } from './errors.ts'
import { registerFactors } from './factors.ts'
import { registerFleet } from './fleet.ts'
import { registerHolds } from './holds.ts'
import { registerListEntries } from './list-entries.ts'
import { registerListMappings } from './list-mappings.ts'
import { registerLists } from './lists.ts'
import { registerLogin } from './login.ts'
import { registerOutcomes } from './outcomes.ts'
import { registerPeople } from './people.ts'
import { registerPolicy } from './policy.ts'
import { registerReview } from './review.ts'
import { registerRollOuts } from './roll-outs.ts'
import { registerSearch } from './search.ts'
import { registerSharedSearch } from './shared-search.ts'
import { registerSharing } from './sharing.ts'
import { registerPublicPages, registerTransparency } from './transparency.ts'
import { registerWebhooks } from './webhooks.ts'

/** Body of every request but a list file, bytes. */
export const MAX_BODY_BYTES = 64 * 1024
/** A list of 64 MiB over a slow line. */
const REQUEST_TIMEOUT_MS = 5 * MINUTE_MS
const HEADERS_TIMEOUT_MS = 15 * SECOND_MS
/** A connection that becomes a WebSocket counts here and with the broker: requests have as much room again. */
export const TIMES_THE_BROKER = 2
/** Addresses whose requests are counted. */
const COUNTED_ADDRESSES = 10_000

/** With the server's certificate of now; given to the running server again when that is renewed. */
export function secureContext({ authority }: Pick<CloudParts, 'authority'>) {
  return {
    key: authority.serverKeyPem,
    cert: authority.serverCertPem,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
  } as const
}

/** Ready to listen: `api.server` is a plain HTTPS server. */
export async function createApi(parts: CloudParts, limits = CONNECTION_LIMITS): Promise<FastifyInstance> {
  const { log, clock } = parts
  const app: FastifyInstance = fastify({
    https: {
      ...secureContext(parts),
      handshakeTimeout: limits.connectTimeoutMs,
      headersTimeout: HEADERS_TIMEOUT_MS,
    },
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: 128 },
  }) as unknown as FastifyInstance
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.decorateRequest('session', null)
  app.decorateRequest('token', '')
  registerErrors(app, log)

  app.addContentTypeParser('text/csv', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onSend', async (request, reply) => {
    if (!request.url.startsWith('/api/')) return
    for (const [name, value] of Object.entries(PAGE_HEADERS)) reply.header(name, value)
    // Reads and pictures must not stay in a browser's cache.
    reply.header('cache-control', 'no-store')
  })
  app.addHook('onResponse', async (request, reply) => {
    // The route's pattern, never the address: that may hold what was asked for.
    const operation = `${request.method} ${request.routeOptions.url ?? 'none'}`
    log.debug('request', { operation, status: reply.statusCode, durationMs: Math.round(reply.elapsedTime) })
  })
  boundConnections(app, limits, parts)

  await app.register(fastifyRateLimit, {
    global: false,
    max: limits.maxRequestsPerMinute,
    timeWindow: MINUTE_MS,
    cache: COUNTED_ADDRESSES,
  })
  // Before a route asks who it is, so that those whom it refuses count as well; its own limit counts those who may.
  const count = app.createRateLimit()
  app.addHook('onRequest', async (request) => {
    if (request.routeOptions.config?.rateLimit === false) return
    const counted = await count(request)
    if (counted.isAllowed || !counted.isExceeded) return
    throw Object.assign(new Error('too many requests'), { statusCode: 429 })
  })
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Candor',
        version: softwareVersion(),
        description:
          'Licence-plate reading that can prove to outsiders how it is used. Errors: `{error: {code, message, hint}}`.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
  })

  await app.register(async (scope) => {
    const api = typed(scope)
    const door = createDoor(parts)
    registerPeople(api, parts, door)
    registerLogin(api, parts, door)
    registerFactors(api, parts, door)
    registerFleet(api, parts, door)
    registerEnrolment(api, parts, door)
    registerRollOuts(api, parts, door)
    registerPolicy(api, parts, door)
    registerLists(api, parts, door)
    registerListEntries(api, parts, door)
    registerListMappings(api, parts, door)
    registerAlerts(api, parts, door)
    registerAlertRules(api, parts, door)
    registerHolds(api, parts, door)
    registerOutcomes(api, parts, door)
    registerSearch(api, parts, door)
    registerSharing(api, parts, door)
    registerSharedSearch(api, parts, door)
    registerWebhooks(api, parts, door)
    registerAudit(api, parts, door)
    registerAuditLog(api, parts, door)
    registerReview(api, parts, door)
    registerTransparency(api, parts, door)
  })

  // Made once: it is large, and anybody may ask for it.
  let openApi: string | null = null
  app.get('/api/v1/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    openApi ??= JSON.stringify(app.swagger())
    return reply.type('application/json').send(openApi)
  })
  // Whoever watches the cloud asks when it is busiest.
  const unlimited = { rateLimit: false }
  app.get('/health/live', { schema: { hide: true }, config: unlimited }, async () => ({ status: 'live' }))
  app.get('/health/ready', { schema: { hide: true }, config: unlimited }, async () => {
    // Throws what the door says, such as `integrity` or `unavailable`.
    await parts.accounts.isEmpty()
    return { status: 'ready', nowMs: clock.nowMs() }
  })
  app.get('/metrics', { schema: { hide: true } }, async (request, reply) => {
    // Figures of use are for the agency; a collector elsewhere comes through a tunnel to the server itself.
    if (!LOOPBACK.has(request.ip)) throw new AppError('forbidden', 'metrics are served to the server itself only')
    const { contentType, text } = await parts.metrics.render()
    return reply.header('content-type', contentType).send(text)
  })
  registerPublicPages(app, parts)
  try {
    await registerPages(app)
  } catch (thrown) {
    if (!(thrown instanceof AppError && thrown.code === 'configuration')) throw thrown
    log.warn('page_missing', { hint: thrown.hint ?? '' })
  }
  await app.ready()
  return app
}

const LOOPBACK = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1'])

/** Closing also ends those that became a WebSocket or have not asked for anything yet: the server would wait for them for ever. */
function boundConnections(app: FastifyInstance, limits: ConnectionLimits, parts: CloudParts): void {
  const own = {
    ...limits,
    maxConnections: TIMES_THE_BROKER * limits.maxConnections,
    maxPerAddress: TIMES_THE_BROKER * limits.maxPerAddress,
  }
  const admission = createAdmission(own, () => parts.metrics.denied('too_many_connections'))
  app.server.on('connection', (socket: Socket) => admission.admit(socket, socket.remoteAddress ?? ''))
  endFailedHandshakes(app.server as unknown as Server, (error) =>
    parts.log.debug('tls_error', { error: error.message }),
  )
  app.addHook('preClose', async () => admission.close())
}
