/** What is held, wherever it lies: still among the others, or moved aside because its own retention is over. Called by holds.ts. */
import type { Alert, Sighting } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'
import { STEPS } from './keeping.ts'

/** Sightings of one page. */
export const MAX_HOLD_PAGE = 200

export interface HeldSighting {
  sighting: Sighting
  receivedAtMs: number
  seenAtMs: number
  clockTrusted: boolean
  matched: boolean
  /** Its picture has arrived and is kept. */
  hasPicture: boolean
}

export interface HeldAlert {
  /** As it was last, without its trail, whose sightings are held. */
  alert: Pick<Alert, 'alertId' | 'state' | 'outcome' | 'raisedAtMs' | 'match' | 'sighting'>
  steps: { revision: number; step: string; account: string; atMs: number; auditSeq: number }[]
}

export interface Content {
  /** In the order in which their ids were made; the latest revision of each. Of a hold that `get` has found. */
  sightings(holdId: string, page: { offset: number; limit: number }): Promise<HeldSighting[]>
  alerts(holdId: string): Promise<HeldAlert[]>
  /** Null: the hold does not name it, or its picture never came. */
  crop(holdId: string, cameraId: string, sightingId: string): Promise<{ jpeg: Buffer; sha256: string } | null>
}

export function createContent(database: Database): Content {
  const { build } = database
  type Ids = { camera_id: string; sighting_id: string }
  const nameOf = (row: Ids) => `${row.camera_id}/${row.sighting_id}`

  type Kept = 'sightings' | 'held_sightings' | 'crops' | 'held_crops'

  /** What the table has of the hold, from one sighting to another. All of them have its ids; the types know one of them. */
  const within = (table: Kept, holdId: string, from: string, to: string) =>
    build
      .selectFrom('hold_sightings')
      .innerJoin(`${table as 'held_sightings'} as kept`, (join) =>
        join
          .onRef('kept.sighting_id', '=', 'hold_sightings.sighting_id')
          .onRef('kept.camera_id', '=', 'hold_sightings.camera_id'),
      )
      .select(['kept.camera_id', 'kept.sighting_id'])
      .where('hold_sightings.hold_id', '=', holdId)
      .where('hold_sightings.sighting_id', '>=', from)
      .where('hold_sightings.sighting_id', '<=', to)

  const rowsOf = (table: 'sightings' | 'held_sightings', holdId: string, from: string, to: string) =>
    within(table, holdId, from, to).select([
      ...(['kept.revision', 'kept.seen_at_ms', 'kept.received_at_ms'] as const),
      ...(['kept.clock_trusted', 'kept.matched', 'kept.document'] as const),
    ])

  return {
    async sightings(holdId, { offset, limit }) {
      const names = await database.read(
        build
          .selectFrom('hold_sightings')
          .select(['camera_id', 'sighting_id'])
          .where('hold_id', '=', holdId)
          .orderBy('sighting_id')
          .orderBy('camera_id')
          .offset(offset)
          .limit(Math.min(limit, MAX_HOLD_PAGE)),
      )
      const [from, to] = [names[0]?.sighting_id, names.at(-1)?.sighting_id]
      if (from === undefined || to === undefined) return []
      const rows = [
        ...(await database.read(rowsOf('held_sightings', holdId, from, to))),
        ...(await database.read(rowsOf('sightings', holdId, from, to))),
      ].sort((a, b) => a.revision - b.revision)
      const pictured = new Set(
        [
          ...(await database.read(within('held_crops', holdId, from, to))),
          ...(await database.read(within('crops', holdId, from, to))),
        ].map(nameOf),
      )
      const latest = new Map(rows.map((row) => [nameOf(row), row]))
      return names.flatMap((name) => {
        const row = latest.get(nameOf(name))
        if (row === undefined) return []
        return [
          {
            sighting: JSON.parse(row.document) as Sighting,
            receivedAtMs: row.received_at_ms,
            seenAtMs: row.seen_at_ms,
            clockTrusted: row.clock_trusted === 1,
            matched: row.matched === 1,
            hasPicture: pictured.has(nameOf(name)),
          },
        ]
      })
    },

    async alerts(holdId) {
      const named = build.selectFrom('hold_alerts').select('alert_id').where('hold_id', '=', holdId)
      const rows = [
        ...(await database.read(
          build.selectFrom('held_alerts').select(['document', 'steps']).where('alert_id', 'in', named),
        )),
        ...(await database.read(
          build
            .selectFrom('alerts')
            .select(['document', STEPS.as('steps')])
            .where('alert_id', 'in', named),
        )),
      ]
      return rows.map(({ document, steps }) => {
        const { alertId, state, outcome, raisedAtMs, match, sighting } = JSON.parse(document) as Alert
        const taken = JSON.parse(steps) as StoredStep[]
        return {
          alert: { alertId, state, outcome, raisedAtMs, match, sighting },
          steps: taken.map((one) => ({
            ...{ revision: one.revision, step: one.step, account: one.account },
            ...{ atMs: one.at_ms, auditSeq: one.audit_seq },
          })),
        }
      })
    },

    async crop(holdId, cameraId, sightingId) {
      for (const table of ['held_crops', 'crops'] as const) {
        const [row] = await database.read(
          build
            .selectFrom('hold_sightings')
            .innerJoin(`${table as 'held_crops'} as kept`, (join) =>
              join
                .onRef('kept.sighting_id', '=', 'hold_sightings.sighting_id')
                .onRef('kept.camera_id', '=', 'hold_sightings.camera_id'),
            )
            .select(['kept.jpeg', 'kept.sha256'])
            .where('hold_sightings.hold_id', '=', holdId)
            .where('hold_sightings.camera_id', '=', cameraId)
            .where('hold_sightings.sighting_id', '=', sightingId)
            .orderBy('kept.received_at_ms', 'desc')
            .limit(1),
        )
        if (row !== undefined) return row
      }
      return null
    },
  }
}

interface StoredStep {
  revision: number
  step: string
  account: string
  at_ms: number
  audit_seq: number
}
