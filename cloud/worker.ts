/** Starts a worker thread on a module of ours, in TypeScript or built. */
import { Worker } from 'node:worker_threads'

/**
 * `module` is the URL of a file without its ending, beside the caller: `new URL('./parse-worker', import.meta.url)`. In
 * TypeScript the thread loads tsx first, which a thread does not inherit from the command line of the process. What
 * `transferList` names moves to the thread instead of being copied.
 */
export function startWorker(module: URL, workerData: unknown, transferList: ArrayBuffer[] = []): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL(`${module.href}.js`), { workerData, transferList })
  const load = `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))})
    .then((tsx) => { tsx.register(); return import(${JSON.stringify(`${module.href}.ts`)}) })`
  return new Worker(load, { eval: true, workerData, transferList })
}
