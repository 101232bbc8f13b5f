/**
 * The keys of backups: one a day, each a small file in a folder that no backup contains. When a key's time is over it is overwritten and
 * removed, and with it every backup of that day is unreadable, wherever copies of it lie. Called by the commands and the cloud's upkeep.
 */
import { mkdir, open, readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { DAY_MS } from '../../shared/clock.ts'
import { AppError, systemCode } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { writeFileDurably } from '../../shared/secret-file.ts'
import { sha256Hex } from '../../shared/signing.ts'
import type { Policy, sha256Schema } from '../../shared/wire/index.ts'

export const DAY_KEY_BYTES = 32
const FOLDER_MODE = 0o700
/** Of a folder: ten years of days. What is more is not ours. */
export const MAX_DAY_KEYS = 4_000
const FILE = /^\d{4}-\d{2}-\d{2}-[0-9a-f]{16}\.json$/

const fileSchema = z.strictObject({
  format: z.literal('candor-backup-key-1'),
  agency: slugSchema,
  /** UTC. */
  day: z.iso.date(),
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  madeAtMs: z.int(),
  /** As the policy was when it was made; a shorter one counts at once. */
  destroyAfterMs: z.int(),
  key: z.base64().length(44),
})
type KeyFile = z.infer<typeof fileSchema>

export type DayKey = Omit<KeyFile, 'key' | 'format'> & {
  key: Buffer
  /** By which a stray copy of the key can be recognised; says nothing of it. */
  sha256: z.infer<typeof sha256Schema>
}

/**
 * How long a backup may be read, milliseconds: as configured, but no longer than the shortest time that the policy keeps anything on disk.
 * So nothing lies anywhere, encrypted or not, for more than twice its retention. Where sightings without a match touch no disk, quarantine
 * holds no content either.
 */
export function backupLifeMs(backupDays: number, policy: Pick<Policy, 'retention' | 'unmatchedInMemory'>): number {
  const { unmatchedDays, quarantineDays, ...onDisk } = policy.retention
  const classes = policy.unmatchedInMemory ? [] : [unmatchedDays, quarantineDays]
  return Math.min(backupDays, ...classes, ...Object.values(onDisk)) * DAY_MS
}

/** The day's key, made when there is none that is still to live. */
export async function keyOfToday(
  folder: string,
  made: { agency: string; nowMs: number; lifeMs: number; newSecret: (byteCount: number) => string },
): Promise<DayKey> {
  const day = new Date(made.nowMs).toISOString().slice(0, 10)
  const there = (await listKeys(folder)).find((one) => one.day === day && expiryOf(one, made.lifeMs) > made.nowMs)
  if (there !== undefined) return there
  const key = Buffer.from(made.newSecret(DAY_KEY_BYTES), 'base64url')
  const file: KeyFile = {
    format: 'candor-backup-key-1',
    ...{ agency: made.agency, day, keyId: keyIdOf(key), madeAtMs: made.nowMs },
    destroyAfterMs: Math.ceil(made.nowMs + made.lifeMs),
    key: key.toString('base64'),
  }
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
  await writeFileDurably(join(folder, nameOf(file)), `${JSON.stringify(file)}\n`)
  return toDayKey(file)
}

/** By day. A folder that is not there has none. Throws `integrity` for a file that is damaged. */
export async function listKeys(folder: string): Promise<DayKey[]> {
  let names: string[]
  try {
    names = (await readdir(folder)).filter((name) => FILE.test(name)).sort()
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return []
    throw thrown
  }
  if (names.length > MAX_DAY_KEYS) throw new AppError('too_large', `more than ${MAX_DAY_KEYS} keys in ${folder}`)
  const keys: DayKey[] = []
  for (const name of names) {
    const path = join(folder, name)
    try {
      const file = fileSchema.parse(JSON.parse(await readFile(path, 'utf8')))
      if (nameOf(file) !== name || keyIdOf(Buffer.from(file.key, 'base64')) !== file.keyId)
        throw new Error('not its name')
      keys.push(toDayKey(file))
    } catch (cause) {
      throw new AppError('integrity', `${path} is no key of a backup, or is damaged`, { cause })
    }
  }
  return keys
}

/** When the key is to be destroyed: as was said when it was made, or by the policy of now if that is sooner. */
export function expiryOf(key: Pick<DayKey, 'madeAtMs' | 'destroyAfterMs'>, lifeMs: number | null): number {
  return lifeMs === null ? key.destroyAfterMs : Math.min(key.destroyAfterMs, key.madeAtMs + lifeMs)
}

/** Overwrites the key's file and removes it. A disk that writes elsewhere, as flash does, may keep the old bytes: see README. */
export async function destroyKey(folder: string, key: Pick<DayKey, 'day' | 'keyId'>): Promise<void> {
  const path = join(folder, nameOf(key))
  const file = await open(path, 'r+')
  try {
    await file.write(Buffer.alloc((await file.stat()).size), 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await unlink(path)
  const parent = await open(folder, 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}

/** Brings `to` in line with `from`: keys that it lacks are copied, those that `from` has no longer are destroyed. */
export async function copyKeys(
  from: string,
  to: string,
  agency: string,
): Promise<{ copied: DayKey[]; destroyed: DayKey[] }> {
  const source = await listKeys(from)
  const target = (await listKeys(to)).filter((key) => key.agency === agency)
  const has = (keys: readonly DayKey[], keyId: string) => keys.some((key) => key.keyId === keyId)
  const copied = source.filter(({ keyId }) => !has(target, keyId))
  const destroyed = target.filter(({ keyId }) => !has(source, keyId))
  await mkdir(to, { recursive: true, mode: FOLDER_MODE })
  for (const key of copied) await writeFileDurably(join(to, nameOf(key)), await readFile(join(from, nameOf(key))))
  for (const key of destroyed) await destroyKey(to, key)
  return { copied, destroyed }
}

const nameOf = ({ day, keyId }: Pick<DayKey, 'day' | 'keyId'>) => `${day}-${keyId}.json`
const keyIdOf = (key: Buffer) => sha256Hex(key).slice(0, 16)

function toDayKey({ key: text, format: _, ...file }: KeyFile): DayKey {
  const key = Buffer.from(text, 'base64')
  return { ...file, key, sha256: sha256Hex(key) }
}
