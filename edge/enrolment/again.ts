/**
 * A camera that is enrolled again: its certificate has run out, it was revoked, or it is too far behind in signing keys. It goes on as it is
 * until the new identity is complete, which may take days; that is made in a folder beside its own, and takes the place of the camera's
 * folder whole. Everything that the cloud does not say stays: source, view, what waits. Called by `candor enrol` and scripts/unit/provision.ts.
 */
import { X509Certificate } from 'node:crypto'
import { existsSync, lstatSync } from 'node:fs'
import { readdir, readFile, readlink, realpath, rm, rmdir, symlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { loadConfig } from '../../shared/config.ts'
import { AppError, systemCode } from '../../shared/errors.ts'
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
 * there before starts it anew. Throws `conflict`, with the camera in place, where a folder of before cannot go back to it, or one in it
 * cannot be moved: that it is again when this is called once more.
 */
export async function finishAgain(folder: string): Promise<boolean> {
  const [next, before] = [nextOf(folder), beforeOf(folder)]
  // Between the two renames there was no camera, and somebody made one, as on a set-up page: it is the newest. What waits may be in the new folder by then.
  if (isCamera(folder) && isCamera(before) && isCamera(next)) await emptyInto(before, next)
  const isCut = existsSync(before)
  if (isCut && isCamera(folder)) await emptyInto(folder, before)
  if (isCamera(next)) {
    if (existsSync(folder) && !existsSync(before)) {
      await requireMovable(folder)
      await keepRest(folder, next)
      await renameDurably(folder, before)
    }
    // A camera that is run by hand has its data in there: it never finds its new folder without them, and so never makes others.
    if (existsSync(before)) await takeFolders(folder, before, next)
    await clearWay(folder, next, before)
    await renameDurably(next, folder)
    if (existsSync(before)) await emptyInto(folder, before)
    return true
  }
  if (isCamera(before)) await putBack(folder, before)
  return isCut
}

async function putBack(folder: string, before: string): Promise<void> {
  await clearWay(folder, before, before)
  await renameDurably(before, folder)
}

/** All or none: where one cannot be moved, the camera of before is in its place again. */
async function takeFolders(folder: string, before: string, next: string): Promise<void> {
  const own = (await readdir(before, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  try {
    await moveFolders(before, next)
  } catch (thrown) {
    for (const { name } of own)
      if (!existsSync(join(before, name))) await renameDurably(join(next, name), join(before, name))
    await putBack(folder, before)
    throw thrown
  }
}

/** Where a file system is mounted [proc_pid_mountinfo(5)]. None where there is no /proc: a move that fails is made good then. */
async function mountPoints(): Promise<Set<string>> {
  const table = (await readFileIfThere('/proc/self/mountinfo')) ?? ''
  const path = (line: string) => line.split(' ')[4] ?? ''
  const plain = (text: string) =>
    text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
  return new Set(table.split('\n').map((line) => plain(path(line))))
}

/** Throws `conflict` where the camera's folder, or one in it, is a mount point: such a one keeps its name [rename(2), EBUSY]. */
async function requireMovable(folder: string): Promise<void> {
  const mounted = await mountPoints()
  const own = await realpath(folder)
  const folders = (await readdir(own, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const [fixed] = [own, ...folders.map(({ name }) => join(own, name))].filter((one) => mounted.has(one))
  if (fixed !== undefined) throw cannotMove(fixed)
}

const cannotMove = (path: string, cause?: unknown) =>
  new AppError('conflict', `${path} cannot be moved, and the camera’s folder changes places with a new one`, {
    hint: 'with the camera stopped, mount what is there at another place and put a link to it here',
    cause,
  })

/** As `finishAgain`, of the camera in this folder and of those that have folders of their own in it. What fails of one keeps no other from its end. */
export async function finishAllAgain(folder: string): Promise<void> {
  const failed: unknown[] = []
  const finish = (one: string) => finishAgain(one).catch((thrown: unknown) => failed.push(thrown))
  await finish(folder)
  const names = existsSync(folder) ? await readdir(folder) : []
  const ones = names.filter((name) => /.\.(next|before)$/.test(name)).map((name) => name.replace(/\.\w+$/, ''))
  for (const one of new Set(ones)) await finish(join(folder, one))
  if (failed.length > 0) throw failed[0]
}

/** Where `path` is a link, as in an image: the folder that it leads to, be it there or not. */
export async function folderBehind(path: string): Promise<string> {
  if (existsSync(path)) return await realpath(path)
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
  return isLink ? resolve(dirname(path), await readlink(path)) : resolve(path)
}

/** Resolves with the names of those that stay, since there is one of that name. */
async function moveFolders(from: string, to: string): Promise<string[]> {
  const stay: string[] = []
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    if (existsSync(join(to, entry.name))) stay.push(entry.name)
    else await moveFolder(join(from, entry.name), join(to, entry.name))
  }
  return stay
}

async function moveFolder(from: string, to: string): Promise<void> {
  try {
    await renameDurably(from, to)
  } catch (thrown) {
    const isFixed = ['EBUSY', 'EXDEV'].includes(systemCode(thrown instanceof AppError ? thrown.cause : thrown) ?? '')
    throw isFixed ? cannotMove(from, thrown) : thrown
  }
}

/** What was made where no camera was goes, but its folders: into `to`, or where one of that name is there, `beside`. */
async function clearWay(folder: string, to: string, beside: string): Promise<void> {
  if (!existsSync(folder)) return
  await moveFolders(folder, to)
  const [name] = await moveFolders(folder, beside)
  if (name !== undefined) throw inTheWay(join(folder, name), join(to, name))
  await rm(folder, { recursive: true })
}

/** The folders of `before` go into `folder`, and the rest of it goes. */
async function emptyInto(folder: string, before: string): Promise<void> {
  const [name] = await moveFolders(before, folder)
  for (const entry of await readdir(before, { withFileTypes: true }))
    if (!entry.isDirectory()) await rm(join(before, entry.name))
  if (name !== undefined) throw inTheWay(join(before, name), join(folder, name))
  await rmdir(before)
}

const inTheWay = (left: string, there: string) =>
  new AppError('conflict', `${left} is left of an enrolment, and ${there} was made since`, {
    hint: 'what waits for the cloud may lie in both: with the camera stopped, put the one that is to stay in the place of the other, and remove the one that is left',
  })

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
 * was enrolled by, it changes nothing. Throws `conflict` for another camera's claim and, before this one is used, for a folder that cannot be
 * moved; else as `enrolUnit`.
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
    // A claim is used but once: not where its identity could not come into place.
    await requireMovable(folder)
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
