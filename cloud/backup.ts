/**
 * Backup and restore of everything that makes a cloud: database, authority, keys, audit head and configuration. Runs on the host, also
 * while the cloud runs. A backup is one file, encrypted with the key of its day (backup/day-keys.ts), which is not in it: when that key is
 * destroyed, nobody can read the backup any more.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import type { Clock } from '../shared/clock.ts'
import { AppError, systemCode } from '../shared/errors.ts'
import { readFileIfThere, removeIfThere, SECRET_MODE, writeFileDurably } from '../shared/secret-file.ts'
import { softwareVersion } from '../shared/version.ts'
import { openAuditLock } from './audit/lock.ts'
import { verifyAudit } from './audit/verify.ts'
import {
  type ArchiveFile,
  type ArchiveHeader,
  type ArchiveTrailer,
  readArchive,
  readHeader,
  writeArchive,
} from './backup/archive.ts'
import { type DayKey, expiryOf, listKeys } from './backup/day-keys.ts'
import { type CloudConfig, cloudPaths } from './config.ts'
import { type Snapshot, takeSnapshot } from './database/copy.ts'
import { KEY_FILES } from './keys.ts'
import { openSigningKeys } from './signing-keys.ts'

const FOLDER_MODE = 0o700
const ENDING = '.candor-backup'
const DATABASE = 'candor.db'
const HEAD = 'audit-head.json'
const CONFIG = 'cloud.json'
const AUTHORITY = 'authority'
const KEYS = 'keys'
/** Files in authority and keys together; there are about eight. */
const MAX_FILES = 64
/** Of each of them but the database, bytes. */
const MAX_FILE_BYTES = 1024 * 1024
const NAMED = new RegExp(`^(?:${AUTHORITY}|${KEYS})/[A-Za-z0-9][A-Za-z0-9._-]*$`)
const SALT_BYTES = 32

/** Left by a restore in the data folder, for the cloud's first start. */
const restoredSchema = z.strictObject({ madeAtMs: z.int(), keyId: z.string(), day: z.string() })
export type Restored = z.infer<typeof restoredSchema>

export type Backup = ArchiveHeader & ArchiveTrailer

export interface BackupRequest {
  config: CloudConfig
  /** Folder that the configuration's relative paths start from. */
  base: string
  /** The backup becomes a new file in this folder. */
  into: string
  key: DayKey
  clock: Clock
  newSecret: (byteCount: number) => string
  onProgress: (done: number, all: number) => void
}

/**
 * Makes a backup, reads it back and checks the audit. Throws `integrity` when the audit does not verify or the file cannot be read back,
 * `storage_full`, `not_found`, `conflict`.
 */
export async function makeBackup(request: BackupRequest): Promise<{ file: string; backup: Backup }> {
  const { config, clock, key } = request
  const paths = cloudPaths(config, request.base)
  const nowMs = clock.nowMs()
  const stamp = new Date(nowMs).toISOString().replace(/[-:]/g, '').replace(/\..*$/, 'Z')
  await mkdir(request.into, { recursive: true, mode: FOLDER_MODE })
  const file = join(request.into, `${config.agency}-${stamp}${ENDING}`)
  if ((await stat(file).catch(() => null)) !== null) throw new AppError('conflict', `${file} is there already`)
  const header: ArchiveHeader = {
    format: 'candor-backup-2',
    ...{ agency: config.agency, madeAtMs: nowMs, software: softwareVersion() },
    ...{ day: key.day, keyId: key.keyId, salt: request.newSecret(SALT_BYTES) },
  }

  const { snapshot, head } = await snapshotWithHead(paths, clock)
  let trailer: ArchiveTrailer
  try {
    const { auditHeadFile: _head, backupKeysFolder: _keys, ...portable } = config
    const small = [
      ...[{ path: CONFIG, bytes: Buffer.from(`${JSON.stringify({ ...portable, dataFolder: 'data' }, null, 2)}\n`) }],
      ...[{ path: HEAD, bytes: head }],
      ...(await filesOf(paths.authorityFolder, AUTHORITY)),
      ...(await filesOf(paths.keysFolder, KEYS)),
    ]
    async function* files(): AsyncGenerator<ArchiveFile> {
      for (const { path, bytes } of small) yield { path, bytes: bytes.length, content: once(bytes) }
      const onProgress = (done: number) => request.onProgress(done, snapshot.bytes)
      yield { path: DATABASE, bytes: snapshot.bytes, content: snapshot.read(onProgress) }
    }
    trailer = await writeArchive(file, header, key.key, files(), async () => {
      const verdict = await verifyAudit({
        database: paths.databaseFile,
        head: paths.auditHeadFile,
        publicKeyPem: await readFile(join(paths.keysFolder, KEY_FILES.auditPublic), 'utf8'),
      })
      if (!verdict.ok) throw new AppError('integrity', `the audit does not verify: ${verdict.problem}`)
      return { auditSeq: verdict.entries }
    })
  } finally {
    await snapshot.close()
  }
  await readArchive(file, key.key, async ({ content }) => {
    for await (const _ of content);
  })
  return { file, backup: { ...header, ...trailer } }
}

