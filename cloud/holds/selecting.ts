/** What a hold names, found once, when it is made: by sightings, by plate and time, or by alerts. Called by holds.ts. */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { comparePlates, confusableKey, normalisePlate } from '../../shared/plate.ts'
import type { Alert } from '../../shared/wire/index.ts'
import { withoutPlates } from '../audit/plates.ts'
import type { Database } from '../database/database.ts'
import type { Sightings } from '../sightings.ts'

/** Sightings of one hold; what is more is refused, not cut off. */
export const MAX_HOLD_SIGHTINGS = 2_000
/** Sightings or alerts that a request names one by one. */
export const MAX_NAMED = 100
/** Reads of look-alike plates that a selection by plate looks through, about 50 ms. */
const MAX_LOOKED_AT = 10_000

export type HoldSelection =
  | { kind: 'sightings'; sightingIds: readonly string[] }
  | {
      kind: 'plate'
      plate: string
      /** Seen from this time on, and before that. */
      fromMs: number
      toMs: number
      /** Empty: all. */
      cameras: readonly string[]
      /** Reads that reading may have confused with the plate, too. */
      near: boolean
      /** As of a search; who may search what is asked before. */
      purpose?: string | null
      offenceType?: string
    }
  /** With the sightings that the alerts are about, those of their trails included. `groups`: whose alerts the person may see. */
  | { kind: 'alerts'; alertIds: readonly string[]; groups: readonly string[] }

export interface Selected {
  sightings: { cameraId: string; sightingId: string }[]
  alertIds: string[]
  /** The selection as it is written down. */
  told: Record<string, unknown>
  /** A text with every plate that is held, or was asked for, as its digest. */
  withoutPlates(text: string): string
}

interface SelectingDeps {
  database: Database
  clock: Clock
  sightings: Pick<Sightings, 'visible'>
  getAlert: (alertId: string, groups: readonly string[]) => Promise<{ alert: Alert }>
  plateDigest: (plate: string) => string
}

export function createSelecting(deps: SelectingDeps): (selection: HoldSelection) => Promise<Selected> {
  const { database, clock, sightings, plateDigest } = deps
  const visible = () => sightings.visible(clock.nowMs()).select(['camera_id', 'sighting_id', 'plate'])
  type Row = { camera_id: string; sighting_id: string; plate: string | null }

  async function bySightings(sightingIds: readonly string[]): Promise<Row[]> {
    const rows: Row[] = []
    for (const sightingId of new Set(sightingIds)) {
      const found = await database.read(visible().where('sighting_id', '=', sightingId))
      if (found.length === 0)
        throw new AppError('not_found', `there is no sighting ${sightingId}, or it is past its retention`)
      rows.push(...found)
    }
    return rows
  }

  async function byPlate(selection: HoldSelection & { kind: 'plate' }): Promise<Row[]> {
    const plate = normalisePlate(selection.plate)
    if (plate === null) throw new AppError('bad_input', 'that is no plate', { hint: '2-12 letters and digits' })
    if (selection.toMs <= selection.fromMs) throw new AppError('bad_input', 'the time ends before it begins')
    let query = visible()
      .where('confusable_key', '=', confusableKey(plate))
      .where('seen_at_ms', '>=', selection.fromMs)
      .where('seen_at_ms', '<', selection.toMs)
      .limit(MAX_LOOKED_AT + 1)
    if (selection.cameras.length > 0) query = query.where('camera_id', 'in', [...selection.cameras])
    const rows = await database.read(query)
    if (rows.length > MAX_LOOKED_AT) throw tooMany()
    const wanted = selection.near ? ['exact', 'near'] : ['exact']
    return rows.filter((row) => row.plate !== null && wanted.includes(comparePlates(row.plate, plate) ?? ''))
  }

  async function byAlerts({ alertIds, groups }: HoldSelection & { kind: 'alerts' }): Promise<Row[]> {
    const rows: Row[] = []
    for (const alertId of new Set(alertIds)) {
      const { alert } = await deps.getAlert(alertId, groups)
      for (const { cameraId, sightingId, plate } of [alert.sighting, ...alert.trail]) {
        rows.push({ camera_id: cameraId, sighting_id: sightingId, plate })
      }
      rows.push({
        camera_id: alert.sighting.cameraId,
        sighting_id: alert.sighting.sightingId,
        plate: alert.match.listedPlate,
      })
    }
    return rows
  }

  return async (selection) => {
    const rows =
      selection.kind === 'sightings'
        ? await bySightings(selection.sightingIds)
        : selection.kind === 'plate'
          ? await byPlate(selection)
          : await byAlerts(selection)
    const found = new Map(
      rows.map((row) => [
        `${row.camera_id}/${row.sighting_id}`,
        { cameraId: row.camera_id, sightingId: row.sighting_id },
      ]),
    )
    if (found.size > MAX_HOLD_SIGHTINGS) throw tooMany()
    if (found.size === 0) {
      throw new AppError('not_found', 'nothing that is kept fits, so nothing would be held', {
        hint: 'widen the time or the cameras; what arrives later is not held',
      })
    }
    const asked = selection.kind === 'plate' ? normalisePlate(selection.plate) : null
    const plates = [asked, ...rows.map(({ plate }) => plate)]
    return {
      sightings: [...found.values()],
      alertIds: selection.kind === 'alerts' ? [...new Set(selection.alertIds)] : [],
      told: tell(selection, plateDigest),
      withoutPlates: (text) => withoutPlates(text, plates, plateDigest),
    }
  }
}

function tell(selection: HoldSelection, plateDigest: (plate: string) => string): Record<string, unknown> {
  if (selection.kind === 'plate') {
    const { plate, ...others } = selection
    return { ...others, plateDigest: plateDigest(normalisePlate(plate) ?? '') }
  }
  return selection.kind === 'sightings'
    ? { kind: 'sightings', sightingIds: [...selection.sightingIds] }
    : { kind: 'alerts', alertIds: [...selection.alertIds] }
}

const tooMany = () =>
  new AppError('too_large', `more than ${MAX_HOLD_SIGHTINGS} sightings would be held; nothing is`, {
    hint: 'narrow the time or the cameras, or make several holds',
  })
