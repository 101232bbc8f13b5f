/**
 * The set-up page of a unit that was made from an image: when it is opened, and what it finds in the camera's folder then. The page itself is
 * edge/setup, run by candor-setup.service; when it ends, systemd starts candor-provision again. Called by provision.ts.
 */
import { existsSync, statSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CONFIG_FILE, type UnitSettings } from '../../edge/enrolment/folder.ts'
import { MARK_FILE, markWaiting } from '../../edge/setup/draft.ts'
import { PUBLIC_MODE, removeIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import { CLAIM_FILE, LOGIN_FILE, SETUP_CODE_FILE } from './card.ts'
import type { UnitPlaces } from './places.ts'

/** What candor-setup.service names to the page, in the camera's folder. */
export const SETTINGS_FILE = 'unit-settings.json'

export interface Found {
  /** There is a camera's configuration. */
  isCamera: boolean
  /** A set-up was begun and not finished. */
  isMarked: boolean
  /** The card says all that makes a camera of this unit: a claim, and settings with a source. */
  isCardComplete: boolean
  /** The card has a claim for the camera that the unit is, by which it was not enrolled yet. */
  hasNewClaim: boolean
  /** The card asks for the page. */
  hasCode: boolean
  /** Since the unit was switched on. */
  wasPageOpened: boolean
}

export type NextStep = 'camera' | 'enrol' | 'enrol-again' | 'set-up' | 'wait'

/**
 * What a unit does with what it finds. The page is opened once for each time that the unit is switched on: one that nobody uses closes, and
 * a unit that hangs somewhere unfinished does not show one for ever.
 */
export function nextStep(found: Found): NextStep {
  const { isCamera, isMarked, isCardComplete, hasNewClaim, hasCode, wasPageOpened } = found
  if (isCamera && (isMarked || hasCode) && !wasPageOpened) return 'set-up'
  if (isCamera) return hasNewClaim ? 'enrol-again' : 'camera'
  if (isCardComplete) return 'enrol'
  return wasPageOpened ? 'wait' : 'set-up'
}

/** What the page needs and the camera does not. */
const PAGE_FILES = [MARK_FILE, CLAIM_FILE, SETTINGS_FILE, SETUP_CODE_FILE]

/** What a page that was not finished has begun is gone on with: its key may be waiting for its approval. */
export async function takeOverFromPage({ cameraFolder, enrollingFolder }: UnitPlaces): Promise<void> {
  if (!existsSync(cameraFolder)) return
  if (existsSync(enrollingFolder)) await rm(cameraFolder, { recursive: true })
  else await rename(cameraFolder, enrollingFolder)
  for (const name of PAGE_FILES) await removeIfThere(join(enrollingFolder, name))
}

/** Of a camera on the network; the file is empty where there is none: the unit's service names it as a credential. null: it stays as it is. */
export async function putLogin(folder: string, login: string | null): Promise<void> {
  const file = join(folder, LOGIN_FILE)
  if (login !== null || !existsSync(file)) await writeFileDurably(file, login ?? '')
}

export function hasLoginIn(folder: string): boolean {
  return (statSync(join(folder, LOGIN_FILE), { throwIfNoEntry: false })?.size ?? 0) > 0
}

export interface ForPage {
  /** Of the card; null: none. */
  claim: string | null
  code: string | null
  login: string | null
  settings: UnitSettings
}

/** The camera's folder as the page is to find it. Cut short anywhere, it can be done again. */
export async function preparePage(places: UnitPlaces, { claim, code, login, settings }: ForPage): Promise<void> {
  const { cameraFolder, enrollingFolder } = places
  const begun = !existsSync(cameraFolder) && existsSync(enrollingFolder) ? enrollingFolder : cameraFolder
  await mkdir(begun, { recursive: true, mode: 0o700 })
  const isCamera = existsSync(join(begun, CONFIG_FILE))
  if (!existsSync(join(begun, MARK_FILE)))
    await markWaiting(begun, isCamera && begun === cameraFolder ? 'reopened' : 'new')
  const put = async (name: string, text: string | null) => {
    if (text !== null) await writeFileDurably(join(begun, name), text)
  }
  await put(SETUP_CODE_FILE, code)
  await putLogin(begun, login)
  if (!isCamera) {
    await put(CLAIM_FILE, claim)
    await put(SETTINGS_FILE, JSON.stringify(settings))
  }
  if (begun !== cameraFolder) await rename(begun, cameraFolder)
}

/** Before the page is opened. */
export const notePageOpened = ({ pageOpenedFile }: UnitPlaces) => writeFileDurably(pageOpenedFile, '', PUBLIC_MODE)

/** The set-up is over, one way or another. */
export async function clearPage({ cameraFolder }: UnitPlaces): Promise<void> {
  for (const name of PAGE_FILES) if (name !== MARK_FILE) await removeIfThere(join(cameraFolder, name))
}
