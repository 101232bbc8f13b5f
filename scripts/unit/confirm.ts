/**
 * After a start: a slot that is on trial is confirmed once the camera works, or given up for the other one. Tells besides what became of an
 * update. Run by candor-confirm.service at every start; in a confirmed slot it ends at once.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { PAGE_LIFE_MS } from '../../edge/setup/limits.ts'
import { type Clock, MINUTE_MS, SECOND_MS, systemClock } from '../../shared/clock.ts'
import { describeError, EXIT } from '../../shared/errors.ts'
import { readFileIfThere } from '../../shared/secret-file.ts'
import { type BootState, otherSlot, readBootState, type SlotName } from './boot-state.ts'
import { type RunCommand, runCommand } from './command.ts'
import { type EdgeStatus, readEdgeStatus } from './edge-status.ts'
import { BOOT_STATE_DEVICE, EDGE_STATUS_FILE, REQUEST_FOLDER } from './places.ts'
import { runningSlot } from './update.ts'
import { readRequest } from './update-request.ts'
import { readUpdateState, showUpdateState, type UpdateState, writeUpdateState } from './update-state.ts'
import { readRelease, versionFloor } from './version-floor.ts'

/** From the start until a slot must have shown that it works, where /etc/candor-unit.json does not say another, milliseconds. */
export const CONFIRM_WITHIN_MS = 10 * MINUTE_MS
/** The set-up page may be open for so long, all its times together: longer than one lives (candor-setup.service), milliseconds. */
export const MAX_PAGE_MS = PAGE_LIFE_MS + 15 * MINUTE_MS
const LOOK_MS = 5 * SECOND_MS
const COMMAND_MS = 5 * MINUTE_MS
const settingsSchema = z.object({ confirmWithinMs: z.int().positive().optional() })

/** Does the camera work? null: it does; else what is missing. */
export function missingHealth(isActive: boolean, status: EdgeStatus | null, wasConnected: boolean): string | null {
  if (!isActive) return 'candor-edge does not run'
  if (status === null) return 'candor-edge has said nothing yet'
  if (status.frames.read + status.frames.still === 0) return 'no frame was read'
  if (!status.connected && wasConnected) return 'the broker is not connected, and was before'
  return null
}

export interface Trial {
  clock: Clock
  isActive(): Promise<boolean>
  /** The set-up page is in the camera's place: somebody aims it. */
  isPageOpen(): Promise<boolean>
  status(): Promise<EdgeStatus | null>
  wasConnected: boolean
  withinMs: number
}

/** null: confirmed. Else what was still missing at the end of the time, which stands still while the set-up page is open: it says nothing of the slot. */
export async function awaitHealth(trial: Trial): Promise<string | null> {
  const { clock } = trial
  let lookedMs = clock.monotonicMs()
  let endMs = lookedMs + trial.withinMs
  const lastMs = endMs + MAX_PAGE_MS
  for (;;) {
    const missing = missingHealth(await trial.isActive(), await trial.status(), trial.wasConnected)
    if (missing === null) return null
    const isPageOpen = await trial.isPageOpen()
    const nowMs = clock.monotonicMs()
    if (isPageOpen) endMs = Math.min(lastMs, endMs + nowMs - lookedMs)
    lookedMs = nowMs
    if (nowMs >= endMs) return missing
    await clock.sleep(LOOK_MS)
  }
}

/** What a confirmed release has as its floor holds from now on, whatever slot is started later. What keeps that from being written is told; the next start tries again. */
export async function keepFloor(releaseFile?: string, floorFile?: string): Promise<void> {
  try {
    await versionFloor(readRelease(releaseFile), floorFile)
  } catch (thrown) {
    process.stderr.write(`the version floor is not kept: ${describeError(thrown)}\n`)
  }
}

