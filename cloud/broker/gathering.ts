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

/** `schedule` says how long one waits for others: it runs the commit later, of all that was asked for until then. */
export function createGathering(database: Database, schedule: (commit: () => void) => void): Gathering {
  let waiting: Waiting[] = []
  let last: Promise<void> = Promise.resolve()

  async function alone({ statements, resolve, reject }: Waiting): Promise<void> {
    await database.writeBatch(statements).then(resolve, reject)
  }

  async function commit(): Promise<void> {
    const all = waiting
    waiting = []
    let written: Written[]
    try {
      written = await database.writeBatch(all.flatMap(({ statements }) => statements))
    } catch {
      // What fails must not take the others with it: on a full disk a delete may still pass.
      for (const one of all) await alone(one)
      return
    }
    let at = 0
    for (const { statements, resolve } of all) {
      resolve(written.slice(at, at + statements.length))
      at += statements.length
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
