/**
 * Installs the bundle that the edge process has asked for into the slot that is not running, and starts the unit anew. Run by
 * candor-update.service whenever install.json appears; what became of it stands in the update's state, also after the restart. The same
 * service runs `update-ended` behind it: one that was killed says no more, and somebody must.
 */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { systemClock } from '../../shared/clock.ts'
import { AppError, describeError, EXIT } from '../../shared/errors.ts'
import { type BootState, nextSlot, otherSlot, readBootState, SLOTS, type SlotName } from './boot-state.ts'
import { type RunCommand, runCommand } from './command.ts'
import { readEdgeStatus } from './edge-status.ts'
import { BOOT_STATE_DEVICE, EDGE_STATUS_FILE, REQUEST_FOLDER, UNIT_FOLDER } from './places.ts'
import { isOlder, readRequest, removeRequest, takeBundle, type UpdateRequest } from './update-request.ts'
import { readUpdateState, type UpdateState, writeUpdateState } from './update-state.ts'
import { type Release, readRelease, versionFloor } from './version-floor.ts'

const INFO_MS = 120_000
/** Writing a gigabyte to a slow card. */
const INSTALL_MS = 45 * 60_000
/** For the edge process to tell the cloud, and for what it is reading, milliseconds. */
export const RESTART_GRACE_MS = 10_000
/** What root has taken of the request. */
const BUNDLE_FILE = join(UNIT_FOLDER, 'updates', 'bundle.raucb')

const bundleInfoSchema = z.object({ compatible: z.string(), version: z.string() })

/** The slot that runs, by the kernel's command line. Throws `internal` where no image was started. */
export function runningSlot(commandLine: string): SlotName {
  const slot = SLOTS.find((one) => commandLine.split(/\s+/).includes(`rauc.slot=${one}`))
  if (slot === undefined) throw new AppError('internal', 'the kernel was not told which slot this is')
  return slot
}

/** Throws `integrity` or `bad_input` for a bundle that must not be installed. RAUC has checked its signature before it tells this. */
export function checkBundle(
  info: { compatible: string; version: string },
  request: UpdateRequest,
  release: Release,
  floor: string,
): void {
  if (info.compatible !== release.compatible)
    throw new AppError('bad_input', `the bundle is for ${info.compatible}, and this unit is ${release.compatible}`)
  if (info.version !== request.version)
    throw new AppError('integrity', `the bundle is version ${info.version}, and ${request.version} was asked for`)
  if (isOlder(info.version, floor))
    throw new AppError('bad_input', `version ${info.version} is older than ${floor}, below which this unit does not go`)
}

/** RAUC writes on for who has asked it and is no more: only then do the slots stay as they are. */
const stopRauc = (run: RunCommand) =>
  run('systemctl', ['stop', 'rauc.service'], INFO_MS).catch((thrown: unknown) =>
    process.stderr.write(`RAUC may go on: ${describeError(thrown)}\n`),
  )

/** Into `slot`. Throws what RAUC says; not when it had marked the slot as the next one all the same, as it does last. */
export async function raucInstall(
  bundle: string,
  slot: SlotName,
  run: RunCommand,
  state: () => BootState,
): Promise<void> {
  try {
    await run('rauc', ['install', bundle], INSTALL_MS)
  } catch (thrown) {
    await stopRauc(run)
    if (nextSlot(state()) !== slot) throw thrown
  }
}

async function install(request: UpdateRequest, slot: SlotName, run: RunCommand): Promise<void> {
  const release = readRelease()
  try {
    await takeBundle(REQUEST_FOLDER, request.bundle, BUNDLE_FILE)
    // The original is a copy of the copy from here on, and the card has not room for both and a full outbox.
    await removeRequest(REQUEST_FOLDER, request.bundle)
    const told = await run('rauc', ['info', '--output-format=json', BUNDLE_FILE], INFO_MS)
    checkBundle(bundleInfoSchema.parse(JSON.parse(told)), request, release, await versionFloor(release))
    await raucInstall(BUNDLE_FILE, slot, run, () => readBootState(BOOT_STATE_DEVICE).state)
  } finally {
    await rm(BUNDLE_FILE, { force: true })
  }
}

/** Exit code. A refused update is no failure of this program: it is told, and the unit goes on. */
export async function updateProcess(): Promise<number> {
  const slot = otherSlot(runningSlot(readFileSync('/proc/cmdline', 'utf8')))
  let request: UpdateRequest
  try {
    request = await readRequest(REQUEST_FOLDER)
  } catch (thrown) {
    await removeRequest(REQUEST_FOLDER, null)
    process.stderr.write(`the request is not followed: ${describeError(thrown)}\n`)
    return EXIT.done
  }
  const wasConnected = (await readEdgeStatus(EDGE_STATUS_FILE))?.connected ?? false
  const tell = (state: UpdateState['state'], message: string) =>
    writeUpdateState({
      id: request.id,
      version: request.version,
      state,
      message,
      atMs: systemClock.nowMs(),
      slot,
      wasConnected,
    })
  try {
    await tell('installing', `into slot ${slot}`)
    await install(request, slot, runCommand)
  } catch (thrown) {
    await tell('failed', describeError(thrown).split('\n')[0] ?? '')
    return EXIT.done
  } finally {
    await removeRequest(REQUEST_FOLDER, request.bundle)
  }
  await tell('installed', `in slot ${slot}; the unit starts anew`)
  await systemClock.sleep(RESTART_GRACE_MS)
  await runCommand('systemctl', ['reboot'], INFO_MS)
  return EXIT.done
}

/**
 * What an update has come to whose updater was killed, by the slots as it left them; null: it had told its end itself. RAUC marks a slot as not
 * to be started before it writes to it, and as the next one when all is written.
 */
export function outcomeOfEnd(
  update: UpdateState | null,
  slot: SlotName,
  state: BootState,
): 'installed' | 'failed' | null {
  if (update === null || !['installing', 'installed'].includes(update.state)) return null
  return update.slot !== slot && nextSlot(state) === update.slot ? 'installed' : 'failed'
}

/** Exit code. `result`: of the service, as systemd says it [systemd.exec(5), "$SERVICE_RESULT"]. */
export async function updateEndedProcess(result: string | undefined): Promise<number> {
  if (result === 'success') return EXIT.done
  const update = await readUpdateState()
  if (update === null) return EXIT.done
  await stopRauc(runCommand)
  const slot = runningSlot(readFileSync('/proc/cmdline', 'utf8'))
  const outcome = outcomeOfEnd(update, slot, readBootState(BOOT_STATE_DEVICE).state)
  if (outcome === null) return EXIT.done
  // What is asked for still would be begun again, after it was told that it has failed.
  const asked = await readRequest(REQUEST_FOLDER).catch(() => null)
  if (asked?.id === update.id) await removeRequest(REQUEST_FOLDER, asked.bundle)
  await rm(BUNDLE_FILE, { force: true })
  const message =
    outcome === 'installed' ? `in slot ${update.slot}; the unit starts anew` : `the updater was ended: ${result}`
  await writeUpdateState({ ...update, state: outcome, message, atMs: systemClock.nowMs() })
  if (outcome === 'installed') await runCommand('systemctl', ['reboot'], INFO_MS)
  return EXIT.done
}
