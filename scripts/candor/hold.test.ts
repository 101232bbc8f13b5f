/** Evidence holds as people and machines call them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { newId } from '../../shared/ids.ts'
import { inWorld } from '../trial/commands-testing.ts'

const PLATE = 'HELD4711'

test('a hold is made, listed, shown by its case, extended and released from the command line', async () => {
  await inWorld(async ({ trial, as }) => {
    const { sightings, database } = trial.cloud.parts
    const sightingId = newId()
    const nowMs = systemClock.nowMs()
    const document = {
      ...{
        sightingId,
        revision: 1,
        cameraId: 'north',
        capturedAtMs: nowMs,
        clock: 'synced',
        plate: PLATE,
        confidence: 0.9,
      },
      ...{ candidates: [], jurisdiction: null, region: { x: 1, y: 2, width: 100, height: 30 }, frames: 3, match: null },
      ...{ crop: null, versions: { software: '0.1.0', detector: 'test', reader: 'test' } },
    }
    await database.writeBatch([
      sightings.insert({
        ...{ camera_id: 'north', sighting_id: sightingId, revision: 1, payload_sha256: 'x', seen_at_ms: nowMs },
        ...{ received_at_ms: nowMs, retained_from_ms: nowMs, clock_trusted: 1, plate: PLATE, confusable_key: PLATE },
        ...{ matched: 0, match_disagreed: 0, crop_sha256: null, document: JSON.stringify(document) },
      }),
      sightings.insertCrop({
        ...{ camera_id: 'north', sighting_id: sightingId, sha256: 'x', jpeg: Buffer.from('JPEG') },
        ...{ received_at_ms: nowMs, retained_from_ms: nowMs },
      }),
    ])
    const ines = await as('ines', ['investigator'])
    const until = (days: number) => new Date(nowMs + days * 86_400_000).toISOString()
    const add = ['hold', 'add', '--case', '26-17', '--basis', 'preservation letter', '--until', until(90)]
    assert.is((await ines(...add)).code, 2, 'it must say what')
    assert.is((await ines(...add, '--plate', PLATE)).code, 2, 'and when, and for what offence')
    const made = await ines(...add, '--sighting', sightingId)
    assert.is(made.code, 0, made.err)
    const [holdId = ''] = made.out.split('\n')
    assert.match(made.out, /1 sightings and 0 alerts, until /)
    assert.match((await ines('hold', 'list')).out, new RegExp(`^${holdId}  26-17 `, 'm'))
    for (const name of ['26-17', holdId]) {
      const shown = await ines('hold', 'show', name)
      assert.match(shown.out, new RegExp(`north +${PLATE} +0.90 +yes +${sightingId}`), shown.err)
    }
    const folder = await mkdtemp(join(tmpdir(), 'candor-hold-'))
    try {
      const file = join(folder, 'a.jpg')
      const saved = await ines('hold', 'picture', holdId, 'north', sightingId, '--out', file)
      assert.is(saved.code, 0, saved.err)
      assert.is(await readFile(file, 'utf8'), 'JPEG')
    } finally {
      await rm(folder, { recursive: true })
    }
    assert.match((await ines('hold', 'extend', holdId, '--until', until(100))).out, /^Held until/)
    assert.is((await ines('hold', 'release', holdId)).code, 0)
    assert.is((await ines('hold', 'show', '26-17')).code, 1)
    assert.equal(JSON.parse((await ines('hold', 'list', '--json')).out), [])
  })
})

test.run()
