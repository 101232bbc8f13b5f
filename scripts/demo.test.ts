/** The demo as people start it: real cloud, real camera processes, pictures in, alerts out. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

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
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const of = (name: string) => lines.filter(({ kind }) => kind === name)
    assert.equal(of('done')[0]?.alerts, ['HHW6462', 'VAY9676', 'XXH4234'])
    assert.is(of('done')[0]?.sightings, 10)
    assert.match(of('search_refused')[0]?.reason, /case number is missing \(refused, audit entry \d+\)/)
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
    assert.not.match(used.err, /\n {4}at /, 'a person is told, and shown no stack')
    assert.is((await demo('--nonsense')).code, 2)
  }))

test('one picture of two that is none costs that picture and nothing else', () =>
  inFolder(async (folder) => {
    const frames = join(folder, 'frames')
    await mkdir(frames)
    await cp(join(SCENES, 'scene-002.jpg'), join(frames, 'a.jpg'))
    await writeFile(join(frames, 'b.jpg'), 'not a picture')
    const { code, out, err } = await demo('--once', '--frames', frames)
    assert.is(code, 0, err)
    assert.match(err, /b\.jpg is not a picture and is left out/)
    assert.match(out, /1 sightings, 0 alerts/)
  }))

interface Started {
  process: ChildProcess
  /** Everything it wrote. */
  said(): string
  exited: Promise<number | null>
  /** Its temporary folder's own temporary folder. */
  tmp: string
}

/** A demo that puts its folder into `tmp`, so that what it leaves behind is seen. */
function startDemo(tmp: string, ...args: string[]): Started {
  const child = spawn(process.execPath, ['--import', TSX, DEMO, '--no-browser', ...args], {
    env: { ...process.env, TMPDIR: tmp },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (text += bytes.toString()))
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  return { process: child, said: () => text, exited, tmp }
}

/** Processes whose command line names the folder: cameras of a demo in it. */
function camerasIn(tmp: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(tmp)
      } catch {
        return false
      }
    })
}

const demoFolders = (tmp: string) => readdirSync(tmp).filter((name) => name.startsWith('candor-demo-'))

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 120_000
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('Ctrl-C while it starts ends it soon, and nothing of it stays behind', () =>
  inFolder(async (tmp) => {
    for (const args of [[], ['--once']]) {
      const started = startDemo(tmp, ...args)
      await until('it has begun', () => started.said().includes('throw-away authority'))
      started.process.kill('SIGINT')
      assert.is(await started.exited, 1, started.said())
      assert.not.match(started.said(), /The page|sightings, /, 'it did not go on')
      assert.equal([demoFolders(tmp), camerasIn(tmp)], [[], []])
    }
  }))

test('a closed terminal ends the demo, its cameras and its folder with the keys', () =>
  inFolder(async (tmp) => {
    const started = startDemo(tmp)
    await until('a camera runs', () => camerasIn(tmp).length > 0)
    started.process.kill('SIGHUP')
    assert.type(await started.exited, 'number')
    assert.equal([demoFolders(tmp), camerasIn(tmp)], [[], []])
  }))

test('a camera that ends before its time ends the demo, which says so', () =>
  inFolder(async (tmp) => {
    const started = startDemo(tmp)
    await until('the page is up', () => started.said().includes('The page'))
    process.kill(Number(camerasIn(tmp)[0]), 'SIGKILL')
    assert.is(await started.exited, 1)
    assert.match(started.said(), /the camera (north|south) ended before its time; the end of its log:/)
    assert.equal([demoFolders(tmp), camerasIn(tmp)], [[], []])
  }))

test('the second Ctrl-C ends everything at once, and still leaves neither cameras nor keys behind', () =>
  inFolder(async (tmp) => {
    const started = startDemo(tmp)
    await until('the cameras run', () => camerasIn(tmp).length >= 2)
    started.process.kill('SIGINT')
    started.process.kill('SIGINT')
    assert.type(await started.exited, 'number')
    assert.equal(demoFolders(tmp), [])
    await until('the cameras are gone', () => camerasIn(tmp).length === 0)
    assert.not.ok(demoFolders(tmp).some((name) => existsSync(join(tmp, name))))
  }))

test('cameras of a demo that is killed end by themselves', () =>
  inFolder(async (tmp) => {
    const started = startDemo(tmp)
    await until('the page is up', () => started.said().includes('The page'))
    started.process.kill('SIGKILL')
    await started.exited
    await until('the cameras are gone', () => camerasIn(tmp).length === 0)
  }))

test.run()
