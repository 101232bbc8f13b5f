/**
 * Where partners' clouds ask: an HTTPS server of its own that lets nobody in without a certificate signed by a partner's pinned key, and
 * that has these four routes and no other. Off unless the configuration gives it a port. Built by sharing.ts.
 */
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { type Clock, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { registerErrors } from '../api/errors.ts'
import { CIPHERS, type ConnectionLimits, createAdmission, endFailedHandshakes } from '../connections.ts'
import type { Denied } from '../denials.ts'
import type { Answering, Caller } from './answering.ts'
import type { Partners } from './partners.ts'
import type { SharedRecord } from './record.ts'
import {
  cropRequestSchema,
  MAX_REQUEST_BYTES,
  PATHS,
  recordRequestSchema,
  type SharingLimits,
  searchRequestSchema,
} from './wire.ts'

const REQUEST_TIMEOUT_MS = 15 * SECOND_MS

export interface ListenerDeps {
  partners: Partners
  answering: Answering
  record: Pick<SharedRecord, 'page'>
  own: () => Promise<{ keyPem: string; certPem: string }>
  onDenied: (denied: Denied) => void
  limits: SharingLimits
  connectionLimits: ConnectionLimits
  clock: Clock
  log: Log
}

export interface Listener {
  readonly server: Server
  /** With the certificate and the partners of now, for connections to come. */
  renew(): Promise<void>
  close(): Promise<void>
}

export async function openListener(deps: ListenerDeps): Promise<Listener> {
  const { partners, answering, log } = deps

  const context = async () => {
    const { keyPem, certPem } = await deps.own()
    // Without a single authority nobody gets in; left out, Node.js would trust the public ones.
    const ca = partners.allActive().map(({ caPem }) => caPem)
    return { key: keyPem, cert: certPem, ca, minVersion: 'TLSv1.2', ciphers: CIPHERS } as const
  }

  const app = fastify({
    https: {
      ...(await context()),
      ...{ requestCert: true, rejectUnauthorized: true },
      handshakeTimeout: deps.connectionLimits.connectTimeoutMs,
      headersTimeout: REQUEST_TIMEOUT_MS,
    },
    logger: false,
    bodyLimit: MAX_REQUEST_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
  }) as unknown as FastifyInstance
  const server = app.server as unknown as Server
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  registerErrors(app, log)

  const admission = createAdmission(deps.connectionLimits, (address) => denied('too_many_connections', null, address))
  const denied = (rule: Denied['rule'], who: string | null, address: string | null) =>
    deps.onDenied({ door: 'federation', rule, who, address, topic: null })
  server.on('connection', (socket: Socket) => admission.admit(socket, socket.remoteAddress ?? ''))
  endFailedHandshakes(server, (error) => {
    log.debug('tls_error', { error: error.message })
    denied('certificate_untrusted', null, null)
  })

  /** Connections by who showed themselves on them. */
  const callers = new WeakMap<object, string>()
  const sockets = new Map<string, Set<TLSSocket>>()
  server.on('secureConnection', (socket: TLSSocket) => {
    const known = partners.identify(socket.getPeerCertificate().raw)
    if (!known.ok) {
      denied(known.rule, null, socket.remoteAddress ?? null)
      socket.destroy()
      return
    }
    const { partner } = known.partner
    const all = sockets.get(partner) ?? new Set()
    sockets.set(partner, all.add(socket))
    callers.set(socket, partner)
    socket.once('close', () => all.delete(socket))
  })
  partners.onChanged((partner) => {
    // Also when it was only changed: whoever is there shows the certificate again.
    for (const socket of sockets.get(partner) ?? []) socket.destroy()
    return renew()
  })

  async function renew(): Promise<void> {
    server.setSecureContext(await context())
  }

  /** Throws for who is not, or not any more, a partner. */
  function callerOf(request: FastifyRequest): Caller {
    const { socket } = request.raw
    const name = callers.get(socket)
    const partner = name === undefined ? null : partners.active(name)
    if (partner === null) throw new AppError('unauthenticated', 'no partner of this agency')
    return {
      partner,
      source: request.ip,
      isActive: () => !socket.destroyed && partners.active(partner.partner)?.fingerprint === partner.fingerprint,
    }
  }

  const pace = createPace(deps.limits, deps.clock)
  app.addHook('onRequest', async (request, reply) => {
    const caller = callerOf(request)
    const pass = pace(caller.partner.partner)
    if (pass.ok) {
      reply.raw.once('close', pass.done)
      return
    }
    if (pass.isFirst) await answering.refuse('rate_limited', caller)
    log.debug('request', { status: 429, partner: caller.partner.partner })
    return reply
      .code(429)
      .send({ error: { code: 'rate_limited', message: 'too many requests', hint: 'wait a minute' } })
  })
  app.addHook('onError', async (request, _reply, error) => {
    const status = (error as { statusCode?: number }).statusCode ?? 500
    if (!(error instanceof AppError) && status < 500) await answering.refuse('malformed', callerOf(request))
  })

  const api = app.withTypeProvider<ZodTypeProvider>()
  api.post(PATHS.search, { schema: { body: searchRequestSchema } }, async (request, reply) => {
    const answer = await answering.search(request.body, callerOf(request))
    return reply.code('refused' in answer ? 403 : 200).send(answer)
  })
  api.post(PATHS.crop, { schema: { body: cropRequestSchema } }, async (request, reply) => {
    const answer = await answering.crop(request.body, callerOf(request))
    return reply.code('refused' in answer ? 403 : 200).send(answer)
  })
  api.post(PATHS.grants, async (request) => ({ grants: await answering.grants(callerOf(request)) }))
  api.post(PATHS.searches, { schema: { body: recordRequestSchema } }, async (request) => {
    const { partner } = callerOf(request).partner
    return { rows: await deps.record.page(partner, request.body, request.body.after) }
  })
  await app.ready()

  return {
    server,
    renew,
    async close() {
      admission.close()
      await app.close()
    },
  }
}

type Pass = { ok: true; done: () => void } | { ok: false; isFirst: boolean }

/** So many requests in a minute and at once, by partner; `isFirst`: of those refused in this minute, so that a flood is one entry. */
function createPace({ requestsPerMinute, concurrent }: SharingLimits, clock: Clock): (partner: string) => Pass {
  const paces = new Map<string, { startedAtMs: number; begun: number; open: number; refused: number }>()
  return (partner) => {
    const nowMs = clock.monotonicMs()
    const pace = paces.get(partner) ?? { startedAtMs: nowMs, begun: 0, open: 0, refused: 0 }
    paces.set(partner, pace)
    if (nowMs - pace.startedAtMs >= MINUTE_MS) Object.assign(pace, { startedAtMs: nowMs, begun: 0, refused: 0 })
    if (pace.begun >= requestsPerMinute || pace.open >= concurrent) {
      pace.refused += 1
      return { ok: false, isFirst: pace.refused === 1 }
    }
    pace.begun += 1
    pace.open += 1
    return {
      ok: true,
      done() {
        pace.open -= 1
      },
    }
  }
}
