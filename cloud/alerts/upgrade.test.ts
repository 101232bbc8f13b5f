import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { alertSchema } from '../../shared/wire/index.ts'
import { migrate } from '../database/migrate.ts'
import { MIGRATIONS } from '../database/migrations/index.ts'
import { openSqlite } from '../database/sqlite.ts'
import { createOutcomes, utcDay } from './outcomes.ts'
import { createAlertRows } from './rows.ts'

test('alerts of before there were trails are read, found by their entry, and counted, each as it was left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-upgrade-'))
  const path = join(folder, 'candor.db')
  try {
    const nowMs = systemClock.nowMs()
    const old = openDatabase(path)
    migrate(
      old,
      nowMs,
      MIGRATIONS.filter(({ number }) => number < 22),
    )
    const seeded = [
      { state: 'image_compared', outcome: null, stillMatches: true, kind: 'exact' },
      { state: 'raised', outcome: null, stillMatches: false, kind: 'near' },
      { state: 'closed', outcome: 'misread', stillMatches: true, kind: 'exact' },
    ].map((one) => {
      const alertId = newId()
      const document = {
        ...{ alertId, agency: 'springfield', revision: 2, state: one.state, outcome: one.outcome, groups: ['patrol'] },
        ...{ raisedAtMs: nowMs, updatedAtMs: nowMs, updatedBy: null, expiresAtMs: nowMs + 1 },
        match: {
          ...{ kind: one.kind, score: 1, list: 'stolen', listVersion: 1, entryId: newId(), listedPlate: 'ABC1230' },
          ...{
            listedJurisdiction: null,
            category: '',
            priority: 1,
            cameraAgreed: true,
            stillMatches: one.stillMatches,
          },
        },
        sighting: {
          ...{ sightingId: newId(), revision: 1, cameraId: 'north', capturedAtMs: nowMs - 5, receivedAtMs: nowMs },
          ...{ seenAtMs: nowMs - 5, clock: 'synced', plate: 'ABC1230', confidence: 1, candidates: [] },
          ...{ jurisdiction: null, region: { x: 1, y: 2, width: 9, height: 3 }, crop: null },
        },
      }
      old
        .prepare('INSERT INTO alerts VALUES (?, ?, ?, ?, 2, 2, ?, ?, ?, ?)')
        .run(
          ...[alertId, 'north', document.sighting.sightingId, document.match.entryId, one.state],
          ...[nowMs, nowMs - 5, JSON.stringify(document)],
        )
      old.prepare('INSERT INTO alert_groups VALUES (?, ?, ?, ?)').run(alertId, 'patrol', one.state, nowMs)
      return document
    })
    old.close()

    const database = openSqlite({ path, nowMs })
    try {
      const rows = createAlertRows({ database, shownFromMs: () => 0 })
      const stored = await database.read(rows.visible().selectAll().orderBy('alert_id'))
      assert.equal(
        stored.map((row) => [row.list, row.match_kind, row.raised_kind, row.last_seen_at_ms, row.sightings]),
        [
          ['stolen', 'exact', 'exact', nowMs - 5, 1],
          ['stolen', 'none', 'near', nowMs - 5, 1],
          ['stolen', 'exact', 'exact', nowMs - 5, 1],
        ],
      )
      for (const [i, alert] of (await rows.whole(stored)).entries()) {
        assert.ok(alertSchema.safeParse(alert).success)
        assert.equal([alert.basisRevision, alert.acknowledgedBy, alert.trail, alert.heldFor], [2, null, [], []])
        assert.is(alert.sighting.sightingId, seeded[i]?.sighting.sightingId)
      }
      const day = utcDay(nowMs)
      const { cameras } = await createOutcomes({ database, clock: systemClock }).figures({ from: day, to: day })
      assert.equal(
        cameras.map(({ name, kind, raised, closed, outcomes }) => [name, kind, raised, closed, outcomes]),
        [
          ['north', 'exact', 2, 1, { misread: 1 }],
          ['north', 'near', 1, 0, {}],
        ],
      )
    } finally {
      await database.close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