/**
 * Restores `file` into `target`, which must be missing or empty: `target/cloud.json` and `target/data/`. `keysFolder` holds the key of its
 * day. Throws `integrity` for a changed backup or one whose audit does not verify, and then nothing is left behind that a cloud would start
 * from; `not_found` when the day's key is not there.
 */
export async function restoreBackup(file: string, target: string, keysFolder: string): Promise<Backup> {
  const header = await readHeader(file)
  const key = (await listKeys(keysFolder)).find(({ keyId }) => keyId === header.keyId)
  if (key === undefined) {
    throw new AppError('not_found', `the key of ${header.day} (${header.keyId}) is not in ${keysFolder}`, {
      hint: 'name the folder or medium that has it with --keys; when it was destroyed, the backup cannot be read any more',
    })
  }
  await mkdir(target, { recursive: true, mode: FOLDER_MODE })
  if ((await readdir(target)).length > 0) {
    throw new AppError('conflict', `${target} is not empty`, {
      hint: 'restore into a new folder, then start the cloud from there',
    })
  }
  const data = join(target, 'data')
  try {
    const paths = cloudPaths({ dataFolder: data }, target)
    for (const folder of [dirname(paths.auditHeadFile), paths.authorityFolder, paths.keysFolder]) {
      await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
    }
    const places: Record<string, string> = { [DATABASE]: paths.databaseFile, [HEAD]: paths.auditHeadFile }
    let config: Buffer | null = null
    const { trailer } = await readArchive(file, key.key, async ({ path, content }) => {
      if (path === CONFIG) {
        const parts: Uint8Array[] = []
        for await (const part of content) parts.push(part)
        config = Buffer.concat(parts)
        return
      }
      const place = places[path] ?? (NAMED.test(path) ? join(data, path) : null)
      if (place === null) throw new AppError('integrity', `${path} is no file of a backup`)
      await pipeline(content, createWriteStream(place, { mode: SECRET_MODE, flags: 'wx' }))
    })
    const verdict = await verifyAudit({
      database: paths.databaseFile,
      head: paths.auditHeadFile,
      publicKeyPem: await readFile(join(paths.keysFolder, KEY_FILES.auditPublic), 'utf8'),
    })
    if (!verdict.ok) throw new AppError('integrity', `the audit of the backup does not verify: ${verdict.problem}`)
    await openSigningKeys(paths.keysFolder)
    if (config === null) throw new AppError('integrity', 'the backup has no configuration')
    const restored: Restored = { madeAtMs: header.madeAtMs, keyId: header.keyId, day: header.day }
    await writeFileDurably(paths.restoredFile, `${JSON.stringify(restored)}\n`)
    // Last: a folder without it was not restored to the end.
    await writeFileDurably(join(target, CONFIG), config)
    return { ...header, ...trailer }
  } catch (thrown) {
    await rm(data, { recursive: true, force: true })
    throw thrown
  }
}

/** What a restore left for the first start; null: nothing. */
export async function readRestored(file: string): Promise<Restored | null> {
  const text = await readFileIfThere(file)
  return text === null ? null : restoredSchema.parse(JSON.parse(text))
}

export const forgetRestored = removeIfThere

export interface ListedBackup {
  file: string
  bytes: number
  header: ArchiveHeader
  /** Until when it can be read; null: its key is not there, so it cannot. */
  readableUntilMs: number | null
}

/** The backups in a folder, oldest first, by their headers. `lifeMs`: by the policy of now; null: as their keys say. */
export async function listBackups(folder: string, keysFolder: string, lifeMs: number | null): Promise<ListedBackup[]> {
  const keys = new Map((await listKeys(keysFolder)).map((key) => [key.keyId, key]))
  let names: string[]
  try {
    names = (await readdir(folder)).filter((name) => name.endsWith(ENDING)).sort()
  } catch (cause) {
    throw new AppError('not_found', `${folder} cannot be read: ${systemCode(cause) ?? ''}`, { cause })
  }
  const listed: ListedBackup[] = []
  for (const name of names) {
    const file = join(folder, name)
    const header = await readHeader(file)
    const key = keys.get(header.keyId)
    const readableUntilMs = key === undefined ? null : expiryOf(key, lifeMs)
    listed.push({ file, bytes: (await stat(file)).size, header, readableUntilMs })
  }
  return listed
}

/** The audit's head and the database at the same moment: appends wait only while the snapshot is taken, not while it is read. */
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
      const snapshot = await takeSnapshot(paths.databaseFile, clock)
      try {
        return { snapshot, head: await readFile(paths.auditHeadFile) }
      } catch (thrown) {
        await snapshot.close()
        throw thrown
      }
    })
  } finally {
    lock.close()
  }
}

async function filesOf(folder: string, as: string): Promise<{ path: string; bytes: Buffer }[]> {
  const files: { path: string; bytes: Buffer }[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith('.tmp')) continue
    const bytes = await readFile(join(folder, entry.name))
    if (bytes.length > MAX_FILE_BYTES) throw new AppError('too_large', `${entry.name} is too large for a key`)
    files.push({ path: `${as}/${entry.name}`, bytes })
  }
  if (files.length > MAX_FILES) throw new AppError('too_large', `more than ${MAX_FILES} files in ${folder}`)
  return files
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
