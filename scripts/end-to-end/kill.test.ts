/**
 * The promise of the whole path, with real processes and SIGKILL: every sighting that was committed to the camera's outbox is
 * stored by the cloud exactly once, and none that was not.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { random } from '../../shared/ids.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { enrolCamera, type RunningCamera, startCamera, writeEdgeConfig } from '../trial/cameras.ts'
import { createHttps, type Https } from '../trial/https.ts'
import { setUp } from '../trial/people.ts'
import { freePort } from '../trial/ports.ts'
import { candorProgram } from '../trial/program.ts'

const KILLS_EACH = 10
/** Longest time between two kills; the shortest is a tenth. */
const MOST_BETWEEN_MS = 1_500
const START_TIMEOUT_MS = 120_000
/** Kills in a row that need no sighting in between; more would keep a slow machine from ever reading a frame. */
const MOST_WITHOUT_PROGRESS = 2
const AGENCY = 'springfield'
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SCENES = join(ROOT, 'scripts', 'sample-scenes', 'pictures')

interface Cloud {
  process: ChildProcess
  https: Https
}

/** Starts `candor cloud` and waits until it answers. */
async function startCloud(folder: string, httpsPort: number): Promise<Cloud> {
  const child = spawn(process.execPath, [...candorProgram(), 'cloud', '--config', join(folder, 'cloud.json')], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_000)
  })
  const deadline = Date.now() + START_TIMEOUT_MS
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the cloud ended with ${child.exitCode}:\n${said}`)
    try {
      const caPem = readFileSync(join(folder, 'data', 'authority', 'ca.pem'), 'utf8')
      const https = createHttps(`https://localhost:${httpsPort}`, caPem)
      await https.call('GET', '/health/ready')
      return { process: child, https }
    } catch (thrown) {
      if (Date.now() > deadline) throw new Error(`the cloud does not answer: ${thrown}\n${said}`)
      await sleep(50)
    }
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

/** Process ids of the children of `parentPid` that run the vision code. */
function visionPids(parentPid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const parent = /^\d+ \(.*\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]
        return Number(parent) === parentPid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('vision')
      } catch {
        // It ended while we looked.
        return false
      }
    })
    .map(Number)
}

/** From here on every row that is committed to the outbox leaves a trace in the same transaction. */
function witnessOutbox(file: string): void {
  const database = openDatabase(file)
  database.exec(`
    CREATE TABLE IF NOT EXISTS witness (sighting_id TEXT, revision INTEGER, PRIMARY KEY (sighting_id, revision));
    CREATE TRIGGER IF NOT EXISTS witness_sighting AFTER INSERT ON outbox WHEN NEW.rank IN (0, 2)
    BEGIN INSERT INTO witness VALUES (NEW.sighting_id, NEW.revision); END;
    INSERT OR IGNORE INTO witness SELECT sighting_id, revision FROM outbox WHERE rank IN (0, 2);
  `)
  database.close()
}

