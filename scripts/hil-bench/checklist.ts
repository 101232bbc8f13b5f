/**
 * `./scripts/hil bench`: walks a person through steps.ts, asks the cloud what it can confirm itself, and writes down times, verdicts and notes.
 * Stopped at any point it goes on there. The report is for scripts/hil-bench/results/.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { z } from 'zod'
import { type Clock, SECOND_MS, systemClock } from '../../shared/clock.ts'
import { describeError, EXIT, toAppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { writeFileDurably } from '../../shared/secret-file.ts'
import { type Check, STEPS, type Step } from './steps.ts'

/** For what the cloud can confirm to come true. */
export const CHECK_TIMEOUT_MS = 15 * 60 * SECOND_MS
const LOOK_MS = 2 * SECOND_MS
export const MAX_NOTE = 1_000

const doneSchema = z.strictObject({
  verdict: z.enum(['passed', 'failed', 'skipped']),
  note: z.string().max(MAX_NOTE),
  seconds: z.number().nullable(),
  atMs: z.int(),
})
const stateSchema = z.strictObject({
  camera: slugSchema,
  hardware: z.string(),
  done: z.record(z.string(), doneSchema),
})
export type BenchState = z.infer<typeof stateSchema>

/** What the cloud says of the camera at a moment. */
export interface Seen {
  asks: boolean
  online: boolean
  sessionId: string | null
  sightings: number
  software: string | null
  clock: string | null
}

/** Has `check` come true since `before`? */
export function isTrue(check: Check, before: Seen, now: Seen): boolean {
  switch (check) {
    case 'asks':
      return now.asks
    case 'online':
      return now.online
    case 'offline':
      return !now.online
    case 'sightings':
      return now.sightings > before.sightings || (now.sessionId !== before.sessionId && now.sightings > 0)
    case 'restarted':
      return now.online && now.sessionId !== before.sessionId
    case 'other-version':
      return now.software !== null && now.software !== before.software
    case 'clock-unsynced':
      return now.clock === 'unsynced'
  }
}

const camerasSchema = z.object({
  cameras: z.array(
    z.looseObject({
      camera: z.string(),
      status: z.looseObject({ online: z.boolean(), sessionId: z.string(), software: z.string() }).nullable(),
      health: z.looseObject({ clock: z.string(), sightings: z.looseObject({ made: z.int() }) }).nullable(),
    }),
  ),
})
const claimsSchema = z.object({ claims: z.array(z.looseObject({ camera: z.string(), state: z.string() })) })

async function look(camera: string): Promise<Seen> {
  const { withClient } = await import('../candor/client.ts')
  return withClient(async (client) => {
    const { cameras } = await client.call(camerasSchema, 'GET', '/api/v1/cameras')
    const { claims } = await client.call(claimsSchema, 'GET', '/api/v1/claims')
    const found = cameras.find((one) => one.camera === camera)
    return {
      asks: claims.some((one) => one.camera === camera && one.state === 'asked'),
      online: found?.status?.online ?? false,
      sessionId: found?.status?.sessionId ?? null,
      sightings: found?.health?.sightings.made ?? 0,
      software: found?.status?.software ?? null,
      clock: found?.health?.clock ?? null,
    }
  })
}

export interface Terminal {
  ask(question: string): Promise<string>
  say(text: string): void
}

export interface BenchDeps {
  terminal: Terminal
  look: (camera: string) => Promise<Seen>
  clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'>
  save: (state: BenchState) => Promise<void>
}

/** Seconds until the cloud confirmed it; null: it did not in time. */
async function confirmed(check: Check, camera: string, deps: BenchDeps): Promise<number | null> {
  const { clock, terminal } = deps
  const startedMs = clock.monotonicMs()
  const before = await deps.look(camera)
  terminal.say(`  the cloud is asked whether it is so (${check}) …`)
  while (clock.monotonicMs() - startedMs < CHECK_TIMEOUT_MS) {
    // The link may be part of what is tried.
    const now = await deps.look(camera).catch(() => null)
    if (now !== null && isTrue(check, before, now)) return Math.round((clock.monotonicMs() - startedMs) / 1_000)
    await clock.sleep(LOOK_MS)
  }
  return null
}

