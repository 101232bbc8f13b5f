import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { migrate } from '../database/migrate.ts'
import { MIGRATIONS } from '../database/migrations/index.ts'

test('certificates of before that nobody has used are told apart: of a claim, or renewed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-upgrade-'))
  const database = openDatabase(join(folder, 'candor.db'))
  try {
    const nowMs = systemClock.nowMs()
    migrate(
      database,
      nowMs,
      MIGRATIONS.filter(({ number }) => number < 47),
    )
    database.exec(
      `INSERT INTO cameras (camera_id, added_at_ms, added_by) VALUES ('north', 1, 'ada'), ('south', 1, 'ada')`,
    )
    const insert = database.prepare(
      `INSERT INTO camera_certificates (fingerprint, camera_id, serial, issued_at_ms, expires_at_ms, key_sha256, certificate_pem, takes_over)
       VALUES (?, ?, ?, 1, 2, ?, 'pem', ?)`,
    )
    insert.run('first', 'north', '1', 'a', 0)
    insert.run('replacement', 'north', '2', 'b', 1)
    insert.run('renewal', 'south', '3', 'c', 1)
    database.exec(
      `INSERT INTO camera_claims (claim_id, code_sha256, camera_id, replaces, state, made_at_ms, made_by, expires_at_ms, key_sha256)
       VALUES ('1', 'x', 'north', 1, 'approved', 1, 'tess', 2, 'b')`,
    )
    migrate(database, nowMs)
    assert.equal(database.prepare('SELECT fingerprint FROM camera_certificates WHERE renews = 1').pluck().all(), [
      'renewal',
    ])
  } finally {
    database.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
