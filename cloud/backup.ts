/**
 * Backup and restore of everything that makes a cloud: database, authority, keys, audit head and configuration. Runs on the
 * host, also while the cloud runs. A backup is a folder with a manifest of digests; whoever has it can be the cloud, so it is
 * readable by its owner only and belongs on encrypted storage.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { z } from 'zod'
import type { Clock } from '../shared/clock.ts'
import { AppError, systemCode } from '../shared/errors.ts'
import { slugSchema } from '../shared/names.ts'
import { softwareVersion } from '../shared/version.ts'
import { sha256Schema } from '../shared/wire/index.ts'
import { openAuditLock } from './audit/lock.ts'
import { verifyAudit } from './audit/verify.ts'
import { type CloudConfig, cloudPaths } from './config.ts'
import { type Snapshot, takeSnapshot } from './database/copy.ts'
import { KEY_FILES } from './keys.ts'
import { SECRET_MODE, writeFileDurably } from './secret-file.ts'
import { openSigningKeys } from './signing-keys.ts'

const FOLDER_MODE = 0o700
const MANIFEST = 'manifest.json'
const DATABASE = 'candor.db'
const HEAD = 'audit-head.json'
const CONFIG = 'cloud.json'
const AUTHORITY = 'authority'
const KEYS = 'keys'
/** Files in authority and keys together; there are about eight. */
const MAX_FILES = 64

const manifestSchema = z.strictObject({
  format: z.literal('candor-backup-1'),
  agency: slugSchema,
  madeAtMs: z.int(),
  software: z.string(),
  auditSeq: z.int().min(0),
  files: z.array(z.strictObject({ path: z.string(), bytes: z.int(), sha256: sha256Schema })).max(MAX_FILES),
})
export type BackupManifest = z.infer<typeof manifestSchema>

export interface BackupRequest {
  config: CloudConfig
  /** Folder that the configuration's relative paths start from. */
  base: string
  /** The backup becomes a new folder in this one. */
  into: string
  clock: Clock
  onProgress: (done: number, all: number) => void
}

