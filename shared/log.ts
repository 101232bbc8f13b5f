/**
 * Logs: one JSON line an occurrence, `log.info('sighting_stored', { sightingId, ageMs })`.
 * Only the fields listed here can be written, so that a plate, a query, a token or a picture never reaches a log by accident.
 */
import { pino } from 'pino'

/** Every field that a log line may carry. A plate, name, reason, query or secret must never be added here. */
export const LOG_FIELDS = [
  'account',
  'ageMs',
  'alertId',
  'attempt',
  'auditSeq',
  'bytes',
  'cameraId',
  'clientId',
  'code',
  'count',
  'detector',
  'dropped',
  'durationMs',
  'entries',
  'error',
  'exitCode',
  'field',
  'file',
  'group',
  'hint',
  'host',
  'keyId',
  'kind',
  'limit',
  'list',
  'listVersion',
  'migration',
  'model',
  'name',
  'operation',
  'outcome',
  'partner',
  'path',
  'pid',
  'port',
  'purged',
  'quarantined',
  'reader',
  'reason',
  'rejected',
  'remaining',
  'restarts',
  'retryInMs',
  'revision',
  'role',
  'seq',
  'sessionId',
  'sightingId',
  'signal',
  'state',
  'status',
  'table',
  'topic',
  'url',
  'version',
  'webhook',
] as const

export type LogField = (typeof LOG_FIELDS)[number]
export type LogFields = Partial<Record<LogField, string | number | boolean | null>>

export interface Log {
  debug(name: string, fields?: LogFields): void
  info(name: string, fields?: LogFields): void
  warn(name: string, fields?: LogFields): void
  error(name: string, fields?: LogFields): void
  /** The same log with `fields` on every line. */
  with(fields: LogFields): Log
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

const allowed: ReadonlySet<string> = new Set(LOG_FIELDS)

/** Longest text of one field, in characters; longer is cut. */
export const MAX_LOG_TEXT = 300

function only(fields: LogFields | undefined): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (!allowed.has(key) || value === undefined) continue
    out[key] = typeof value === 'string' && value.length > MAX_LOG_TEXT ? `${value.slice(0, MAX_LOG_TEXT)}…` : value
  }
  return out
}

export interface LogTarget {
  write(line: string): void
}

/** Writes to `target` (default: standard error, so that a command's standard output stays its result). */
export function createLog(options: { level: LogLevel; part: string; target?: LogTarget }): Log {
  const sink = options.target ?? pino.destination({ dest: 2, sync: true })
  const logger = pino(
    {
      level: options.level,
      base: { part: options.part },
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'name',
    },
    sink,
  )
  const from = (bound: LogFields): Log => ({
    debug: (name, fields) => logger.debug(only({ ...bound, ...fields }), name),
    info: (name, fields) => logger.info(only({ ...bound, ...fields }), name),
    warn: (name, fields) => logger.warn(only({ ...bound, ...fields }), name),
    error: (name, fields) => logger.error(only({ ...bound, ...fields }), name),
    with: (fields) => from({ ...bound, ...fields }),
  })
  return from({})
}

export const silentLog: Log = createLog({ level: 'silent', part: 'silent', target: { write: () => {} } })
