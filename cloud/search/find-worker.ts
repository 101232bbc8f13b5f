/** Entry of the worker thread that finds sightings: several searches at once, a statement of each in turn, on a connection of its own. */
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../shared/clock.ts'
import { toAppError } from '../../shared/errors.ts'
import { openSqliteReader } from '../database/sqlite.ts'
import { find } from './find.ts'
import type { FromFinder, ToFinder } from './finder.ts'

const database = openSqliteReader((workerData as { databaseFile: string }).databaseFile)
const cancelled = new Set<number>()
const running = new Set<number>()
const say = (message: FromFinder) => parentPort?.postMessage(message)

async function answer({ id, request }: ToFinder & { kind: 'find' }): Promise<void> {
  const endMs = systemClock.monotonicMs() + request.limitMs
  running.add(id)
  try {
    const goOn = async () => {
      // A turn of the event loop: others' statements, and a word that this one is not wanted any more.
      await systemClock.sleep(0)
      return !cancelled.has(id) && systemClock.monotonicMs() < endMs
    }
    say({ id, kind: 'found', ...(await find(database, request, goOn)) })
  } catch (thrown) {
    const { code, message } = toAppError(thrown)
    say({ id, kind: 'failed', code, message })
  } finally {
    running.delete(id)
    cancelled.delete(id)
  }
}

parentPort?.on('message', (message: ToFinder) => {
  if (message.kind === 'find') void answer(message)
  else if (message.kind === 'cancel' && running.has(message.id)) cancelled.add(message.id)
})
