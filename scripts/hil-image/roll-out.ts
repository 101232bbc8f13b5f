/**
 * A release on its way from an administrator to a unit, seen from both ends: brought to the cloud and started by the command line, followed
 * by the cloud's API and by the unit's own status until the roll-out is over. Used by roll-out-steps.ts.
 */
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'

const LOOK_MS = 2_000

/** `candor ARGS` as an administrator: what it prints. Rejects unless it ends with 0. */
export type CommandLine = (...args: string[]) => Promise<string>

/** How far a camera or an update is, and since when, Unix milliseconds. */
export interface Stand {
  state: string
  message: string | null
  atMs: number
}

export interface Course {
  /** Of the roll-out when it was over. */
  end: string
  /** Why it was halted; null: it was not. */
  because: string | null
  /** Of the camera's turn as the cloud had it, oldest first. */
  cloud: Stand[]
  /** Of the update as the unit showed it, oldest first. */
  unit: Stand[]
}

const releasesSchema = z.array(z.looseObject({ version: z.string(), sha256: z.string(), bytes: z.int() }))
const rollOutsSchema = z.array(z.looseObject({ number: z.int(), kind: z.string(), state: z.string() }))
const shownSchema = z.object({
  rollOut: z.looseObject({ state: z.string(), because: z.string().nullable() }),
  turns: z.array(
    z.looseObject({ camera: z.string(), state: z.string(), message: z.string().nullable(), changedAtMs: z.int() }),
  ),
})
const OVER: ReadonlySet<string> = new Set(['halted', 'done', 'ended'])

/** Ends what a run that was cut short has left open: there is one roll-out of an image at a time. */
export async function endOpen(candor: CommandLine): Promise<void> {
  const rollOuts = rollOutsSchema.parse(JSON.parse(await candor('roll-out', 'list', '--json')))
  for (const { number, kind, state } of rollOuts)
    if (kind === 'image' && !['done', 'ended'].includes(state)) await candor('roll-out', 'end', String(number))
}

/** Brings the bundle to the cloud, in place of one of this version that an earlier build made. Bytes. */
export async function addRelease(
  candor: CommandLine,
  bundle: string,
  version: string,
  sha256: string,
): Promise<number> {
  const here = async () => {
    const releases = releasesSchema.parse(JSON.parse(await candor('release', 'list', '--json')))
    return releases.find((one) => one.version === version)
  }
  const before = await here()
  if (before?.sha256 === sha256) return before.bytes
  if (before !== undefined) await candor('release', 'remove', version)
  await candor('release', 'add', bundle)
  const added = await here()
  if (added?.sha256 !== sha256)
    throw new AppError('integrity', `the cloud has another release ${version} than ${basename(bundle)}`)
  return added.bytes
}

/** To one camera alone; its number. */
export async function startRollOut(candor: CommandLine, version: string, camera: string): Promise<number> {
  const told = await candor(
    ...['roll-out', 'start', '--release', version, '--camera', camera],
    ...['--stages', '100', '--soak-minutes', '0', '--reason', 'tried on the emulated machine'],
  )
  const number = /^Roll-out (\d+) of /.exec(told)?.[1]
  if (number === undefined) throw new AppError('internal', `no number in: ${told}`)
  return Number(number)
}

/** As it came, unless that is what was seen last. */
function note(course: Stand[], stand: Stand | null): void {
  const last = course.at(-1)
  if (stand !== null && (last?.state !== stand.state || last.message !== stand.message)) course.push(stand)
}

/**
 * Until the roll-out to `camera` alone is over. `ask` gives the cloud's answer about it, `unit` what the unit shows of this update: null for
 * nothing, or while it cannot be asked. Rejects with `unavailable` after the time, and says how far it was.
 */
export async function followRollOut(
  ask: () => Promise<unknown>,
  unit: () => Promise<Stand | null>,
  camera: string,
  limitMs: number,
  lookMs = LOOK_MS,
): Promise<Course> {
  const endMs = performance.now() + limitMs
  const [cloud, shown]: [Stand[], Stand[]] = [[], []]
  let isOver = false
  // Beside: a unit that starts anew does not answer for a minute, and the cloud is to be seen meanwhile.
  const watching = (async () => {
    for (;;) {
      const isLast = isOver
      note(shown, await unit().catch(() => null))
      if (isLast) return
      await sleep(lookMs)
    }
  })()
  try {
    for (;;) {
      const { rollOut, turns } = shownSchema.parse(await ask())
      const turn = turns.find((one) => one.camera === camera)
      if (turn === undefined) throw new AppError('internal', `the roll-out is not for ${camera}`)
      note(cloud, { state: turn.state, message: turn.message, atMs: turn.changedAtMs })
      if (OVER.has(rollOut.state)) {
        isOver = true
        await watching
        return { end: rollOut.state, because: rollOut.because, cloud, unit: shown }
      }
      if (performance.now() > endMs) {
        const seen = [...cloud, ...shown].map(
          ({ state, message }) => `${state}${message === null ? '' : ` (${message})`}`,
        )
        throw new AppError('unavailable', `not over within ${limitMs / 1_000} s: ${seen.join(', ')}`)
      }
      await sleep(lookMs)
    }
  } finally {
    isOver = true
    await watching
  }
}

/** When it was first so; null: it was not seen. */
const firstOf = (course: readonly Stand[], states: readonly string[]) =>
  course.find(({ state }) => states.includes(state))?.atMs ?? null

const MEGABYTE = 1e6

/** For people: how long the release took over the line, into the other slot, and to the unit's own verdict. Both clocks are this machine's. */
export function timesOf({ cloud, unit }: Pick<Course, 'cloud' | 'unit'>, bytes: number): string {
  const between = (from: number | null, to: number | null) =>
    from === null || to === null ? null : Math.max(0, (to - from) / 1_000)
  const spent = (what: string, taken: number | null) =>
    taken === null ? `${what} for a time that was not seen` : `${what} in ${Math.round(taken)} s`
  // The updater has it: a moment later than the edge process knew, and sooner than the cloud did.
  const handed = firstOf(unit, ['installing']) ?? firstOf(cloud, ['installing'])
  const installed = firstOf(unit, ['installed']) ?? firstOf(cloud, ['probation'])
  const fetched = between(firstOf(cloud, ['fetching']), handed)
  const rate = fetched === null || fetched === 0 ? '' : `, ${(bytes / MEGABYTE / fetched).toFixed(1)} MB a second`
  const end = firstOf(unit, ['confirmed', 'rolled_back', 'failed'])
  return [
    spent(`${Math.round(bytes / MEGABYTE)} MB fetched over HTTPS`, fetched) + rate,
    spent('installed', between(handed, installed)),
    spent(unit.at(-1)?.state.replace('_', ' ') ?? 'no verdict', between(installed, end)),
  ].join('; ')
}
