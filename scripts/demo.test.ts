/** The demo as people start it: real cloud, real camera processes, pictures in, alerts out. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../cloud/testing.ts'

const DEMO = fileURLToPath(new URL('./demo.ts', import.meta.url))
const TSX = fileURLToPath(import.meta.resolve('tsx'))
const SCENES = fileURLToPath(new URL('./sample-scenes/pictures', import.meta.url))

function demo(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--import', TSX, DEMO, ...args],
      { maxBuffer: 16 * 1024 * 1024 },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-demo-test-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

test('alerts arrive for exactly the listed plates that stand in the pictures; a bare search is refused; the audit verifies', () =>
  inFolder(async (folder) => {
    // A picture that is none must not stop the others.
    await cp(SCENES, join(folder, 'frames'), { recursive: true })
    await writeFile(join(folder, 'frames', 'broken.jpg'), 'not a picture')
    const list = join(folder, 'list.csv')
    await writeFile(list, 'plate\nXXH4234\nHHW6462\nVAY9676\nNOT1234\nTJ977FB\n')
    const options = ['--once', '--json', '--no-browser', '--keep', join(folder, 'kept')]
    const { code, out, err } = await demo(...options, '--frames', join(folder, 'frames'), '--hotlist', list)
    assert.is(code, 0, err)
    const events = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const of = (name: string) => events.filter(({ event }) => event === name)
    assert.equal(of('done')[0]?.alerts, ['HHW6462', 'VAY9676', 'XXH4234'])
    assert.is(of('done')[0]?.sightings, 10)
    assert.match(of('search_refused')[0]?.message, /case number is missing \(refused, audit entry \d+\)/)
    assert.is(of('audit')[0]?.ok, true)
    assert.ok((await readdir(join(folder, 'kept', 'cloud'))).includes('cloud.json'))
  }))

test('a folder without pictures, a list that cannot be used and a folder in use are refused with what to do', () =>
  inFolder(async (folder) => {
    const empty = await demo('--once', '--frames', folder)
    assert.is(empty.code, 1)
    assert.match(empty.err, /there is no picture in/)
    const list = join(folder, 'list.csv')
    await writeFile(list, 'plate\n!!\n')
    const bad = await demo('--once', '--hotlist', list)
    assert.is(bad.code, 1)
    assert.match(bad.err, /line 2: /)
    const used = await demo('--once', '--keep', folder)
    assert.is(used.code, 1)
    assert.match(used.err, /is not empty/)
    assert.is((await demo('--nonsense')).code, 2)
  }))

/** Starts the demo and resolves when it has said `words`, with the folder that it told of. */
async function startDemo(words: RegExp, ...args: string[]) {
  const child = spawn(process.execPath, ['--import', TSX, DEMO, '--no-browser', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  const ended = once(child, 'close')
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (said += bytes))
  await until('the demo says it', () => words.test(said))
  return { child, ended, folder: /keys and accounts in (\S+)/.exec(said)?.[1] ?? '', said: () => said }
}

/** Command lines of living processes that work in `folder`. */
function workingIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      } catch {
        return ''
      }
    })
    .filter((commandLine) => commandLine.includes(folder))
}

test('Ctrl-C while it starts ends it and leaves nothing', async () => {
  for (const args of [[], ['--once']]) {
    const { child, ended, folder, said } = await startDemo(/throw-away authority/, ...args)
    child.kill('SIGINT')
    await ended
    assert.is(child.exitCode, 1)
    assert.not.match(said(), /alerts:/)
    assert.not.ok(existsSync(folder))
    assert.equal(workingIn(folder), [])
  }
})

test('asked to end twice, or killed, it leaves no camera running', async () => {
  const asked = await startDemo(/Ctrl-C ends the demo/)
  assert.ok(workingIn(asked.folder).length >= 2)
  asked.child.kill('SIGHUP')
  asked.child.kill('SIGINT')
  await asked.ended
  await until('its cameras are gone', () => workingIn(asked.folder).length === 0)
  assert.not.ok(existsSync(asked.folder))

  const killed = await startDemo(/Ctrl-C ends the demo/)
  killed.child.kill('SIGKILL')
  await until('its cameras end by themselves', () => workingIn(killed.folder).length === 0)
  await rm(killed.folder, { recursive: true, maxRetries: 10 })
})

test.run()
