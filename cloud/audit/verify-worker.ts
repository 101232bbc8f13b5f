/** Entry of the worker thread in which the running cloud verifies its own audit. */
import { parentPort, workerData } from 'node:worker_threads'
import { type AuditFiles, verifyAudit } from './verify.ts'

parentPort?.postMessage(await verifyAudit(workerData as AuditFiles))
