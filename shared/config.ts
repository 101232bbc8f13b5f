/**
 * Configuration files: JSON, checked by a strict zod schema; every problem is printed, not only the first. A member that is not known is a typing error
 * where a person has written the file. Where Candor itself has, a newer release has, and was taken back: the member is left out, told, and stops nothing.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { z } from 'zod'
import { AppError, systemCode } from './errors.ts'
import type { Log } from './log.ts'

/** A configuration file larger than this is none. */
export const MAX_CONFIG_BYTES = 256 * 1024

/** Is told the names of members that were left out, such as `source.shutter`. */
export type TellUnknown = (members: readonly string[]) => void
export const unknownLine = (file: string, members: readonly string[]) =>
  `${file}: unknown member ${members.join(', ')} of a newer release is left out`
export const logUnknown =
  (log: Log, path: string): TellUnknown =>
  (members) =>
    log.warn('unknown_member', { path, field: members.join(', '), reason: 'of a newer release' })

function digestOfRest({ written: _written, ...rest }: Record<string, unknown>): string {
  return createHash('sha256').update(JSON.stringify(rest)).digest('hex')
}

/** The document as Candor's own: `written` fits the rest until somebody changes it. */
export function asWritten(document: object): Record<string, unknown> {
  const { written: _written, ...rest } = document as Record<string, unknown>
  return { ...rest, written: digestOfRest(rest) }
}

const isWritten = (json: unknown): boolean =>
  typeof json === 'object' && json !== null && 'written' in json && json.written === digestOfRest({ ...json })

/** `json` without the members that strict objects of `schema` do not know. */
function leaveUnknown(json: unknown, schema: z.ZodType, tell: TellUnknown): unknown {
  const known: unknown = structuredClone(json)
  const left: string[] = []
  // Of a union or a refined object the next ones only show when these are gone.
  for (;;) {
    const parsed = schema.safeParse(known)
    const unknown = (parsed.error?.issues ?? []).filter((issue) => issue.code === 'unrecognized_keys')
    if (unknown.length === 0) break
    for (const { path, keys } of unknown) {
      const place = path.reduce((at, key) => (at as Record<PropertyKey, unknown>)[key], known)
      for (const key of keys) {
        delete (place as Record<string, unknown>)[key]
        left.push([...path, key].join('.'))
      }
    }
  }
  if (left.length > 0) tell(left)
  return known
}

/** A file that only Candor writes, perhaps a newer release. Throws what JSON and `schema` throw. */
export function parseOwn<T>(text: string, schema: z.ZodType<T>, tell: TellUnknown): T {
  return schema.parse(leaveUnknown(JSON.parse(text), schema, tell))
}

/** Reads and checks `path`. Throws `configuration` with one line a problem: `field: problem (got value)`. */
export function loadConfig<T>(path: string, schema: z.ZodType<T>, tell?: TellUnknown): T {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const why = systemCode(cause) === 'ENOENT' ? 'no such file' : 'cannot be read'
    throw new AppError('configuration', `${path}: ${why}`, { hint: 'name the configuration with --config FILE', cause })
  }
  if (text.length > MAX_CONFIG_BYTES)
    throw new AppError('configuration', `${path}: larger than ${MAX_CONFIG_BYTES} bytes`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new AppError('configuration', `${path}: not JSON: ${cause instanceof Error ? cause.message : ''}`, { cause })
  }
  return checkConfig(json, schema, path, tell)
}

/** Whoever puts a password into an address where none belongs must not find it again in a journal. */
const withoutPasswords = (json: string) => json.replace(/\/\/(?:[^"\\]|\\.)*@/g, '//…@')

/** Of settings that are known to be secret: their values are never printed, at whatever depth. */
const SECRET_NAMES = new Set(['passphrase', 'password', 'psk', 'secret'])

function printed({ path, input }: z.core.$ZodIssue): string {
  if (SECRET_NAMES.has(String(path.at(-1)))) return '…'
  const json = JSON.stringify(input, (name, value) => (SECRET_NAMES.has(name) ? '…' : value))
  return withoutPasswords(json ?? 'nothing')
}

/** Checks an already parsed document; `name` stands in the message. Of one that is as Candor wrote it (`asWritten`), members that are not known are left out. */
export function checkConfig<T>(json: unknown, schema: z.ZodType<T>, name: string, tell: TellUnknown = () => {}): T {
  const parsed = schema.safeParse(isWritten(json) ? leaveUnknown(json, schema, tell) : json, { reportInput: true })
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => {
    const got = issue.code === 'unrecognized_keys' ? '' : ` (got ${printed(issue)})`
    return `  ${issue.path.join('.') || 'document'}: ${issue.message}${got}`
  })
  throw new AppError('configuration', `${name}: ${problems.length} problem(s)\n${problems.join('\n')}`)
}
