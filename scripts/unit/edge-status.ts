/** How the edge process does, as it says itself in its status file (edge/status-file.ts). Read by update.ts and confirm.ts. */
import { z } from 'zod'
import { readFileIfThere } from '../../shared/secret-file.ts'

const edgeStatusSchema = z.object({
  atMs: z.int(),
  connected: z.boolean(),
  frames: z.object({ read: z.int(), still: z.int() }),
})
export type EdgeStatus = z.infer<typeof edgeStatusSchema>

/** null: it has not said anything yet. */
export async function readEdgeStatus(file: string): Promise<EdgeStatus | null> {
  const text = await readFileIfThere(file)
  if (text === null) return null
  try {
    return edgeStatusSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}
