/**
 * The command line's way to the cloud: HTTPS that trusts exactly one authority. A session comes from `candor login` (a file
 * only its owner can read) or, for scripts, from CANDOR_CLOUD, CANDOR_CA, CANDOR_ACCOUNT, CANDOR_PASSWORD_FILE and, where the
 * account has an authenticator app, CANDOR_TOTP_SECRET_FILE; that one is kept for the next command too, or a loop of commands would soon pass the limit of log-ins.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { ClientRequest } from 'node:http'
import { request } from 'node:https'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { AppError, ERROR_CODES, systemCode } from '../../shared/errors.ts'
import { sha256Hex } from '../../shared/signing.ts'

/** A list of 64 MiB over a slow line, milliseconds. */
const TIMEOUT_MS = 5 * 60_000
/** Of a list file, sent at once, bytes. */
const SEND_STEP_BYTES = 1024 * 1024
/** Largest answer that is read, bytes. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

const sessionSchema = z.object({
  token: z.string(),
  expiresAtMs: z.number(),
  account: z.string(),
  /** Nothing but adding a second factor is let through. */
  mustEnrol: z.boolean(),
})

const savedSchema = z.object({ url: z.string(), caPem: z.string(), account: z.string(), token: z.string() })
type Saved = z.infer<typeof savedSchema>

const failureSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }),
})

interface Body {
  json?: unknown
  csv?: Buffer
  /** Sent as they are. */
  octets?: Buffer
  /** Told while `csv` is sent: bytes that are on their way. */
  onSent?: (bytes: number) => void
}

export interface Client {
  readonly url: string
  readonly account: string
  readonly caPem: string
  readonly token: string
  /** The answer checked by `schema`. Throws AppError with the cloud's own code, message and hint. */
  call<T>(schema: z.ZodType<T>, method: string, path: string, body?: Body): Promise<T>
  /** The answer as it is: a picture. */
  bytes(path: string): Promise<Buffer>
  /** A new token for the same session, kept where the old one was. */
  renew(): Promise<string>
}

export interface LogIn {
  url: string
  caPem: string
  account: string
  password: string
  /** Holds the secret of the authenticator app, base32, in its first line: codes are made from it. */
  totpSecretFile?: string | undefined
  /** Asked when the account has a second factor and no file makes its codes. */
  askCode?: () => Promise<string>
}

type Opened = Saved & { mustEnrol: boolean }

async function open(to: { url: string; caPem: string }, account: string, path: string, json: unknown): Promise<Opened> {
  const answer = await send({ ...to, token: null }, 'POST', path, { json })
  const { token, mustEnrol } = sessionSchema.parse(JSON.parse(answer.toString('utf8')))
  return { ...to, account, token, mustEnrol }
}

/** Opens a session with account, password and, where there is one, the second factor. */
export async function logIn({ url, caPem, account, password, totpSecretFile, askCode }: LogIn): Promise<Opened> {
  const attempt = (code?: string) =>
    open({ url, caPem }, account, '/api/v1/login', { account, password, ...(code === undefined ? {} : { code }) })
  if (totpSecretFile !== undefined) return byApp(attempt, readPasswordFile(totpSecretFile))
  try {
    return await attempt()
  } catch (thrown) {
    if (askCode === undefined || !(thrown instanceof AppError) || thrown.code !== 'second_factor_required') throw thrown
    return attempt(await askCode())
  }
}

/** Opens a session by a code that the page has shown. */
export function logInByPageCode(to: { url: string; caPem: string }, account: string, code: string): Promise<Opened> {
  return open(to, account, '/api/v1/login/cli-code', { account, code })
}

/** A code opens one session: where another log-in has just used this one, the next one is waited for, once. */
async function byApp(attempt: (code: string) => Promise<Opened>, secret: string): Promise<Opened> {
  const { codeAt, TOTP_PERIOD_MS } = await import('../../cloud/accounts/totp.ts')
  try {
    return await attempt(codeAt(secret, Date.now()))
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== 'unauthenticated') throw thrown
    await new Promise((resolve) => setTimeout(resolve, TOTP_PERIOD_MS - (Date.now() % TOTP_PERIOD_MS)))
    return attempt(codeAt(secret, Date.now()))
  }
}

