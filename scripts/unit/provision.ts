/**
 * From a card that was just flashed to a camera: reads what `scripts/flash` has put on the FAT partition. Where that says all, it enrols by the
 * claim until an administrator has approved, writes the camera's folder, removes the claim from the card and starts candor-edge; where something is left to
 * be said, it opens the set-up page. Cut short anywhere, the next start goes on with the same key. Run by candor-provision.service, and again when the page
 * has ended; later starts find the camera there and end at once, unless the card has a new claim for it: by that it is enrolled again while it runs
 * (edge/enrolment/again.ts). Nothing that was not used is removed from the card.
 */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { claimProblem, enrolAgain, finishAgain, isUsed } from '../../edge/enrolment/again.ts'
import { type EnrolDeps, enrolUnit, readClaim, type UnitClaim } from '../../edge/enrolment/enrol.ts'
import { CONFIG_FILE } from '../../edge/enrolment/folder.ts'
import { parseCodeFile } from '../../edge/setup/code-file.ts'
import { MARK_FILE } from '../../edge/setup/draft.ts'
import { type Clock, HOUR_MS, systemClock } from '../../shared/clock.ts'
import { AppError, describeError, EXIT } from '../../shared/errors.ts'
import { random } from '../../shared/ids.ts'
import { PUBLIC_MODE, readFileIfThere, renameDurably, writeFileDurably } from '../../shared/secret-file.ts'
import { type Card, CLAIM_FILE, LOGIN_FILE, openCard, SETUP_CODE_FILE, UNIT_FILE } from './card.ts'
import { runCommand } from './command.ts'
import { UNIT_FOLDER, UNIT_PLACES, type UnitPlaces } from './places.ts'
import { createRefusedClaim, isRefusal, type RefusedClaim } from './refused-claim.ts'
import {
  clearPage,
  hasLoginIn,
  type NextStep,
  nextStep,
  notePageOpened,
  preparePage,
  putLogin,
  takeOverFromPage,
} from './set-up.ts'
import { lacksLogin, parseLogin, parseUnit, type UnitFile, unitSettings } from './unit-file.ts'

/** Between looks at a card on which something is missing, milliseconds: it may be put in while the unit runs. */
const LOOK_AGAIN_MS = 60_000
/** Between tries of a camera with a claim that could not be used, milliseconds: it works meanwhile, and too many refusals would block its address. */
export const CLAIM_AGAIN_MS = HOUR_MS
const SYSTEMCTL_MS = 60_000
const CAMERA_SERVICE = 'candor-edge.service'
const PAGE_SERVICE = 'candor-setup.service'
const STATUS_FILE = '/run/candor-unit/provision.json'

export interface ProvisionDeps {
  places: UnitPlaces
  openCard(): Promise<Card>
  /** Not waited for. */
  systemctl(verb: 'start' | 'restart', service: string): Promise<void>
  /** How far it is, for people and programs of this unit. */
  report(state: string, message: string, fingerprint?: string | null): Promise<void>
  /** A line on the unit's console. */
  say(line: string): void
  clock: Clock
}

const systemDeps: ProvisionDeps = {
  ...{ places: UNIT_PLACES, openCard, clock: systemClock },
  async systemctl(verb, service) {
    await runCommand('systemctl', ['--no-block', verb, service], SYSTEMCTL_MS)
  },
  async report(state, message, fingerprint = null) {
    systemDeps.say(message)
    const status = { state, message, fingerprint, atMs: systemClock.nowMs() }
    await writeFileDurably(STATUS_FILE, `${JSON.stringify(status)}\n`, PUBLIC_MODE)
  },
  say: (line) => void process.stdout.write(`${line}\n`),
}

interface OnCard {
  claim: { text: string; file: UnitClaim } | null
  unit: UnitFile | null
  login: string | null
  code: string | null
  /** Of files whose removal a power cut has ended half-way: there is nothing in them. */
  erased: string[]
  /** What is not as it should be. */
  problems: string[]
  /** What is missing, for a unit that is no camera yet; null: nothing. */
  lacking: string | null
}

/** What is wrong on it is as if it were not there, and told. */
export function readCard(card: Pick<Card, 'read'>): OnCard {
  const problems: string[] = []
  const erased: string[] = []
  const read = <T>(name: string, parse: (text: string) => T): T | null => {
    try {
      const text = card.read(name)
      if (text === null) return null
      if (!/^\0+$/.test(text)) return parse(text)
      erased.push(name)
    } catch (thrown) {
      problems.push(describeError(thrown))
    }
    return null
  }
  const claim = read(CLAIM_FILE, (text) => {
    const read = readClaim(text)
    if ('file' in read) return { text, file: read.file }
    throw new AppError('bad_input', `${CLAIM_FILE} must be what \`candor camera claim --out\` writes`)
  })
  const unit = read(UNIT_FILE, parseUnit)
  const missing = [claim === null ? CLAIM_FILE : '', unit === null ? UNIT_FILE : ''].filter(Boolean).join(' and ')
  const isLacking = problems.length === 0 && missing !== ''
  const lacking = isLacking ? `the card's folder candor lacks ${missing}: write it with scripts/flash` : null
  // A page that is opened with a wrong one ends at once, and a camera that was to be set up again would stay dark.
  const code = read(SETUP_CODE_FILE, (text) => {
    if (parseCodeFile(text) !== null) return text
    throw new AppError('bad_input', `${SETUP_CODE_FILE} on the card is no code: eight letters or digits, no I, L, O, U`)
  })
  return { claim, unit, login: read(LOGIN_FILE, parseLogin), code, erased, problems, lacking }
}

