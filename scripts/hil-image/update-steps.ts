/**
 * The steps of `scripts/hil image` from the updates on: those of roll-out-steps.ts, forged releases, power cuts, a new claim, what both sides
 * hold, a stolen card. Run by stage.ts.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AGAIN_STEP } from './again-step.ts'
import { BOOT_MS, CAMERA, GOOD } from './context.ts'
import { ROLL_OUT_STEPS } from './roll-out-steps.ts'
import { FORGED, type Step } from './steps.ts'
import { lookThroughCard } from './stolen-card.ts'
import {
  askForUpdate,
  awaitShell,
  edgeStatus,
  releaseOf,
  slotOf,
  storedByUnit,
  sure,
  until,
  updateOutcome,
  updateStatus,
} from './unit.ts'

/** Writing a slot, emulated. */
const INSTALL_MS = 15 * 60_000
const CUTS = 20
/** A cut falls into the start, into the work or into an update that was begun: up to so long after power on. */
const LONGEST_UNTIL_CUT_MS = 70_000

const refused: Step = {
  name: 'refuse',
  what: 'a changed signature, a changed payload, and a release below the floor',
  async run(context) {
    const machine = await context.unit()
    const before = await slotOf(machine)
    const seen: string[] = []
    for (const what of FORGED) {
      const id = await askForUpdate(machine, join(context.bundlesFolder, `forged-${what}.raucb`), GOOD)
      const end = await updateOutcome(machine, id, ['failed', 'installed'], INSTALL_MS)
      if (end.state !== 'failed') throw new Error(`a bundle with a changed ${what} was installed`)
      seen.push(`${what}: ${end.message.slice(0, 120)}`)
    }
    await sure(machine, `echo 9.0.0 >/var/lib/candor-unit/version-floor`)
    const id = await askForUpdate(machine, context.bundle(GOOD), GOOD)
    const end = await updateOutcome(machine, id, ['failed', 'installed'], INSTALL_MS)
    await sure(machine, 'rm /var/lib/candor-unit/version-floor')
    if (!end.message.includes('older')) throw new Error(`an old release: ${end.state} ${end.message}`)
    if ((await slotOf(machine)) !== before) throw new Error('another slot runs')
    return `refused. ${seen.join('; ')}; ${end.message}`
  },
}

const cuts: Step = {
  name: 'cuts',
  what: `the power goes ${CUTS} times at random moments, some of them in the middle of an update`,
  async run(context) {
    const moments: string[] = []
    for (let cut = 0; cut < CUTS; cut++) {
      const machine = await context.switchOn()
      // Every fifth time the unit is let come up and begins an update, and the power goes while it is written.
      if (cut % 5 === 4) {
        await awaitShell(machine, BOOT_MS)
        await until(
          'systemd',
          BOOT_MS,
          async () => (await machine.shell('systemctl is-active multi-user.target')).code === 0,
        )
        const id = await askForUpdate(machine, context.bundle(GOOD), GOOD)
        // An emulated unit that is busy may answer only when it is further.
        await updateOutcome(machine, id, ['installing', 'installed', 'confirmed'], INSTALL_MS)
        await sleep(Math.random() * 45_000)
        const state = (await updateStatus(machine).catch(() => null))?.state ?? 'unknown'
        moments.push(`update (${state})`)
      } else {
        const waitMs = 2_000 + Math.random() * LONGEST_UNTIL_CUT_MS
        await sleep(waitMs)
        moments.push(`${Math.round(waitMs / 1_000)} s`)
      }
      process.stderr.write(`    cut ${cut + 1} of ${CUTS}: ${moments.at(-1)}\n`)
      await context.cutPower()
    }
    const machine = await context.unit()
    const failed = (await sure(machine, 'systemctl --failed --no-legend --plain')).trim()
    if (failed !== '') throw new Error(`failed units: ${failed}`)
    return `${CUTS} cuts, and it starts and reads: ${moments.join(', ')}; now in slot ${await slotOf(machine)}, release ${await releaseOf(machine)}`
  },
}

const compare: Step = {
  name: 'compare',
  what: 'what the unit has stored against what the cloud holds',
  async run(context) {
    const machine = await context.unit()
    await sure(machine, 'systemctl stop candor-edge', 120_000)
    let unit = await storedByUnit(machine)
    const held = () =>
      new Set(context.world.held(CAMERA).map(({ sightingId, revision }) => `${sightingId}/${revision}`))
    const lost = () => [...unit].filter((id) => !held().has(id))
    if (lost().length > 0) {
      await sure(machine, 'systemctl start candor-edge', 280_000)
      await until('an empty outbox', BOOT_MS, async () => (await edgeStatus(machine))?.outbox.rows === 0)
      await sure(machine, 'systemctl stop candor-edge', 120_000)
      unit = await storedByUnit(machine)
    }
    const finals = context.world.held(CAMERA).filter(({ revision }) => revision === 1)
    const told = new Set(finals.map(({ seenAtMs, plate }) => `${seenAtMs}/${plate}`))
    const counts = { unit: unit.size, cloud: held().size, lost: lost().length, duplicated: finals.length - told.size }
    await sure(machine, 'systemctl start candor-edge', 280_000)
    if (counts.unit === 0 || counts.lost + counts.duplicated > 0) throw new Error(JSON.stringify(counts))
    return `${counts.unit} of which the unit's journal tells, ${counts.cloud} in the cloud (a cut takes the journal's last lines); 0 lost, 0 duplicated`
  },
}

const stolen: Step = {
  name: 'stolen',
  what: 'the card of a unit without a key store, power off: plates, names and keys, in raw bytes and decoded rows',
  async run(context) {
    // Something shall wait on it: the cloud is away for the last sightings.
    const machine = await context.unit()
    await sure(machine, 'systemctl stop systemd-networkd.socket systemd-networkd; ip link set enp0s2 down')
    await until('sightings that wait', BOOT_MS, async () => {
      const status = await edgeStatus(machine)
      return status?.connected === false && status.outbox.rows > 4
    })
    await context.switchOff()
    return await lookThroughCard(context)
  },
}

export const UPDATE_STEPS: readonly Step[] = [
  ROLL_OUT_STEPS.good,
  refused,
  ROLL_OUT_STEPS.rolledBack,
  cuts,
  AGAIN_STEP,
  compare,
  stolen,
]