/** The slot that was started stays. */
export async function keepSlot(run: RunCommand, floor: () => Promise<void> = keepFloor): Promise<void> {
  await run('rauc', ['status', 'mark-good', 'booted'], COMMAND_MS)
  await floor()
}

/** Says systemd that a service has started and runs? One that waits to be started again does not. */
const isRunning = async (service: string) =>
  (await runCommand('systemctl', ['is-active', service], COMMAND_MS).catch(() => '')).trim() === 'active'

/**
 * What an update has come to that was installed, as this start shows; null: nothing new. `isAsked`: its request lies there still, so that nothing
 * was written yet and the updater begins it anew.
 */
export function outcomeOfStart(
  update: UpdateState | null,
  slot: SlotName,
  isConfirmed: boolean,
  isAsked: boolean,
): UpdateState['state'] | null {
  if (update === null || !['installing', 'installed'].includes(update.state)) return null
  // The power went after the slot was confirmed, before this was told.
  if (isConfirmed && update.slot === slot) return 'confirmed'
  if (update.state === 'installed' && update.slot !== slot) return 'rolled_back'
  // The power went while it was written, and RAUC had marked that slot as not to be started; or right after it was written, before this was told.
  if (update.state === 'installing' && update.slot === slot) return 'installed'
  if (update.state === 'installing' && !isAsked) return 'failed'
  return null
}

/** Whether giving a slot up leads anywhere. */
export const canGoBack = (state: BootState, slot: SlotName) => state[otherSlot(slot)] !== 0

function messageOf(outcome: UpdateState['state'], installedIn: SlotName, slot: SlotName): string {
  if (outcome === 'rolled_back') return `slot ${installedIn} did not work; back in ${slot}`
  if (outcome === 'installed') return `in slot ${installedIn}`
  if (outcome === 'confirmed') return `slot ${slot} works`
  return 'the unit lost its power while it was installed'
}

/** Exit code. */
export async function confirmProcess(): Promise<number> {
  const slot = runningSlot(readFileSync('/proc/cmdline', 'utf8'))
  const { state } = readBootState(BOOT_STATE_DEVICE)
  let update = await readUpdateState()
  const asked = await readRequest(REQUEST_FOLDER).catch(() => null)
  const isAsked = asked !== null && asked.id === update?.id
  const outcome = outcomeOfStart(update, slot, state[slot] === 'good', isAsked)
  if (update !== null && outcome !== null) {
    update = { ...update, state: outcome, message: messageOf(outcome, update.slot, slot), atMs: systemClock.nowMs() }
    await writeUpdateState(update)
  } else if (update !== null) await showUpdateState(update)
  if (state[slot] === 'good') {
    await keepFloor()
    return EXIT.done
  }

  const settings = settingsSchema.parse(JSON.parse((await readFileIfThere('/etc/candor-unit.json')) ?? '{}'))
  const missing = await awaitHealth({
    clock: systemClock,
    isActive: () => isRunning('candor-edge.service'),
    isPageOpen: () => isRunning('candor-setup.service'),
    status: () => readEdgeStatus(EDGE_STATUS_FILE),
    wasConnected: update?.wasConnected ?? false,
    withinMs: settings.confirmWithinMs ?? CONFIRM_WITHIN_MS,
  })
  if (missing === null) {
    await keepSlot(runCommand)
    if (update?.state === 'installed' && update.slot === slot)
      await writeUpdateState({
        ...update,
        state: 'confirmed',
        message: `slot ${slot} works`,
        atMs: systemClock.nowMs(),
      })
    process.stdout.write(`slot ${slot} is confirmed\n`)
    return EXIT.done
  }
  process.stdout.write(`slot ${slot} does not work: ${missing}\n`)
  if (!canGoBack(state, slot)) return EXIT.failed
  await runCommand('rauc', ['status', 'mark-bad', 'booted'], COMMAND_MS)
  await runCommand('systemctl', ['reboot'], COMMAND_MS)
  return EXIT.done
}
