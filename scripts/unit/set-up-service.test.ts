/** What root does around the set-up page and the camera, as the units' own commands say it, in folders that whoever has taken over either has prepared. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url))
const { uid, gid } = userInfo()
/** In the place of the page's account: one that root gives to, where these tests run as root. */
const PAGE = uid === 0 ? 65_534 : uid
const GROUP = uid === 0 ? PAGE : gid

/** Elsewhere all files have one owner, whoever had them: what changes hands could not be seen. */
const asRoot = uid === 0 ? test : test.skip

type Kind = 'ExecStartPre' | 'ExecStopPost' | 'ExecStart'

/** Words of each command of a unit; `isFree`: of those alone that run as root with nothing closed to them. */
function commandsOf(unit: string, kind: Kind, isFree = true) {
  const lines = readFileSync(join(CHECKOUT, unit), 'utf8').replaceAll('\\\n', '').split('\n')
  return lines.flatMap((line) => {
    const [, prefix = '', command = ''] = new RegExp(`^${kind}=([-@:!+]*)(.+)$`).exec(line) ?? []
    if (command === '' || prefix.includes('+') !== isFree) return []
    const words = command.match(/'[^']*'|\S+/g) ?? []
    return [{ mayFail: prefix.includes('-'), words: words.map((word) => word.replace(/^'|'$/g, '')) }]
  })
}

const SETUP = 'systemd/candor-setup.service'
const EDGE = 'systemd/candor-edge.service'
const PREPARE = 'systemd/candor-prepare.service'
const IMAGE = 'scripts/unit-image/files/etc/systemd/system'

interface World {
  /** The camera's folder, and the one that systemd keeps for the camera process. */
  folder: string
  state: string
  /** What is not to be touched. */
  outside: string
  kept: string
  /** Whether all commands ended well. */
  run(commands: ReturnType<typeof commandsOf>, result?: string): boolean
  /** As the page would have made it. */
  plant(name: string, make: (path: string) => void): void
  owner(path: string): number
}

function inWorld(work: (world: World) => void): void {
  const home = mkdtempSync(join(tmpdir(), 'candor-set-up-'))
  try {
    const [folder, state, run, outside] = ['camera', 'state', 'run', 'outside'].map((name) => join(home, name)) as [
      ...[string, string, string, string],
    ]
    for (const made of [folder, join(state, 'data'), run, outside]) mkdirSync(made, { recursive: true })
    // In an image /etc/candor-edge is a link itself.
    symlinkSync(folder, join(home, 'candor-edge'))
    writeFileSync(join(outside, 'shadow'), 'of root', { mode: 0o640 })
    writeFileSync(join(outside, 'settings.json'), 'of root')
    for (const name of ['edge.json', 'key.pem', 'camera-login']) writeFileSync(join(folder, name), name)
    mkdirSync(join(folder, 'south'))
    writeFileSync(join(folder, 'south', 'key.pem'), 'of another camera')
    work({
      ...{ folder, state, outside, kept: join(run, 'candor-settings.kept.json') },
      run(commands, result = 'success') {
        return commands.every(({ mayFail, words }) => {
          const [program = '', ...args] = words.map((word) =>
            word
              .replaceAll('$$', '$')
              .replaceAll('/etc/candor-edge', join(home, 'candor-edge'))
              .replaceAll('/var/lib/private/candor-edge', state)
              .replaceAll('/run/', `${run}/`)
              .replaceAll('/opt/candor/', CHECKOUT)
              .replace(/candor-setup:(?= |$)/g, `${PAGE}:${GROUP}`)
              .replace(/candor-setup(?=[ ;]|$)/g, `${PAGE}`),
          )
          try {
            execFileSync(program, args, {
              ...{ stdio: 'pipe', timeout: 60_000 },
              env: { PATH: process.env.PATH, SERVICE_RESULT: result },
            })
            return true
          } catch (thrown) {
            const { code, stderr } = thrown as { code?: string; stderr?: Buffer }
            assert.is(code, undefined, `${program} ${args.join(' ')}: it is waited for: ${stderr}`)
            return mayFail
          }
        })
      },
      plant(name, make) {
        rmSync(join(folder, name), { recursive: true, force: true })
        make(join(folder, name))
        // A second name of a file is not a file of the page's.
        if (lstatSync(join(folder, name)).nlink === 1 || lstatSync(join(folder, name)).isDirectory())
          lchownSync(join(folder, name), PAGE, GROUP)
      },
      owner: (path) => lstatSync(path).uid,
    })
    assert.is(readFileSync(join(outside, 'shadow'), 'utf8'), 'of root')
    assert.is(readFileSync(join(outside, 'settings.json'), 'utf8'), 'of root')
    for (const name of ['', 'shadow', 'settings.json']) assert.is(lstatSync(join(outside, name)).uid, uid)
    assert.is(lstatSync(join(outside, 'shadow')).mode & 0o777, 0o640)
  } finally {
    rmSync(home, { recursive: true })
  }
}

