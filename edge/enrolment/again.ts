/**
 * A camera that is enrolled again: its certificate has run out, it was revoked, or it is too far behind in signing keys. It goes on as it is
 * until the new identity is complete, which may take days; that is made in a folder beside its own, and takes the place of the camera's
 * folder whole. Everything that the cloud does not say stays: source, view, what waits. Called by `candor enrol` and scripts/unit/provision.ts.
 */
import { X509Certificate } from 'node:crypto'
import { existsSync, lstatSync } from 'node:fs'
import { readdir, readFile, readlink, rename, rm, rmdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { loadConfig } from '../../shared/config.ts'
import { AppError } from '../../shared/errors.ts'
import { readFileIfThere, renameDurably, writeFileDurably } from '../../shared/secret-file.ts'
import { type EdgeConfig, edgeConfigSchema } from '../config.ts'
import { digestOf, type EnrolDeps, enrolUnit, type UnitClaim } from './enrol.ts'
import { CONFIG_FILE, PREVIOUS_FILE, type UnitSettings, USED_CLAIM_FILE } from './folder.ts'

/** Where the new identity is made, and where the one of before is for the moment of the exchange. */
const nextOf = (folder: string) => `${folder}.next`
const beforeOf = (folder: string) => `${folder}.before`
const isCamera = (folder: string) => existsSync(join(folder, CONFIG_FILE))

/** Fields of edge.json that are of the identity or the cloud's to say, unless they are chosen for the unit; all others stay as they are. */
const SAID_ANEW = [
  ...['agency', 'cameraId', 'broker', 'listKeysFile', 'sealingKeyFile'],
  ...['upload', 'unmatchedInMemory', 'retention'],
]

/** Throws `configuration`. */
const configIn = (folder: string): EdgeConfig => loadConfig(join(folder, CONFIG_FILE), edgeConfigSchema)

const nameOf = ({ agency, camera }: { agency: string; camera: string }) => `${camera} of ${agency}`

/** Is it the claim that the camera in this folder was enrolled by? */
export async function isUsed(claim: UnitClaim, folder: string): Promise<boolean> {
  return (await readFileIfThere(join(folder, USED_CLAIM_FILE)))?.trim() === digestOf(claim)
}

/**
 * Why the camera in this folder may not be enrolled by this claim; null: it may. What waits in it, its lists and what it was sent belong to the
 * camera that it is, so it becomes no other one.
 */
export function claimProblem(claim: UnitClaim, folder: string): string | null {
  const { agency, cameraId: camera } = configIn(folder)
  const { expected } = claim
  if (expected === null || (expected.agency === agency && expected.camera === camera)) return null
  return (
    `the claim is for ${nameOf(expected)}, and this unit is ${nameOf({ agency, camera })}, to which what waits on it belongs: ` +
    'the claim is not used'
  )
}

/**
 * What a power cut has left of an exchange is brought to its end: the folder is that of before or the new one, and there is one. To be
 * called before anything looks whether there is a camera. Resolves with whether a new one has come: who runs the camera with what was
 * there before starts it anew.
 */
export async function finishAgain(folder: string): Promise<boolean> {
  const [next, before] = [nextOf(folder), beforeOf(folder)]
  // Made since by somebody who found none there, such as a set-up page.
  if (existsSync(before) && isCamera(next) && !isCamera(folder)) await rm(folder, { recursive: true, force: true })
  if (existsSync(folder) && isCamera(next)) {
    await keepRest(folder, next)
    await renameDurably(folder, before)
  }
  if (!existsSync(folder) && (isCamera(next) || existsSync(before)))
    await renameDurably(isCamera(next) ? next : before, folder)
  if (!existsSync(before)) return false
  // A camera that is run by hand has its data in there.
  for (const entry of await readdir(before, { withFileTypes: true })) {
    if (!entry.isDirectory()) await rm(join(before, entry.name))
    else if (!existsSync(join(folder, entry.name))) await rename(join(before, entry.name), join(folder, entry.name))
  }
  await rmdir(before).catch(() => {})
  return true
}

/**
 * What the enrolment does not write: a camera's log-in, marks of a set-up, a link to where its data are. Not the configuration of before the last set-up:
 * who went back to that would go back to the broker and the rules of before as well.
 */
async function keepRest(folder: string, next: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const [from, to] = [join(folder, entry.name), join(next, entry.name)]
    if (lstatSync(to, { throwIfNoEntry: false }) !== undefined) continue
    if (entry.isSymbolicLink()) await symlink(await readlink(from), to)
    else if (entry.isFile() && !entry.name.endsWith('.tmp') && entry.name !== PREVIOUS_FILE)
      await writeFileDurably(to, await readFile(from))
  }
}

export interface AgainOptions {
  claim: UnitClaim
  /** The camera's own. */
  folder: string
  /** Of these count only those that the cloud would else say. */
  settings: UnitSettings
}

/**
 * Resolves when the folder holds the new identity; whoever runs the camera then starts it anew. Run again after that, or with a claim that it
 * was enrolled by, it changes nothing. Throws `conflict` for another camera's claim, else as `enrolUnit`.
 */
export async function enrolAgain(
  { claim, folder, settings }: AgainOptions,
  deps: EnrolDeps,
  signal: AbortSignal,
): Promise<{ camera: string; expiresAtMs: number }> {
  await finishAgain(folder)
  const { agency, cameraId: camera } = configIn(folder)
  if (!(await isUsed(claim, folder))) {
    const problem = claimProblem(claim, folder)
    if (problem !== null) throw new AppError('conflict', problem)
    const isAnew = ([name]: [string, unknown]) => SAID_ANEW.includes(name)
    const own = JSON.parse(await readFile(join(folder, CONFIG_FILE), 'utf8')) as {
      broker: { keepaliveSeconds?: number }
    }
    const { keepaliveSeconds } = own.broker
    const kept = Object.fromEntries(Object.entries(own).filter((field) => !isAnew(field)))
    const chosen = Object.fromEntries(Object.entries(settings).filter(isAnew))
    await enrolUnit(
      {
        claim: { ...claim, expected: { agency, camera } },
        folder: nextOf(folder),
        settings: {
          ...{ ...kept, ...chosen },
          broker: { ...(keepaliveSeconds === undefined ? {} : { keepaliveSeconds }), ...settings.broker },
        },
      },
      deps,
      signal,
    )
    await finishAgain(folder)
  }
  const { validTo } = new X509Certificate(await readFile(join(folder, 'certificate.pem')))
  return { camera, expiresAtMs: Date.parse(validTo) }
}
