import { createHash } from 'node:crypto'
import { existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError, toAppError } from '../../shared/errors.ts'
import { FIRST_STATE, MAX_TRIES } from './boot-state.ts'
import { keepFloor, keepSlot } from './confirm.ts'
import { checkBundle, raucInstall, runningSlot } from './update.ts'
import { isOlder, MAX_REQUEST_BYTES, readRequest, removeRequest, takeBundle } from './update-request.ts'
import { versionFloor } from './version-floor.ts'

const ID = '01912345-6789-7abc-8def-0123456789ab'

async function inFolder(use: (folder: string, out: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-update-'))
  try {
    mkdirSync(join(folder, 'updates'))
    await use(join(folder, 'updates'), join(folder, 'taken', 'bundle.raucb'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
const nameOf = (bytes: string) => `${createHash('sha256').update(bytes).digest('hex')}.raucb`
const request = (folder: string, more: object = {}) =>
  writeFileSync(
    join(folder, 'install.json'),
    JSON.stringify({ id: ID, version: '1.2.3', bundle: nameOf('bundle'), ...more }),
  )
const problem = async (work: Promise<unknown>) => {
  try {
    await work
  } catch (thrown) {
    return `${toAppError(thrown).code}: ${toAppError(thrown).message}`
  }
  return 'taken'
}

test('a request and its bundle are taken, and removed afterwards', () =>
  inFolder(async (folder, out) => {
    request(folder)
    writeFileSync(join(folder, nameOf('bundle')), 'bundle')
    assert.equal(await readRequest(folder), { id: ID, version: '1.2.3', bundle: nameOf('bundle') })
    await takeBundle(folder, nameOf('bundle'), out)
    assert.is(await readFile(out, 'utf8'), 'bundle')
    await removeRequest(folder, nameOf('bundle'))
    assert.is(existsSync(join(folder, 'install.json')), false)
    assert.is(existsSync(join(folder, nameOf('bundle'))), false)
  }))

test('a request with a wrong field, too long or that is no JSON is refused', () =>
  inFolder(async (folder) => {
    for (const more of [
      { id: '1' },
      { version: '1.2' },
      { version: '1.2.3-x' },
      { bundle: '../etc/shadow' },
      { bundle: `${'a'.repeat(63)}.raucb` },
    ]) {
      request(folder, more)
      assert.match(await problem(readRequest(folder)), /^bad_input/, JSON.stringify(more))
    }
    writeFileSync(join(folder, 'install.json'), '{')
    assert.match(await problem(readRequest(folder)), /not JSON/)
    writeFileSync(join(folder, 'install.json'), ' '.repeat(MAX_REQUEST_BYTES + 1))
    assert.match(await problem(readRequest(folder)), /larger than/)
  }))

test('a link, a second name, a folder in the place of a file, and a folder that is a link are not followed', () =>
  inFolder(async (folder, out) => {
    const bundle = join(folder, nameOf('secret'))
    writeFileSync(join(folder, '../secret'), 'secret')
    symlinkSync('../secret', bundle)
    assert.match(await problem(takeBundle(folder, nameOf('secret'), out)), /is a link/)
    rmSync(bundle)
    linkSync(join(folder, '../secret'), bundle)
    assert.match(await problem(takeBundle(folder, nameOf('secret'), out)), /another name/)
    rmSync(bundle)
    mkdirSync(bundle)
    assert.match(await problem(takeBundle(folder, nameOf('secret'), out)), /no regular file/)
    symlinkSync(folder, join(folder, '../linked'))
    assert.match(await problem(readRequest(join(folder, '../linked'))), /./)
    assert.is(existsSync(out), false)
  }))

test('a bundle that is not the one of its name, or one byte too large, is refused and leaves nothing', () =>
  inFolder(async (folder, out) => {
    const name = nameOf('bundle')
    writeFileSync(join(folder, name), 'bundlE')
    assert.match(await problem(takeBundle(folder, name, out)), /not the one of its name/)
    writeFileSync(join(folder, name), 'bundle')
    assert.match(await problem(takeBundle(folder, name, out, 5)), /larger than 5/)
    assert.is(existsSync(out), false)
    assert.is(await problem(takeBundle(folder, name, out, 6)), 'taken')
  }))

test('versions are compared number by number', () => {
  assert.is(isOlder('0.9.9', '0.10.0'), true)
  assert.is(isOlder('0.10.0', '0.9.9'), false)
  assert.is(isOlder('1.0.0', '1.0.0'), false)
})

test('a bundle for other hardware, of another version than asked for, or below the floor is refused', () => {
  const release = { version: '1.0.0', floor: '0.9.0', compatible: 'unit' }
  const asked = { id: ID, version: '1.2.3', bundle: nameOf('bundle') }
  const check = (info: object, floor = '1.2.3') =>
    problem((async () => checkBundle({ compatible: 'unit', version: '1.2.3', ...info }, asked, release, floor))())
  return Promise.all([check({}), check({ compatible: 'tv' }), check({ version: '1.2.4' }), check({}, '1.2.4')]).then(
    ([right, hardware, version, floor]) => {
      assert.is(right, 'taken')
      assert.match(hardware, /is for tv/)
      assert.match(version, /^integrity/)
      assert.match(floor, /older than 1.2.4/)
    },
  )
})

test('an installation that takes too long is stopped, and counts where the slot is the next one all the same', async () => {
  const late = new AppError('unavailable', 'rauc: took more than 2700 s')
  for (const [state, outcome] of [
    [FIRST_STATE, 'unavailable: rauc: took more than 2700 s'],
    [{ ...FIRST_STATE, primary: 'b', b: MAX_TRIES } as const, 'taken'],
  ] as const) {
    const asked: string[] = []
    const run = async (program: string, args: readonly string[]) => {
      asked.push([program, ...args].join(' '))
      if (program === 'rauc') throw late
      return ''
    }
    const read = () => {
      asked.push('looked')
      return state
    }
    assert.is(await problem(raucInstall('/b.raucb', 'b', run, read)), outcome)
    assert.equal(asked, ['rauc install /b.raucb', 'systemctl stop rauc.service', 'looked'])
  }
  assert.is(
    await problem(
      raucInstall(
        '/b.raucb',
        'b',
        async () => '',
        () => FIRST_STATE,
      ),
    ),
    'taken',
  )
})

test('a floor that a release has had stays, whatever a later one names', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'version-floor')
    const floors: string[] = []
    for (const floor of ['0.0.0', '2.0.0', '0.0.0', '1.9.9', '2.0.1', '2.0.0'])
      floors.push(await versionFloor({ floor }, file))
    assert.equal(floors, ['0.0.0', '2.0.0', '2.0.0', '2.0.0', '2.0.1', '2.0.1'])
  }))

test('a floor that was damaged refuses and lets through nothing: the running release’s is written in its place, and that is told', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'version-floor')
    for (const damaged of ['{"kept":null}', '2.0', 'x', '', '9.9.9.9', '3.0.0\0\0', '1e5.0.0']) {
      writeFileSync(file, damaged)
      const told: string[] = []
      assert.is(await versionFloor({ floor: '2.0.0' }, file, (line) => told.push(line)), '2.0.0', damaged)
      assert.match(told.join(''), /holds no version/)
      assert.is(await readFile(file, 'utf8'), '2.0.0\n')
    }
    // What cannot be read just now may be a higher one.
    rmSync(file)
    symlinkSync(file, file)
    const told: string[] = []
    assert.is(await versionFloor({ floor: '2.0.0' }, file, (line) => told.push(line)), '2.0.0')
    assert.match(told.join(''), /version-floor/)
    assert.ok(lstatSync(file).isSymbolicLink(), 'it is not written over')
    assert.throws(() => isOlder('1.0.0', 'x'), /x is no version/)
    assert.throws(() => isOlder('x', '1.0.0'), /x is no version/)
  }))