async function tryStep(step: Step, state: BenchState, deps: BenchDeps): Promise<z.infer<typeof doneSchema>> {
  const { terminal, clock } = deps
  terminal.say(`\n${step.id}: ${step.title}\n  needs: ${step.needs}`)
  for (const line of step.actions) terminal.say(`  do:    ${line}`)
  for (const line of step.expect) terminal.say(`  see:   ${line}`)
  const done = (verdict: 'passed' | 'failed' | 'skipped', note: string, seconds: number | null = null) => ({
    ...{ verdict, note: note.slice(0, MAX_NOTE), seconds, atMs: clock.nowMs() },
  })
  const begin = await terminal.ask('Enter: begin; s: skip (say why): ')
  if (/^s\b/i.test(begin)) {
    const why = begin.slice(1).trim()
    return done('skipped', why === '' ? await terminal.ask('why: ') : why)
  }
  let seconds: number | null = null
  if (step.after !== undefined) await terminal.ask(`Enter when ${step.after}: `)
  if (step.check !== undefined) {
    seconds = await confirmed(step.check, state.camera, deps)
    if (seconds === null) {
      terminal.say('  the cloud did not see it')
      return done('failed', `the cloud did not see it (${step.check}); ${await terminal.ask('what was seen: ')}`)
    }
    terminal.say(`  the cloud saw it after ${seconds} s`)
  }
  for (;;) {
    const answer = await terminal.ask('was all of it seen? y/n, and a note: ')
    const note = answer.slice(1).trim()
    if (/^y/i.test(answer)) return done('passed', note, step.timed === true ? seconds : null)
    if (/^n/i.test(answer) && note !== '') return done('failed', note)
    terminal.say('  y or n; with n say what was seen, such as: n the screen stayed dark')
  }
}

/** Takes what is not done yet, and saves after each step. */
export async function runBench(state: BenchState, steps: readonly Step[], deps: BenchDeps): Promise<BenchState> {
  let current = state
  for (const step of steps) {
    if (current.done[step.id] !== undefined) continue
    const result = await tryStep(step, current, deps)
    current = { ...current, done: { ...current.done, [step.id]: result } }
    await deps.save(current)
  }
  return current
}

export function report(state: BenchState, day: string): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
  const rows = STEPS.map((step) => {
    const done = state.done[step.id]
    const seconds = done?.seconds === null || done?.seconds === undefined ? '' : `${done.seconds} s`
    return `| ${step.id} | ${cell(step.title)} | ${done?.verdict ?? 'not tried'} | ${seconds} | ${cell(done?.note ?? '')} |`
  })
  const count = (verdict: string) => Object.values(state.done).filter((one) => one.verdict === verdict).length
  return [
    `# Bench of ${day}: ${state.camera}`,
    '',
    `Hardware: ${state.hardware}. ${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped, ${STEPS.length - Object.keys(state.done).length} not tried.`,
    '',
    '| step | what | verdict | time | note |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

function printProcedure(): void {
  for (const { id, title, needs, actions, expect, check } of STEPS) {
    process.stdout.write(`${id}: ${title}\n  needs: ${needs}\n`)
    for (const line of actions) process.stdout.write(`  do:    ${line}\n`)
    for (const line of expect) process.stdout.write(`  see:   ${line}\n`)
    if (check !== undefined) process.stdout.write(`  the cloud is asked: ${check}\n`)
  }
}

const USAGE = `usage: ./scripts/hil bench CAMERA [--hardware TEXT]    walks through the steps, and goes on where it was stopped
       ./scripts/hil bench --list                      the procedure

A session of candor login as camera technician is needed: the cloud is asked what it sees of CAMERA.
`

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--list')) {
    printProcedure()
    return EXIT.done
  }
  const [camera = '', ...rest] = argv
  const hardware = rest[0] === '--hardware' ? (rest[1] ?? '') : null
  if (!slugSchema.safeParse(camera).success || (rest.length > 0 && !hardware)) {
    process.stderr.write(USAGE)
    return argv.includes('--help') || argv.includes('-h') ? EXIT.done : EXIT.usage
  }
  const folder = join('.candor', 'hil-bench')
  const file = join(folder, `${camera}.json`)
  await mkdir(folder, { recursive: true })
  const readline = createInterface({ input: process.stdin, output: process.stdout })
  const kept = await readFile(file, 'utf8').then(
    (text) => stateSchema.parse(JSON.parse(text)),
    () => null,
  )
  const name = hardware ?? kept?.hardware ?? (await readline.question('Hardware (unit, camera, lens, supply): '))
  try {
    await look(camera)
    const state = await runBench({ camera, hardware: name, done: kept?.done ?? {} }, STEPS, {
      terminal: {
        ask: (question) => readline.question(question),
        say: (text) => void process.stdout.write(`${text}\n`),
      },
      look,
      clock: systemClock,
      save: (now) => writeFileDurably(file, JSON.stringify(now, null, 2)),
    })
    const day = new Date(systemClock.nowMs()).toISOString().slice(0, 10)
    const results = join('scripts', 'hil-bench', 'results')
    await mkdir(results, { recursive: true })
    const written = join(results, `${day}-${camera}.md`)
    await writeFile(written, report(state, day))
    process.stdout.write(`\n${written}: look it through, and commit it.\n`)
    return Object.values(state.done).some(({ verdict }) => verdict === 'failed') ? EXIT.failed : EXIT.done
  } finally {
    readline.close()
  }
}

if (process.argv[1]?.endsWith('checklist.ts')) {
  // A reader such as `head` that closes the pipe is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed),
  )
  main(process.argv.slice(2)).then(
    (code) => {
      process.exitCode = code
    },
    (thrown: unknown) => {
      process.stderr.write(`hil: ${describeError(thrown)}\n`)
      process.exitCode = toAppError(thrown).code === 'configuration' ? EXIT.configuration : EXIT.failed
    },
  )
}