const fifo = (path: string) => execFileSync('mkfifo', [path])

/** All that a page could leave for root to fall into. */
function plantAll({ plant, outside }: World): void {
  plant('camera-login', (path) => symlinkSync(join(outside, 'shadow'), path))
  plant('key.pem', (path) => linkSync(join(outside, 'shadow'), path))
  plant('ca.pem', (path) => symlinkSync(join(outside, 'nowhere'), path))
  plant('list-keys.pem', fifo)
  plant('data', (path) => symlinkSync(outside, path))
  plant('settings.kept.json', (path) => {
    mkdirSync(path)
    symlinkSync(join(outside, 'shadow'), join(path, 'settings.json'))
  })
  plant('edge.json.tmp', (path) => mkdirSync(path))
  plant('a\n..', (path) => mkdirSync(path))
  plant('deeper', (path) => {
    mkdirSync(path)
    symlinkSync(join(outside, 'shadow'), join(path, 'edge.json'))
    writeFileSync(join(path, 'key.pem'), 'plain')
    for (const name of ['edge.json', 'key.pem']) lchownSync(join(path, name), PAGE, GROUP)
  })
  plant('wide.json', (path) => {
    writeFileSync(path, '{}')
    chmodSync(path, 0o666)
  })
}

function assertTakenBack({ folder, owner }: World, left: string[] = []): void {
  assert.equal(
    readdirSync(folder).sort(),
    ['a\n..', 'deeper', 'edge.json', 'south', 'wide.json', ...left].sort(),
    'plain files and folders alone',
  )
  assert.equal(readdirSync(join(folder, 'deeper')), ['key.pem'])
  for (const name of ['', 'deeper', 'deeper/key.pem', 'edge.json', 'south/key.pem', 'wide.json']) {
    const { mode } = lstatSync(join(folder, name))
    assert.is(owner(join(folder, name)), uid, name)
    if (!name.startsWith('south')) assert.is(mode & 0o077, 0, name)
  }
}

test('each command that runs as root with nothing closed to it is tried here', () => {
  const folders = ['systemd', ...readdirSync(join(CHECKOUT, IMAGE)).map((name) => `${IMAGE}/${name}`)]
  const units = folders.flatMap((place) =>
    lstatSync(join(CHECKOUT, place)).isDirectory()
      ? readdirSync(join(CHECKOUT, place)).map((name) => `${place}/${name}`)
      : [place],
  )
  const found = units
    .map((unit) => [basename(unit), readFileSync(join(CHECKOUT, unit), 'utf8').match(/^Exec\w+=[-@:!]*\+/gm)?.length])
    .filter(([, count]) => count !== undefined)
  assert.equal(found, [
    ['candor-edge.service', 1],
    ['candor-setup.service', 7],
  ])
  assert.equal([commandsOf(SETUP, 'ExecStartPre').length, commandsOf(SETUP, 'ExecStopPost').length], [4, 3])
})

