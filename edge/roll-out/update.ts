/**
 * Updates of the unit's system: fetches the release that a signed command names, puts it where the system's own updater looks for it, and
 * tells the cloud what that says. The updater (systemd/candor-update.service, root) installs into the other slot and decides about going
 * back; this process may do neither. Built by main.ts; the inbox hands commands to it.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Clock, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { logUnknown, parseOwn } from '../../shared/config.ts'
import { AppError, type ErrorCode, toAppError } from '../../shared/errors.ts'
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
import { fetchRelease, toFetchError } from './fetch.ts'

export const UPDATE_FILE = 'update.json'
/** What the updater waits for; renamed into place when the bundle is whole. */
export const INSTALL_FILE = 'install.json'
/** Between two looks at what the updater says. */
export const LOOK_MS = 5 * SECOND_MS
/** The updater has said nothing of an order for so long: it is not there. */
export const UPDATER_SILENCE_MS = 30 * MINUTE_MS
/** The updater may be at it for so long: its service has an hour (systemd/candor-update.service), and tells itself when it is ended. */
export const INSTALLING_MS = 90 * MINUTE_MS
/** An order for whose release there is no room on the disk is tried for so long. */
export const FULL_MS = HOUR_MS
/** A release that so often could not be read again once it was there is given up: each time costs the link all of it. */
export const MAX_UNREADABLE = 3
/** Largest status of the updater, bytes. */
export const MAX_STATUS_BYTES = 16 * 1024
const RETRY = { firstMs: 10 * SECOND_MS, mostMs: 10 * MINUTE_MS }

/** Written by the updater. */
const statusSchema = z.object({
  id: z.string(),
  state: z.enum(['installing', 'installed', 'confirmed', 'rolled_back', 'failed']),
  message: z.string().nullable().default(null),
})

/** What the updater is asked; it removes it when it has told that it is at it. */
const askedSchema = z.object({ id: z.string() })

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
  /** A command as it was received; one that is still being fetched is replaced by a newer one. Rejects with `storage_full` or `unavailable`. */
  take(targetId: string, envelope: Uint8Array): Promise<RollOutAck>
  /** Takes the newest order further until `signal` aborts. Never rejects: whatever becomes of an update, plates are read. */
  run(signal: AbortSignal): Promise<void>
}

/** Of the newest order, as far as this process saw it; monotonic milliseconds. */
interface Since {
  readonly takenMs: number
  /** There has been no room for it since. */
  fullMs?: number | undefined
  /** So often what was fetched could not be read again. */
  unreadable?: number
  /** The updater was given it, or said something of it. */
  handedMs?: number
  installingMs?: number
}

