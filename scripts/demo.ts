/**
 * The demo: a real cloud in this process, two real camera processes that replay pictures, a hotlist, and a page to watch and
 * verify on; with a throw-away authority, keys and accounts in a folder that is removed at the end. scripts/demo calls it after
 * set-up. It shows the product, and is no way to run it: `candor cloud` and `candor edge` are.
 */
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import type { BrowserContext } from 'playwright-core'
import { z } from 'zod'
import { isPictureFile, listPictures, type PicturePath, shownPath } from '../edge/capture/pictures.ts'
import { systemClock } from '../shared/clock.ts'
import { AppError, describeError, EXIT } from '../shared/errors.ts'
import { createLog } from '../shared/log.ts'
import type { Alert, Sighting } from '../shared/wire/index.ts'
import { wholeNumber } from './candor/options.ts'
import { printable } from './candor/terminal.ts'
import { sightingLine } from './candor/watch.ts'
import { openWindow } from './trial/browser.ts'
import { enrolCamera, type RunningCamera, startCamera, writeEdgeConfig } from './trial/cameras.ts'
import { GROUP, openTrialCloud, type TrialCloud } from './trial/cloud.ts'
import { auditVerdict, refusedSearch, storedSightings } from './trial/outsider.ts'
import type { Person } from './trial/people.ts'
import { connectPerson } from './trial/person-link.ts'

const SCENES = fileURLToPath(new URL('./sample-scenes/pictures', import.meta.url))
const SCENES_LIST = fileURLToPath(new URL('./sample-scenes/hotlist.csv', import.meta.url))
const ROOT = fileURLToPath(new URL('../', import.meta.url))
const AGENCY = 'springfield'
const CAMERAS = ['north', 'south'] as const
const PEOPLE = [
  ['lee', 'supervisor'],
  ['ines', 'investigator'],
  ['ada', 'auditor'],
] as const
/** Pictures of each camera, one in so many seconds, so that a person can follow. */
const SECONDS_A_FRAME = 2
/** The scenes come round again; a plate makes a new sighting after this, ms. */
const REPEAT_WINDOW_MS = 60_000
/** What is on its way when the cameras have ended arrives within this, ms. */
const SETTLE_MS = 15_000

interface Options {
  frames: string
  hotlist?: string
  near?: boolean
  once?: boolean
  json?: boolean
  browser: boolean
  keep?: string
  httpsPort: number
  mqttPort: number
}

/** What must be gone at the end, however it comes. */
interface Traces {
  folder: string | null
  kept: boolean
  cameras: RunningCamera[]
}

interface Demo {
  folder: string
  trial: TrialCloud
  people: Person[]
  cameras: RunningCamera[]
  sightings: Sighting[]
  /** The newest revision of each. */
  alerts: Map<string, Alert>
}

const program = new Command('demo')
  .description('A cloud and two cameras on this machine, with throw-away keys. Ctrl-C ends it and removes its folder.')
  .option('--frames <folder>', 'your own pictures instead of the sample scenes', SCENES)
  .option('--hotlist <file>', 'plates to look for: one a line under the header `plate`, or a CSV with more columns')
  .option('--near', 'also match plates that differ in one easily confused character')
  .option('--once', 'each picture once, as fast as it is read; then a summary, a refused search and the audit; exit')
  .option('--json', 'one JSON line for each thing that happens, on standard output')
  .option('--no-browser', 'print the address of the page, open no window')
  .option('--keep <folder>', 'use this new folder and keep it: `candor cloud --config FOLDER/cloud/cloud.json` runs on')
  .option('--https-port <n>', 'port of the page; 0: a free one', wholeNumber(0, 65_535), 0)
  .option('--mqtt-port <n>', 'port of the cameras; 0: a free one', wholeNumber(0, 65_535), 0)
  .exitOverride()

