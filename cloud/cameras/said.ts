/** What cameras say of themselves, kept with them: status, health, acknowledgements. Part of cameras.ts. */
import type { Clock } from '../../shared/clock.ts'
import { cameraStatusSchema } from '../../shared/wire/index.ts'
import type { Cameras } from '../cameras.ts'
import type { Database } from '../database/database.ts'

/** Lists (64, hotlists.ts), the policy and the signing keys: a camera cannot fill the table with acknowledgements of lists that never were. */
export const MAX_SUBJECTS_PER_CAMERA = 66

export function createSaid({
  database,
  clock,
}: {
  database: Database
  clock: Clock
}): Pick<Cameras, 'recordStatus' | 'recordHealth' | 'recordAck'> {
  const { build } = database
  return {
    async recordStatus(status) {
      const [row] = await database.read(
        build.selectFrom('cameras').select('status').where('camera_id', '=', status.cameraId),
      )
      if (row === undefined) return
      const current = row.status === null ? null : cameraStatusSchema.safeParse(JSON.parse(row.status))
      if (!status.online && current?.success === true && current.data.sessionId !== status.sessionId) return
      await database.writeBatch([
        build
          .updateTable('cameras')
          .set({ status: JSON.stringify(status), status_at_ms: clock.nowMs() })
          .where('camera_id', '=', status.cameraId),
      ])
    },

    async recordHealth(health) {
      await database.writeBatch([
        build
          .updateTable('cameras')
          .set({ health: JSON.stringify(health), health_at_ms: clock.nowMs() })
          .where('camera_id', '=', health.cameraId),
      ])
    },

    async recordAck(camera, subject, ack) {
      const known = await database.read(
        build
          .selectFrom('camera_acks')
          .select('subject')
          .where('camera_id', '=', camera)
          .limit(MAX_SUBJECTS_PER_CAMERA),
      )
      if (known.length >= MAX_SUBJECTS_PER_CAMERA && !known.some((row) => row.subject === subject)) {
        return false
      }
      const values = {
        version: ack.version,
        digest: 'digest' in ack ? ack.digest : null,
        result: ack.result,
        reason: ack.reason,
        at_ms: ack.atMs,
        received_at_ms: clock.nowMs(),
      }
      await database.writeBatch([
        build
          .insertInto('camera_acks')
          .values({ camera_id: camera, subject, ...values })
          .onConflict((conflict) => conflict.columns(['camera_id', 'subject']).doUpdateSet(values)),
      ])
      return true
    },
  }
}
