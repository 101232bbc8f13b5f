/**
 * How far the newest update is: written by update.ts and confirm.ts, kept on the data partition over the restart, and shown to everybody in
 * /run. The edge process reads it there and tells the cloud.
 */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { systemClock } from '../../shared/clock.ts'
import { PUBLIC_MODE, readFileIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import { UNIT_FOLDER, UPDATE_STATUS_FILE } from './places.ts'

export const UPDATE_STATES = ['installing', 'installed', 'confirmed', 'rolled_back', 'failed'] as const

export const updateStateSchema = z.object({
  id: z.string(),
  version: z.string(),
  state: z.enum(UPDATE_STATES),
  message: z.string(),
  atMs: z.int(),
  /** The slot that it went into. */
  slot: z.enum(['a', 'b']),
  /** Whether the broker was connected before: an update is not blamed for a link that was dead already. */
  wasConnected: z.boolean(),
})
export type UpdateState = z.infer<typeof updateStateSchema>

/** Longer than a small file takes, milliseconds. */
const MEETING_MS = 500
const KEPT_FILE = join(UNIT_FOLDER, 'update.json')

/** null: no update yet, or a file that means nothing to this version. */
export async function readUpdateState(file: string = KEPT_FILE): Promise<UpdateState | null> {
  const text = await readFileIfThere(file)
  if (text === null) return null
  try {
    return updateStateSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/** Updater and confirmation both write at a start that follows a power cut, perhaps in the same moment: of two that meet, one tries again. */
export async function written(file: string, text: string, mode?: number): Promise<void> {
  try {
    await writeFileDurably(file, text, mode)
  } catch {
    await systemClock.sleep(MEETING_MS)
    await writeFileDurably(file, text, mode)
  }
}

/** On the data partition first: what is shown is never more than what is kept. */
export async function writeUpdateState(state: UpdateState): Promise<void> {
  await written(KEPT_FILE, `${JSON.stringify(state)}\n`)
  await showUpdateState(state)
}

/** Without what is only for the unit's own programs. */
export async function showUpdateState({ slot: _slot, wasConnected: _was, ...shown }: UpdateState): Promise<void> {
  await mkdir(dirname(UPDATE_STATUS_FILE), { recursive: true, mode: 0o755 })
  await written(UPDATE_STATUS_FILE, `${JSON.stringify(shown)}\n`, PUBLIC_MODE)
}