test('the floor of a release holds from when its slot is confirmed, in whatever slot is started later', () =>
  inFolder(async (folder) => {
    const [release, floor] = [join(folder, 'release.json'), join(folder, 'version-floor')]
    const named = (of: string) =>
      writeFileSync(release, JSON.stringify({ version: '3.0.0', floor: of, compatible: 'unit' }))
    const asked: string[] = []
    const run = async (program: string, args: readonly string[]) => {
      asked.push([program, ...args].join(' '))
      return ''
    }
    named('2.0.0')
    await keepSlot(run, () => keepFloor(release, floor))
    assert.equal(asked, ['rauc status mark-good booted'])
    assert.is(await readFile(floor, 'utf8'), '2.0.0\n')
    named('1.0.0')
    await keepFloor(release, floor)
    assert.is(await readFile(floor, 'utf8'), '2.0.0\n', 'the slot of before lowers nothing')
    assert.is(await versionFloor({ floor: '1.0.0' }, floor), '2.0.0')
    const failing = async () => {
      throw new AppError('unavailable', 'rauc does not answer')
    }
    named('2.5.0')
    assert.match(await problem(keepSlot(failing, () => keepFloor(release, floor))), /does not answer/)
    assert.is(await readFile(floor, 'utf8'), '2.0.0\n', 'a slot that is not confirmed has no say')
    named('no version')
    await keepFloor(release, floor)
    assert.is(await readFile(floor, 'utf8'), '2.0.0\n', 'and the slot stays confirmed')
  }))

test('the running slot is the one that the kernel was told, and nothing else is guessed', async () => {
  assert.is(runningSlot('root=PARTLABEL=root-b ro rauc.slot=b panic=10'), 'b')
  assert.match(await problem((async () => runningSlot('root=/dev/sda1 xrauc.slot=a'))()), /^internal/)
})

test.run()