async function main(): Promise<number> {
  let options: Options
  try {
    options = program.parse().opts<Options>()
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.done : EXIT.usage
    throw thrown
  }
  const traces: Traces = { folder: null, kept: options.keep !== undefined, cameras: [] }
  const stopping = new AbortController()
  const stop = () => {
    if (stopping.signal.aborted) endAtOnce(traces)
    say('stopping')
    stopping.abort(new AppError('unavailable', 'stopped'))
  }
  // SIGHUP: the terminal was closed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  // Nobody reads any more what it says; that must not keep it from removing its traces.
  process.stdout.on('error', () => stopping.abort(new AppError('unavailable', 'standard output was closed')))
  process.stderr.on('error', () => {})
  const { signal } = stopping
  let demo: Demo | null = null
  let feed: Awaited<ReturnType<typeof watch>> | null = null
  let window: BrowserContext | null = null
  try {
    const folder = await makeFolder(options.keep)
    traces.folder = folder
    demo = await prepare(folder, traces.cameras, options, signal)
    const { trial, people } = demo
    feed = await watch(demo, options)
    signal.throwIfAborted()
    await startCameras(demo, options)
    signal.throwIfAborted()
    show(options, { kind: 'ready', url: trial.https.origin, folder, people }, () => welcome(demo as Demo, options))
    if (options.once === true) return await untilDone(demo, options, signal)
    if (options.browser && (process.env.DISPLAY || process.env.WAYLAND_DISPLAY)) {
      window = await openWindow(join(folder, 'home'), trial.cloud.caPem, trial.https.origin, people[0] as Person)
    }
    await untilStopped(demo, signal)
    return EXIT.done
  } catch (thrown) {
    if (!signal.aborted) process.stderr.write(`demo: ${describeError(thrown)}\n`)
    return EXIT.failed
  } finally {
    await window?.close().catch(() => {})
    // However it ended: a feed left open would try for ever to reach the cloud that is gone, and keep this process alive.
    await feed?.close()
    await Promise.all(traces.cameras.map((camera) => camera.stop()))
    await demo?.trial.cloud.close()
    if (traces.folder !== null && !traces.kept)
      await rm(traces.folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** The second signal: nothing waits for anything any more, and still no camera and no key stays behind. */
function endAtOnce({ folder, kept, cameras }: Traces): never {
  for (const camera of cameras) camera.kill()
  if (folder !== null && !kept) rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  process.exit(EXIT.failed)
}

async function makeFolder(keep: string | undefined): Promise<string> {
  if (keep === undefined) return await mkdtemp(join(tmpdir(), 'candor-demo-'))
  const folder = resolve(keep)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if ((await readdir(folder)).length > 0) throw new AppError('conflict', `${folder} is not empty`)
  return folder
}

/** Those that begin as a picture does: a camera that got nothing else would end as one whose source is wrong. */
async function usablePictures(folder: string): Promise<PicturePath[]> {
  const pictures: PicturePath[] = []
  for (const file of await listPictures(resolve(folder))) {
    if (await isPictureFile(file).catch(() => false)) pictures.push(file)
    else say(`${printable(shownPath(file))} is not a picture and is left out`)
  }
  if (pictures.length === 0) throw new AppError('bad_input', `there is no picture in ${folder}`)
  return pictures
}

/** Cloud, people, cameras and hotlist; nothing runs yet but the cloud. */
async function prepare(folder: string, cameras: RunningCamera[], options: Options, signal: AbortSignal): Promise<Demo> {
  const pictures = await usablePictures(options.frames)
  const hotlist = options.hotlist ?? (options.frames === SCENES ? SCENES_LIST : null)
  const csv = hotlist === null ? null : await readFile(hotlist, 'utf8')
  say(`${pictures.length} pictures from ${options.frames}; throw-away authority, keys and accounts in ${folder}`)
  signal.throwIfAborted()

  const ports = { httpsPort: options.httpsPort, mqttPort: options.mqttPort }
  const log = createLog({ level: 'warn', part: 'cloud' })
  const trial = await openTrialCloud(join(folder, 'cloud'), AGENCY, log, ports)
  const demo: Demo = { folder, trial, people: [], cameras, sightings: [], alerts: new Map() }
  try {
    for (const [account, role] of PEOPLE) {
      signal.throwIfAborted()
      demo.people.push(await trial.addPerson(account, [role]))
    }
    for (const person of [...demo.people, trial.administrator]) await writeAccount(demo, person)
    for (const [index, camera] of CAMERAS.entries()) {
      signal.throwIfAborted()
      const cameraFolder = join(folder, camera)
      await enrolCamera(trial.https, trial.administratorToken, camera, cameraFolder)
      // Each camera sees its own share of the pictures.
      const frames = join(cameraFolder, 'frames')
      await mkdir(frames)
      for (const [at, picture] of pictures.entries()) {
        const name = `${String(at).padStart(6, '0')}-${basename(shownPath(picture))}`
        if (at % CAMERAS.length === index) await symlink(picture, join(frames, name))
      }
    }
    signal.throwIfAborted()
    if (csv !== null) await importHotlist(demo, csv, options.near === true || options.hotlist === undefined)
    else say('no hotlist: name one with --hotlist FILE to see alerts')
    signal.throwIfAborted()
    return demo
  } catch (thrown) {
    await trial.cloud.close()
    throw thrown
  }
}

/** PERSON.env, to be sourced, so that `npx candor` commands of another terminal act as that person. */
async function writeAccount({ folder, trial }: Demo, { account, password }: Person): Promise<void> {
  const passwordFile = join(folder, `${account}.password`)
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  const variables = {
    CANDOR_CLOUD: trial.https.origin,
    CANDOR_CA: join(folder, 'ca.pem'),
    CANDOR_ACCOUNT: account,
    CANDOR_PASSWORD_FILE: passwordFile,
    // Sessions of its commands go with the folder.
    CANDOR_SESSION: join(folder, 'session.json'),
  }
  await writeFile(join(folder, 'ca.pem'), trial.cloud.caPem)
  await writeFile(
    join(folder, `${account}.env`),
    Object.entries(variables)
      .map(([name, value]) => `export ${name}='${value}'\n`)
      .join(''),
    { mode: 0o600 },
  )
}

const reportSchema = z.object({
  applied: z.boolean(),
  good: z.number(),
  bad: z.number(),
  problems: z.array(z.object({ line: z.number().nullable(), problem: z.string() })),
})

async function importHotlist({ trial }: Demo, csv: string, near: boolean): Promise<void> {
  const path = `/api/v1/hotlists/demo?match=${near ? 'near' : 'exact'}&groups=${GROUP}`
  const answer = await trial.https.call('PUT', path, { token: trial.administratorToken, text: csv })
  const { applied, good, problems } = reportSchema.parse(answer)
  if (!applied) {
    const lines = problems.map(({ line, problem }) => (line === null ? problem : `line ${line}: ${problem}`))
    throw new AppError('bad_input', `the hotlist was not applied\n  ${lines.join('\n  ')}`)
  }
  say(`hotlist of ${good} plates imported and signed`)
}

/** As the supervisor sees it: alerts with QoS 1, sightings live. */
async function watch(demo: Demo, options: Options) {
  const { trial, people } = demo
  const officer = people[0] as Person
  return await connectPerson(
    {
      ...{ origin: trial.https.origin, caPem: trial.cloud.caPem, account: officer.account, device: 'demo-terminal' },
      token: await trial.logIn(officer),
      agency: AGENCY,
      groups: [GROUP],
      watchSightings: true,
    },
    {
      onSighting(sighting) {
        demo.sightings.push(sighting)
        show(options, { kind: 'sighting', sighting }, () => sightingLine(sighting, systemClock.nowMs()))
      },
      onAlert(alert) {
        const before = demo.alerts.get(alert.alertId)
        demo.alerts.set(alert.alertId, alert)
        // The vehicle's final read updates the alert; a person is told again only when its state changed.
        show(options, { kind: 'alert', alert }, () => (before?.state === alert.state ? '' : alertLine(alert)))
      },
      onState: () => {},
    },
  )
}

async function startCameras(demo: Demo, options: Options): Promise<void> {
  const once = options.once === true
  for (const camera of CAMERAS) {
    const folder = join(demo.folder, camera)
    const frames = join(folder, 'frames')
    // A single picture leaves the second camera with none.
    if ((await readdir(frames)).length === 0) continue
    const config = await writeEdgeConfig(folder, {
      agency: AGENCY,
      camera,
      mqttPort: demo.trial.cloud.mqttPort,
      framesFolder: frames,
      framesPerSecond: once ? null : 1 / SECONDS_A_FRAME,
      loop: !once,
      repeatWindowMs: once ? 0 : REPEAT_WINDOW_MS,
      exitWhenDone: once,
    })
    demo.cameras.push(startCamera(camera, folder, config))
  }
}

/** Until every camera has read its pictures and all of it is acknowledged; then what an outsider would ask. */
async function untilDone(demo: Demo, options: Options, signal: AbortSignal): Promise<number> {
  const codes = await Promise.race([Promise.all(demo.cameras.map((camera) => camera.exited)), aborted(signal)])
  signal.throwIfAborted()
  const failed = demo.cameras.find((_, index) => codes?.[index] !== EXIT.done)
  if (failed !== undefined) await cameraFailed(failed)
  await settled(demo, signal)
  const refusal = await refusedSearch(demo.trial, ...(demo.people.slice(1) as [Person, Person]))
  show(options, { kind: 'search_refused', ...refusal }, () => `a search without a case number: ${refusal.reason}\n`)
  signal.throwIfAborted()
  const verdict = await auditVerdict(demo.trial)
  show(options, { kind: 'audit', ...verdict }, () =>
    verdict.ok ? `the audit verifies: ${verdict.entries} entries\n` : `THE AUDIT DOES NOT VERIFY: ${verdict.problem}\n`,
  )
  const sightings = storedSightings(demo.trial)
  const alerted = [...demo.alerts.values()].map((alert) => alert.sighting.plate).sort()
  show(
    options,
    { kind: 'done', sightings, alerts: alerted },
    () => `${sightings} sightings, ${alerted.length} alerts: ${alerted.join(' ') || 'none'}\n`,
  )
  return verdict.ok ? EXIT.done : EXIT.failed
}

/** Resolves when, or if, the signal has aborted. */
function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null)
    else signal.addEventListener('abort', () => resolve(null), { once: true })
  })
}

