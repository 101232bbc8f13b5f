/** What the steps ask of the unit: through the test image's shell, and as its edge process would. Used by steps.ts. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import type { Machine } from './machine.ts'

const LOOK_MS = 2_000

/** Waits until `holds` gives something; rejects after the time with what was waited for. */
export async function until<T>(
  what: string,
  limitMs: number,
  holds: () => Promise<T | null | undefined | false>,
): Promise<T> {
  const endMs = performance.now() + limitMs
  for (;;) {
    const found = await holds().catch(() => null)
    if (found !== null && found !== undefined && found !== false) return found
    if (performance.now() > endMs) throw new AppError('unavailable', `${what}: not within ${limitMs / 1_000} s`)
    await sleep(LOOK_MS)
  }
}

/** Output of a command that must succeed. */
export async function sure(machine: Machine, command: string, timeoutMs?: number): Promise<string> {
  const { code, output } = await machine.shell(command, timeoutMs)
  if (code !== 0)
    throw new AppError('internal', `in the unit, exit ${code}: ${command.slice(0, 80)}: ${output.slice(-300)}`)
  return output
}

export const readJson = async (machine: Machine, file: string): Promise<Record<string, unknown> | null> => {
  const { code, output } = await machine.shell(`cat ${file}`)
  return code === 0 ? (JSON.parse(output) as Record<string, unknown>) : null
}

export interface EdgeFile {
  atMs: number
  connected: boolean
  frames: { read: number; still: number }
  outbox: { rows: number }
  source?: { state: string; reconnects: number }
  hotlists?: { list: string; version: number }[]
}

export const edgeStatus = (machine: Machine) =>
  readJson(machine, '/run/candor-edge/status.json') as Promise<EdgeFile | null>

/** The shell answers: systemd has come far enough. */
export const awaitShell = (machine: Machine, limitMs: number) =>
  until('the unit’s shell', limitMs, async () => (await machine.shell('true', 5_000)).code === 0)

/** Since this start of the unit: frames read, and the broker connected. */
export const awaitReading = (machine: Machine, limitMs: number) =>
  until('the first read', limitMs, async () => {
    const status = await edgeStatus(machine)
    return status !== null && status.frames.read > 0 && status.connected
  })

export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

const FOLDER = '/var/lib/private/candor-edge/updates'

/**
 * Puts a bundle and the request for it where the edge process would, as its user and in its order, the bundle from a disk beside: one that
 * no cloud gives, or at a moment of our choice.
 */
export async function askForUpdate(machine: Machine, bundle: string, version: string): Promise<string> {
  const sha256 = await sha256Of(bundle)
  const id = newId()
  const request = JSON.stringify({ id, version, bundle: `${sha256}.raucb` })
  await sure(
    machine,
    `set -e; install -d -m 700 --owner="$(stat -c %u /var/lib/private/candor-edge)" ${FOLDER}
     mkdir -p /run/candor-hil/bundles; mountpoint -q /run/candor-hil/bundles || mount -o ro /dev/disk/by-id/virtio-candor-bundles /run/candor-hil/bundles
     cd ${FOLDER}; cp /run/candor-hil/bundles/${basename(bundle)} ${sha256}.raucb; printf '%s' '${request}' >install.new
     chown --reference=. ${sha256}.raucb install.new; sync; mv install.new install.json`,
    280_000,
  )
  return id
}

export interface UpdateStatus {
  id: string
  version: string
  state: string
  message: string
  atMs: number
}

export const updateStatus = (machine: Machine) =>
  readJson(machine, '/run/candor-update/status.json') as Promise<UpdateStatus | null>

/** The update's end, whichever slot the unit is in by then. */
export const updateOutcome = (machine: Machine, id: string, states: readonly string[], limitMs: number) =>
  until(`an update that is ${states.join(' or ')}`, limitMs, async () => {
    const status = await updateStatus(machine)
    return status !== null && status.id === id && states.includes(status.state) ? status : null
  })

/** a or b. */
export const slotOf = async (machine: Machine) =>
  (await sure(machine, 'cat /proc/cmdline')).match(/rauc\.slot=([ab])/)?.[1] ?? '?'
export const releaseOf = async (machine: Machine) =>
  (JSON.parse(await sure(machine, 'cat /usr/lib/candor/release.json')) as { version: string }).version

/** Ids and revisions that the unit's own journal says it has stored. */
export async function storedByUnit(machine: Machine): Promise<Set<string>> {
  const lines = await sure(
    machine,
    `journalctl -u candor-edge -o cat --no-pager | grep -F sighting_stored | grep -o '"sightingId":"[^"]*","revision":[01]\\|"revision":[01],"sightingId":"[^"]*"' | sort -u | head -c 380000`,
    240_000,
  )
  const found = new Set<string>()
  for (const line of lines.split('\n')) {
    const id = /"sightingId":"([^"]+)"/.exec(line)?.[1]
    const revision = /"revision":([01])/.exec(line)?.[1]
    if (id !== undefined && revision !== undefined) found.add(`${id}/${revision}`)
  }
  return found
}
