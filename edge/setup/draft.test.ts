import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, codeOf, inCloud } from '../../cloud/testing.ts'
import { enrol } from '../../scripts/trial/link-testing.ts'
import { loadEdgeConfig } from '../config.ts'
import { PREVIOUS_FILE } from '../enrolment/folder.ts'
import { type Areas, WHOLE_PICTURE } from '../vision/areas.ts'
import { isWaiting, MARK_FILE, markWaiting, openDraft, undo, unmarkReopened } from './draft.ts'

const VIEW: Areas = {
  region: null,
  masks: [
    [
      [0, 0],
      [0.5, 0],
      [0.5, 0.5],
    ],
  ],
}
const STREAM = { kind: 'stream' as const, address: 'rtsp://10.0.0.20/one' }

/** The folder of an enrolled unit, as its claim leaves it. */
async function withUnit(work: (file: string, folder: string) => Promise<void>, change: object = {}): Promise<void> {
  await inCloud(async (cloud) => {
    const folder = await enrol(cloud, 'north')
    const file = join(folder, 'edge.json')
    const config = {
      ...{ agency: AGENCY, cameraId: 'north', broker: { url: 'mqtts://localhost:8883' } },
      ...{ source: { kind: 'replay', path: 'frames' }, retention: { cropDays: 3 }, ...change },
    }
    writeFileSync(file, JSON.stringify(config))
    await work(file, folder)
  })
}

test('what was set becomes the configuration, all else stays, and the one of before is kept', async () => {
  await withUnit(async (file, folder) => {
    await markWaiting(folder, 'new')
    const before = readFileSync(file, 'utf8')
    const draft = await openDraft(file)
    assert.equal(draft.camera, { agency: AGENCY, cameraId: 'north' })
    assert.equal(draft.view, WHOLE_PICTURE)
    draft.view = VIEW
    draft.source = { ...STREAM, ...{ widthPx: 1, heightPx: 1 } } as never
    assert.is(await codeOf(() => draft.commit()), 'configuration')
    assert.is(readFileSync(file, 'utf8'), before)
    assert.ok(await isWaiting(folder))
    draft.source = STREAM as never
    await draft.commit()
    const config = loadEdgeConfig(file, null)
    assert.equal(config.view, VIEW)
    assert.is(config.source.kind, 'stream')
    assert.is(config.retention.cropDays, 3)
    assert.is(statSync(file).mode & 0o777, 0o600)
    assert.is(readFileSync(join(folder, PREVIOUS_FILE), 'utf8'), before)
    assert.not.ok(await isWaiting(folder))
  })
})

test('undo puts the configuration of before back, and undone again the newer one', async () => {
  await withUnit(async (file, folder) => {
    assert.is(await codeOf(() => undo(file)), 'not_found')
    const draft = await openDraft(file)
    draft.source = STREAM as never
    draft.view = VIEW
    const before = readFileSync(file, 'utf8')
    await draft.commit()
    const after = readFileSync(file, 'utf8')
    await undo(file)
    assert.is(readFileSync(file, 'utf8'), before)
    await undo(file)
    assert.is(readFileSync(file, 'utf8'), after)
    writeFileSync(join(folder, PREVIOUS_FILE), '{"agency": 1}')
    assert.is(await codeOf(() => undo(file)), 'configuration')
    assert.is(readFileSync(file, 'utf8'), after)
  })
})

test('finishing without a change keeps what undo goes back to', async () => {
  await withUnit(async (file, folder) => {
    const draft = await openDraft(file)
    draft.source = STREAM as never
    await draft.commit()
    const previous = readFileSync(join(folder, PREVIOUS_FILE), 'utf8')
    const first = loadEdgeConfig(file, null)
    const again = await openDraft(file)
    await again.commit()
    assert.is(readFileSync(join(folder, PREVIOUS_FILE), 'utf8'), previous)
    // Somebody may have turned the camera all the same: its view is learned anew.
    const second = loadEdgeConfig(file, null)
    assert.is.not(second.vision.aim, first.vision.aim)
    assert.equal({ ...second, vision: first.vision, written: first.written }, first)
  })
})

test('nothing is written while the unit has no claim, no camera, or a key that others can read', async () => {
  await withUnit(async (file, folder) => {
    const fresh = await openDraft(join(folder, 'none', 'edge.json'))
    assert.is(fresh.camera, null)
    assert.is(await codeOf(() => fresh.commit()), 'conflict')
    const draft = await openDraft(file)
    draft.source = null
    assert.is(await codeOf(() => draft.commit()), 'conflict')
    draft.source = STREAM as never
    chmodSync(join(folder, 'key.pem'), 0o644)
    assert.is(await codeOf(() => draft.commit()), 'configuration')
    assert.not.ok(existsSync(join(folder, PREVIOUS_FILE)))
  })
})

test('a configuration that is wrong ends the set-up, and so does a name that enrolment does not write', async () => {
  await withUnit(async (file, folder) => {
    writeFileSync(file, '{"agency": "x"}')
    assert.is(await codeOf(() => openDraft(file)), 'configuration')
    assert.is(await codeOf(() => openDraft(join(folder, 'other.json'))), 'configuration')
  })
})

test('nobody using the page, a unit that was reopened is a camera again, and a new one still waits', async () => {
  await withUnit(async (_file, folder) => {
    await markWaiting(folder, 'reopened')
    assert.ok(await isWaiting(folder))
    await unmarkReopened(folder)
    assert.not.ok(existsSync(join(folder, MARK_FILE)))
    await unmarkReopened(folder)
    await markWaiting(folder, 'new')
    await unmarkReopened(folder)
    assert.ok(await isWaiting(folder))
  })
})

test.run()
