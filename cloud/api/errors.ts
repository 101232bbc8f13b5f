/** Every failure as one JSON shape, `{error: {code, message, hint}}`; the only place where errors become HTTP. */
import type { FastifyInstance, FastifyReply } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { AppError, ERROR_CODES, HTTP_STATUS, toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'

/** `rate_limited` exists only over HTTP. */
export const errorSchema = z.object({
  error: z.object({
    code: z.enum([...ERROR_CODES, 'rate_limited']),
    message: z.string(),
    hint: z.string().nullable().describe('what the person who sees this should do'),
  }),
})

function reply(to: FastifyReply, status: number, code: string, message: string, hint: string | null): FastifyReply {
  return to.code(status).type('application/json; charset=utf-8').send({ error: { code, message, hint } })
}

export function registerErrors(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((thrown, request, to) => {
    const route = request.routeOptions.url ?? 'none'
    if (hasZodFastifySchemaValidationErrors(thrown)) {
      // Names the field and the rule, never the value: it may be a plate or a password.
      const first = thrown.validation[0]
      const field = first?.instancePath.replace(/^\//, '').replaceAll('/', '.') ?? ''
      const message = `${field === '' ? 'request' : field}: ${first?.message ?? 'wrong'}`
      return reply(to, 400, 'bad_input', message, null)
    }
    const { statusCode } = thrown as { statusCode?: number }
    if (!(thrown instanceof AppError) && statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
      // Fastify's own refusals: body too large, wrong content type, broken JSON, too many requests.
      if (statusCode === 429) return reply(to, 429, 'rate_limited', 'too many requests', 'wait a minute')
      if (statusCode === 413) return reply(to, 413, 'too_large', 'the request is too large', null)
      return reply(to, statusCode, 'bad_input', 'the request is not well-formed', null)
    }
    const error = toAppError(thrown)
    const status = HTTP_STATUS[error.code]
    if (status >= 500) log.error('request_failed', { operation: route, code: error.code, error: error.message })
    // What went wrong inside is for the log, not for the caller.
    const message = error.code === 'internal' ? 'something went wrong in the cloud' : error.message
    return reply(to, status, error.code, message, error.hint)
  })
  app.setNotFoundHandler((_request, to) => reply(to, 404, 'not_found', 'there is nothing here', null))
}