/** In the place of one that cannot be read: a unit that is a camera needs none. */
const NO_CARD: Card = { read: () => null, async remove() {}, async close() {} }

/** What cannot be removed is told in `problems`, and tried at the next start: nothing of the unit waits for it. */
async function clean(card: Card, names: readonly string[], problems: string[]): Promise<void> {
  for (const name of names) {
    try {
      if (card.read(name) !== null) await card.remove(name)
    } catch (thrown) {
      problems.push(`${name} stays on the card: ${describeError(thrown)}`)
    }
  }
}

/** What an enrolment tells; `working`: before what it says of itself, of a unit that works meanwhile. */
function enrolDeps({ clock, report, say }: ProvisionDeps, working = ''): EnrolDeps {
  let fingerprint = ''
  return {
    ...{ clock, random },
    onKey(shown) {
      fingerprint = shown
      say(`this unit's key: ${shown}`)
    },
    onPending: (name) =>
      void report('pending', `${working}${name} waits for its approval: ${fingerprint}`, fingerprint),
    onTrouble: (problem, retryInMs) =>
      void report('unreachable', `${working}${problem}; again in ${Math.ceil(retryInMs / 1_000)} s`, fingerprint),
    onClockOff: (offMs) => say(`this unit's clock is off by ${Math.round(offMs / 60_000)} minutes`),
  }
}

async function enrol(claim: UnitClaim, unit: UnitFile, login: string | null, deps: ProvisionDeps): Promise<void> {
  await takeOverFromPage(deps.places)
  const { enrollingFolder: folder, cameraFolder } = deps.places
  if (!existsSync(join(folder, CONFIG_FILE))) {
    const { camera } = await enrolUnit(
      { claim, folder, settings: unitSettings(unit) },
      enrolDeps(deps),
      new AbortController().signal,
    )
    deps.say(`enrolled as ${camera}`)
  }
  await putLogin(folder, login)
  await renameDurably(folder, cameraFolder)
}

/**
 * By a new claim, while the camera goes on as it is. Resolves with whether it was: a claim that was refused may be there tomorrow, when it is of
 * use, or when somebody has looked at it, but is not asked with for ever.
 */
async function again(claim: UnitClaim, unit: UnitFile | null, deps: ProvisionDeps): Promise<boolean> {
  const { cameraFolder: folder } = deps.places
  const options = { claim, folder, settings: unitSettings(unit) }
  for (;;) {
    try {
      await enrolAgain(
        options,
        enrolDeps(deps, 'this unit is a camera, and is enrolled again: '),
        new AbortController().signal,
      )
      await deps.systemctl('restart', CAMERA_SERVICE)
      return true
    } catch (thrown) {
      const isRefused = isRefusal(thrown)
      const next = isRefused ? 'when the unit is switched on again' : `in ${CLAIM_AGAIN_MS / HOUR_MS} hour`
      const kept = `the claim on its card was not used and stays there, and is tried ${next}`
      await deps.report('enrolled', `this unit is a camera; ${kept}: ${describeError(thrown)}`)
      if (isRefused) return false
      await deps.clock.sleep(CLAIM_AGAIN_MS)
    }
  }
}

/** What the claim of the card is to the camera: its problem, where it is not for this one. */
async function lookAtClaim(
  claim: UnitClaim,
  folder: string,
): Promise<{ isNew: boolean; isUsed: boolean; problem: string | null }> {
  try {
    if (await isUsed(claim, folder)) return { isNew: false, isUsed: true, problem: null }
    const problem = claimProblem(claim, folder)
    return { isNew: problem === null, isUsed: false, problem: problem && `${problem}, and stays on the card` }
  } catch (thrown) {
    return { isNew: false, isUsed: false, problem: describeError(thrown) }
  }
}

/** As `enrol`, unless the claim was refused not long ago. Resolves with whether there is a camera. */
async function enrolOnce(found: OnCard, deps: ProvisionDeps, { refused, told }: Looks): Promise<boolean> {
  const { claim, unit, login } = found
  if (claim === null || unit === null) return false
  const waits = refused.waits(claim.text)
  if (waits !== null) {
    // A line on the console each minute would say nothing new; but what was wrong with the card meanwhile is over.
    if (told() !== waits) await deps.report('waiting', waits)
    return false
  }
  try {
    await enrol(claim.file, unit, login, deps)
    return true
  } catch (thrown) {
    if (!isRefusal(thrown)) throw thrown
    await deps.report('waiting', refused.note(claim.text, describeError(thrown)))
    return false
  }
}

