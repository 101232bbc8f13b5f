/** Reads a list file without stalling the event loop: small ones here, large ones in a worker thread. */
import { AppError } from '../../shared/errors.ts'
import { startWorker } from '../worker.ts'
import { type HotlistRow, type ParseOptions, type ParseReport, parseHotlist } from './csv.ts'
import type { FromWorker } from './parse-worker.ts'

/** Parsing runs at about 5 MB a second; this much takes under 20 ms. A worker takes 150 ms to start. */
export const WORKER_FROM_BYTES = 64 * 1024

/** As parseHotlist. */
export function readHotlistFile(
  bytes: Uint8Array,
  options: ParseOptions,
  onRows: (rows: HotlistRow[]) => Promise<void>,
): Promise<ParseReport> {
  return bytes.length < WORKER_FROM_BYTES ? parseHotlist(bytes, options, onRows) : readInWorker(bytes, options, onRows)
}

function readInWorker(
  bytes: Uint8Array,
  options: ParseOptions,
  onRows: (rows: HotlistRow[]) => Promise<void>,
): Promise<ParseReport> {
  // The worker gets a copy: the caller's bytes may be a view on a larger buffer.
  const worker = startWorker(new URL('./parse-worker', import.meta.url), { bytes: Uint8Array.from(bytes), options })
  return new Promise<ParseReport>((resolve, reject) => {
    const fail = (cause: unknown, message = 'reading the list file failed') =>
      reject(cause instanceof AppError ? cause : new AppError('internal', message, { cause }))
    worker.on('error', (error) => fail(error))
    worker.on('exit', () => fail(null, 'the list reader ended early'))
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'rows') onRows(message.rows).then(() => worker.postMessage('taken'), fail)
      else if (message.kind === 'done') resolve(message.report)
      else fail(null, message.message)
    })
  }).finally(() => worker.terminate())
}
