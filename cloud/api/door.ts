/**
 * Who asks, and may they: every route says which permission it needs, and is asked for it before its body is read. Every
 * refusal is written into the audit; those of nobody known are gathered, as the broker's are (denials.ts).
 */
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { AppError } from '../../shared/errors.ts'
import type { Session } from '../accounts/sessions.ts'
import type { Actor, AuditRecord } from '../audit/entry.ts'
import type { CloudParts } from '../parts.ts'
import { may, type Permission, requirePermission } from '../permissions.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by `guard`; null on routes that anybody may call. */
    session: Session | null
    /** The token that was shown, for renewing it. */
    token: string
  }
}

/** Fastify with types from the zod schemas. */
export type Api = FastifyInstance & { withTypeProvider(): unknown }
export type TypedApi = ReturnType<typeof typed>

export function typed(app: FastifyInstance) {
  return app.withTypeProvider<ZodTypeProvider>()
}

export interface Door {
  /**
   * For routes that need a log-in, and, unless null, a permission. `mayEnrol`: open to an account that must add a second factor
   * before it may do anything else.
   */
  guard(permission: Permission | null, options?: { mayEnrol: boolean }): onRequestHookHandler
  /** The guarded request's session. */
  session(request: FastifyRequest): Session
  actor(request: FastifyRequest): Actor
  /** Writes `record` with the request's actor. Throws `unavailable` when the audit cannot be written. */
  audit(request: FastifyRequest, record: Omit<AuditRecord, 'actor' | 'outcome'>): Promise<{ seq: number }>
  /**
   * Audit, then the work: an entry before, and one more that completes it when the work is refused. So nothing happens that
   * is not in the audit, and what did not happen is told apart.
   */
  audited<T>(
    request: FastifyRequest,
    record: Omit<AuditRecord, 'actor' | 'outcome'>,
    work: (seq: number) => Promise<T>,
  ): Promise<T>
}

export function createDoor(parts: Pick<CloudParts, 'accounts' | 'audit' | 'denials'>): Door {
  const routeOf = (request: FastifyRequest) => `${request.method} ${request.routeOptions.url ?? ''}`

  const refused = (request: FastifyRequest, rule: string) =>
    parts.audit.append({
      operation: 'permission.refused',
      outcome: 'refused',
      rule,
      actor: door.actor(request),
      subject: { kind: 'route', id: routeOf(request) },
    })

  const door: Door = {
    guard: (permission, options) => async (request) => {
      const token = /^Bearer ([A-Za-z0-9_-]{20,256})$/.exec(request.headers.authorization ?? '')?.[1]
      const session = token === undefined ? null : await parts.accounts.authenticate(token)
      if (token === undefined || session === null) {
        parts.denials.note({ rule: 'unauthenticated', who: routeOf(request), address: request.ip, topic: null })
        throw new AppError('unauthenticated', 'you are not logged in, or the session has ended', {
          hint: 'log in again (`candor login`)',
        })
      }
      request.session = session
      request.token = token
      if (session.mustEnrol && options?.mayEnrol !== true) {
        await refused(request, 'second_factor_missing')
        throw new AppError('forbidden', 'your account needs a second factor first', {
          hint: 'add an authenticator app (`candor factor totp`, or on the page) or a security key (on the page)',
        })
      }
      if (permission === null || may(session.roles, permission)) return
      await refused(request, permission)
      requirePermission(session.roles, permission)
    },
    session(request) {
      if (request.session === null) throw new AppError('internal', 'a route without a guard asked for its session')
      return request.session
    },
    actor(request) {
      const { session } = request
      return {
        account: session?.account ?? null,
        roles: [...(session?.roles ?? [])],
        session: session?.sessionId ?? null,
        source: request.ip,
      }
    },
    audit: (request, record) => parts.audit.append({ ...record, outcome: 'allowed', actor: door.actor(request) }),
    async audited(request, record, work) {
      const { seq } = await door.audit(request, record)
      try {
        return await work(seq)
      } catch (thrown) {
        const rule = thrown instanceof AppError ? thrown.code : 'internal'
        await parts.audit.append({ ...record, outcome: 'refused', rule, completes: seq, actor: door.actor(request) })
        throw thrown
      }
    },
  }
  return door
}
