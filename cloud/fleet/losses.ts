/** What each camera's losses were when they were last judged; owns table fleet_losses. A cloud that starts goes on from there. */
import type { CameraHealth } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'
import type { FleetLossesTable } from '../database/schema-fleet.ts'
import { type Heard, isSameProcess } from './judging.ts'

export interface Losses {
  /** `heard`, the last report that was kept, as it was judged: with the losses of then, or none where another process had them. */
  judged(heard: Heard): Promise<Heard>
  /** These have been judged. Writes only what is new. */
  keep(heard: Heard): Promise<void>
}

type Counted = Pick<FleetLossesTable, 'sightings' | 'crops' | 'lost'>
const NONE: Counted = { sightings: 0, crops: 0, lost: 0 }

const lossesOf = ({ outbox, sightings }: CameraHealth): Counted => ({ ...outbox.evicted, lost: sightings.lost })

const withLosses = (health: CameraHealth, { sightings, crops, lost }: Counted): CameraHealth => ({
  ...health,
  outbox: { ...health.outbox, evicted: { sightings, crops } },
  sightings: { ...health.sightings, lost },
})

export function createLosses({ build, read, writeBatch }: Pick<Database, 'build' | 'read' | 'writeBatch'>): Losses {
  const known = new Map<string, Counted>()

  return {
    async judged({ health, receivedAtMs }) {
      const { cameraId } = health
      const [row] = await read(build.selectFrom('fleet_losses').selectAll().where('camera_id', '=', cameraId))
      if (row === undefined) return { health: withLosses(health, NONE), receivedAtMs }
      known.set(cameraId, { sightings: row.sightings, crops: row.crops, lost: row.lost })
      const then = { health: { ...withLosses(health, row), uptimeMs: row.uptime_ms }, receivedAtMs: row.at_ms }
      const isSame = isSameProcess(then, { health, receivedAtMs })
      return { health: withLosses(health, isSame ? row : NONE), receivedAtMs }
    },

    async keep({ health, receivedAtMs }) {
      const now = lossesOf(health)
      const before = known.get(health.cameraId) ?? NONE
      if (now.sightings === before.sightings && now.crops === before.crops && now.lost === before.lost) return
      const row = { camera_id: health.cameraId, ...now, uptime_ms: health.uptimeMs, at_ms: receivedAtMs }
      await writeBatch([
        build
          .insertInto('fleet_losses')
          .values(row)
          .onConflict((conflict) => conflict.column('camera_id').doUpdateSet(row)),
      ])
      known.set(health.cameraId, now)
    },
  }
}
