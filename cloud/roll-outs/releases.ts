/**
 * Releases of the units' system: bundles that an administrator has sent here in parts, and that cameras fetch from here. What makes a
 * bundle trusted is its own signature, which each unit checks; here it must be whole. Owns table releases and the folder of that name.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rm, stat, statfs, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Clock, DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { renameDurably } from '../../shared/secret-file.ts'
import { MAX_RELEASE_BYTES } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'
import type { ReleasesTable } from '../database/schema-roll-outs.ts'

/** Kept at a time. */
export const MAX_RELEASES = 20
/** Of one part, bytes: a slow line sends it within a request's time. */
export const MAX_PART_BYTES = 8 * 1024 ** 2
/** Being sent at a time. */
export const MAX_PARTS_OPEN = 4
export const MAX_RELEASE_NOTES = 1_000
/** Left free on the disk of the data folder: what cameras send must be stored, and a release can wait. */
export const DISK_RESERVE_BYTES = 2 * 1024 ** 3
/** A release that was begun is removed when nothing of it came for so long. */
export const KEPT_UNFINISHED_MS = 3 * DAY_MS

export interface Release {
  version: string
  compatible: string
  sha256: string
  bytes: number
  notes: string | null
  addedAtMs: number
  addedBy: string
}

export interface Releases {
  /** Newest first. */
  list(): Promise<Release[]>
  /** Throws `not_found`. */
  get(sha256: string): Promise<Release>
  /** Bytes of it that are here already. */
  received(sha256: string): Promise<number>
  /** Adds `part` at `offset`, where what is here must end. Resolves with what is here then. Throws `conflict`, `too_large`, `storage_full`. */
  receive(sha256: string, offset: number, part: Buffer): Promise<number>
  /** Of what was received. Throws `conflict` when it is not whole, or there is this version already; `bad_input` for other bytes. */
  add(release: Omit<Release, 'addedAtMs' | 'addedBy'>, by: string): Promise<Release>
  /** With its file. Throws `not_found`. */
  remove(sha256: string): Promise<void>
  /** The file. */
  path(sha256: string): string
  /** Once a minute: removes what was begun and left, see KEPT_UNFINISHED_MS. */
  upkeep(): Promise<void>
}

/** Bytes that a process without privileges may still write to the disk of `folder`. */
export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

const toRelease = (row: ReleasesTable): Release => ({
  ...{ version: row.version, compatible: row.compatible, sha256: row.sha256, bytes: row.bytes, notes: row.notes },
  ...{ addedAtMs: row.added_at_ms, addedBy: row.added_by },
})

export interface ReleasesDeps {
  database: Database
  folder: string
  clock: Clock
  /** Of the disk of a folder, see freeBytesOf. */
  freeBytes: (folder: string) => Promise<number>
}

