/**
 * What a policy keeps, shown with the real parts on a database of their own and a clock that stands where it is put: each class is looked at
 * in the last millisecond of its retention, at its end, and after the purge one second past it. For tests of policies and profiles.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DAY_MS, SECOND_MS, systemClock } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { silentLog } from '../shared/log.ts'
import { confusableKey } from '../shared/plate.ts'
import type { Policy } from '../shared/wire/index.ts'
import { createAlertRules } from './alerts/rules.ts'
import { type Alerts, createAlerts } from './alerts.ts'
import { openSqlite } from './database/sqlite.ts'
import { createHolds } from './holds.ts'
import { createMetrics } from './metrics.ts'
import { createQuarantine } from './quarantine.ts'
import { purgeExpired } from './retention.ts'
import { createSightings } from './sightings.ts'
import { createSuppressions } from './suppressions.ts'
import { makeSighting } from './testing.ts'

export const KEPT_CLASSES = ['unmatched', 'matched', 'crop', 'alert', 'quarantine', 'held'] as const
export type KeptClass = (typeof KEPT_CLASSES)[number]

export interface Kept {
  class: KeptClass
  /** How long by the policy, milliseconds; of what is held, as long as the hold. */
  keptMs: number
  /** Shown in the last millisecond. */
  atLimit: boolean
  /** Shown when its time is over, although nothing was purged yet. */
  pastLimit: boolean
  /** In the database's files after a purge one second before its end, and one second past it. */
  onDiskBefore: boolean
  onDiskAfter: boolean
}

const START_MS = 1_790_000_000_000
const NEVER = new AbortController().signal
/** Of a sighting that is held until twice its longest retention, at most as long as the policy lets a hold last. */
const HELD = 'HELD4716'

/** Every class, in the order of KEPT_CLASSES. */
export async function keptAt(policy: Pick<Policy, 'retention' | 'holds'>): Promise<Kept[]> {
  const { unmatchedDays, matchedDays, cropDays, quarantineDays } = policy.retention
  const days = {
    unmatched: unmatchedDays,
    matched: matchedDays,
    crop: cropDays,
    alert: matchedDays,
    quarantine: quarantineDays,
  }
  const kept: Kept[] = []
  for (const one of KEPT_CLASSES) {
    const keptMs = (one === 'held' ? policy.holds.maxDays : days[one]) * DAY_MS
    kept.push(await look(one, keptMs, policy))
  }
  return kept
}

