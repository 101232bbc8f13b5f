/**
 * A step of `scripts/hil image`: a unit whose certificate is refused becomes the same camera again by a claim that somebody puts on its card, and what has
 * waited on it arrives. Run by stage.ts.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { partitionOffset } from '../flash-card/partitions.ts'
import { CARD_FOLDER, CLAIM_FILE } from '../unit/card.ts'
import { BOOT_MS, CAMERA } from './context.ts'
import type { Step } from './steps.ts'
import { awaitReading, awaitShell, edgeStatus, readJson, sure, until } from './unit.ts'

/** Of what waits, before the claim comes. */
const LEAST_WAITING = 3

/** As in a computer's card reader: the unit is off. */
export async function putOnCard(disk: string, file: string, name: string): Promise<void> {
  const card = await open(disk, 'r')
  const offset = await partitionOffset(card, 'CANDOR').finally(() => card.close())
  execFileSync('mcopy', ['-o', '-i', `${disk}@@${offset}`, file, `::/${CARD_FOLDER}/${name}`])
}

/** Names in the card's folder, as the unit sees it. */
export const listCard = (machine: Parameters<typeof sure>[0]) =>
  sure(
    machine,
    'mkdir -p /run/look && mount -o ro /dev/disk/by-partlabel/CANDOR /run/look && ls /run/look/candor && umount /run/look',
  )

export const AGAIN_STEP: Step = {
  name: 'again',
  what: 'a revoked camera, and a new claim on its card: enrolled again while it reads, what waited arrives',
  async run(context) {
    const { world, folder, disk } = context
    let machine = await context.unit()
    const keyOf = async () => (await sure(machine, 'sha256sum </etc/candor-edge/key.pem')).trim()
    const before = await keyOf()
    await world.candor('camera', 'revoke', CAMERA)
    await until('sightings that wait', BOOT_MS, async () => {
      const status = await edgeStatus(machine)
      return status?.connected === false && status.outbox.rows >= LEAST_WAITING
    })
    await context.switchOff()
    writeFileSync(join(folder, CLAIM_FILE), await world.makeClaim(CAMERA), { mode: 0o600 })
    await putOnCard(disk, join(folder, CLAIM_FILE), CLAIM_FILE)
    const held = world.held(CAMERA).length

    machine = await context.switchOn()
    await awaitShell(machine, BOOT_MS)
    const asked = await until('the unit’s request', BOOT_MS, async () => {
      const status = await readJson(machine, '/run/candor-unit/provision.json')
      return status?.state === 'pending' ? (status.fingerprint as string) : null
    })
    await until('a read before its approval', BOOT_MS, async () => ((await edgeStatus(machine))?.frames.read ?? 0) > 0)
    const waited = (await edgeStatus(machine))?.outbox.rows ?? 0
    if ((await keyOf()) !== before) throw new Error('it has changed its key before anybody has approved')
    const askedMs = performance.now()
    await world.approve(CAMERA, asked)
    await awaitReading(machine, BOOT_MS)
    await until('an empty outbox', BOOT_MS, async () => (await edgeStatus(machine))?.outbox.rows === 0)
    const taken = Math.round((performance.now() - askedMs) / 1_000)
    if ((await keyOf()) === before) throw new Error('it still has the key of before')
    const left = await until('a card without the claim', BOOT_MS, async () => {
      const names = await listCard(machine)
      return names.includes(CLAIM_FILE) ? null : names
    })
    const more = world.held(CAMERA).length - held
    if (more < LEAST_WAITING) throw new Error(`${waited} waited, and ${more} have come`)
    return `it read while it waited for its approval, with ${waited} rows of before; ${taken} s after the approval they are in the cloud (${more} sightings more), under another key; left on the card: ${left.trim().split(/\s+/).join(' ')}`
  },
}