export function createReleases(deps: ReleasesDeps): Releases {
  const { database, folder, clock } = deps
  const { build } = database
  const path = (sha256: string) => join(folder, `${sha256}.raucb`)
  const partOf = (sha256: string) => join(folder, `${sha256}.part`)
  const sizeOf = (file: string) =>
    stat(file).then(
      ({ size }) => size,
      () => 0,
    )
  const busy = new Set<string>()

  /** Two writers of one file would mix their bytes. */
  async function alone<T>(sha256: string, work: () => Promise<T>): Promise<T> {
    if (busy.has(sha256)) throw new AppError('conflict', 'this release is being sent by somebody else as well')
    busy.add(sha256)
    try {
      return await work()
    } finally {
      busy.delete(sha256)
    }
  }

  async function checkRoom(bytes: number): Promise<void> {
    const free = await deps.freeBytes(folder)
    const needed = bytes + DISK_RESERVE_BYTES
    if (free >= needed) return
    throw new AppError('storage_full', `the disk of the cloud has ${free} bytes free, and ${needed} are needed`, {
      hint: `${DISK_RESERVE_BYTES / 1024 ** 3} GiB stay free for what cameras send: remove releases that no unit needs (\`candor release remove\`), or make room`,
    })
  }

  const find = async (sha256: string) => {
    const [row] = await database.read(build.selectFrom('releases').selectAll().where('sha256', '=', sha256))
    return row === undefined ? null : toRelease(row)
  }
  const get = async (sha256: string) => {
    const found = await find(sha256)
    if (found !== null) return found
    throw new AppError('not_found', 'there is no such release', { hint: 'see `candor release list`' })
  }

  return {
    path,
    get,
    async list() {
      const rows = await database.read(
        build.selectFrom('releases').selectAll().orderBy('added_at_ms', 'desc').limit(MAX_RELEASES),
      )
      return rows.map(toRelease)
    },
    async received(sha256) {
      return Math.max(await sizeOf(path(sha256)), await sizeOf(partOf(sha256)))
    },
    receive: (sha256, offset, part) =>
      alone(sha256, async () => {
        if (offset + part.length > MAX_RELEASE_BYTES)
          throw new AppError('too_large', `a release has at most ${MAX_RELEASE_BYTES} bytes`)
        await mkdir(folder, { recursive: true, mode: 0o700 })
        const have = await sizeOf(partOf(sha256))
        if (have !== offset) throw new AppError('conflict', `${have} bytes are here: go on from there`)
        await checkRoom(part.length)
        const others = (await readdir(folder)).filter((name) => name.endsWith('.part') && !name.startsWith(sha256))
        if (offset === 0 && others.length >= MAX_PARTS_OPEN) {
          // What was begun and left longest ago makes room.
          const ages = await Promise.all(
            others.map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })),
          )
          const [oldest] = ages.sort((a, b) => a.at - b.at)
          if (oldest !== undefined) await rm(join(folder, oldest.name), { force: true })
        }
        const file = await open(partOf(sha256), 'a', 0o600)
        try {
          await file.writeFile(part)
          await file.sync()
        } catch (thrown) {
          await truncate(partOf(sha256), offset).catch(() => {})
          throw thrown
        } finally {
          await file.close()
        }
        return offset + part.length
      }),

    add: (release, by) =>
      alone(release.sha256, async () => {
        const { sha256, bytes, version, compatible } = release
        const known = await find(sha256)
        if (known !== null) throw new AppError('conflict', `it is here as release ${known.version} already`)
        // A cloud that ended between putting it in place and writing it down has it there: nobody need send it again.
        const isPlaced = (await sizeOf(partOf(sha256))) === 0
        const file = isPlaced ? path(sha256) : partOf(sha256)
        const have = await sizeOf(file)
        if (have !== bytes) throw new AppError('conflict', `${have} of ${bytes} bytes are here`)
        const hash = createHash('sha256')
        await pipeline(createReadStream(file), hash)
        if (hash.digest('hex') !== sha256) {
          await rm(file, { force: true })
          throw new AppError('bad_input', 'what was sent has another SHA-256: send it again')
        }
        const [counted] = await database.read(
          build.selectFrom('releases').select(({ fn }) => fn.countAll<number>().as('releases')),
        )
        if ((counted?.releases ?? 0) >= MAX_RELEASES) {
          throw new AppError('too_large', `${MAX_RELEASES} releases are kept, the most there may be`, {
            hint: 'remove one that no unit needs: `candor release remove`',
          })
        }
        if (!isPlaced) await renameDurably(file, path(sha256))
        const values = {
          ...{ version, compatible, sha256, bytes, notes: release.notes },
          ...{ added_at_ms: clock.nowMs(), added_by: by },
        }
        const [inserted] = await database.writeBatch([
          build
            .insertInto('releases')
            .values(values)
            .onConflict((conflict) => conflict.doNothing()),
        ])
        if (inserted?.changes === 1) return toRelease(values)
        await rm(path(sha256), { force: true })
        throw new AppError('conflict', `there is a release ${version} for ${compatible} already`)
      }),

    async remove(sha256) {
      await get(sha256)
      await database.writeBatch([build.deleteFrom('releases').where('sha256', '=', sha256)])
      await rm(path(sha256), { force: true })
    },

    async upkeep() {
      const names = await readdir(folder).catch((thrown: NodeJS.ErrnoException) => {
        if (thrown.code === 'ENOENT') return []
        throw thrown
      })
      for (const name of names) {
        const sha256 = /^([0-9a-f]{64})\.(?:part|raucb)$/.exec(name)?.[1]
        if (sha256 === undefined || busy.has(sha256)) continue
        await alone(sha256, async () => {
          const found = await stat(join(folder, name)).catch(() => null)
          if (found === null || clock.nowMs() - found.mtimeMs < KEPT_UNFINISHED_MS) return
          if (name.endsWith('.raucb') && (await find(sha256)) !== null) return
          await rm(join(folder, name), { force: true })
        })
      }
    },
  }
}
