/**
 * A release from the cloud to this unit's disk, over HTTPS that trusts the agency's authority alone: goes on where it was interrupted,
 * and is whole or not there. Called by update.ts.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rm, stat, statfs } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { isAbsolute } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError, systemCode, toAppError } from '../../shared/errors.ts'
import { renameDurably } from '../../shared/secret-file.ts'
import type { UpdateCommand } from '../../shared/wire/index.ts'
import { openTls, serverProblem, untrusted } from '../server-trust.ts'

/** Left free on the disk besides what the release takes: the outbox must go on. */
export const DISK_RESERVE_BYTES = 256 * 1024 ** 2
/** Nothing came for so long: the connection is no good. */
export const SILENCE_MS = MINUTE_MS
/** What is written is flushed after so many bytes: a power cut costs no more than that, and the disk's queue stays short. */
const FLUSH_BYTES = 16 * 1024 ** 2

export interface FetchFrom {
  host: string
  caPem: string
  /** null: the unit's clock is not to be trusted. */
  atMs: number | null
  /** The order that asks for it has ended. */
  isLate: () => boolean
  /** What was fetched could not be read again, and is gone. */
  onUnreadable: () => void
}

/** What the system says of disk or network passes, or the order does: it is no programmer's error. Those, and AppErrors, stay what they are. */
export function toFetchError(thrown: unknown): AppError {
  const error = toAppError(thrown)
  if (thrown instanceof AppError || error.code === 'storage_full') return error
  // Node.js's own codes, of arguments that are none, begin with ERR_.
  if (!/^E[A-Z0-9]+$/.test(systemCode(thrown) ?? '')) return error
  return new AppError('unavailable', `the release could not be fetched: ${error.message}`, { cause: thrown })
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )

async function digestOf(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash, { signal })
  return hash.digest('hex')
}

/**
 * Resolves when `path` is the whole release. Throws `unavailable` when trying again may help (what has come is kept), `integrity` for
 * other bytes than the command names, `storage_full`, `forbidden` when the cloud does not give it.
 */
export async function fetchRelease(
  command: Pick<UpdateCommand, 'release' | 'fetch'>,
  path: string,
  from: FetchFrom,
  signal: AbortSignal,
): Promise<void> {
  if (!isAbsolute(path)) throw new AppError('internal', 'a release needs an absolute path')
  await fetchWhole(command, path, from, signal).catch((thrown: unknown) => {
    throw toFetchError(thrown)
  })
}

async function fetchWhole(
  { release, fetch }: Pick<UpdateCommand, 'release' | 'fetch'>,
  path: string,
  from: FetchFrom,
  signal: AbortSignal,
): Promise<void> {
  if ((await sizeOf(path)) === release.bytes) return
  const part = `${path}.part`
  const have = await sizeOf(part)
  if (have > release.bytes) await rm(part, { force: true, recursive: true })
  const from0 = have > release.bytes ? 0 : have
  await checkRoom(path, release.bytes - from0)
  if (from0 < release.bytes) await fetchRest({ release, fetch }, part, from0, from, signal)
  const digest = await digestOf(part, signal).catch(async (thrown: unknown) => {
    signal.throwIfAborted()
    // A bad block under it stays bad: the next one lies elsewhere.
    await rm(part, { force: true, recursive: true })
    from.onUnreadable()
    const why = systemCode(thrown) ?? toAppError(thrown).message
    throw new AppError('unavailable', `what was fetched of the release cannot be read again: ${why}`, { cause: thrown })
  })
  if (digest !== release.sha256) {
    await rm(part, { force: true })
    throw new AppError('integrity', 'the release that was fetched is another one than was named')
  }
  await renameDurably(part, path)
}

async function checkRoom(path: string, bytes: number): Promise<void> {
  const folder = path.slice(0, path.lastIndexOf('/'))
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= bytes + DISK_RESERVE_BYTES) return
  throw new AppError('storage_full', `no room for a release of ${bytes} bytes`, {
    hint: 'it is tried again; see what fills the disk of the unit',
  })
}

async function fetchRest(
  { release, fetch }: Pick<UpdateCommand, 'release' | 'fetch'>,
  part: string,
  start: number,
  { host, caPem, atMs, isLate }: FetchFrom,
  signal: AbortSignal,
): Promise<void> {
  const { socket, certificate } = await openTls({ host, port: fetch.port }, null, signal)
  const problem = serverProblem(certificate, { caPem, host, atMs })
  if (problem !== null) {
    socket.destroy()
    throw untrusted(problem)
  }
  const stop = () => socket.destroy(new Error('ended'))
  signal.addEventListener('abort', stop, { once: true })
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`nothing came for ${SILENCE_MS / SECOND_MS} s`)))
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = request({
        ...{ createConnection: () => socket, method: 'GET', path: fetch.path },
        headers: {
          ...{ host: `${host}:${fetch.port}`, connection: 'close', authorization: `Bearer ${fetch.token}` },
          range: `bytes=${start}-`,
        },
      })
      outgoing.once('response', resolve).once('error', reject).end()
    })
    const isRest = answer.statusCode === 206 && answer.headers['content-range']?.startsWith(`bytes ${start}-`)
    if (!isRest) {
      throw new AppError(
        answer.statusCode === 401 || answer.statusCode === 403 || answer.statusCode === 404
          ? 'forbidden'
          : 'unavailable',
        `the cloud answers ${answer.statusCode} where a release was asked for`,
      )
    }
    const file = await open(part, start === 0 ? 'w' : 'a', 0o600)
    try {
      await append(file, answer, release.bytes - start, isLate)
    } finally {
      await file.sync().catch(() => {})
      await file.close()
    }
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown
    const error = toAppError(thrown)
    if (error.code === 'storage_full') throw error
    throw new AppError('unavailable', `the release could not be fetched: ${error.message}`, { cause: thrown })
  } finally {
    signal.removeEventListener('abort', stop)
    socket.destroy()
  }
}

/** Exactly `missing` bytes, or it is not the release. */
async function append(
  file: FileHandle,
  answer: IncomingMessage,
  missing: number,
  isLate: () => boolean,
): Promise<void> {
  let left = missing
  let unflushed = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    // However slowly it comes, it does not outlive its order.
    if (isLate()) throw new AppError('unavailable', `its order ended ${left} bytes before the release did`)
    if (chunk.length > left) throw new AppError('integrity', 'the cloud sends more than the release has')
    await file.write(chunk)
    left -= chunk.length
    unflushed += chunk.length
    if (unflushed < FLUSH_BYTES) continue
    unflushed = 0
    await file.datasync()
  }
  if (left > 0) throw new AppError('unavailable', `the connection ended ${left} bytes before the release did`)
}
