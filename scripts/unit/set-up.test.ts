import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { UnitPlaces } from './places.ts'
import { readCard } from './provision.ts'
import { clearPage, type Found, nextStep, preparePage, takeOverFromPage } from './set-up.ts'

const NOTHING: Found = {
  ...{
    isCamera: false,
    isMarked: false,
    isCardComplete: false,
    hasNewClaim: false,
    hasCode: false,
    wasPageOpened: false,
  },
}

test('what a unit does with what it finds: the card first, the page where the card does not say all, once for each time it is switched on', () => {
  const next = (found: Partial<Found>) => nextStep({ ...NOTHING, ...found })
  assert.is(next({}), 'set-up')
  assert.is(next({ hasCode: true }), 'set-up')
  assert.is(next({ isMarked: true }), 'set-up')
  assert.is(next({ wasPageOpened: true }), 'wait')
  assert.is(next({ isCardComplete: true }), 'enrol')
  assert.is(next({ isCardComplete: true, hasCode: true, isMarked: true }), 'enrol')
  assert.is(next({ isCardComplete: true, wasPageOpened: true }), 'enrol')
  assert.is(next({ isCamera: true }), 'camera')
  assert.is(next({ isCamera: true, isCardComplete: true }), 'camera')
  assert.is(next({ isCamera: true, hasCode: true }), 'set-up')
  assert.is(next({ isCamera: true, isMarked: true }), 'set-up')
  assert.is(next({ isCamera: true, isMarked: true, hasCode: true, wasPageOpened: true }), 'camera')
  assert.is(next({ isCamera: true, isCardComplete: true, hasNewClaim: true }), 'enrol-again')
  assert.is(next({ isCamera: true, hasNewClaim: true, hasCode: true }), 'set-up')
  assert.is(next({ isCamera: true, hasNewClaim: true, hasCode: true, wasPageOpened: true }), 'enrol-again')
})

async function inPlaces(run: (places: UnitPlaces) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-unit-'))
  try {
    await run({
      cameraFolder: join(folder, 'camera'),
      enrollingFolder: join(folder, 'enrolling'),
      pageOpenedFile: join(folder, 'opened'),
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const EMPTY = { claim: null, code: null, login: null, settings: {} }
const markOf = (folder: string) => readFileSync(join(folder, 'set-up'), 'utf8').split('\n')[0]

test('the page of a new unit finds claim, code, settings and an empty log-in, and a second preparation changes nothing but the code', async () => {
  await inPlaces(async (places) => {
    const { cameraFolder } = places
    await preparePage(places, { claim: '{}', code: 'AAAA-AAAA', login: null, settings: { upload: 'all' } })
    assert.equal(readdirSync(cameraFolder).sort(), [
      ...['camera-login', 'claim.json', 'set-up', 'setup-code', 'unit-settings.json'],
    ])
    assert.is(markOf(cameraFolder), 'new')
    writeFileSync(join(cameraFolder, 'camera-login'), 'user:typed on the page')
    await preparePage(places, { ...EMPTY, code: 'BBBB-BBBB' })
    assert.is(readFileSync(join(cameraFolder, 'claim.json'), 'utf8'), '{}')
    assert.is(readFileSync(join(cameraFolder, 'setup-code'), 'utf8'), 'BBBB-BBBB')
    assert.is(readFileSync(join(cameraFolder, 'camera-login'), 'utf8'), 'user:typed on the page')
    await clearPage(places)
    assert.equal(readdirSync(cameraFolder).sort(), ['camera-login', 'set-up'])
  })
})

test('the page of a camera is marked as reopened, and gets no claim and no settings', async () => {
  await inPlaces(async (places) => {
    mkdirSync(places.cameraFolder)
    writeFileSync(join(places.cameraFolder, 'edge.json'), '{}')
    await preparePage(places, { ...EMPTY, claim: '{}', code: 'AAAA-AAAA' })
    assert.is(markOf(places.cameraFolder), 'reopened')
    assert.equal(readdirSync(places.cameraFolder).sort(), ['camera-login', 'edge.json', 'set-up', 'setup-code'])
  })
})

test('an enrolment that was begun by the card goes on in the page with its key, and the other way round', async () => {
  await inPlaces(async (places) => {
    const { cameraFolder, enrollingFolder } = places
    mkdirSync(enrollingFolder)
    writeFileSync(join(enrollingFolder, 'key.pem'), 'the key')
    // Enrolled, and the power went: it is a camera then, but one that nobody has aimed.
    writeFileSync(join(enrollingFolder, 'edge.json'), '{}')
    await preparePage(places, EMPTY)
    assert.is(existsSync(enrollingFolder), false)
    assert.is(markOf(cameraFolder), 'new')
    assert.is(readFileSync(join(cameraFolder, 'key.pem'), 'utf8'), 'the key')

    rmSync(join(cameraFolder, 'edge.json'))
    await takeOverFromPage(places)
    assert.is(existsSync(cameraFolder), false)
    assert.equal(readdirSync(enrollingFolder).sort(), ['camera-login', 'key.pem'])

    // Both are there: the one that the card began stays.
    mkdirSync(cameraFolder)
    writeFileSync(join(cameraFolder, 'key.pem'), 'another key')
    await takeOverFromPage(places)
    assert.is(existsSync(cameraFolder), false)
    assert.is(readFileSync(join(enrollingFolder, 'key.pem'), 'utf8'), 'the key')
    await takeOverFromPage({ ...places, enrollingFolder: join(enrollingFolder, 'none') })
  })
})

test('a code on the card that is none opens no page, so that no camera stays dark for it', () => {
  const on = (code: string) => readCard({ read: (name) => (name === 'setup-code' ? code : null) })
  assert.is(on('ABCD-EFGH\n').code, 'ABCD-EFGH\n')
  for (const wrong of ['', 'ABCD-EFG', 'ABCD-EFGU', 'please']) {
    const { code, problems } = on(wrong)
    assert.is(code, null, wrong)
    assert.match(problems.at(-1) ?? '', /^setup-code on the card is no code/)
  }
})

test.run()