function shuffled<T>(of: readonly T[]): T[] {
  return of
    .map((value) => ({ value, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}

test('cloud, camera and vision child are killed ten times each and every committed sighting is stored exactly once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-kill-'))
  const [mqttPort, httpsPort] = [await freePort(), await freePort()]
  writeFileSync(
    join(folder, 'cloud.json'),
    JSON.stringify({
      ...{ agency: AGENCY, dataFolder: 'data', host: '127.0.0.1', mqttPort, httpsPort, logLevel: 'warn' },
      secondFactor: 'optional',
    }),
  )
  const cameraFolder = join(folder, 'north')
  const outboxFile = join(cameraFolder, 'data', 'outbox.db')
  let cloud: Cloud | null = null
  let camera: RunningCamera | null = null
  try {
    cloud = await startCloud(folder, httpsPort)
    const codeFile = join(folder, 'data', 'setup-code')
    // Written right after the cloud listens.
    await waitFor('the set-up code is there', () => existsSync(codeFile))
    const code = readFileSync(codeFile, 'utf8').trim()
    const password = 'correct horse battery staple'
    const token = await setUp(cloud.https, code, { account: 'admin', password, roles: [] })
    const labels = readFileSync(join(SCENES, 'labels.tsv'), 'utf8').trim().split('\n').slice(1)
    const listed = labels.map((line) => line.split('\t').at(-1)).slice(0, 3)
    await cloud.https.call('PUT', '/api/v1/hotlists/stolen', { token, text: `plate\n${listed.join('\n')}\n` })
    await enrolCamera(cloud.https, token, 'north', cameraFolder)
    const replay = {
      agency: AGENCY,
      camera: 'north',
      mqttPort,
      framesFolder: SCENES,
      framesPerSecond: null,
      loop: true,
      repeatWindowMs: 0,
      exitWhenDone: false,
    }
    const config = await writeEdgeConfig(cameraFolder, replay)
    camera = startCamera('north', cameraFolder, config)
    await waitFor('the outbox is there', () => outboxExists(outboxFile))
    witnessOutbox(outboxFile)

    let visionKills = 0
    let withoutProgress = 0
    let witnessedBefore = witnessed(outboxFile)
    const targets = (['cloud', 'camera', 'vision'] as const).flatMap((target) => Array(KILLS_EACH).fill(target))
    for (const target of shuffled<'cloud' | 'camera' | 'vision'>(targets)) {
      if (withoutProgress >= MOST_WITHOUT_PROGRESS || random() < 0.5) {
        const running = camera
        await waitFor('a sighting is committed', () => {
          mustRun(running)
          return witnessed(outboxFile) > witnessedBefore
        })
      }
      await sleep(MOST_BETWEEN_MS * (0.1 + 0.9 * random()))
      const now = witnessed(outboxFile)
      withoutProgress = now > witnessedBefore ? 0 : withoutProgress + 1
      witnessedBefore = now
      if (target === 'cloud') {
        await kill(cloud.process)
        cloud = await startCloud(folder, httpsPort)
      } else if (target === 'camera') {
        await kill(camera.process)
        camera = startCamera('north', cameraFolder, config)
      } else {
        const running = camera
        const pids = () => visionPids(running.process.pid ?? 0)
        await waitFor('a vision child is there', () => {
          mustRun(running)
          return pids().length > 0
        })
        for (const pid of pids()) process.kill(pid, 'SIGKILL')
        visionKills += 1
      }
    }
    assert.is(visionKills, KILLS_EACH)
    assert.ok(witnessedBefore > KILLS_EACH, `${witnessedBefore} sightings in ${3 * KILLS_EACH} kills`)

    // Once through without kills, then out when everything is acknowledged.
    await kill(camera.process)
    await writeEdgeConfig(cameraFolder, { ...replay, loop: false, exitWhenDone: true })
    camera = startCamera('north', cameraFolder, config)
    assert.is(await camera.exited, 0, endOf(camera.logFile))

    const outbox = openDatabase(outboxFile, { readonly: true })
    const committed = outbox.prepare('SELECT sighting_id, revision FROM witness ORDER BY 1, 2').all()
    assert.is(outbox.prepare('SELECT count(*) FROM outbox').pluck().get(), 0, 'everything was acknowledged')
    outbox.close()
    await kill(cloud.process)
    const store = openDatabase(join(folder, 'data', 'candor.db'), { readonly: true })
    const stored = store.prepare('SELECT sighting_id, revision FROM sightings ORDER BY 1, 2').all()
    const quarantined = store.prepare('SELECT reason FROM quarantine').all()
    const doubled = store.prepare('SELECT count(*) - count(DISTINCT sighting_id) FROM alerts').pluck().get()
    const alerts = store.prepare('SELECT count(*) FROM alerts').pluck().get()
    store.close()
    assert.equal(stored, committed)
    assert.equal(quarantined, [])
    assert.is(doubled, 0)
    assert.ok(Number(alerts) > 0, 'matches raised alerts')
  } finally {
    if (camera !== null) await kill(camera.process)
    if (cloud !== null) await kill(cloud.process)
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

/** Sightings committed to the outbox so far. */
function witnessed(outboxFile: string): number {
  const database = openDatabase(outboxFile, { readonly: true })
  try {
    return Number(database.prepare('SELECT count(*) FROM witness').pluck().get())
  } finally {
    database.close()
  }
}

function mustRun({ process: { exitCode }, logFile }: RunningCamera): void {
  if (exitCode !== null) throw new Error(`the camera ended with ${exitCode}:\n${endOf(logFile)}`)
}

function endOf(logFile: string): string {
  return readFileSync(logFile, 'utf8').slice(-2_000)
}

async function waitFor(what: string, is: () => boolean): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!is()) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await sleep(20)
  }
}

function outboxExists(file: string): boolean {
  try {
    const database = openDatabase(file, { readonly: true })
    const there = database.prepare("SELECT count(*) FROM sqlite_master WHERE name = 'outbox'").pluck().get()
    database.close()
    return there === 1
  } catch {
    return false
  }
}

test.run()