/** What the cloud stored as alerts has also reached the officer. */
async function settled({ trial, people, alerts }: Demo, signal: AbortSignal): Promise<void> {
  const token = await trial.logIn(people[0] as Person)
  const schema = z.object({ alerts: z.array(z.object({ alertId: z.string() })) })
  const deadline = performance.now() + SETTLE_MS
  for (;;) {
    signal.throwIfAborted()
    const stored = schema.parse(await trial.https.call('GET', '/api/v1/alerts?limit=200', { token })).alerts
    if (stored.every(({ alertId }) => alerts.has(alertId))) return
    if (performance.now() > deadline) throw new AppError('unavailable', 'alerts of the cloud did not reach the officer')
    await sleep(100)
  }
}

async function untilStopped(demo: Demo, signal: AbortSignal): Promise<void> {
  const ended = demo.cameras.map((camera) => camera.exited.then(() => camera))
  const camera = await Promise.race([aborted(signal), ...ended])
  if (camera !== null && !signal.aborted) await cameraFailed(camera)
}

async function cameraFailed({ camera, logFile }: RunningCamera): Promise<never> {
  const log = (await readFile(logFile, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-8).join('\n')
  throw new AppError('unavailable', `the camera ${camera} ended before its time; the end of its log:\n${log}`)
}

function welcome({ trial, folder, people }: Demo, options: Options): string {
  const [officer, investigator, auditor] = people
  if (options.once === true) return ''
  const file = (name: string) => join(folder, name)
  return `
The page    ${trial.https.origin}
            account ${officer?.account}, password ${officer?.password}
            Your browser does not know the demo's authority: import ${file('ca.pem')} for it, or let this demo open its own window.

From another terminal, in ${resolve(ROOT)}:
  as the officer        . ${file(`${officer?.account}.env`)}; npx candor alert watch | list | show | compare | confirm | decide | close
  as the investigator   . ${file(`${investigator?.account}.env`)}; npx candor search --plate TJ977FA
  as the auditor        . ${file(`${auditor?.account}.env`)}; npx candor audit list
  as the administrator  . ${file('admin.env')}; npx candor hotlist status; npx candor camera list

Sightings and alerts as they arrive (Ctrl-C ends the demo):
`
}

function alertLine(alert: Alert): string {
  const { match, sighting } = alert
  const how = match.kind === 'exact' ? 'as listed' : `${match.kind === 'near' ? '≈' : '~'} ${match.listedPlate}`
  if (alert.state !== 'raised') return `  ALERT ${sighting.plate} is ${alert.outcome ?? alert.state}\n`
  return `  ALERT ${sighting.plate} (${how}) ${match.category}; verify: npx candor alert show ${alert.alertId} --picture plate.jpg\n`
}

function show(options: Options, line: { kind: string } & Record<string, unknown>, text: () => string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(line)}\n` : text())
}

function say(text: string): void {
  process.stderr.write(`==> ${text}\n`)
}

process.exitCode = await main()
