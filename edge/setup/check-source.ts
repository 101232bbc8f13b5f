/**
 * What the set-up page shows of the picture, for a terminal: a few frames of the configured source through the vision of the camera, masks
 * and region as they are set. Nothing of them is stored, sent or logged. Called by `candor doctor`.
 */
import { dirname } from 'node:path'
import type { Clock } from '../../shared/clock.ts'
import { MINUTE_MS } from '../../shared/clock.ts'
import { describeError } from '../../shared/errors.ts'
import type { Random } from '../../shared/ids.ts'
import { createLog } from '../../shared/log.ts'
import { FOCUS_FRAMES, FOCUS_UNKNOWN, focusText, judgeWidth, meanOf, widestOf } from '../../shared/meters.ts'
import { areaOf } from '../../shared/polygon.ts'
import { openSource } from '../capture/sources.ts'
import type { Finding } from '../checks.ts'
import { type EdgeConfig, loadEdgeConfig, stateFolderBeside } from '../config.ts'
import { isFolderLocked } from '../folder-lock.ts'
import type { Areas } from '../vision/areas.ts'
import { openVision } from '../vision/door.ts'
import type { PlateRead } from '../vision/types.ts'
import { createSetupCamera, type Look } from './camera.ts'
import { PLATE_WIDTH_PX } from './limits.ts'

/** From opening source and networks to the last frame: a body that has to focus, on a slow machine. */
export const LOOKS_MS = 1.5 * MINUTE_MS
/** Of what was read, the surest. */
export const MOST_READS = 8

export interface CheckSourceDeps {
  clock: Clock
  random: Random
  /** Frames that were looked at so far, and how many it will be. */
  onProgress: (looks: number, of: number) => void
}

const HINT = 'is the camera connected and switched on, and does another program (gvfs, another camera process) have it?'

/** Never rejects: what is wrong is a finding. */
export async function checkSource(configFile: string, deps: CheckSourceDeps): Promise<Finding[]> {
  try {
    const config = loadEdgeConfig(configFile, stateFolderBeside(dirname(configFile)))
    const name = `source ${config.source.kind}`
    if (isFolderLocked(config.dataFolder)) {
      const detail = 'not looked at: the camera process runs, and has the camera'
      const hint = 'its own word: `candor fleet status`; to look from here, stop it first: `systemctl stop candor-edge`'
      return [{ name, ok: null, detail, hint }, areasFinding(config.view)]
    }
    return [...(await lookThrough(name, config, deps)), areasFinding(config.view)]
  } catch (thrown) {
    return [{ name: 'source', ok: false, detail: describeError(thrown), hint: null }]
  }
}

async function lookThrough(name: string, config: EdgeConfig, deps: CheckSourceDeps): Promise<Finding[]> {
  const { clock, random } = deps
  const said: string[] = []
  const write = (line: string) => {
    const { error } = JSON.parse(line) as { error?: string }
    if (error !== undefined) said.push(error)
  }
  const log = createLog({ level: 'warn', part: 'doctor', target: { write } })
  const camera = createSetupCamera(config.vision, config.view, { clock, random, log, openSource, openVision })
  const timer = new AbortController()
  const late = clock.sleep(LOOKS_MS, timer.signal).catch(() => {})
  const looks: Look[] = []
  let isLate = false
  void late.then(() => {
    isLate = true
  })
  try {
    await camera.setSource(config.source)
    // One that cannot be opened, or has no more pictures, says so; one that is slow says nothing yet.
    while (looks.length < FOCUS_FRAMES && !isLate) {
      const look = await Promise.race([camera.look(looks.at(-1)?.seq ?? 0, timer.signal), late])
      if (look) deps.onProgress(looks.push(look), FOCUS_FRAMES)
      else if (camera.problem !== null) break
    }
    const last = looks.at(-1)
    if (last === undefined) {
      return [{ name, ok: false, detail: said.at(-1) ?? camera.problem ?? 'no frame', hint: HINT }]
    }
    const notes = [...new Set(said)].map((text) => `; ${text}`).join('')
    const frames = `${looks.length} ${looks.length === 1 ? 'frame' : 'frames'} of ${last.widthPx} × ${last.heightPx} px`
    return [{ name, ok: true, detail: `${frames}${notes}`, hint: null }, ...pictureFindings(looks)]
  } finally {
    timer.abort()
    await camera.close()
  }
}

function pictureFindings(looks: readonly Look[]): Finding[] {
  const sharp = looks.flatMap(({ sharpness }) => (sharpness === null ? [] : [sharpness]))
  const reads = looks.flatMap((look) => look.reads)
  const widest = widestOf(reads)
  return [
    sharp.length === 0
      ? { name: 'focus', ok: null, detail: FOCUS_UNKNOWN, hint: null }
      : {
          ...{ name: 'focus', ok: true, hint: null },
          detail: `${focusText(meanOf(sharp))} of 100; only a turn of the ring shows whether that is its peak`,
          values: { sharpness: meanOf(sharp) },
        },
    widest === null
      ? { name: 'plate width', ok: null, detail: 'no plate in view', hint: null }
      : widthFinding(widest.region.width),
    readsFinding(reads),
  ]
}

function widthFinding(widthPx: number): Finding {
  const { px, state, words } = judgeWidth(widthPx, PLATE_WIDTH_PX)
  const hint = `under ${PLATE_WIDTH_PX.least} px a read is guesswork`
  return { ...{ name: 'plate width', ok: state !== 'bad', hint }, detail: `${px} px: ${words}`, values: { px, state } }
}

function readsFinding(reads: readonly PlateRead[]): Finding {
  // The same vehicle stands in several frames.
  const byPlate = new Map<string, PlateRead>()
  for (const read of [...reads].sort((a, b) => a.confidence - b.confidence)) byPlate.set(read.plate ?? '', read)
  const shown = [...byPlate.values()]
    .sort((a, b) => b.confidence - a.confidence)
    .slice(0, MOST_READS)
    .map(({ plate, confidence, region, jurisdiction }) => ({
      ...{ plate, confidence, widthPx: Math.round(region.width), jurisdiction: jurisdiction?.code ?? null },
    }))
  const texts = shown.map(({ plate, confidence, widthPx, jurisdiction }) => {
    const where = jurisdiction === null ? '' : ` ${jurisdiction}`
    return `${plate ?? 'not readable'}${where} ${Math.round(100 * confidence)} % (${widthPx} px)`
  })
  const detail = texts.length === 0 ? 'nothing' : texts.join(', ')
  return { name: 'read', ok: true, detail, hint: null, values: { reads: shown } }
}

function areasFinding({ region, masks }: Areas): Finding {
  const share = (part: number) => `${Math.round(100 * part)} % of the picture`
  const of = region === null ? 'the whole picture' : `a region of ${region.length} points, ${share(areaOf(region))}`
  const masked = masks.map((mask) => share(areaOf(mask))).join(', ')
  const what = masks.length === 0 ? 'no mask' : `${masks.length} ${masks.length === 1 ? 'mask' : 'masks'} (${masked})`
  return { name: 'areas', ok: true, detail: `${of}; ${what}`, hint: null, values: { region, masks } }
}
