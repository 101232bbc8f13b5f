/** Entry of the worker thread that takes a large list file apart and its digest. Answers each batch only when the last one was taken. */
import { parentPort, workerData } from 'node:worker_threads'
import { describeError } from '../../shared/errors.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { type ParseOptions, type ParseReport, parseHotlist, type ReadSoFar } from './csv.ts'
import type { HotlistRow } from './list-row.ts'

export type FromWorker =
  | { kind: 'rows'; rows: HotlistRow[]; soFar: ReadSoFar }
  | { kind: 'done'; report: ParseReport; sourceSha256: string }
  | { kind: 'failed'; message: string }

const port = parentPort
const { bytes, options } = workerData as { bytes: Uint8Array; options: ParseOptions }

if (port !== null) {
  const say = (message: FromWorker) => port.postMessage(message)
  const sourceSha256 = sha256Hex(bytes)
  let taken: () => void = () => {}
  port.on('message', () => taken())
  parseHotlist(bytes, options, async (rows, soFar) => {
    const wait = new Promise<void>((resolve) => {
      taken = resolve
    })
    say({ kind: 'rows', rows, soFar })
    await wait
  })
    .then(
      (report) => say({ kind: 'done', report, sourceSha256 }),
      (thrown: unknown) => say({ kind: 'failed', message: describeError(thrown) }),
    )
    .finally(() => port.close())
}
