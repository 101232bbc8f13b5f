/** Reads a list file without stalling the event loop: small ones here, large ones in a worker thread. */
import { AppError } from '../../shared/errors.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { startWorker } from '../worker.ts'
import { type ParseOptions, type ParseReport, parseHotlist, type ReadSoFar } from './csv.ts'
import type { HotlistRow } from './list-row.ts'
import type { FromWorker } from './parse-worker.ts'

/** Parsing runs at about 5 MB a second; this much takes under 20 ms. A worker takes 150 ms to start. */
export const WORKER_FROM_BYTES = 64 * 1024
/** Bytes copied for the worker in one turn of the event loop; about 3 ms. */
export const COPY_STEP_BYTES = 4 * 1024 * 1024

export interface ReadFile {
  report: ParseReport
  /** Of the whole file, hex. */
  sourceSha256: string
}

/** As parseHotlist. */
export async function readHotlistFile(
  bytes: Uint8Array,
  options: ParseOptions,
  onRows: (rows: HotlistRow[], soFar: ReadSoFar) => Promise<void>,
): Promise<ReadFile> {
  if (bytes.length >= WORKER_FROM_BYTES) return readInWorker(await copyInSteps(bytes), options, onRows)
  return { report: await parseHotlist(bytes, options, onRows), sourceSha256: sha256Hex(bytes) }
}

/** The caller's bytes may be a view on a larger buffer, and stay the caller's. */
async function copyInSteps(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const copy = new Uint8Array(bytes.length)
  for (let start = 0; start < bytes.length; start += COPY_STEP_BYTES) {
    copy.set(bytes.subarray(start, start + COPY_STEP_BYTES), start)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return copy
}

function readInWorker(
  bytes: Uint8Array<ArrayBuffer>,
  options: ParseOptions,
  onRows: (rows: HotlistRow[], soFar: ReadSoFar) => Promise<void>,
): Promise<ReadFile> {
  const worker = startWorker(new URL('./parse-worker', import.meta.url), { bytes, options }, [bytes.buffer])
  return new Promise<ReadFile>((resolve, reject) => {
    const fail = (cause: unknown, message = 'reading the list file failed') =>
      reject(cause instanceof AppError ? cause : new AppError('internal', message, { cause }))
    worker.on('error', (error) => fail(error))
    worker.on('exit', () => fail(null, 'the list reader ended early'))
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'rows') onRows(message.rows, message.soFar).then(() => worker.postMessage('taken'), fail)
      else if (message.kind === 'done') resolve({ report: message.report, sourceSha256: message.sourceSha256 })
      else fail(null, message.message)
    })
  }).finally(() => worker.terminate())
}
