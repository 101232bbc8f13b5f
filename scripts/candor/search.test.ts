import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { storedRow, toTableRow } from '../../cloud/search/testing.ts'
import { systemClock } from '../../shared/clock.ts'
import { inWorld } from '../trial/commands-testing.ts'

const STATED = ['--case', '24-00123', '--offence', 'burglary', '--reason', 'vehicle seen at the break-in']

test('a search is paged, exported and traced from the command line, and a file that is there is not written over', async () => {
  await inWorld(async ({ folder, trial, as }) => {
    const { database, sightings } = trial.cloud.parts
    const nowMs = systemClock.nowMs()
    const document = (plate: string, sightingId: string, capturedAtMs: number) =>
      JSON.stringify({
        ...{ sightingId, revision: 1, cameraId: 'elm-st-1', capturedAtMs, clock: 'synced', plate, confidence: 0.9 },
        ...{ candidates: [], jurisdiction: null, region: { x: 1, y: 1, width: 9, height: 9 }, frames: 1, match: null },
        ...{ crop: null, versions: { software: 'x', detector: 'x', reader: 'x' } },
      })
    const rows = ['ABC1230', 'ABC1231', 'XBC1232'].map((plate, i) => {
      const row = storedRow({ plate, capturedAtMs: nowMs - 1_000 - i, receivedAtMs: nowMs })
      return { ...toTableRow(row), document: document(plate, row.sightingId, row.capturedAtMs) }
    })
    await database.writeBatch(rows.map((row) => sightings.insert(row)))
    const ines = await as('ines', ['investigator'])
    const first = await ines('search', '--partial', 'BC123', ...STATED, '--limit', '2')
    assert.is(first.code, 0, first.err)
    assert.not.match(first.err, /there is no camera/)
    const slip = await ines('search', '--plate', 'ABC1230', ...STATED, '--camera', 'elm-st-l', '--list', 'stollen')
    assert.match(slip.out, /^0 sightings/)
    assert.match(slip.err, /no list named elm-st-l here.*no list named stollen here/s)
    const seq = /Next page: candor search --of (\d+) --offset 2/.exec(first.out)?.[1] ?? ''
    const file = join(folder, 'found.csv')
    const second = await ines('search', '--of', seq, '--offset', '2', '--export', file)
    assert.is(second.code, 0, second.err)
    assert.match(second.out, /~ XBC1232/)
    assert.is(statSync(file).mode & 0o777, 0o600)
    const exports = async () => {
      const entries = await trial.cloud.parts.audit.list({ before: null, limit: 50 })
      return entries.filter(({ operation }) => operation === 'search.exported').length
    }
    assert.is(await exports(), 1)
    const twice = await ines('search', '--of', seq, '--export', file)
    assert.is(twice.code, 2)
    assert.match(twice.err, /found\.csv is there already/)
    assert.is(await exports(), 1, 'nothing was exported for it')
    assert.is((await ines('search', '--of', seq, '--export', `${file}.doc`)).code, 2)

    const part = join(folder, 'part.txt')
    writeFileSync(
      part,
      readFileSync(file, 'utf8')
        .split('\r\n')
        .find((line) => line.includes('ABC1231')) ?? '',
    )
    assert.is((await ines('audit', 'trace', file)).code, 1, 'an investigator does not read the audit')
    const auditor = await as('audrey', ['auditor'])
    const traced = await auditor('audit', 'trace', file)
    assert.is(traced.code, 0, traced.err)
    assert.match(traced.out, /exported by ines at .*case 24-00123, 3 rows of search/)
    assert.match(traced.out, /The file is as it was exported/)
    assert.match((await auditor('audit', 'trace', part)).out, /exported by ines/)
    writeFileSync(part, 'nothing of ours')
    assert.is((await auditor('audit', 'trace', part)).code, 1)
  })
})

test.run()
