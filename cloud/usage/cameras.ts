/**
 * How long cameras were online, and what they say to have seen, by UTC day. A camera is online from a status or health report to the
 * next report of the same session, the time of each as the cloud received it; the last of them may be the Will, which comes at most one
 * and a half keep-alives after the camera was gone. What lies between two sessions, or in which the cloud itself was away, is not
 * counted: the figure is never more than that too high. Called by ingest with what cameras report. Owns its tables with usage.ts.
 */
import { type Clock, DAY_MS, MINUTE_MS } from '../../shared/clock.ts'
import type { CameraHealth, CameraStatus } from '../../shared/wire/index.ts'
import type { Database, Statement } from '../database/database.ts'
import type { UsageCameraDaysTable, UsageCameraSignsTable } from '../database/schema-usage.ts'
import { utcDay } from './figures.ts'

/** Between two reports of one session a healthy camera lets at most this pass (healthIntervalMs, one hour) and a little. */
export const MAX_SILENCE_MS = 61 * MINUTE_MS
/** By as much may the time between two health reports differ on camera and cloud if the process is the same. */
export const UPTIME_TOLERANCE_MS = MINUTE_MS

export interface CameraDays {
  recordStatus(status: CameraStatus): Promise<void>
  recordHealth(health: CameraHealth): Promise<void>
}

type Counted = Pick<UsageCameraDaysTable, 'made' | 'withheld' | 'lost'>
const NOTHING: Counted = { made: 0, withheld: 0, lost: 0 }

export function createCameraDays({ database, clock }: { database: Database; clock: Clock }): CameraDays {
  const { build } = database

  async function lastSign(cameraId: string): Promise<UsageCameraSignsTable | null> {
    const [sign] = await database.read(
      build.selectFrom('usage_camera_signs').selectAll().where('camera_id', '=', cameraId),
    )
    return sign ?? null
  }

  const store = (sign: UsageCameraSignsTable): Statement =>
    build
      .insertInto('usage_camera_signs')
      .values(sign)
      .onConflict((conflict) => conflict.column('camera_id').doUpdateSet(sign))

  /** Adds the time online from `fromMs` to `toMs`, each part to its own day, and `counted` to the last of these days. */
  function add(cameraId: string, fromMs: number, toMs: number, counted: Counted): Statement[] {
    const days: UsageCameraDaysTable[] = []
    for (let day = utcDay(fromMs); day <= utcDay(toMs); day += 1) {
      const online_ms = Math.max(0, Math.min(toMs, (day + 1) * DAY_MS) - Math.max(fromMs, day * DAY_MS))
      days.push({ utc_day: day, camera_id: cameraId, online_ms, ...(day === utcDay(toMs) ? counted : NOTHING) })
    }
    return days
      .filter((day) => day.online_ms + day.made + day.withheld + day.lost > 0)
      .map((day) =>
        build
          .insertInto('usage_camera_days')
          .values(day)
          .onConflict((conflict) =>
            conflict.columns(['utc_day', 'camera_id']).doUpdateSet((eb) => ({
              online_ms: eb('usage_camera_days.online_ms', '+', eb.ref('excluded.online_ms')),
              made: eb('usage_camera_days.made', '+', eb.ref('excluded.made')),
              withheld: eb('usage_camera_days.withheld', '+', eb.ref('excluded.withheld')),
              lost: eb('usage_camera_days.lost', '+', eb.ref('excluded.lost')),
            })),
          ),
      )
  }

  /** From when on it has been online without a gap, if this session was and has not been silent for too long; else `nowMs`. */
  function onlineFrom(sign: UsageCameraSignsTable | null, sessionId: string, nowMs: number): number {
    if (sign === null || sign.sign_at_ms === null || sign.session_id !== sessionId) return nowMs
    const silentMs = nowMs - sign.sign_at_ms
    return silentMs >= 0 && silentMs <= MAX_SILENCE_MS ? sign.sign_at_ms : nowMs
  }

  return {
    async recordStatus({ cameraId, online, sessionId }) {
      const nowMs = clock.nowMs()
      const sign = await lastSign(cameraId)
      // A late Will says nothing of a newer session.
      if (!online && sign?.session_id !== sessionId) return
      const fromMs = onlineFrom(sign, sessionId, nowMs)
      const counters = sign ?? { health_at_ms: null, uptime_ms: 0, ...NOTHING }
      await database.writeBatch([
        ...add(cameraId, fromMs, nowMs, NOTHING),
        store({ ...counters, camera_id: cameraId, session_id: sessionId, sign_at_ms: online ? nowMs : null }),
      ])
    },

    async recordHealth({ cameraId, sessionId, uptimeMs, sightings }) {
      const nowMs = clock.nowMs()
      const sign = await lastSign(cameraId)
      // One that was overtaken by the end of its session, or by the next one.
      const isCurrent = sign === null || (sign.session_id === sessionId && sign.sign_at_ms !== null)
      const fromMs = isCurrent ? onlineFrom(sign, sessionId, nowMs) : nowMs
      const { made, withheld, lost } = sightings
      const since = countedBefore(sign, { uptimeMs, made, withheld, lost, nowMs })
      if (since === null) return
      await database.writeBatch([
        ...add(cameraId, fromMs, nowMs, {
          made: made - since.made,
          withheld: withheld - since.withheld,
          lost: lost - since.lost,
        }),
        store({
          camera_id: cameraId,
          session_id: sign === null || isCurrent ? sessionId : sign.session_id,
          sign_at_ms: isCurrent ? nowMs : sign.sign_at_ms,
          health_at_ms: nowMs,
          uptime_ms: uptimeMs,
          ...{ made, withheld, lost },
        }),
      ])
    },
  }
}

/** The counters of the last report if the same process made it, zero if a later one did; null for a report that came again or too late. */
function countedBefore(
  sign: UsageCameraSignsTable | null,
  now: Counted & { uptimeMs: number; nowMs: number },
): Counted | null {
  if (sign === null || sign.health_at_ms === null) return NOTHING
  const passedMs = now.nowMs - sign.health_at_ms
  const isSame = Math.abs(now.uptimeMs - sign.uptime_ms - passedMs) <= UPTIME_TOLERANCE_MS
  if (!isSame && now.uptimeMs <= passedMs + UPTIME_TOLERANCE_MS) return NOTHING
  // Of a clock that was set, the counters alone say that they go on.
  if (now.made >= sign.made && now.withheld >= sign.withheld && now.lost >= sign.lost) return sign
  // A process counts up only: one that ran for longer and has less is another, begun within the tolerance.
  return isSame && now.uptimeMs > sign.uptime_ms ? NOTHING : null
}
