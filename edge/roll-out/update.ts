/**
 * Updates of the unit's system: fetches the release that a signed command names, puts it where the system's own updater looks for it, and
 * tells the cloud what that says. The updater (systemd/candor-update.service, root) installs into the other slot and decides about going
 * back; this process may do neither. Built by main.ts; the inbox hands commands to it.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Clock, DAY_MS, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { AppError, toAppError } from '../../shared/errors.ts'
import type { Random } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import { createBackOff } from '../../shared/retry.ts'
import { readFileIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import type { Verifier } from '../../shared/signing.ts'
import {
  ENDED_STATES,
  MAX_ROLL_OUT_COMMAND_BYTES,
  type RollOutAck,
  rollOutAckSchema,
  type UpdateCommand,
  updateCommandSchema,
} from '../../shared/wire/index.ts'
import { openSigned } from '../hotlist/manifest.ts'
import type { Identity } from '../identity.ts'
import { ackOf, addresseeProblem } from './acks.ts'
import { fetchRelease } from './fetch.ts'

export const UPDATE_FILE = 'update.json'
/** What the updater waits for; renamed into place when the bundle is whole. */
export const INSTALL_FILE = 'install.json'
/** Between two looks at what the updater says. */
export const LOOK_MS = 5 * SECOND_MS
/** The updater has said nothing of an order for so long: it is not there. */
export const UPDATER_SILENCE_MS = 30 * MINUTE_MS
/** Largest status of the updater, bytes. */
export const MAX_STATUS_BYTES = 16 * 1024
const RETRY = { firstMs: 10 * SECOND_MS, mostMs: 10 * MINUTE_MS }

/** Written by the updater. */
const statusSchema = z.object({
  id: z.string(),
  state: z.enum(['installing', 'installed', 'confirmed', 'rolled_back', 'failed']),
  message: z.string().nullable().default(null),
})

const fileSchema = z.strictObject({ command: updateCommandSchema, ack: rollOutAckSchema })
type Order = z.infer<typeof fileSchema>

export interface UpdateDeps {
  agency: string
  cameraId: string
  /** null: this unit's system is kept by other means. */
  updates: { folder: string; statusFile: string } | null
  dataFolder: string
  /** Host of the broker, from which releases come as well. */
  host: string
  verifier: Verifier
  identity: Pick<Identity, 'load'>
  clockState: { readonly state: 'synced' | 'unsynced' }
  onAck: (ack: RollOutAck) => void
  clock: Clock
  random: Random
  log: Log
}

export interface Updates {
  /** Of the newest command; null: there has been none. */
  readonly ack: RollOutAck | null
  /** A command as it was received. Rejects with `storage_full` or `unavailable`. */
  take(targetId: string, envelope: Uint8Array): Promise<RollOutAck>
  /** Takes the newest order further until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

export async function openUpdates(deps: UpdateDeps): Promise<Updates> {
  const { clock, log } = deps
  const path = join(deps.dataFolder, UPDATE_FILE)
  let order = await read(path, log)
  let wake: AbortController | null = null
  /** When the updater was given the order, by the process that did it. */
  let handedAtMs: number | null = null

  async function say(to: Order, state: RollOutAck['state'], message: string | null): Promise<void> {
    if (order?.command.targetId !== to.command.targetId) return
    if (order.ack.state === state && order.ack.message === message) return
    const ack = ackOf(to.command.targetId, state, message, clock)
    const next = { ...order, ack }
    await writeFileDurably(path, JSON.stringify(next))
    order = next
    log.info('update_state', { version: to.command.release.version, state, reason: message })
    deps.onAck(ack)
  }

  async function download(to: Order, updates: { folder: string }, signal: AbortSignal): Promise<void> {
    const { release } = to.command
    const bundle = `${release.sha256}.raucb`
    const { caPem } = await deps.identity.load()
    const atMs = deps.clockState.state === 'synced' ? clock.nowMs() : null
    await clearFolder(updates.folder, bundle)
    await fetchRelease(to.command, join(updates.folder, bundle), { host: deps.host, caPem, atMs }, signal)
    const wanted = { id: to.command.targetId, version: release.version, bundle }
    await writeFileDurably(join(updates.folder, INSTALL_FILE), JSON.stringify(wanted))
    handedAtMs = clock.monotonicMs()
    await say(to, 'installing', null)
  }

