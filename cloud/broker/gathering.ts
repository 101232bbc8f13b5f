/**
 * Statements of many callers in one transaction: a commit costs the same for one as for hundreds, and an alert would otherwise take
 * two for each officer who gets it. Used by queues.ts.
 */
import type { Database, Statement, Written } from '../database/database.ts'

export interface Gathering {
  /** Resolves when the statements are durable, with what each changed; rejects when nothing of them is stored. */
  write(statements: readonly Statement[]): Promise<Written[]>
  /** Resolves when nothing of what was asked for until now waits any more. */
  settled(): Promise<void>
}

interface Waiting {
  statements: readonly Statement[]
  resolve(written: Written[]): void
  reject(thrown: unknown): void
}

/** Statements of one transaction, up to one caller more: about 25 ms, so that the event loop does not wait. */
export const MAX_GATHERED_STATEMENTS = 200

/** `schedule` says how long one waits for others: it runs the commit later, of all that was asked for until then. */
export function createGathering(database: Database, schedule: (commit: () => void) => void): Gathering {
  let waiting: Waiting[] = []
  let last: Promise<void> = Promise.resolve()

  async function alone({ statements, resolve, reject }: Waiting): Promise<void> {
    await database.writeBatch(statements).then(resolve, reject)
  }

  async function together(some: readonly Waiting[]): Promise<void> {
    let written: Written[]
    try {
      written = await database.writeBatch(some.flatMap(({ statements }) => statements))
    } catch {
      // What fails must not take the others with it: on a full disk a delete may still pass.
      for (const one of some) await alone(one)
      return
    }
    let at = 0
    for (const { statements, resolve } of some) {
      resolve(written.slice(at, at + statements.length))
      at += statements.length
    }
  }

  async function commit(): Promise<void> {
    const all = waiting
    waiting = []
    while (all.length > 0) {
      let [count, size] = [0, 0]
      while (count < all.length && size < MAX_GATHERED_STATEMENTS) size += all[count++]?.statements.length ?? 0
      await together(all.splice(0, count))
      if (all.length > 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  return {
    write: (statements) =>
      new Promise((resolve, reject) => {
        waiting.push({ statements, resolve, reject })
        if (waiting.length > 1) return
        last = new Promise((done) => schedule(() => void commit().then(done)))
      }),
    settled: () => last,
  }
}
