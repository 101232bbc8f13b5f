/** The steps of `scripts/hil image` in which a release goes the whole way: from the command line through the cloud to the unit, and its verdict back. Run by stage.ts. */
import { BAD, BOOT_MS, CAMERA, type Context, GOOD } from './context.ts'
import type { Machine } from './machine.ts'
import { addRelease, type Course, endOpen, followRollOut, startRollOut, timesOf } from './roll-out.ts'
import type { Step } from './steps.ts'
import { awaitReading, releaseOf, sha256Of, slotOf, sure, updateStatus } from './unit.ts'

/** Fetching and writing a slot, emulated, then starts that are given up, and one that works. */
const ROLL_OUT_MS = 60 * 60_000

interface Rolled extends Course {
  number: number
  times: string
}

/** Resolves when the cloud says that it is over, whichever way. */
async function rollOut({ world, bundle }: Context, machine: Machine, version: string): Promise<Rolled> {
  await endOpen(world.candor)
  const bytes = await addRelease(world.candor, bundle(version), version, await sha256Of(bundle(version)))
  const before = (await updateStatus(machine))?.id
  const number = await startRollOut(world.candor, version, CAMERA)
  const ask = async () => world.https.call('GET', `/api/v1/roll-outs/${number}`, { token: await world.token() })
  const unit = async () => {
    const status = await updateStatus(machine)
    return status === null || status.id === before || status.version !== version ? null : status
  }
  const course = await followRollOut(ask, unit, CAMERA, ROLL_OUT_MS)
  return { ...course, number, times: timesOf(course, bytes) }
}

const wordsOf = (course: Course['cloud']) => [...new Set(course.map(({ state }) => state.replace('_', ' ')))].join(', ')

async function checkNothingLeft(machine: Machine): Promise<void> {
  const left = await sure(
    machine,
    'ls -A /var/lib/private/candor-edge/updates; ls -A /var/lib/candor-unit/updates 2>/dev/null || true',
  )
  if (/raucb|install/.test(left)) throw new Error(`left behind: ${left}`)
}

const good: Step = {
  name: 'update',
  what: 'a good release rolled out: sent to the cloud, fetched by the unit, installed, started, confirmed by its own health',
  async run(context) {
    const machine = await context.unit()
    const before = await slotOf(machine)
    const { end, because, cloud, unit, times } = await rollOut(context, machine, GOOD)
    const last = cloud.at(-1)
    if (end !== 'done' || last?.state !== 'confirmed')
      throw new Error(`${end}: ${because ?? ''} ${last?.state}: ${last?.message}`)
    if (unit.at(-1)?.state !== 'confirmed') throw new Error(`the unit itself says ${wordsOf(unit)}`)
    const [after, running] = [await slotOf(machine), await releaseOf(machine)]
    if (after === before || running !== GOOD) throw new Error(`runs ${running} in slot ${after}`)
    await checkNothingLeft(machine)
    return `${times}; the cloud saw ${wordsOf(cloud)}, and the roll-out is ${end}; slot ${before} to ${after}`
  },
}

const rolledBack: Step = {
  name: 'roll-back',
  what: 'a release rolled out in which the camera does not start: the unit goes back, and the roll-out halts by itself',
  async run(context) {
    const { world } = context
    const machine = await context.unit()
    const [before, running] = [await slotOf(machine), await releaseOf(machine)]
    const { number, end, because, cloud, unit, times } = await rollOut(context, machine, BAD)
    const last = cloud.at(-1)
    if (end !== 'halted' || last?.state !== 'rolled_back')
      throw new Error(`${end}: ${because ?? ''} ${last?.state}: ${last?.message}`)
    if (because !== `1 of 1 went wrong: ${CAMERA} rolled_back`) throw new Error(`halted because: ${because}`)
    const own = unit.at(-1)
    if (own?.state !== 'rolled_back' || own.message !== last.message)
      throw new Error(`the unit itself says ${own?.state}: ${own?.message}; the cloud has ${last.message}`)
    await awaitReading(machine, BOOT_MS)
    const [after, runs] = [await slotOf(machine), await releaseOf(machine)]
    if (after !== before || runs !== running) throw new Error(`runs ${runs} in slot ${after}`)
    await checkNothingLeft(machine)
    // A halted one is open: a person looks, and ends it.
    const told = await world.candor('roll-out', 'end', String(number))
    if (!/: ended\b/.test(told)) throw new Error(`not ended: ${told}`)
    return `${times}; the cloud saw ${wordsOf(cloud)} (${last.message}), and the roll-out is ${end} (${because}), then ended by hand; back in slot ${before} and reading`
  },
}

export const ROLL_OUT_STEPS = { good, rolledBack } as const