/** What is known from the looks before. */
interface Looks {
  refused: RefusedClaim
  /** The last report's message. */
  told(): string
}

/** One look at unit and card, and what follows from it, but for waiting. */
async function provisionOnce(deps: ProvisionDeps, looks: Looks): Promise<NextStep> {
  const { places, report, say, systemctl } = deps
  const { cameraFolder, pageOpenedFile } = places
  // The camera has started by itself, with what was there at that moment.
  let isChanged = await finishAgain(cameraFolder)
  const isCamera = existsSync(join(cameraFolder, CONFIG_FILE))
  const unread: string[] = []
  const card = await deps.openCard().catch((thrown: unknown) => {
    if (!isCamera) throw thrown
    unread.push(describeError(thrown))
    return NO_CARD
  })
  let found: OnCard
  let next: NextStep
  try {
    found = readCard(card)
    const { claim, code, login, unit, problems } = found
    problems.push(...unread)
    const looked = isCamera && claim !== null ? await lookAtClaim(claim.file, cameraFolder) : null
    if (looked?.problem) problems.push(looked.problem)
    const hasLogin = login !== null || [cameraFolder, places.enrollingFolder].some(hasLoginIn)
    const lacking = isCamera || unit === null ? null : lacksLogin(unit, hasLogin)
    if (lacking !== null) problems.push(lacking)
    next = nextStep({
      isCamera,
      isMarked: existsSync(join(cameraFolder, MARK_FILE)),
      isCardComplete: claim !== null && unit?.edge.source !== undefined && lacking === null,
      hasNewClaim: looked?.isNew === true,
      hasCode: code !== null,
      wasPageOpened: existsSync(pageOpenedFile),
    })
    if (next === 'set-up') {
      await preparePage(places, { claim: claim?.text ?? null, code, login, settings: unitSettings(unit) })
      // They are in the camera's folder now, for as long as the set-up takes.
      await clean(card, [SETUP_CODE_FILE, LOGIN_FILE], problems)
    } else if (isCamera && login !== null) {
      isChanged ||= (await readFileIfThere(join(cameraFolder, LOGIN_FILE))) !== login
      await putLogin(cameraFolder, login)
      await clean(card, [LOGIN_FILE], problems)
    }
    await clean(card, looked?.isUsed === true ? [...found.erased, CLAIM_FILE] : found.erased, problems)
  } finally {
    await card.close().catch((thrown: unknown) => deps.say(`the card is not let go: ${describeError(thrown)}`))
  }
  const { claim, unit, problems, lacking } = found
  if (next === 'enrol' && !(await enrolOnce(found, deps, looks))) return 'wait'
  if (next === 'set-up') {
    for (const problem of [...problems, ...(lacking === null ? [] : [lacking])]) say(problem)
    await report('set-up', 'the set-up page opens: its address and code follow')
    await notePageOpened(places)
    await systemctl('start', PAGE_SERVICE)
  }
  if (next === 'camera' || next === 'enrol-again') {
    const isUnfinished = existsSync(join(cameraFolder, MARK_FILE))
    if (!isUnfinished) await clearPage(places)
    const unfinished = 'its set-up is not finished: switched off and on, it opens its page again'
    await report('enrolled', ['this unit is a camera', ...(isUnfinished ? [unfinished] : []), ...problems].join('; '))
    await systemctl(isChanged ? 'restart' : 'start', CAMERA_SERVICE)
  }
  if (next === 'enrol-again' && claim !== null && !(await again(claim.file, unit, deps))) return 'camera'
  if (next === 'wait') {
    const rest = [...(lacking === null ? [] : [lacking]), 'Switched off and on, this unit opens its set-up page again']
    await report('waiting', [...problems, ...rest].join('. '))
  }
  return next
}

/** Until there is a camera, or the page that makes one. */
export async function provision(given: ProvisionDeps): Promise<void> {
  let told = ''
  const deps: ProvisionDeps = {
    ...given,
    async report(state, message, fingerprint) {
      told = message
      await given.report(state, message, fingerprint)
    },
  }
  const looks: Looks = { refused: createRefusedClaim(deps.clock), told: () => told }
  for (;;) {
    const next = await provisionOnce(deps, looks).catch(async (thrown: unknown) => {
      await deps.report('waiting', describeError(thrown))
      return 'wait' as const
    })
    if (next === 'camera' || next === 'set-up') return
    if (next === 'wait') await deps.clock.sleep(LOOK_AGAIN_MS)
  }
}

/** Exit code. */
export async function provisionProcess(): Promise<number> {
  // Its user passes through to the camera's folder while the set-up page is open (candor-setup.service).
  await mkdir(UNIT_FOLDER, { recursive: true, mode: 0o711 })
  await provision(systemDeps)
  return EXIT.done
}
