/** What the tests of the fleet share: health reports of a camera that is well, and a camera that sends them through the real broker. */
import type { MqttClient } from 'mqtt'
import { SECOND_MS } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { topics } from '../../shared/topics.ts'
import { type AlarmKind, type CameraHealth, cameraHealthSchema, type ScenePicture } from '../../shared/wire/index.ts'
import { AGENCY, publish, type TestCloud } from '../testing.ts'

export const CAMERA = 'elm-st-1'
export const INTERVAL_MS = 30 * SECOND_MS
const GIGABYTE = 1024 ** 3

export const GOOD_PICTURE: ScenePicture = {
  ...{ luminance: 120, sharpness: 0.6, detail: 1, likeness: 0.95, displacementPx: 1, displacementRatio: 0.0005 },
  lookMs: 20,
}

/** As a camera that is well says it; `change` as deep as the document's own fields. */
export function healthOf(atMs: number, change: Partial<CameraHealth> = {}): CameraHealth {
  return cameraHealthSchema.parse({
    ...{ cameraId: CAMERA, sessionId: SESSION, atMs, uptimeMs: 3_600_000, clock: 'synced' },
    frames: { read: 100, still: 0, dropped: 0, rejected: 0, failed: 0 },
    rate: { capturedPerSecond: 10, readPerSecond: 5 },
    picture: GOOD_PICTURE,
    device: {
      temperatureC: 55,
      disk: { freeBytes: 20 * GIGABYTE, totalBytes: 32 * GIGABYTE },
      memory: { availableBytes: GIGABYTE, totalBytes: 4 * GIGABYTE },
      clockOffsetMs: 0.4,
    },
    vision: { restarts: 0 },
    sightings: { made: 10, matched: 0, withheld: 0, lost: 0 },
    outbox: { rows: 0, bytes: 0, oldestAgeMs: 0, evicted: { crops: 0, sightings: 0 }, expired: 0 },
    hotlists: [],
    ...change,
  })
}
const SESSION = newId()

export interface FleetCameraWorld {
  camera: MqttClient
  /** One report, sent and judged; the clock goes on by `afterMs` first. */
  report(change?: Partial<CameraHealth>, afterMs?: number): Promise<void>
  /** Open alarms. */
  open(): Promise<AlarmKind[]>
}

export async function withCamera(world: TestCloud): Promise<FleetCameraWorld> {
  const certified = await world.addCamera(CAMERA)
  const camera = await world.connectCamera(CAMERA, certified)
  let uptimeMs = 3_600_000
  return {
    camera,
    async report(change = {}, afterMs = INTERVAL_MS) {
      world.clock.advance(afterMs)
      uptimeMs += afterMs
      const health = healthOf(world.clock.nowMs(), { uptimeMs, ...change })
      await publish(camera, topics.health(AGENCY, CAMERA), JSON.stringify(health))
      await world.cloud.parts.fleet.settled()
    },
    async open() {
      return (await world.cloud.parts.fleet.alarms({ open: true, camera: null, limit: 100 }))
        .map(({ kind }) => kind)
        .sort()
    },
  }
}

/** Writes hours of the past: each of the same vehicles and picture. */
export function writeHours(
  world: TestCloud,
  hours: readonly { hour: number; vehicles?: number; luminance?: number; sharpness?: number }[],
): void {
  const rows = hours.map(({ hour, vehicles = 0, luminance = 120, sharpness = 0.6 }) => {
    const spread = (value: number) => [value, value, value, 120]
    const spreads = JSON.stringify({ luminance: spread(luminance), sharpness: spread(sharpness) })
    return `('${CAMERA}', ${hour}, ${vehicles}, 3600000, '${spreads}')`
  })
  world.sql(`INSERT INTO fleet_hours VALUES ${rows.join(', ')}`)
}
