/**
 * Sends a list file and tells how far its import is. The outcome is what the request is answered; where the line breaks before that, such
 * as at a proxy that waits for a minute only, it is asked for by the import's id. Called by hotlist.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { type ImportReply, importProgressSchema, importReportSchema } from '../../cloud/api/list-imports.ts'
import type { ImportPhase } from '../../cloud/hotlists/progress.ts'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import type { Client } from './client.ts'
import type { Progress } from './progress.ts'

const ASK_EVERY_MS = 500
/** A cloud that has been silent for so long after the line broke is given up. */
const GIVE_UP_MS = 60_000

const PHASE_NAMES: Readonly<Record<ImportPhase, string>> = {
  reading: 'reading and comparing',
  digesting: 'digesting',
  publishing: 'publishing',
  clearing: 'clearing old rows',
}

const answerSchema = z.object({ progress: importProgressSchema.nullable() })

const count = (number: number) => number.toLocaleString('en')

/** `query`: the options of the import. Throws what the cloud says. */
export async function importFile(
  client: Client,
  list: string,
  query: URLSearchParams,
  csv: Buffer,
  progress: Progress,
): Promise<ImportReply> {
  const importId = newId()
  const path = `/api/v1/hotlists/${encodeURIComponent(list)}`
  const asked = new URLSearchParams(query)
  asked.set('importId', importId)
  let isSent = false
  let isOver = false
  const onSent = (bytes: number) => {
    isSent = bytes === csv.length
    progress.show('uploading', bytes, csv.length, `${(bytes / 1e6).toFixed(1)} of ${(csv.length / 1e6).toFixed(1)} MB`)
  }
  const ask = async () => (await client.call(answerSchema, 'GET', `${path}/progress?importId=${importId}`)).progress

  async function follow(): Promise<void> {
    while (!isOver) {
      await sleep(ASK_EVERY_MS)
      if (!isSent || isOver) continue
      // Progress is for the eye: the import goes on without it.
      const found = await ask().catch(() => null)
      if (found !== null && !isOver) show(found)
    }
  }

  function show({ phase, done, total, rows }: z.infer<typeof importProgressSchema>): void {
    const rowsInAll = phase === 'reading' && done > 0 ? Math.round((rows * total) / done) : 0
    const notes: Record<ImportPhase, string> = {
      reading: `${count(rows)} rows of about ${count(rowsInAll)}`,
      digesting: `${count(done)} of ${count(total)} entries`,
      publishing: `${count(done)} of ${count(total)} chunks`,
      clearing: '',
    }
    progress.show(PHASE_NAMES[phase], done, total, notes[phase])
  }

  /** After the line broke. */
  async function outcome(broken: AppError): Promise<ImportReply> {
    let heardMs = systemClock.monotonicMs()
    while (systemClock.monotonicMs() - heardMs < GIVE_UP_MS) {
      const answer = await ask().then(
        (found) => ({ found }),
        () => null,
      )
      if (answer?.found === null) throw broken
      if (answer !== null) {
        const { state, reply, failure } = answer.found
        if (state === 'done' && reply !== null) return reply
        if (failure !== null) {
          throw new AppError(failure.code, failure.message, failure.hint === null ? {} : { hint: failure.hint })
        }
        heardMs = systemClock.monotonicMs()
        show(answer.found)
      }
      await sleep(ASK_EVERY_MS)
    }
    throw broken
  }

  const following = follow()
  try {
    return await client
      .call(importReportSchema, 'PUT', `${path}?${asked}`, { csv, onSent })
      .catch((thrown: unknown) => {
        if (thrown instanceof AppError && thrown.code === 'unavailable' && isSent) return outcome(thrown)
        throw thrown
      })
  } finally {
    isOver = true
    progress.stop()
    await following
  }
}
