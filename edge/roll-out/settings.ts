/**
 * Settings of the camera that came from afar: laid over the unit's own configuration, tried, and kept only when frames are read with them.
 * A field that somebody has set at the camera since they came is that person's; of settings that were sent again, any that was set there.
 * What is tried and what is kept stand in one file of the data folder; a process that dies on trial goes back after a few starts.
 * Opened by main.ts at each start; the inbox hands commands to it.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { type Clock, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { checkConfig, logUnknown, parseOwn } from '../../shared/config.ts'
import { toAppError } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { readFileIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import type { Verifier } from '../../shared/signing.ts'
import {
  type CameraSettings,
  cameraSettingsSchema,
  configureCommandSchema,
  fieldsOf,
  MAX_ROLL_OUT_COMMAND_BYTES,
  MAX_SETTINGS_BYTES,
  type RollOutAck,
  rollOutAckSchema,
  type SettingsInForce,
  withoutFields,
} from '../../shared/wire/index.ts'
import { type EdgeConfig, edgeConfigSchema } from '../config.ts'
import { openSigned } from '../hotlist/manifest.ts'
import { ackOf, addresseeProblem } from './acks.ts'

export const SETTINGS_FILE = 'settings.json'
/** A process that starts so often on trial without becoming well dies of what is tried. */
export const MAX_TRIAL_STARTS = 3
/** No frame for so long on trial: back to the settings of before. */
export const TRIAL_MS = 10 * MINUTE_MS
/** Frames must be read and the cloud be reached for so long. */
export const WELL_MS = 15 * SECOND_MS
/** Between two looks. */
const LOOK_MS = SECOND_MS

const versionSchema = z.strictObject({
  version: z.int().min(1),
  targetId: z.uuidv7(),
  settings: cameraSettingsSchema,
  /** What of `setHere` of the unit's own configuration they are newer than: what there was when they came, or nothing of it. */
  over: z.record(z.string(), z.string()).default({}),
})
type Version = z.infer<typeof versionSchema>
const fileSchema = z.strictObject({
  kept: versionSchema.nullable(),
  trial: versionSchema.extend({ starts: z.int().min(0) }).nullable(),
  /** The newest version that was ever taken. */
  newest: z.int().min(0),
  ack: rollOutAckSchema.nullable(),
})
type SettingsFile = z.infer<typeof fileSchema>

export interface SettingsDeps {
  dataFolder: string
  clock: Clock
  log: Log
}

export interface CommandDeps {
  agency: string
  cameraId: string
  verifier: Verifier
  clockState: { readonly state: 'synced' | 'unsynced' }
  /** Frames that were read or seen to be still, since the process started. */
  framesRead: () => number
  isConnected: () => boolean
  /** The acknowledgement has changed. */
  onAck: (ack: RollOutAck) => void
  /** The camera is to start again with other settings. */
  restart: () => void
}

export interface Settings {
  /** The unit's own configuration with what came from afar. */
  readonly config: EdgeConfig
  /** `config` is on trial. */
  readonly isTrial: boolean
  /** What `config` is made of, for the camera's health. */
  readonly inForce: SettingsInForce
  /** Of the newest command; null: there has been none. */
  readonly ack: RollOutAck | null
  /** A command as it was received. Resolves with what is to be acknowledged; rejects with `storage_full` or `unavailable`. */
  take(targetId: string, envelope: Uint8Array, deps: CommandDeps): Promise<RollOutAck>
  /** Watches a trial until `signal` aborts; resolves at once when nothing is tried. */
  run(deps: CommandDeps, signal: AbortSignal): Promise<void>
}

/** Fields that somebody has set at the camera since these settings came. Of the aim both have a say. */
const changedSince = ({ settings, over }: Version, { setHere }: EdgeConfig): string[] =>
  fieldsOf(settings).filter((field) => setHere[field] !== undefined && setHere[field] !== over[field])

const leftOf = (version: Version, own: EdgeConfig): CameraSettings =>
  withoutFields(version.settings, changedSince(version, own))