/** Account and password of the environment, for scripts; null when they are not all there. */
function fromEnvironment() {
  const { CANDOR_CLOUD: url, CANDOR_CA: caFile, CANDOR_ACCOUNT: account, CANDOR_PASSWORD_FILE: file } = process.env
  if (url === undefined || caFile === undefined || account === undefined || file === undefined) return null
  return { url, caFile, account, passwordFile: file, totpSecretFile: process.env.CANDOR_TOTP_SECRET_FILE }
}

/** The session to work with. Throws `unauthenticated` when there is none. */
export async function connect(): Promise<Client> {
  const given = fromEnvironment()
  if (given === null) return clientOf(readSaved(), null)
  const { url, account } = given
  const caPem = readText(given.caFile)
  const logInAgain = async () => {
    const { totpSecretFile } = given
    const password = readPasswordFile(given.passwordFile)
    const session = await logIn({ url, caPem, account, password, totpSecretFile })
    save(session)
    return session
  }
  const kept = readKept()
  const isOurs = kept !== null && kept.url === url && kept.account === account && kept.caPem === caPem
  return isOurs ? clientOf(kept, logInAgain) : clientOf(await logInAgain(), null)
}

/** Runs `work` with a session. */
export async function withClient<T>(work: (client: Client) => Promise<T>): Promise<T> {
  return work(await connect())
}

/** `logInAgain`: how to go on when the session has ended meanwhile; null: not at all. */
function clientOf(saved: Saved, logInAgain: (() => Promise<Saved>) | null): Client {
  let session = saved
  let again = logInAgain
  async function ask(method: string, path: string, body?: Body): Promise<Buffer> {
    try {
      return await send(session, method, path, body)
    } catch (thrown) {
      const logInOnce = again
      if (logInOnce === null || !(thrown instanceof AppError) || thrown.code !== 'unauthenticated') throw thrown
      // A wrong password in the request itself says the same, and must not be tried twice.
      const isOver = await send(session, 'GET', '/api/v1/me').then(
        () => false,
        () => true,
      )
      if (!isOver) throw thrown
      again = null
      session = await logInOnce()
      return await send(session, method, path, body)
    }
  }
  return {
    url: saved.url,
    account: saved.account,
    caPem: saved.caPem,
    get token() {
      return session.token
    },
    async call(schema, method, path, body = {}) {
      const answer = await ask(method, path, body)
      return schema.parse(answer.length === 0 ? null : JSON.parse(answer.toString('utf8')))
    },
    bytes: (path) => ask('GET', path),
    async renew() {
      const answer = await ask('POST', '/api/v1/token')
      session = { ...session, token: sessionSchema.parse(JSON.parse(answer.toString('utf8'))).token }
      save(session)
      return session.token
    },
  }
}

/** Of `candor login`, or of the account and cloud of the environment. */
export function sessionFile(): string {
  const { CANDOR_SESSION, XDG_CONFIG_HOME } = process.env
  const own = CANDOR_SESSION ?? join(XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'candor', 'session.json')
  const given = fromEnvironment()
  if (given === null) return own
  return join(dirname(own), `session-${sha256Hex(Buffer.from(`${given.account} ${given.url}`)).slice(0, 16)}.json`)
}

export function save({ url, caPem, account, token }: Saved): string {
  const path = sessionFile()
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // Whole and for its owner alone from the first byte, also when two commands log in at once.
  const temporary = `${path}.${process.pid}`
  rmSync(temporary, { force: true })
  writeFileSync(temporary, `${JSON.stringify({ url, caPem, account, token })}\n`, { mode: 0o600, flag: 'wx' })
  renameSync(temporary, path)
  return path
}

/** What an earlier command kept, if it can be used. */
function readKept(): Saved | null {
  try {
    return savedSchema.parse(JSON.parse(readFileSync(sessionFile(), 'utf8')))
  } catch {
    return null
  }
}

export function forget(): void {
  rmSync(sessionFile(), { force: true })
}

function readSaved(): Saved {
  const hint = 'candor login --cloud https://HOST:8443 --ca ca.pem --account NAME'
  let text: string
  try {
    text = readFileSync(sessionFile(), 'utf8')
  } catch (cause) {
    throw new AppError('unauthenticated', 'you are not logged in', { hint, cause })
  }
  try {
    return savedSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new AppError('unauthenticated', `${sessionFile()} is damaged`, { hint, cause })
  }
}

