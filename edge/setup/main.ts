/**
 * The set-up process: a page on the unit for the technician who puts it up, while the camera process does not run. Serves it until it is
 * finished, or nobody uses it; nothing of what it sees is stored, sent or logged. Started by `candor setup`, under systemd by
 * candor-setup.service. Apart from main.ts and config.ts of the camera the only file of edge that touches the process.
 */
import { hostname, networkInterfaces } from 'node:os'
import { dirname, join } from 'node:path'
import { type Clock, MINUTE_MS, systemClock } from '../../shared/clock.ts'
import { loadConfig } from '../../shared/config.ts'
import { AppError, describeError, EXIT, systemCode, toAppError } from '../../shared/errors.ts'
import { newSecret, type Random, random } from '../../shared/ids.ts'
import { createLog, type Log } from '../../shared/log.ts'
import { readFileIfThere, removeIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import { createSystemd } from '../../shared/systemd.ts'
import { softwareVersion } from '../../shared/version.ts'
import { openSource } from '../capture/sources.ts'
import { usbDevices } from '../capture/usb.ts'
import { checkBroker, checkClock, checkDisk, checkLink, checkLists, checkTemperature, type Finding } from '../checks.ts'
import { systemClockIsSynced } from '../clock-state.ts'
import { type UnitSettings, unitSettingsSchema } from '../enrolment/folder.ts'
import { openVision } from '../vision/door.ts'
import { codeDigest, createAccess } from './access.ts'
import { ownAddresses } from './addresses.ts'
import { loadAssets } from './assets.ts'
import { createSetupCamera, type SetupCameraDeps } from './camera.ts'
import { newPageCertificate } from './certificate.ts'
import { createSetupClaim } from './claim.ts'
import { type CodeFile, parseCodeFile } from './code-file.ts'
import { CREDENTIALS_FILE, isWaiting, markWaiting, openDraft, USED_CODE_FILE, unmarkReopened } from './draft.ts'
import {
  CHECKS_MS,
  CLOSE_IDLE_MS,
  CODE_CHARACTERS,
  OPEN_TRIES,
  PAGE_LIFE_MS,
  SERVER_LIMITS,
  SETUP_PORT,
  type ServerLimits,
  STUCK_MS,
  TICK_MS,
} from './limits.ts'
import { setupRoutes } from './routes.ts'
import { createSetupServer } from './server.ts'

export interface SetupOptions {
  configFile: string
  port: number
  /** A file with the first code in it; null or absent: one is made. */
  codeFile: string | null
  /** A claim's file, by which a unit that is no camera yet enrols as soon as the page is open; removed when it has. null or absent: it is typed in. */
  claimFile?: string | null
  /** Fields of edge.json that were chosen for a unit that is no camera yet. */
  settingsFile?: string | null
  /** A copy of the settings from afar that the camera keeps, where its data folder is closed to this process (candor-setup.service). */
  keptFile?: string | null
}

export interface SetupDeps {
  clock: Clock
  random: Random
  log: Log
  newSecret(byteCount: number): string
  openSource: SetupCameraDeps['openSource']
  openVision: SetupCameraDeps['openVision']
  isClockSynced(): Promise<boolean>
  usbDevices: typeof usbDevices
  interfaces: typeof networkInterfaces
  limits: ServerLimits
  /** A line on the unit's console. */
  say(line: string): void
}

export interface RunningSetup {
  readonly port: number
  readonly origins: readonly string[]
  /** SHA-256 of the page's certificate. */
  readonly fingerprint: string
  /** It looks after itself, so that it will end. False: only systemd can end it. */
  isAlive(): boolean
  /** How it ended; rejects with what ended it. */
  readonly ended: Promise<'finished' | 'unused' | 'stopped'>
  close(): Promise<void>
}

export const systemSetupDeps = (log: Log): SetupDeps => ({
  ...{ clock: systemClock, random, log, newSecret, openSource, openVision, limits: SERVER_LIMITS },
  isClockSynced: systemClockIsSynced,
  usbDevices,
  interfaces: networkInterfaces,
  say: (line) => void process.stdout.write(`${line}\n`),
})

/** Behind the last answer: so that the page hears that it is finished. Milliseconds. */
const LAST_WORD_MS = 500

/** What is in the file, unless its code was used. Throws `configuration` for a code that is too short, or a certificate that is none. */
async function codeIn(file: string | null, folder: string): Promise<CodeFile | null> {
  const text = file === null ? null : await readFileIfThere(file).catch(() => null)
  if (text === null) return null
  const given = parseCodeFile(text)
  if (given === null) {
    throw new AppError('configuration', `${file}: a code has ${CODE_CHARACTERS} letters and digits or more`, {
      hint: 'letters but I, L, O and U, and digits; blanks and - do not count; below it stands nothing, or what scripts/flash wrote there',
    })
  }
  const used = await readFileIfThere(join(folder, USED_CODE_FILE))
  return used?.trim() === codeDigest(given.code) ? null : given
}

/** Throws `configuration`. */
async function settingsIn(file: string | null): Promise<UnitSettings> {
  return file === null || (await readFileIfThere(file)) === null ? {} : loadConfig(file, unitSettingsSchema)
}

/** Rejects when a part cannot be opened. */
export async function runSetup(options: SetupOptions, deps: SetupDeps): Promise<RunningSetup> {
  const { clock, log, say } = deps
  const { claimFile = null, settingsFile = null, keptFile = null } = options
  const settings = await settingsIn(settingsFile)
  const draft = await openDraft(options.configFile, settings, keptFile)
  const given = await codeIn(options.codeFile, draft.folder)
  const firstCode = given?.code ?? null
  const assets = await loadAssets()
  const isClockTrusted = await deps.isClockSynced()
  const name = hostname()
  const addresses = () => ownAddresses(deps.interfaces())
  const names = ['localhost', name, `${name}.local`, ...addresses().map(({ address }) => address)]
  const certificate =
    given?.certificate ?? newPageCertificate([...new Set(names)], isClockTrusted ? clock.nowMs() : null)
  const camera = createSetupCamera(draft.vision, draft.view, deps)
  // Not waited for: a camera may take its time, or not be there.
  void camera.setSource(draft.resolvedSource())
  const claim = createSetupClaim({
    folder: draft.folder,
    settings,
    clock,
    random: deps.random,
    log,
    onDone() {
      draft.reload()
      if (claimFile !== null) void removeIfThere(claimFile).catch(() => log.warn('setup_claim_not_removed'))
    },
  })
  const givenClaim = claimFile === null || draft.camera !== null ? null : await readFileIfThere(claimFile)

  let end: (how: 'finished' | 'unused' | 'stopped') => void = () => {}
  const asked = new Promise<'finished' | 'unused' | 'stopped'>((resolve) => {
    end = resolve
  })
  let origins: readonly string[] = []
  const announce = (code: string | null) => {
    if (code === null) return say('Set-up page: somebody has logged in.')
    say(`Set-up page: ${origins.length === 0 ? `port ${options.port}, no network yet` : origins.join('  ')}`)
    say(`  code ${code}  (good for one log-in)`)
    say(`  certificate SHA-256 ${certificate.fingerprint}`)
  }
  let said: string | null = null
  const access = createAccess({
    ...{ clock, newSecret: deps.newSecret, firstCode },
    onCode(code) {
      said = code
      // The first one waits until it is known where the page is.
      if (origins.length > 0 || code === null) announce(code)
    },
    onFirstUsed() {
      if (firstCode === null) return
      writeFileDurably(join(draft.folder, USED_CODE_FILE), codeDigest(firstCode)).catch((thrown: unknown) =>
        log.warn('setup_code_not_burnt', { error: toAppError(thrown).message }),
      )
    },
  })

  async function checks(): Promise<Finding[]> {
    const isSynced = await deps.isClockSynced()
    const { config } = draft
    const broker =
      config === null
        ? { name: 'broker', ok: false, detail: 'the unit is no camera yet', hint: 'enter its claim, under Finish' }
        : await checkBroker({ ...config, clock, isClockTrusted: isSynced, asCamera: true })
    return [
      checkLink(deps.interfaces()),
      broker,
      await checkClock(async () => isSynced, clock.nowMs()),
      await checkDisk(draft.folder),
      await checkTemperature(),
      ...(config === null ? [] : [checkLists(config.dataFolder)]),
    ]
  }
  let checking: Promise<Finding[]> | null = null
  /** Those that run already serve everybody who asks. */
  function runChecks(): Promise<Finding[]> {
    if (checking === null) {
      const timer = new AbortController()
      const late = clock.sleep(CHECKS_MS, timer.signal).then(() => {
        throw new AppError('unavailable', 'the checks take too long')
      })
      late.catch(() => {})
      checking = Promise.race([checks(), late]).finally(() => {
        timer.abort()
        checking = null
      })
    }
    return checking
  }

  const server = createSetupServer({
    ...{ certificate, limits: deps.limits, port: options.port, hostname: name, clock, log },
    isLoggedIn: (token) => access.holds(token),
    routes: setupRoutes({
      ...{ access, camera, claim, draft, assets, software: softwareVersion(), runChecks, log },
      usbDevices: () => deps.usbDevices(),
      writeCredentials: (login) => writeFileDurably(join(draft.folder, CREDENTIALS_FILE), login),
      onFinished: () => {
        clock.sleep(LAST_WORD_MS).then(
          () => end('finished'),
          () => {},
        )
      },
    }),
  })

  const ticking = new AbortController()
  const startedAtMs = clock.monotonicMs()
  let tickedAtMs = startedAtMs
  async function tick(): Promise<void> {
    await server.listenAt(addresses())
    const isElsewhere = server.origins.join() !== origins.join()
    origins = server.origins
    if (isElsewhere && said !== null) announce(said)
    access.tick()
    tickedAtMs = clock.monotonicMs()
    if (access.unusedMs() >= CLOSE_IDLE_MS || tickedAtMs - startedAtMs >= PAGE_LIFE_MS) end('unused')
  }
  async function keepTicking(): Promise<void> {
    while (!ticking.signal.aborted) {
      await clock.sleep(TICK_MS, ticking.signal).catch(() => {})
      if (!ticking.signal.aborted) await tick()
    }
  }

  async function life(): Promise<'finished' | 'unused' | 'stopped'> {
    const how = await Promise.race([asked, keepTicking().then(() => 'stopped' as const)])
    ticking.abort()
    await server.close()
    await claim.close()
    await camera.close()
    log.info('setup_ended', { outcome: how })
    return how
  }

  const isShut = () => options.port !== 0 && origins.length === 0 && addresses().length > 0
  await tick()
  // Addresses of a unit that was just switched on may not be ready.
  for (let tries = 1; isShut() && tries < OPEN_TRIES; tries += 1) {
    await clock.sleep(TICK_MS)
    await tick()
  }
  if (isShut()) {
    await camera.close()
    throw new AppError('unavailable', `port ${options.port} cannot be opened at any address of this unit`, {
      hint: 'does another set-up run, or another program use it? --port names another one',
    })
  }
  const ended = life()
  ended.catch(() => {})
  // One that is none is no reason to keep the page shut: another can be typed in.
  if (givenClaim !== null)
    await claim.start({ text: givenClaim }).catch((thrown: unknown) => say(`${claimFile}: ${describeError(thrown)}`))
  log.info('setup_started', { port: server.port })
  return {
    ...{ port: server.port, fingerprint: certificate.fingerprint, ended },
    get origins() {
      return origins
    },
    isAlive: () => clock.monotonicMs() - tickedAtMs < STUCK_MS,
    async close() {
      end('stopped')
      await ended.catch(() => {})
    },
  }
}

/** `candor setup`: until the set-up is finished, nobody has used it for an hour, or a signal comes. Resolves with the exit code. */
export async function setupProcess({
  configFile,
  port = SETUP_PORT,
  codeFile = null,
  claimFile = null,
  settingsFile = null,
  keptFile = null,
}: Partial<SetupOptions> & { configFile: string }): Promise<number> {
  const log = createLog({ level: 'info', part: 'setup' })
  const folder = dirname(configFile)
  const isCamera = (await readFileIfThere(configFile)) !== null
  if (isCamera && !(await isWaiting(folder))) {
    throw new AppError('configuration', 'this unit is set up already, and its page stays closed', {
      hint: '`candor setup --reopen`, as root on the unit, opens it again',
    })
  }
  if (!isCamera) await markWaiting(folder, 'new')
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  const ended = new AbortController()
  try {
    const systemd = createSystemd({ environment: process.env, clock: systemClock, log })
    const deps = systemSetupDeps(log)
    const running = await runSetup({ configFile, port, codeFile, claimFile, settingsFile, keptFile }, deps)
    deps.say(`It ends when it is finished, or after ${CLOSE_IDLE_MS / MINUTE_MS} minutes without use.`)
    stop.signal.addEventListener('abort', () => void running.close(), { once: true })
    if (stop.signal.aborted) void running.close()
    await systemd.ready()
    void systemd.runWatchdog(running.isAlive, ended.signal)
    const how = await running.ended
    if (how === 'unused') await unmarkReopened(folder)
    deps.say(`Set-up page closed: ${how}.`)
    return EXIT.done
  } catch (thrown) {
    log.error('setup_failed', { code: toAppError(thrown).code, error: describeError(thrown) })
    if (systemCode(thrown) === 'EADDRINUSE') throw new AppError('unavailable', `port ${port} is in use`)
    throw thrown
  } finally {
    ended.abort()
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
}