/** The view is learned anew when either of the two names another aim. */
const aimOf = (own: string, afar: string) =>
  createHash('sha256')
    .update(JSON.stringify([own, afar]))
    .digest('hex')

/** `settings` laid over `config`. Throws `configuration` when the two do not go together. */
export function withSettings(config: EdgeConfig, settings: CameraSettings): EdgeConfig {
  const { source, vision, track, ...others } = settings
  const merged = {
    ...{ ...config, ...others },
    source: { ...config.source, ...source },
    vision: { ...config.vision, ...vision },
    track: { ...config.track, ...track },
  }
  const checked = checkConfig(merged, edgeConfigSchema, 'settings')
  if (vision?.aim === undefined) return checked
  return { ...checked, vision: { ...checked.vision, aim: aimOf(config.vision.aim, checked.vision.aim) } }
}

/** What is kept in `file` of them that `own` leaves, for the set-up page; nothing where it does not go with `own`. */
export async function keptSettings(file: string, own: EdgeConfig, log: Log): Promise<CameraSettings> {
  try {
    const { kept } = await read(file, log)
    const settings = kept === null ? {} : leftOf(kept, own)
    withSettings(own, settings)
    return settings
  } catch {
    return {}
  }
}

/** Reads what is kept and tried; a start on trial is counted before anything is opened with it. */
export async function openSettings(own: EdgeConfig, deps: SettingsDeps): Promise<Settings> {
  const { clock, log } = deps
  const path = join(deps.dataFolder, SETTINGS_FILE)
  let file = await read(path, log)
  let config = own

  async function write(next: SettingsFile): Promise<void> {
    await writeFileDurably(path, JSON.stringify(next))
    file = next
  }

  /** False on a disk that takes nothing, which must not end the camera: it is tried again. */
  async function couldWrite(next: SettingsFile): Promise<boolean> {
    try {
      await write(next)
      return true
    } catch (thrown) {
      const { code, message } = toAppError(thrown)
      if (code !== 'storage_full' && code !== 'unavailable') throw thrown
      log.warn('settings_not_written', { code, error: message })
      return false
    }
  }

  /** The acknowledgement; null: there is nothing to go back from, or it could not be written down and is not so yet. */
  async function goBack(message: string): Promise<RollOutAck | null> {
    const { trial } = file
    if (trial === null) return null
    const ack = ackOf(trial.targetId, 'rolled_back', message, clock)
    if (!(await couldWrite({ ...file, trial: null, ack }))) return null
    log.warn('settings_rolled_back', { version: trial.version, reason: message })
    return ack
  }

  async function confirm(): Promise<RollOutAck | null> {
    const { trial } = file
    if (trial === null) return null
    const { starts: _starts, ...kept } = trial
    const ack = ackOf(trial.targetId, 'confirmed', null, clock)
    if (!(await couldWrite({ ...file, kept, trial: null, ack }))) return null
    log.info('settings_confirmed', { version: trial.version })
    return ack
  }

  let isTrial = false
  if (file.trial !== null) {
    const { trial } = file
    if (trial.starts >= MAX_TRIAL_STARTS) await goBack(`the camera did not stay up with it, ${trial.starts} times`)
    else {
      try {
        const tried = withSettings(own, leftOf(trial, own))
        // A start that cannot be counted is none on trial: who dies of it would never go back.
        isTrial = await couldWrite({ ...file, trial: { ...trial, starts: trial.starts + 1 } })
        if (isTrial) config = tried
      } catch (thrown) {
        await goBack(toAppError(thrown).message)
      }
    }
  }
  /** Of those that are kept: other software, or another file on the unit, may not go with them. */
  let isUsed = true
  if (!isTrial && file.kept !== null) {
    try {
      config = withSettings(own, leftOf(file.kept, own))
    } catch (thrown) {
      // Reading plates by its own settings is better than not at all.
      isUsed = false
      log.error('settings_not_used', { version: file.kept.version, reason: toAppError(thrown).message })
    }
  }

  return {
    ...{ config, isTrial },
    get inForce() {
      const { trial } = file
      const used = isTrial && trial !== null ? trial : isUsed ? file.kept : null
      if (used === null) return { version: 0, trial: false, changed: [] }
      return { version: used.version, trial: used === trial, changed: changedSince(used, own) }
    },
    get ack() {
      return file.ack
    },

    async take(targetId, envelope, to) {
      const answered = async (state: RollOutAck['state'], message: string | null) => {
        const ack = ackOf(targetId, state, message, clock)
        await write({ ...file, ack })
        return ack
      }
      if (file.ack?.targetId === targetId) return file.ack
      let command: z.infer<typeof configureCommandSchema>
      try {
        command = openSigned(to.verifier, configureCommandSchema, envelope, MAX_ROLL_OUT_COMMAND_BYTES).value
      } catch (thrown) {
        // Not signed by the cloud: nothing is stored for it.
        return ackOf(targetId, 'refused', toAppError(thrown).message, clock)
      }
      const problem = addresseeProblem(command, targetId, to, clock)
      if (problem !== null) return ackOf(targetId, 'refused', problem, clock)
      const { version, settings } = command
      const trial = { version, targetId, settings, over: command.keepSetHere ? {} : own.setHere, starts: 0 }
      if (version <= file.newest) return answered('refused', `version ${file.newest} has been here already`)
      if (file.trial !== null) return answered('refused', `version ${file.trial.version} is being tried`)
      if (Buffer.byteLength(JSON.stringify(settings)) > MAX_SETTINGS_BYTES)
        return answered('refused', `more than ${MAX_SETTINGS_BYTES} bytes of settings`)
      try {
        withSettings(own, leftOf(trial, own))
      } catch (thrown) {
        return answered('refused', toAppError(thrown).message)
      }
      const ack = ackOf(targetId, 'probation', null, clock)
      await write({ ...file, trial, newest: version, ack })
      log.info('settings_tried', { version })
      to.restart()
      return ack
    },

    async run(to, signal) {
      if (!isTrial || file.trial === null) return
      const startedAtMs = clock.monotonicMs()
      let wellSinceMs: number | null = null
      let frames = 0
      let frameAtMs = startedAtMs
      // A camera of which a picture is asked for once a minute is well with one a minute.
      const { framesPerSecond } = config.source
      const gapMs = framesPerSecond === null ? WELL_MS : Math.max(WELL_MS, (2 * SECOND_MS) / framesPerSecond)
      const isOver = (ack: RollOutAck | null) => {
        if (ack !== null) to.onAck(ack)
        return ack !== null
      }
      while (!signal.aborted) {
        await clock.sleep(LOOK_MS, signal).catch(() => {})
        if (signal.aborted) return
        const nowMs = clock.monotonicMs()
        if (to.framesRead() > frames) {
          frames = to.framesRead()
          frameAtMs = nowMs
        }
        const isRead = frames > 0 && nowMs - frameAtMs < gapMs
        wellSinceMs = isRead && to.isConnected() ? (wellSinceMs ?? nowMs) : null
        if (wellSinceMs !== null && nowMs - wellSinceMs >= WELL_MS && isOver(await confirm())) return
        // Without a link the settings are not to blame: they are tried until it is back.
        const isBlind = !isRead && nowMs - Math.max(startedAtMs, frameAtMs) >= TRIAL_MS
        if (isBlind && isOver(await goBack(`no frame was read for ${TRIAL_MS / MINUTE_MS} minutes`))) {
          to.restart()
          return
        }
      }
    },
  }
}

async function read(path: string, log: Log): Promise<SettingsFile> {
  const none: SettingsFile = { kept: null, trial: null, newest: 0, ack: null }
  try {
    const text = await readFileIfThere(path)
    return text === null ? none : parseOwn(text, fileSchema, logUnknown(log, path))
  } catch (thrown) {
    log.error('settings_not_read', { path, error: toAppError(thrown).message })
    return none
  }
}
