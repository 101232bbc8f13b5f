/**
 * `./scripts/hil image`: the image of a unit, from its build to a stolen card, on QEMU's machine `virt` (and at last a Pi 3) with U-Boot before a real cloud on this machine.
 * One step after another; what is done is written down, so that a run that was cut short goes on. Started by scripts/hil.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeError, EXIT } from '../../shared/errors.ts'
import { softwareVersion } from '../../shared/version.ts'
import { type Context, createContext } from './context.ts'
import { PI_STEPS } from './pi-step.ts'
import { SEALED_STEPS } from './sealed-steps.ts'
import { SET_UP_STEPS } from './set-up-step.ts'
import { FIRST_STEPS } from './steps.ts'
import { UPDATE_STEPS } from './update-steps.ts'
import { openWorld } from './world.ts'

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url))
const FOLDER = join(CHECKOUT, '.candor/hil-image')
const STATE = join(FOLDER, 'state.json')
const RESULTS = fileURLToPath(new URL('results/', import.meta.url))
const STEPS = [...FIRST_STEPS, ...SET_UP_STEPS, ...SEALED_STEPS, ...UPDATE_STEPS, ...PI_STEPS]

interface Done {
  outcome: 'passed' | 'failed'
  seen: string
  seconds: number
}
type State = Record<string, Done>

interface Options {
  only: string | null
  isResumed: boolean
}

/** null: not understood. */
function parseOptions(args: readonly string[]): Options | null {
  const options: Options = { only: null, isResumed: false }
  const rest = [...args]
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--resume') options.isResumed = true
    else if (arg === '--only') options.only = rest.shift() ?? ''
    else return null
  }
  return options.only === null || STEPS.some(({ name }) => name === options.only) ? options : null
}

function readState(): State {
  try {
    return JSON.parse(readFileSync(STATE, 'utf8')) as State
  } catch {
    return {}
  }
}

async function runSteps(context: Context, { only, isResumed }: Options): Promise<State> {
  const state = isResumed || only !== null ? readState() : {}
  let hasFailed = false
  for (const { name, what, run, hasOwnCard = false } of STEPS) {
    if (only !== null ? name !== only : isResumed && state[name]?.outcome === 'passed') continue
    // What goes on with the unit of before would only fail for the same reason.
    if (hasFailed && !hasOwnCard) continue
    process.stderr.write(`==> ${name}: ${what}\n`)
    const startedMs = performance.now()
    let done: Done
    try {
      done = { outcome: 'passed', seen: await run(context), seconds: 0 }
    } catch (thrown) {
      done = { outcome: 'failed', seen: describeError(thrown).replace(/\s+/g, ' '), seconds: 0 }
    }
    done.seconds = Math.round((performance.now() - startedMs) / 1_000)
    state[name] = done
    writeFileSync(STATE, JSON.stringify(state, null, 2))
    process.stderr.write(`    ${done.outcome}, ${done.seconds} s: ${done.seen}\n`)
    hasFailed ||= done.outcome === 'failed' && !hasOwnCard
    // Neither goes on without an image.
    if (done.outcome === 'failed' && name === FIRST_STEPS[0]?.name) break
  }
  return state
}

function report(state: State): string {
  const rows = STEPS.map(({ name, what }) => {
    const { outcome = 'not reached', seconds = 0, seen = '' } = state[name] ?? {}
    return `| ${name} | ${what} | ${outcome} | ${seconds} | ${seen.replaceAll('|', '/')} |`
  })
  const commit = execFileSync('git', ['-C', CHECKOUT, 'describe', '--always', '--dirty']).toString().trim()
  const qemu = execFileSync('qemu-system-aarch64', ['--version']).toString().split('\n')[0]
  const [processor] = cpus()
  const total = STEPS.reduce((sum, { name }) => sum + (state[name]?.seconds ?? 0), 0)
  return [
    `# \`./scripts/hil image\`, ${new Date().toISOString().slice(0, 10)}`,
    '',
    `Candor ${softwareVersion()} (${commit}); ${qemu}, processor emulated (no KVM), on ${cpus().length} × ${processor?.model.trim()}, ${Math.round(totalmem() / 1024 ** 3)} GB,`,
    `which other work shared. Together ${Math.round(total / 60)} minutes. Times are of an emulated processor and say nothing of a Raspberry Pi.`,
    '',
    '| step | what | outcome | seconds | seen |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

const options = parseOptions(process.argv.slice(2))
if (options === null) {
  process.stderr.write(`hil: --resume, or --only with one of: ${STEPS.map(({ name }) => name).join(' ')}\n`)
  process.exitCode = EXIT.usage
} else {
  if (!options.isResumed && options.only === null)
    for (const name of ['cloud', 'cloud-kept.json']) rmSync(join(FOLDER, name), { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  const world = await openWorld(FOLDER)
  const context = createContext(CHECKOUT, FOLDER, world)
  try {
    const text = report(await runSteps(context, options))
    // One step alone is for who works on it: a dated result is of a whole run.
    if (options.only === null) writeFileSync(join(RESULTS, `${new Date().toISOString().slice(0, 10)}.md`), text)
    process.stdout.write(text)
    process.exitCode = STEPS.every(({ name }) => readState()[name]?.outcome === 'passed') ? EXIT.done : EXIT.failed
  } finally {
    await context.cutPower()
    await world.close()
  }
}
process.exit()