export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

export function unreadable(path: string, cause: unknown): AppError {
  const code = systemCode(cause) ?? ''
  return new AppError('not_found', code === 'ENOENT' ? `${path}: no such file` : `${path} cannot be read: ${code}`, {
    cause,
  })
}

/** The first line of the file. */
export function readPasswordFile(path: string): string {
  return readText(path).split(/\r?\n/)[0] ?? ''
}

function send(
  to: { url: string; caPem: string; token: string | null },
  method: string,
  path: string,
  body: Body = {},
): Promise<Buffer> {
  const bytes = body.csv ?? body.octets ?? (body.json === undefined ? null : Buffer.from(JSON.stringify(body.json)))
  const headers: Record<string, string | number> = {}
  if (to.token !== null) headers.authorization = `Bearer ${to.token}`
  if (bytes !== null) {
    headers['content-type'] =
      body.csv !== undefined ? 'text/csv' : body.octets !== undefined ? 'application/octet-stream' : 'application/json'
    headers['content-length'] = bytes.length
  }
  if (!URL.canParse(path, to.url) || !to.url.startsWith('https://')) {
    throw new AppError('bad_input', `not an address of a cloud: ${to.url}`, { hint: 'it begins with https://' })
  }
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(path, to.url),
      { method, headers, ca: to.caPem, timeout: TIMEOUT_MS },
      (incoming) => {
        const chunks: Buffer[] = []
        let size = 0
        incoming.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MAX_ANSWER_BYTES) outgoing.destroy(new AppError('too_large', 'the cloud answers too much'))
          else chunks.push(chunk)
        })
        incoming.once('error', (cause) => reject(toLinkError(cause, to.url)))
        incoming.once('end', () => {
          const answer = Buffer.concat(chunks)
          const status = incoming.statusCode ?? 0
          if (status >= 200 && status < 300) resolve(answer)
          else reject(toAnswerError(status, answer))
        })
      },
    )
    outgoing.once('timeout', () => outgoing.destroy(new AppError('unavailable', `${to.url} does not answer`)))
    outgoing.once('error', (cause) => reject(toLinkError(cause, to.url)))
    if (bytes === null || body.onSent === undefined) outgoing.end(bytes ?? undefined)
    else sendInSteps(outgoing, bytes, body.onSent)
  })
}

/** A step is sent when the one before is on its way. */
function sendInSteps(outgoing: ClientRequest, bytes: Buffer, onSent: (bytes: number) => void, from = 0): void {
  if (from >= bytes.length) {
    onSent(bytes.length)
    outgoing.end()
    return
  }
  const to = Math.min(bytes.length, from + SEND_STEP_BYTES)
  outgoing.write(bytes.subarray(from, to), (failed) => {
    // What failed is told by the request itself.
    if (failed !== null && failed !== undefined) return
    if (to < bytes.length) onSent(to)
    sendInSteps(outgoing, bytes, onSent, to)
  })
}

function toAnswerError(status: number, answer: Buffer): AppError {
  let json: unknown = null
  try {
    json = JSON.parse(answer.toString('utf8'))
  } catch {
    // Something else than our cloud answers there; the status is all there is to say.
  }
  const parsed = failureSchema.safeParse(json)
  if (!parsed.success) return new AppError('unavailable', `the server answered ${status}`)
  const { code, message, hint } = parsed.data.error
  const known = ERROR_CODES.find((one) => one === code) ?? 'unavailable'
  return new AppError(known, message, hint === null ? {} : { hint })
}

/** Codes that mean: that server is not ours [Node.js, TLS errors]. */
const TRUST_CODES = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_HAS_EXPIRED',
])

function toLinkError(cause: unknown, url: string): AppError {
  if (cause instanceof AppError) return cause
  const code = systemCode(cause) ?? ''
  if (TRUST_CODES.has(code)) {
    return new AppError('integrity', `the server at ${url} does not show a certificate of your authority (${code})`, {
      hint: 'take ca.pem from the cloud’s own data folder, and the host name from its configuration',
      cause,
    })
  }
  return new AppError('unavailable', `the cloud at ${url} cannot be reached: ${code}`, { cause })
}