async function look(one: KeptClass, keptMs: number, policy: Pick<Policy, 'retention' | 'holds'>): Promise<Kept> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-kept-'))
  const file = join(folder, 'a.db')
  let nowMs = START_MS
  const database = openSqlite({ path: file, nowMs })
  try {
    const clock = { nowMs: () => nowMs, monotonicMs: systemClock.monotonicMs, sleep: () => systemClock.sleep(0) }
    const { unmatchedDays, matchedDays, cropDays, quarantineDays } = policy.retention
    const retention = () => ({
      ...{ unmatchedMs: unmatchedDays * DAY_MS, matchedMs: matchedDays * DAY_MS },
      ...{ cropMs: cropDays * DAY_MS, quarantineMs: quarantineDays * DAY_MS },
    })
    const audit = {
      append: async () => ({ seq: 1 }),
      plateDigest: (plate: string) => createHash('sha256').update(plate).digest('hex'),
    }
    const sightings = createSightings({ database, retention })
    const quarantine = createQuarantine({ database, newId, retention })
    const alerts: Alerts = createAlerts({
      ...{ database, agency: 'springfield', clock, log: silentLog, newId, retention, audit },
      suppressions: await createSuppressions({ database, clock }),
      stored: async () => null,
      currentMatch: () => null,
      webhooks: { queue: () => ({ statements: [], committed: () => {} }) },
      rules: await createAlertRules({ database, clock }),
      publish: async () => {},
    })
    const holds = createHolds({
      ...{ database, clock, newId, sightings, getAlert: alerts.get, plateDigest: audit.plateDigest },
      policy: () => policy,
    })
    const nothing = { purge: async () => ({ deleted: {}, isDone: true }) }
    const purge = async () => {
      await purgeExpired(
        {
          ...{ database, sightings, alerts, quarantine, holds, retention, audit, clock, log: silentLog },
          ...{ sessions: nothing, entries: nothing, upkeep: async () => {}, metrics: createMetrics() },
        },
        NEVER,
      )
      await database.truncateLog()
      await database.sweep(NEVER)
    }

    const plate = one === 'held' ? HELD : `${one.slice(0, 4).toUpperCase()}4717`
    const sighting = makeSighting(clock, { plate, candidates: [{ plate, confidence: 0.9 }] })
    const jpeg = Buffer.from(`JPEG of ${plate}`)
    const row = (matched: 0 | 1) =>
      sightings.insert({
        ...{ camera_id: sighting.cameraId, sighting_id: sighting.sightingId, revision: 1, payload_sha256: 'x' },
        ...{ seen_at_ms: START_MS, received_at_ms: START_MS, retained_from_ms: START_MS, clock_trusted: 1 },
        ...{ plate, confusable_key: confusableKey(plate), matched, match_disagreed: 0, crop_sha256: null },
        document: JSON.stringify(sighting),
      })
    const crop = sightings.insertCrop({
      ...{ camera_id: sighting.cameraId, sighting_id: sighting.sightingId, sha256: 'x', jpeg },
      ...{ received_at_ms: START_MS, retained_from_ms: START_MS },
    })
    let shown: () => Promise<boolean>
    if (one === 'quarantine') {
      const payload = Buffer.from(JSON.stringify(sighting))
      const rest = {
        cameraId: 'elm-st-1',
        topic: 't',
        reason: 'malformed' as const,
        detail: '',
        receivedAtMs: START_MS,
      }
      await database.writeBatch([quarantine.insert({ ...rest, payload })])
      shown = async () => (await quarantine.list(nowMs, 1)).length === 1
    } else if (one === 'alert') {
      const { statements } = alerts.raise({ sighting, receivedAtMs: START_MS, match: MATCH })
      await database.writeBatch(statements)
      shown = async () =>
        (await alerts.list({ groups: ['patrol'], state: null, beforeMs: null, limit: 1 })).length === 1
    } else if (one === 'crop') {
      // Of a sighting that is there for as long: what hides the picture is its own retention.
      await database.writeBatch([row(matchedDays >= unmatchedDays ? 1 : 0), crop])
      shown = async () => {
        const { cameraId, sightingId } = sighting
        return (await sightings.crop(cameraId, sightingId, nowMs)) !== null
      }
    } else if (one === 'held') {
      await database.writeBatch([row(0)])
      const selected = await holds.select({ kind: 'sightings', sightingIds: [sighting.sightingId] })
      const { holdId } = await holds.add({
        ...{ caseNumber: '26-17', basis: 'preservation letter', untilMs: START_MS + keptMs, selected, by: 'ines' },
      })
      shown = async () =>
        holds.get(holdId).then(
          async () => (await holds.sightings(holdId, { offset: 0, limit: 1 })).length === 1,
          () => false,
        )
    } else {
      await database.writeBatch([row(one === 'matched' ? 1 : 0)])
      shown = async () => (await sightings.get(sighting.sightingId, nowMs)) !== null
    }

    const mark = one === 'crop' ? jpeg : Buffer.from(plate)
    const isOnDisk = () => ['', '-wal'].some((ending) => readFileSync(file + ending).includes(mark))
    // A held sighting's own time, or that of a picture's sighting, may be over before.
    nowMs = START_MS + keptMs - 1
    const atLimit = await shown()
    nowMs = START_MS + keptMs
    const pastLimit = await shown()
    nowMs = START_MS + keptMs - SECOND_MS
    await purge()
    const onDiskBefore = isOnDisk()
    nowMs = START_MS + keptMs + SECOND_MS
    await purge()
    return { class: one, keptMs, atLimit, pastLimit, onDiskBefore, onDiskAfter: isOnDisk() }
  } finally {
    await database.close()
    rmSync(folder, { recursive: true })
  }
}

const MATCH = {
  ...{ kind: 'exact' as const, score: 1, list: 'stolen', listVersion: 1, entryId: newId(), plate: 'ALER4717' },
  ...{ jurisdiction: null, category: 'stolen', priority: 1, stale: false, suppressed: false, groups: ['patrol'] },
}