export async function openUpdates(deps: UpdateDeps): Promise<Updates> {
  const { clock, log } = deps
  const path = join(deps.dataFolder, UPDATE_FILE)
  let order = await read(path, log)
  /** Ends the wait between two looks, or the fetching, for another order. */
  let wake: AbortController | null = null
  let since: Since = { takenMs: clock.monotonicMs() }

  let turn: Promise<unknown> = Promise.resolve()
  /** One after another: an order that is replaced must not be handed over meanwhile. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = turn.then(work)
    turn = done.catch(() => {})
    return done
  }

  async function write(to: Order, state: RollOutAck['state'], message: string | null): Promise<void> {
    if (order?.command.targetId !== to.command.targetId) return
    if (order.ack.state === state && order.ack.message === message) return
    const ack = ackOf(to.command.targetId, state, message, clock)
    const next = { ...order, ack }
    await writeFileDurably(path, JSON.stringify(next))
    order = next
    log.info('update_state', { version: to.command.release.version, state, reason: message })
    deps.onAck(ack)
  }
  const say = (...told: Parameters<typeof write>) => inTurn(() => write(...told))

  async function download(to: Order, updates: { folder: string }, signal: AbortSignal): Promise<void> {
    const { release } = to.command
    const bundle = `${release.sha256}.raucb`
    await mkdir(updates.folder, { recursive: true, mode: 0o700 })
    const { caPem } = await deps.identity.load()
    const atMs = deps.clockState.state === 'synced' ? clock.nowMs() : null
    await clearFolder(updates.folder, bundle)
    const onUnreadable = () => {
      since.unreadable = (since.unreadable ?? 0) + 1
    }
    const from = { host: deps.host, caPem, atMs, isLate: () => isLate(to), onUnreadable }
    await fetchRelease(to.command, join(updates.folder, bundle), from, signal)
    since.fullMs = undefined
    await inTurn(async () => {
      if (order?.command.targetId !== to.command.targetId) return
      const wanted = { id: to.command.targetId, version: release.version, bundle }
      await writeFileDurably(join(updates.folder, INSTALL_FILE), JSON.stringify(wanted))
      since.handedMs = clock.monotonicMs()
      await write(to, 'installing', null)
    })
  }

  /** Without a clock that is to be trusted it has as long as from its issue to its end. */
  function isLate({ command: { issuedAtMs, expiresAtMs } }: Order): boolean {
    if (deps.clockState.state === 'synced') return clock.nowMs() >= expiresAtMs
    return clock.monotonicMs() - since.takenMs >= expiresAtMs - issuedAtMs
  }

  /** The updater has it, though a power cut or a full disk kept that from being written down here: it is not fetched twice. */
  async function isHanded(to: Order, { folder, statusFile }: { folder: string; statusFile: string }): Promise<boolean> {
    const { targetId } = to.command
    return (await readStatus(statusFile).catch(() => null))?.id === targetId || (await askedFor(folder)) === targetId
  }

  /**
   * Ended by this process. What it asked for goes first: an updater that comes back would install what has ended. One that opens the bundle has
   * said before that it is at it, and then the order is followed on.
   */
  async function end(to: Order, updates: { folder: string; statusFile: string }, why: string): Promise<void> {
    await clearFolder(updates.folder, null)
    const status = await readStatus(updates.statusFile).catch(() => null)
    if (since.installingMs === undefined && status?.id === to.command.targetId) return
    await say(to, 'failed', why)
  }

  /** What the updater says of this order, taken over. */
  async function follow(to: Order, updates: { folder: string; statusFile: string }): Promise<void> {
    const status = await readStatus(updates.statusFile)
    const nowMs = clock.monotonicMs()
    if (status?.id === to.command.targetId) {
      since.handedMs = nowMs
      if (status.state === 'installing') {
        since.installingMs ??= nowMs
        if (nowMs - since.installingMs > INSTALLING_MS)
          return end(to, updates, `the unit’s updater has not ended it within ${INSTALLING_MS / MINUTE_MS} minutes`)
      }
      return say(to, status.state === 'installed' ? 'probation' : status.state, status.message)
    }
    since.handedMs ??= nowMs
    if (nowMs - since.handedMs > UPDATER_SILENCE_MS)
      await end(to, updates, 'the unit’s updater (candor-update.path) does not answer')
  }

  return {
    get ack() {
      return order?.ack ?? null
    },

    async take(targetId, envelope) {
      const { updates } = deps
      const refused = (why: string) => ackOf(targetId, 'refused', why, clock)
      if (order?.command.targetId === targetId) return order.ack
      let command: UpdateCommand
      try {
        command = openSigned(deps.verifier, updateCommandSchema, envelope, MAX_ROLL_OUT_COMMAND_BYTES).value
      } catch (thrown) {
        return refused(toAppError(thrown).message)
      }
      const problem = addresseeProblem(command, targetId, deps, clock)
      if (problem !== null) return refused(problem)
      if (updates === null) return refused('the system of this unit is not updated by images')
      return inTurn(async () => {
        if (order?.command.targetId === targetId) return order.ack
        const open = order === null || ENDED_STATES.has(order.ack.state) ? null : order
        if (open !== null) {
          if (open.ack.state !== 'fetching' || (await isHanded(open, updates)))
            return refused(`${open.command.release.version} is being installed`)
          // One of before that comes once more ends nothing.
          if (command.issuedAtMs < open.command.issuedAtMs)
            return refused(`${open.command.release.version} was ordered after it`)
        }
        const next = { command, ack: ackOf(targetId, 'fetching', null, clock) }
        await writeFileDurably(path, JSON.stringify(next))
        order = next
        since = { takenMs: clock.monotonicMs() }
        wake?.abort()
        if (open !== null) {
          log.info('update_replaced', { version: open.command.release.version })
          deps.onAck(ackOf(open.command.targetId, 'failed', `${command.release.version} was ordered instead`, clock))
        }
        return next.ack
      })
    },

    async run(signal) {
      const backOff = createBackOff(RETRY, deps.random)
      while (!signal.aborted) {
        const { updates } = deps
        const now = order
        const woken = new AbortController()
        wake = woken
        const either = AbortSignal.any([signal, woken.signal])
        let waitMs = LOOK_MS
        let isFetching = false
        try {
          if (now === null || updates === null || ENDED_STATES.has(now.ack.state)) waitMs = DAY_MS
          else if (now.ack.state !== 'fetching' || (await isHanded(now, updates))) await follow(now, updates)
          else if (isLate(now)) await end(now, updates, 'it was not fetched before its order ended')
          else {
            isFetching = true
            await download(now, updates, either)
            backOff.reset()
          }
        } catch (thrown) {
          if (signal.aborted) return
          const error = toFetchError(thrown)
          const told = { code: error.code, error: error.message }
          if (error.code === 'internal') log.error('update_set_back', told)
          else log.warn('update_set_back', told)
          waitMs = backOff.nextMs()
          if (now !== null && updates !== null && isFetching && !woken.signal.aborted && endsFetching(error.code))
            await end(now, updates, error.message).catch(() => {})
        }
        // Another order may have come while this one was looked at.
        await clock.sleep(waitMs, either).catch(() => {})
      }
    },
  }

  /** Does trying again lead nowhere? */
  function endsFetching(code: ErrorCode): boolean {
    const nowMs = clock.monotonicMs()
    since.fullMs = code === 'storage_full' ? (since.fullMs ?? nowMs) : undefined
    const isFull = since.fullMs !== undefined && nowMs - since.fullMs >= FULL_MS
    const isUnreadable = (since.unreadable ?? 0) >= MAX_UNREADABLE
    // Ours to mend, and by another release: trying again would only do it again.
    const isFault = code === 'internal'
    return isFull || isUnreadable || isFault || code === 'integrity' || code === 'forbidden'
  }
}

/** Only the release that is being fetched may lie there: those of before fill the disk. null: none, and nothing is asked for. */
async function clearFolder(folder: string, bundle: string | null): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) {
    const isLeft = /^[0-9a-f]{64}\.raucb(\.part)?$/.test(name) && (bundle === null || !name.startsWith(bundle))
    if (isLeft || (bundle === null && name === INSTALL_FILE))
      await rm(join(folder, name), { force: true, recursive: true })
  }
}

/** Which order the updater is asked to install; null: none, or a file of another kind. */
async function askedFor(folder: string): Promise<string | null> {
  const text = await readFileIfThere(join(folder, INSTALL_FILE)).catch(() => null)
  try {
    return text === null ? null : askedSchema.parse(JSON.parse(text)).id
  } catch {
    return null
  }
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
  try {
    const text = await readFileIfThere(path)
    return text === null ? null : parseOwn(text, fileSchema, logUnknown(log, path))
  } catch (thrown) {
    log.error('update_not_read', { path, error: toAppError(thrown).message })
    return null
  }
}