asRoot('before the page root gives it plain files, and writes nothing where the page could have put a link', () => {
  inWorld((world) => {
    const { folder, state, kept, outside, owner, run, plant } = world
    const start = commandsOf(SETUP, 'ExecStartPre')
    writeFileSync(join(state, 'data', 'settings.json'), '{"kept": 1}', { mode: 0o600 })
    // As after a power cut: the folder is the page's still.
    plantAll(world)
    lchownSync(folder, PAGE, GROUP)
    plant('hosts', (path) => symlinkSync(join(outside, 'shadow'), path))
    assert.ok(run(start))
    assert.is(readFileSync(kept, 'utf8'), '{"kept": 1}')
    assert.equal([owner(kept), owner(folder), owner(join(folder, 'edge.json'))], [PAGE, PAGE, PAGE])
    assert.equal(
      [owner(join(folder, 'south')), owner(join(folder, 'south', 'key.pem'))],
      [uid, uid],
      'not another camera’s',
    )
    // Where root itself has made a link or a second name, that stays root's as well.
    assert.ok(run(commandsOf(SETUP, 'ExecStopPost')))
    symlinkSync(join(outside, 'shadow'), join(folder, 'ca.pem'))
    linkSync(join(outside, 'shadow'), join(folder, 'key.pem'))
    assert.ok(run(start))
    assert.equal([owner(join(folder, 'ca.pem')), owner(join(folder, 'key.pem'))], [uid, uid])
  })
})

test('of a camera’s settings the page gets a plain file of their size alone, and root waits for nothing', () => {
  inWorld(({ state, kept, outside, run }) => {
    const start = commandsOf(SETUP, 'ExecStartPre')
    const own = join(state, 'data', 'settings.json')
    const again = (make: () => void) => {
      rmSync(join(state, 'data'), { recursive: true })
      mkdirSync(join(state, 'data'))
      make()
      assert.ok(run(start))
      return existsSync(kept) ? readFileSync(kept, 'utf8') : null
    }
    assert.is(
      again(() => symlinkSync(join(outside, 'shadow'), own)),
      null,
    )
    assert.not.ok(again(() => mkdirSync(own)))
    assert.not.ok(again(() => fifo(own)))
    const large = again(() => {
      writeFileSync(own, '{')
      truncateSync(own, 2 ** 40)
    })
    assert.is(large?.length, 2 ** 18)
    const elsewhere = again(() => {
      rmSync(join(state, 'data'), { recursive: true })
      symlinkSync(outside, join(state, 'data'))
    })
    assert.is(elsewhere, null)
    rmSync(join(state, 'data'))
    mkdirSync(join(state, 'data'))
    assert.is(
      again(() => writeFileSync(own, '{}')),
      '{}',
    )
    assert.ok(run(commandsOf(SETUP, 'ExecStopPost')))
    assert.not.ok(existsSync(kept), 'nothing is left behind')
  })
})

for (const [when, commands] of [
  ['the page has ended', commandsOf(SETUP, 'ExecStopPost')],
  ['the machine starts', commandsOf(PREPARE, 'ExecStart', false).slice(0, 1)],
  [
    'the machine starts, in an image',
    commandsOf(`${IMAGE}/candor-prepare.service.d/image.conf`, 'ExecStart', false).slice(0, 1),
  ],
] as const) {
  asRoot(`when ${when}, nothing is left in the folder that could lead root or systemd out of it`, () => {
    inWorld((world) => {
      assert.ok(world.run(commandsOf(SETUP, 'ExecStartPre')))
      plantAll(world)
      world.plant('set-up', fifo)
      assert.is(commands.length, when === 'the page has ended' ? 3 : 1)
      assert.ok(world.run(commands, 'watchdog'))
      assertTakenBack(world)
    })
  })
}

