/**
 * The door to the worker thread that finds sightings: no search, however long, holds the broker up. The thread starts with the first
 * search and is replaced when it does not answer. Called by search.ts; main closes it.
 */
import type { Worker } from 'node:worker_threads'
import { type Clock, SECOND_MS } from '../../shared/clock.ts'
import { AppError, type ErrorCode } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { startWorker } from '../worker.ts'
import type { FindRequest, FoundAll } from './find.ts'

/** Searches at once; one more is refused as `unavailable`. */
export const MAX_RUNNING_SEARCHES = 16
/** Beyond the time that a search may take itself: one statement more, and a thread that starts. Then the thread is given up. */
export const FINDER_GRACE_MS = 20 * SECOND_MS

export type ToFinder = { id: number; kind: 'find'; request: FindRequest } | { id: number; kind: 'cancel' }
export type FromFinder =
  | ({ id: number; kind: 'found' } & FoundAll)
  | { id: number; kind: 'failed'; code: ErrorCode; message: string }

export interface Finder {
  /** What was found until the request's time was over, or `signal` aborted. Throws `unavailable`. */
  find(request: FindRequest, signal?: AbortSignal): Promise<FoundAll>
  close(): Promise<void>
}

interface Running {
  resolve(found: FoundAll): void
  reject(error: Error): void
}

export interface FinderDeps {
  databaseFile: string
  clock: Pick<Clock, 'sleep'>
  log: Log
  /** The thread's module, without its ending. */
  worker?: URL
}

export function openFinder(deps: FinderDeps): Finder {
  const { databaseFile, clock, log, worker: module = new URL('./find-worker', import.meta.url) } = deps
  const running = new Map<number, Running>()
  let worker: Worker | null = null
  let lastId = 0
  let closed = false

  async function giveUp(gone: Worker, why: AppError): Promise<void> {
    if (worker !== gone) return
    worker = null
    const left = [...running.values()]
    running.clear()
    for (const { reject } of left) reject(why)
    await gone.terminate()
  }

  function start(): Worker {
    const started = startWorker(module, { databaseFile })
    started.on('message', (message: FromFinder) => {
      const asked = running.get(message.id)
      running.delete(message.id)
      if (message.kind === 'found') {
        const { id: _, kind: __, ...found } = message
        asked?.resolve(found)
      } else asked?.reject(new AppError(message.code, message.message))
    })
    const failed = (cause: unknown) => {
      const why = new AppError('unavailable', 'the search ended early', { hint: 'try again', cause })
      if (worker === started) log.error('search_worker_ended', { error: String(cause) })
      void giveUp(started, why)
    }
    started.on('error', failed)
    started.on('exit', failed)
    return started
  }

  return {
    find(request, signal) {
      if (closed || running.size >= MAX_RUNNING_SEARCHES) {
        const hint = 'try again in a minute'
        return Promise.reject(new AppError('unavailable', 'too many searches are running', { hint }))
      }
      worker ??= start()
      const asked = worker
      lastId += 1
      const id = lastId
      const cancel = () => asked.postMessage({ id, kind: 'cancel' } satisfies ToFinder)
      const found = new Promise<FoundAll>((resolve, reject) => running.set(id, { resolve, reject }))
      const timer = new AbortController()
      clock.sleep(request.limitMs + FINDER_GRACE_MS, timer.signal).then(
        () => {
          log.error('search_worker_silent', { limit: request.limitMs })
          const hint = 'narrow it: a longer part of the plate, a shorter time'
          void giveUp(asked, new AppError('unavailable', 'the search took too long', { hint }))
        },
        () => {},
      )
      asked.postMessage({ id, kind: 'find', request } satisfies ToFinder)
      if (signal?.aborted) cancel()
      else signal?.addEventListener('abort', cancel, { once: true })
      return found.finally(() => {
        timer.abort()
        signal?.removeEventListener('abort', cancel)
      })
    },
    async close() {
      closed = true
      if (worker !== null) await giveUp(worker, new AppError('unavailable', 'the cloud is closing'))
    },
  }
}