/** Makes a backup and checks it. Throws `integrity` when the copy's audit does not verify, `storage_full`, `not_found`. */
export async function makeBackup(request: BackupRequest): Promise<{ folder: string; manifest: BackupManifest }> {
  const { config, clock } = request
  const paths = cloudPaths(config, request.base)
  const stamp = new Date(clock.nowMs()).toISOString().replace(/[-:]/g, '').replace(/\..*$/, 'Z')
  const folder = join(request.into, `candor-backup-${config.agency}-${stamp}`)
  await mkdir(request.into, { recursive: true, mode: FOLDER_MODE })
  try {
    await mkdir(folder, { mode: FOLDER_MODE })
  } catch (cause) {
    if (systemCode(cause) === 'EEXIST') throw new AppError('conflict', `${folder} is there already`, { cause })
    throw cause
  }

  const { snapshot, head } = await snapshotWithHead(paths, clock)
  try {
    await snapshot.copyTo(join(folder, DATABASE), request.onProgress)
  } finally {
    snapshot.close()
  }
  await chmod(join(folder, DATABASE), SECRET_MODE)
  await writeFileDurably(join(folder, HEAD), head)
  await copyFolder(paths.authorityFolder, join(folder, AUTHORITY))
  await copyFolder(paths.keysFolder, join(folder, KEYS))
  const { auditHeadFile: _elsewhere, ...portable } = config
  await writeFileDurably(join(folder, CONFIG), `${JSON.stringify({ ...portable, dataFolder: 'data' }, null, 2)}\n`)

  const verdict = await verifyFolder(folder)
  const manifest: BackupManifest = {
    format: 'candor-backup-1',
    agency: config.agency,
    madeAtMs: clock.nowMs(),
    software: softwareVersion(),
    auditSeq: verdict.entries,
    files: await listFiles(folder),
  }
  await writeFileDurably(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
  return { folder, manifest }
}

/**
 * Restores `backup` into `target`, which must be missing or empty: `target/cloud.json` and `target/data/`. Throws `integrity`
 * for a changed or incomplete backup, and then nothing is left behind that a cloud would start from.
 */
export async function restoreBackup(backup: string, target: string): Promise<BackupManifest> {
  const manifest = await readManifest(backup)
  await checkDigests(backup, manifest)
  await verifyFolder(backup)
  await mkdir(target, { recursive: true, mode: FOLDER_MODE })
  if ((await readdir(target)).length > 0) {
    throw new AppError('conflict', `${target} is not empty`, {
      hint: 'restore into a new folder, then start the cloud from there',
    })
  }
  const data = join(target, 'data')
  const paths = cloudPaths({ dataFolder: data }, target)
  await mkdir(dirname(paths.auditHeadFile), { recursive: true, mode: FOLDER_MODE })
  await copySecret(join(backup, DATABASE), paths.databaseFile)
  await copySecret(join(backup, HEAD), paths.auditHeadFile)
  await copyFolder(join(backup, AUTHORITY), paths.authorityFolder)
  await copyFolder(join(backup, KEYS), paths.keysFolder)
  // Last: a folder without it was not restored to the end.
  await copySecret(join(backup, CONFIG), join(target, CONFIG))
  return manifest
}

/** The audit's head and the database at the same moment: appends wait only while the snapshot is taken, not while it is copied. */
async function snapshotWithHead(
  paths: ReturnType<typeof cloudPaths>,
  clock: Clock,
): Promise<{ snapshot: Snapshot; head: Buffer }> {
  await stat(paths.databaseFile).catch((cause: unknown) => {
    throw new AppError('not_found', `there is no database at ${paths.databaseFile}`, {
      hint: 'start the cloud once',
      cause,
    })
  })
  const lock = openAuditLock(`${paths.auditHeadFile}.lock`, clock)
  try {
    return await lock.exclusively(async () => {
      const snapshot = takeSnapshot(paths.databaseFile)
      try {
        return { snapshot, head: await readFile(paths.auditHeadFile) }
      } catch (thrown) {
        snapshot.close()
        throw thrown
      }
    })
  } finally {
    lock.close()
  }
}

async function verifyFolder(folder: string): Promise<{ entries: number }> {
  const verdict = await verifyAudit({
    database: join(folder, DATABASE),
    head: join(folder, HEAD),
    publicKeyPem: await readFile(join(folder, KEYS, KEY_FILES.auditPublic), 'utf8'),
  })
  // A rotation may have gone on while the keys were copied: the cloud would not start with what does not belong together.
  await openSigningKeys(join(folder, KEYS))
  if (!verdict.ok) throw new AppError('integrity', `the audit in ${folder} does not verify: ${verdict.problem}`)
  return verdict
}

async function readManifest(backup: string): Promise<BackupManifest> {
  let text: string
  try {
    text = await readFile(join(backup, MANIFEST), 'utf8')
  } catch (cause) {
    throw new AppError('not_found', `${backup} is no backup: it has no ${MANIFEST}`, { cause })
  }
  try {
    return manifestSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new AppError('integrity', `${join(backup, MANIFEST)} is damaged or of another version`, { cause })
  }
}

/** Every file of the manifest must be there unchanged, and none besides. */
async function checkDigests(backup: string, manifest: BackupManifest): Promise<void> {
  const found = new Map((await listFiles(backup)).map((file) => [file.path, file]))
  for (const file of manifest.files) {
    const there = found.get(file.path)
    if (there === undefined) throw new AppError('integrity', `${file.path} is missing from the backup`)
    if (there.sha256 !== file.sha256)
      throw new AppError('integrity', `${file.path} was changed after the backup was made`)
    found.delete(file.path)
  }
  const stranger = found.keys().next().value
  if (stranger !== undefined) throw new AppError('integrity', `${stranger} was added after the backup was made`)
}

async function listFiles(folder: string): Promise<BackupManifest['files']> {
  const files: BackupManifest['files'] = []
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(folder, path)
    if (!entry.isFile() || name === MANIFEST || name === `${DATABASE}-wal` || name === `${DATABASE}-shm`) continue
    files.push({ path: name, bytes: (await stat(path)).size, sha256: await digestOf(path) })
  }
  if (files.length > MAX_FILES) throw new AppError('too_large', `more than ${MAX_FILES} files in ${folder}`)
  return files.sort((a, b) => (a.path < b.path ? -1 : 1))
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: FOLDER_MODE })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (entry.isFile() && !entry.name.endsWith('.tmp')) await copySecret(join(from, entry.name), join(to, entry.name))
  }
}

async function copySecret(from: string, to: string): Promise<void> {
  await copyFile(from, to)
  await chmod(to, SECRET_MODE)
}
