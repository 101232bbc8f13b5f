/**
 * Forgetting by policy: the bytes of entries older than `audit.days` go in whole segments, a tile of entries each, that a checkpoint
 * cosigned by a witness closes. Their hashes stay, so every proof still holds. What will go is told by an entry of the audit before
 * it goes; a purge that was cut off is ended the next time. Called once a minute. Owns table audit_purges.
 */
import { type Clock, DAY_MS } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import type { Database } from '../database/database.ts'
import { PURGE_OPERATION } from './check.ts'
import { CLOUD_ACTOR, parseEntry } from './entry.ts'
import type { Audit } from './log.ts'
import { TILE_WIDTH } from './tiles.ts'

/** Segments of one purge; the next one takes the rest. */
export const MAX_PURGED_SEGMENTS = 64
/** Entries that are parsed in one turn of the event loop. */
const PARSED_AT_ONCE = 32

export interface AuditPurgeDeps {
  database: Database
  audit: Pick<Audit, 'append'>
  clock: Clock
  log: Log
}

/** `days`: null, for ever. Returns how many entries' bytes went. */
export async function purgeAudit(deps: AuditPurgeDeps, days: number | null): Promise<number> {
  const { database, audit, clock, log } = deps
  const { build } = database
  const purges = build.selectFrom('audit_purges').selectAll().orderBy('through_seq', 'desc').limit(1)
  const [last] = await database.read(purges)
  let unfinished = last !== undefined && last.done_at_ms === null ? last : null
  if (unfinished === null && days !== null) {
    const done = last?.through_seq ?? 0
    const { through, cosigned } = await closedBefore(deps, done, clock.nowMs() - days * DAY_MS)
    if (through > done) {
      const detail = { from: done + 1, through, cosigned, days }
      const receipt = await audit.append({ operation: PURGE_OPERATION, outcome: 'allowed', actor: CLOUD_ACTOR, detail })
      unfinished = { from_seq: done + 1, through_seq: through, receipt_seq: receipt.seq, done_at_ms: null }
      await database.writeBatch([build.insertInto('audit_purges').values(unfinished)])
    }
  }
  if (unfinished === null) return 0
  const { from_seq, through_seq } = unfinished
  for (let first = from_seq; first <= through_seq; first += TILE_WIDTH) {
    await database.writeBatch([
      build
        .updateTable('audit_entries')
        .set({ bytes: Buffer.alloc(0) })
        .where('seq', '>=', first)
        .where('seq', '<', Math.min(first + TILE_WIDTH, through_seq + 1)),
    ])
    await clock.sleep(0)
  }
  // Deleted bytes stay readable in the write-ahead log until it is truncated; only then is the purge done.
  await database.truncateLog()
  await database.writeBatch([
    build.updateTable('audit_purges').set({ done_at_ms: clock.nowMs() }).where('through_seq', '=', through_seq),
  ])
  const purged = through_seq - from_seq + 1
  log.info('purged', { purged })
  return purged
}

/** Where the whole segments after `done` end that are older than `beforeMs` and closed by a cosigned checkpoint. */
async function closedBefore(
  { database, clock }: Pick<AuditPurgeDeps, 'database' | 'clock'>,
  done: number,
  beforeMs: number,
): Promise<{ through: number; cosigned: number }> {
  const { build } = database
  const [checkpoint] = await database.read(
    build.selectFrom('audit_checkpoints').select('size').orderBy('size', 'desc').limit(1),
  )
  const cosigned = checkpoint?.size ?? 0
  let through = done
  for (let segment = 0; segment < MAX_PURGED_SEGMENTS && through + TILE_WIDTH <= cosigned; segment++) {
    const rows = await database.read(
      build
        .selectFrom('audit_entries')
        .select('bytes')
        .where('seq', '>', through)
        .where('seq', '<=', through + TILE_WIDTH)
        .orderBy('seq'),
    )
    // A clock may have been set back: each entry counts, not the last one.
    for (const [index, { bytes }] of rows.entries()) {
      if (Date.parse(parseEntry(bytes).at) >= beforeMs) return { through, cosigned }
      if (index % PARSED_AT_ONCE === PARSED_AT_ONCE - 1) await clock.sleep(0)
    }
    through += TILE_WIDTH
  }
  return { through, cosigned }
}
