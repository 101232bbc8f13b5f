/**
 * What the technician has set so far, and how it becomes the camera's configuration: checked by the same schema, the configuration of before
 * kept beside it, written whole or not at all. Owns edge.json, edge.json.previous and the marks in its folder while the page is open.
 */
import { mkdir } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { asWritten, checkConfig, loadConfig } from '../../shared/config.ts'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { silentLog } from '../../shared/log.ts'
import { readFileIfThere, removeIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import type { CameraSettings } from '../../shared/wire/index.ts'
import { requireOpenable, type SourceConfig, sourceSchema } from '../capture/sources.ts'
import {
  checkFiles,
  type EdgeConfig,
  edgeConfigSchema,
  resolvePaths,
  resolveSource,
  stateFolderBeside,
} from '../config.ts'
import { CONFIG_FILE, PREVIOUS_FILE, type UnitSettings } from '../enrolment/folder.ts'
import { keptSettings, SETTINGS_FILE, withSettings } from '../roll-out/settings.ts'
import { type Areas, areasSchema } from '../vision/areas.ts'
import { type VisionConfig, visionConfigSchema } from '../vision/types.ts'

/** While it lies beside edge.json, the unit waits to be set up; systemd goes by it (candor-edge.service, candor-setup.timer). */
export const MARK_FILE = 'set-up'
/** User and password of a camera on the network, where `source.credentialsFile` of a set-up looks for them. */
export const CREDENTIALS_FILE = 'camera-login'
/** The digest of the code from a file that has been used. */
export const USED_CODE_FILE = 'setup-code.used'

export interface Draft {
  readonly folder: string
  /** Null until the unit has enrolled. */
  readonly camera: { agency: string; cameraId: string } | null
  /** As it will stand in the configuration: paths as they were written. */
  source: SourceConfig | null
  /** As the camera takes it: with what it keeps from afar on top. */
  readonly taken: SourceConfig | null
  /** Fields that the technician has set otherwise than they were taken, such as `source.night`: what is kept of them counts no more. */
  readonly touched: Set<string>
  view: Areas
  readonly vision: VisionConfig
  /** The whole configuration as it stands, with absolute paths; null until the unit has enrolled. */
  readonly config: EdgeConfig | null
  /** The source as it is taken with its paths as this process finds them. */
  resolvedSource(): SourceConfig | null
  /** After enrolment: there is a configuration now. What was set before stays set. */
  reload(): void
  /** Writes it and ends the set-up. Throws `configuration` and changes nothing when it would not do. */
  commit(): Promise<void>
}

/**
 * `settings`: what was chosen for a unit that is no camera yet. `keptFile`: a copy of the settings from afar that the camera keeps, where its data folder is
 * closed to this process. Throws `configuration` for a configuration that is there and wrong.
 */
export async function openDraft(
  configFile: string,
  settings: UnitSettings = {},
  keptFile: string | null = null,
): Promise<Draft> {
  const folder = dirname(configFile)
  const isThere = (await readFileIfThere(configFile)) !== null
  if (!isThere && basename(configFile) !== CONFIG_FILE) {
    throw new AppError('configuration', `${configFile}: no such file, and enrolment writes ${CONFIG_FILE}`, {
      hint: `name it ${join(folder, CONFIG_FILE)}`,
    })
  }
  let config = isThere ? loadConfig(configFile, edgeConfigSchema) : null
  // All that the page sets, or that it sees with: masks of the card hold from the first picture on.
  const given = config ?? {
    source: settings.source === undefined ? null : checkConfig(settings.source, sourceSchema, 'source'),
    view: checkConfig(settings.view ?? {}, areasSchema, 'view'),
    vision: checkConfig(settings.vision ?? {}, visionConfigSchema, 'vision'),
  }
  const kept = config === null ? {} : await keptOf(config, folder, keptFile)
  const draft: Draft = {
    folder,
    get camera() {
      return config === null ? null : { agency: config.agency, cameraId: config.cameraId }
    },
    get config() {
      return config === null ? null : resolvePaths(config, folder, stateFolderBeside(folder))
    },
    source: given.source,
    view: given.view,
    vision: config === null ? given.vision : withSettings(config, kept).vision,
    touched: new Set(),
    get taken() {
      const left = Object.entries(kept.source ?? {}).filter(([name]) => !draft.touched.has(`source.${name}`))
      const laid = sourceSchema.safeParse({ ...draft.source, ...Object.fromEntries(left) })
      // Of another kind than what is kept was meant for: the camera leaves it, too.
      return draft.source === null || !laid.success ? draft.source : laid.data
    },
    resolvedSource() {
      const inFolder = (name: string) => (isAbsolute(name) ? name : join(folder, name))
      return draft.taken === null ? null : resolveSource(draft.taken, inFolder)
    },
    reload() {
      config = loadConfig(configFile, edgeConfigSchema)
      draft.source ??= config.source
    },
    async commit() {
      const before = await readFileIfThere(configFile)
      if (before === null) throw new AppError('conflict', 'the unit is no camera yet', { hint: 'enter its claim' })
      if (draft.source === null) throw new AppError('conflict', 'no camera is chosen yet')
      // What this version of the page does not know of stays as it stands.
      const now = JSON.parse(before) as { vision?: object; setHere?: object }
      // Of a camera of another kind all of it is the technician's.
      if (draft.source.kind !== config?.source.kind)
        for (const name of Object.keys(kept.source ?? {})) draft.touched.add(`source.${name}`)
      const setHere = { ...now.setHere, ...Object.fromEntries([...draft.touched].map((field) => [field, newId()])) }
      const { written: _before, ...was } = checkConfig(now, edgeConfigSchema, CONFIG_FILE)
      // From here on it is this page's, and may hold what only a newer one knows: what a person wrote was looked at above.
      const next = asWritten({ ...now, source: draft.source, view: draft.view, setHere })
      const { written: _now, ...meant } = checkConfig(next, edgeConfigSchema, CONFIG_FILE)
      checkFiles(resolvePaths(meant, folder, null))
      requireOpenable(meant.source)
      // Where it means the same as before, it would only cost what undo goes back to.
      if (JSON.stringify(meant) !== JSON.stringify(was)) await writeFileDurably(join(folder, PREVIOUS_FILE), before)
      // Somebody was at the camera: whether it looks elsewhere now, no file tells.
      const aimed = asWritten({ ...next, vision: { ...now.vision, aim: newId() } })
      await writeFileDurably(configFile, `${JSON.stringify(aimed, null, 2)}\n`)
      await removeIfThere(join(folder, MARK_FILE))
    },
  }
  return draft
}

async function keptOf(config: EdgeConfig, folder: string, keptFile: string | null): Promise<CameraSettings> {
  const own = join(resolvePaths(config, folder, stateFolderBeside(folder)).dataFolder, SETTINGS_FILE)
  const isOpen = (await readFileIfThere(own).catch(() => null)) !== null
  return keptSettings(isOpen || keptFile === null ? own : keptFile, config, silentLog)
}

export const isWaiting = async (folder: string) => (await readFileIfThere(join(folder, MARK_FILE))) !== null

/** What stands in the mark of a unit that was a camera before: when nobody uses the page, it is one again. */
const REOPENED = 'reopened'

/** The unit waits to be set up, also after a power cut in the middle of it. */
export async function markWaiting(folder: string, why: 'new' | 'reopened'): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFileDurably(
    join(folder, MARK_FILE),
    `${why === 'new' ? 'new' : REOPENED}\nThe unit waits to be set up until this file is gone.\n`,
  )
}

/** Nobody has used the page: a unit that was reopened goes back to what it was; a new one waits for its next start. */
export async function unmarkReopened(folder: string): Promise<void> {
  const mark = await readFileIfThere(join(folder, MARK_FILE))
  if (mark?.startsWith(REOPENED) === true) await removeIfThere(join(folder, MARK_FILE))
}

/** The configuration of before and the present one change places. Throws `not_found`, `configuration`. */
export async function undo(configFile: string): Promise<void> {
  const previousFile = join(dirname(configFile), PREVIOUS_FILE)
  const [now, previous] = [await readFileIfThere(configFile), await readFileIfThere(previousFile)]
  if (now === null || previous === null) throw new AppError('not_found', `there is no ${previousFile} to go back to`)
  requireOpenable(checkConfig(JSON.parse(previous), edgeConfigSchema, previousFile).source)
  await writeFileDurably(previousFile, now)
  await writeFileDurably(configFile, previous)
}
