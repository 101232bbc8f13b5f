/** Configuration files: JSON, checked by a strict zod schema; every problem is printed, not only the first. */
import { readFileSync } from 'node:fs'
import type { z } from 'zod'
import { AppError, systemCode } from './errors.ts'

/** A configuration file larger than this is none. */
export const MAX_CONFIG_BYTES = 256 * 1024

/** Reads and checks `path`. Throws `configuration` with one line a problem: `field: problem (got value)`. */
export function loadConfig<T>(path: string, schema: z.ZodType<T>): T {
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
  return checkConfig(json, schema, path)
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

/** Checks an already parsed document; `name` stands in the message. */
export function checkConfig<T>(json: unknown, schema: z.ZodType<T>, name: string): T {
  const parsed = schema.safeParse(json, { reportInput: true })
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => {
    const got = issue.code === 'unrecognized_keys' ? '' : ` (got ${printed(issue)})`
    return `  ${issue.path.join('.') || 'document'}: ${issue.message}${got}`
  })
  throw new AppError('configuration', `${name}: ${problems.length} problem(s)\n${problems.join('\n')}`)
}