test('what lives of a page is ended before root takes the folder back, and by nobody else', () => {
  const lines = readFileSync(join(CHECKOUT, SETUP), 'utf8').split('\n')
  const [first = ''] = lines.filter((line) => line.startsWith('ExecStopPost='))
  assert.is(
    first,
    'ExecStopPost=/opt/candor/scripts/unit/end-all candor-setup',
    'as the page’s user: only so it is safe',
  )
  // `./scripts/hil units` runs it; here it must refuse.
  const run = spawnSync(join(CHECKOUT, 'scripts/unit/end-all'), ['candor-setup'], { encoding: 'utf8' })
  assert.equal([run.status, run.stderr], [1, 'end-all: this is not candor-setup\n'])
})

test('a mark that opens a page again goes where several cameras are, and stays where there is one', () => {
  const command = commandsOf(PREPARE, 'ExecStart', false).filter(({ words }) => words.includes('/bin/sh'))
  assert.is(command.length, 1)
  for (const [mark, others, isLeft] of [
    ['reopened', true, false],
    ['reopened', false, true],
    ['new', true, true],
  ] as const) {
    inWorld((world) => {
      const file = join(world.folder, 'set-up')
      writeFileSync(file, `${mark}\n`)
      if (others) writeFileSync(join(world.folder, 'south', 'edge.json'), '{}')
      assert.ok(world.run(command))
      assert.is(existsSync(file), isLeft, `${mark} ${others}`)
    })
  }
})

asRoot('a camera does not start by credentials that the page may have chosen, but by those of its next try', () => {
  inWorld((world) => {
    const gate = commandsOf(EDGE, 'ExecStartPre')
    assert.is(gate.length, 1)
    assert.ok(world.run(gate))
    assert.ok(world.run(commandsOf(SETUP, 'ExecStartPre')))
    plantAll(world)
    assert.is(world.run(gate), false)
    assertTakenBack(world)
    assert.ok(world.run(gate))
  })
})

asRoot('what root has put into its own folder stays, whatever it is', () => {
  inWorld((world) => {
    symlinkSync(join(world.outside, 'shadow'), join(world.folder, 'ca.pem'))
    assert.ok(world.run(commandsOf(PREPARE, 'ExecStart', false).slice(0, 1)))
    assert.ok(world.run(commandsOf(EDGE, 'ExecStartPre')))
    assert.ok(lstatSync(join(world.folder, 'ca.pem')).isSymbolicLink())
  })
})

test('a page of a camera that was opened again and has failed leaves no mark; one of a new unit does', () => {
  for (const [result, mark, isLeft] of [
    ['watchdog', 'reopened\n', false],
    ['success', 'reopened\n', true],
    ['watchdog', 'new\n', true],
  ] as const)
    inWorld(({ run, plant, folder }) => {
      assert.ok(run(commandsOf(SETUP, 'ExecStartPre')))
      plant('set-up', (path) => writeFileSync(path, mark))
      assert.ok(run(commandsOf(SETUP, 'ExecStopPost'), result))
      assert.is(existsSync(join(folder, 'set-up')), isLeft)
    })
})

test('an enrolment that the power has cut is finished when the machine starts, and Node.js is started for nothing else', () => {
  for (const unit of [PREPARE, `${IMAGE}/candor-prepare.service.d/image.conf`]) {
    const prepare = commandsOf(unit, 'ExecStart', false).at(-1)
    assert.ok(prepare)
    const candor = prepare.words.at(-2) ?? ''
    assert.match(candor, /^\/(usr\/bin\/candor|opt\/candor\/scripts\/candor\.ts)$/)
    for (const [made, isStarted] of [
      [[], false],
      [['south/data.before'], false],
      [['../camera.next'], true],
      [['../camera.before'], true],
      [['south.next'], true],
      [['south.before'], true],
    ] as const) {
      inWorld((world) => {
        // What is started tells that it is, in the place of Node.js.
        const told = join(world.state, 'told')
        const words = prepare.words.map((word) =>
          word === candor ? '/usr/bin/touch' : word === 'prepare' ? told : word,
        )
        for (const name of made) mkdirSync(join(world.folder, name))
        assert.ok(world.run([{ mayFail: false, words }]))
        assert.is(existsSync(told), isStarted, `${unit}: ${made.join()}`)
      })
    }
  }
})

test.run()
