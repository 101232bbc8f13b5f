/**
 * How far the imports of list files are, and how the last ones ended. In memory: an import does not outlive the process. Who started one
 * asks here while it runs, and, when the line broke before the reply came, for its outcome. Written and asked by the API alone.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError, type ErrorCode, toAppError } from '../../shared/errors.ts'

/** Imports that are known of, running or over; the oldest that is over goes first. */
export const MAX_KNOWN_IMPORTS = 64

/**
 * `reading`: rows are read, checked, compared with those in force and stored; counted in bytes of the file. `digesting`: entries are
 * digested for cameras. `publishing`: chunks go to the broker. `clearing`: rows that are not kept any more go.
 */
export const IMPORT_PHASES = ['reading', 'digesting', 'publishing', 'clearing'] as const
export type ImportPhase = (typeof IMPORT_PHASES)[number]

export interface ImportStep {
  phase: ImportPhase
  done: number
  /** 0: not known. */
  total: number
  /** Of the file, read until now. */
  rows: number
}

export type OnImportStep = (step: ImportStep) => void
/** Of what comes after the file was read; `total` is 0 where only the caller knows it. */
export type OnEnforceStep = (phase: Exclude<ImportPhase, 'reading'>, done: number, total: number) => void

export interface ImportFailure {
  code: ErrorCode
  message: string
  hint: string | null
}

export interface ImportProgress<Reply> extends ImportStep {
  importId: string
  list: string
  startedAtMs: number
  state: 'running' | 'done' | 'failed'
  /** What the request was answered, when `done`. */
  reply: Reply | null
  /** When `failed`. */
  failure: ImportFailure | null
}

export interface Imports<Reply> {
  /** Runs `work` and keeps what becomes of it. Throws what `work` throws, and `conflict` for an id that is known. */
  follow(list: string, importId: string, work: (onStep: OnImportStep) => Promise<Reply>): Promise<Reply>
  /** The newest of the list, or the one with the id; null when it is not known. */
  of(list: string, importId?: string): ImportProgress<Reply> | null
}

export function createImports<Reply>({ clock }: { clock: Pick<Clock, 'nowMs'> }): Imports<Reply> {
  /** Oldest first. */
  const known = new Map<string, ImportProgress<Reply>>()

  function makeRoom(): void {
    if (known.size < MAX_KNOWN_IMPORTS) return
    const over = [...known.values()].find(({ state }) => state !== 'running')
    if (over === undefined) throw new AppError('unavailable', `${known.size} imports are on their way already`)
    known.delete(over.importId)
  }

  return {
    async follow(list, importId, work) {
      if (known.has(importId)) {
        throw new AppError('conflict', 'an import with this id has been asked for already', {
          hint: 'a new import needs a new id',
        })
      }
      makeRoom()
      const progress: ImportProgress<Reply> = {
        ...{ importId, list, startedAtMs: clock.nowMs(), state: 'running', reply: null, failure: null },
        ...{ phase: 'reading', done: 0, total: 0, rows: 0 },
      }
      known.set(importId, progress)
      try {
        progress.reply = await work((step) => Object.assign(progress, step))
        progress.state = 'done'
        return progress.reply
      } catch (thrown) {
        const { code, message, hint } = toAppError(thrown)
        // As errors.ts of the API: what went wrong inside is for the log.
        progress.failure = { code, message: code === 'internal' ? 'something went wrong in the cloud' : message, hint }
        progress.state = 'failed'
        throw thrown
      }
    },
    of(list, importId) {
      if (importId !== undefined) {
        const one = known.get(importId)
        return one?.list === list ? one : null
      }
      return [...known.values()].findLast((one) => one.list === list) ?? null
    },
  }
}