  /** The updater has it, though a power cut or a full disk kept that from being written down here: its bundle is gone, and it is not fetched twice. */
  const isHanded = async (to: Order, { statusFile }: { statusFile: string }) =>
    (await readStatus(statusFile).catch(() => null))?.id === to.command.targetId

  /** What the updater says of this order, taken over. */
  async function follow(to: Order, updates: { statusFile: string }): Promise<void> {
    const status = await readStatus(updates.statusFile)
    if (status?.id === to.command.targetId) {
      handedAtMs = clock.monotonicMs()
      return say(to, status.state === 'installed' ? 'probation' : status.state, status.message)
    }
    handedAtMs ??= clock.monotonicMs()
    if (clock.monotonicMs() - handedAtMs > UPDATER_SILENCE_MS)
      await say(to, 'failed', 'the unit’s updater (candor-update.path) does not answer')
  }

  return {
    get ack() {
      return order?.ack ?? null
    },

    async take(targetId, envelope) {
      if (order?.command.targetId === targetId) return order.ack
      const refused = (why: string) => ackOf(targetId, 'refused', why, clock)
      let command: UpdateCommand
      try {
        command = openSigned(deps.verifier, updateCommandSchema, envelope, MAX_ROLL_OUT_COMMAND_BYTES).value
      } catch (thrown) {
        return refused(toAppError(thrown).message)
      }
      const problem = addresseeProblem(command, targetId, deps, clock)
      if (problem !== null) return refused(problem)
      if (deps.updates === null) return refused('the system of this unit is not updated by images')
      if (order !== null && !ENDED_STATES.has(order.ack.state))
        return refused(`${order.command.release.version} is being installed`)
      const next = { command, ack: ackOf(targetId, 'fetching', null, clock) }
      await writeFileDurably(path, JSON.stringify(next))
      order = next
      handedAtMs = null
      wake?.abort()
      return next.ack
    },

    async run(signal) {
      const backOff = createBackOff(RETRY, deps.random)
      while (!signal.aborted) {
        const { updates } = deps
        const now = order
        let waitMs = LOOK_MS
        try {
          if (now === null || updates === null || ENDED_STATES.has(now.ack.state)) waitMs = DAY_MS
          else if (now.ack.state !== 'fetching' || (await isHanded(now, updates))) await follow(now, updates)
          else {
            await mkdir(updates.folder, { recursive: true, mode: 0o700 })
            await download(now, updates, signal)
            backOff.reset()
          }
        } catch (thrown) {
          if (signal.aborted) return
          const error = toAppError(thrown)
          if (error.code === 'internal') throw error
          log.warn('update_set_back', { code: error.code, error: error.message })
          if (now !== null && (error.code === 'integrity' || error.code === 'forbidden'))
            await say(now, 'failed', error.message).catch(() => {})
          waitMs = backOff.nextMs()
        }
        wake = new AbortController()
        const isNew = order?.command.targetId !== now?.command.targetId
        // Another order came while this one was looked at.
        if (!isNew) await clock.sleep(waitMs, AbortSignal.any([signal, wake.signal])).catch(() => {})
      }
    },
  }
}

/** Only the release that is being fetched may lie there: those of before fill the disk. */
async function clearFolder(folder: string, bundle: string): Promise<void> {
  for (const name of await readdir(folder))
    if (/^[0-9a-f]{64}\.raucb(\.part)?$/.test(name) && !name.startsWith(bundle)) await rm(join(folder, name))
}

async function readStatus(file: string): Promise<z.infer<typeof statusSchema> | null> {
  const { size } = await stat(file).catch(() => ({ size: 0 }))
  if (size === 0 || size > MAX_STATUS_BYTES) return null
  const text = await readFileIfThere(file)
  try {
    return text === null ? null : statusSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new AppError('unavailable', `${file} is not what the updater writes`, { cause })
  }
}

async function read(path: string, log: Log): Promise<Order | null> {
  const text = await readFileIfThere(path)
  if (text === null) return null
  try {
    return fileSchema.parse(JSON.parse(text))
  } catch (thrown) {
    log.error('update_not_read', { path, error: toAppError(thrown).message })
    return null
  }
}
