/** The worker thread of find-worker.ts, but that a search at camera SILENT holds its thread for ever; for tests of finder.ts. */
import { parentPort } from 'node:worker_threads'
import './find-worker.ts'
import type { ToFinder } from './finder.ts'
import { SILENT } from './testing.ts'

parentPort?.on('message', (message: ToFinder) => {
  if (message.kind !== 'find' || !message.request.cameras.includes(SILENT)) return
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
