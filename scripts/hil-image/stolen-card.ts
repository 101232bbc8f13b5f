/**
 * Looks through the card of a unit that is off, as a thief would: every byte of it, the journal as text, and each row of each database, for plates
 * that the unit has read or was sent, for what a list says of them, and for keys that it should not have. Called by update-steps.ts.
 */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cloudPaths } from '../../cloud/config.ts'
import { KEY_FILES } from '../../cloud/keys.ts'
import { AppError } from '../../shared/errors.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { partitionOffset } from '../flash-card/partitions.ts'
import { CAMERA, type Context } from './context.ts'

const MAX_OUTPUT_BYTES = 64 * 1024 ** 2
/** Shorter words stand in any gigabyte by chance. */
const LEAST_CHARACTERS = 5
const MAGIC = Buffer.from('SQLite format 3\0')

/** What must not be found, with what it is. */
function forbidden({ world, checkout, folder }: Context): Map<string, string> {
  const words = new Map<string, string>()
  const add = (text: string | null | undefined, what: string) => {
    if (text != null && text.length >= LEAST_CHARACTERS) words.set(text, what)
  }
  for (const { plate } of world.held(CAMERA)) add(plate, 'a plate that was read')
  const rows = readFileSync(join(checkout, 'scripts/sample-scenes/hotlist.csv'), 'utf8').trim().split('\n').slice(1)
  for (const row of rows) {
    const [plate, , , reason, number] = row.split(',')
    add(plate, 'a plate of a list')
    add(reason, 'a reason of a list')
    add(number, 'a case number of a list')
  }
  const keys = readFileSync(
    join(cloudPaths({ dataFolder: 'data' }, join(folder, 'cloud')).keysFolder, KEY_FILES.listDigest),
    'utf8',
  )
    .trim()
    .split('\n')
  for (const key of keys) add(key, 'a list key, as text')
  return words
}

/** As text of one byte a character and of two, and lists' keys as bytes as well. */
function patterns(words: ReadonlyMap<string, string>): Map<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const [text, what] of words) {
    found.set(`${what}: ${text}`, Buffer.from(text))
    found.set(`${what}, UTF-16: ${text}`, Buffer.from(text, 'utf16le'))
    if (what.startsWith('a list key')) found.set('a list key, as bytes', Buffer.from(text, 'base64url'))
  }
  return found
}

const CHUNK_BYTES = 16 * 1024 ** 2
const OVERLAP_BYTES = 256

/** From `from` to the end of the file; zeros are passed over. */
async function searchBytes(
  file: string,
  from: number,
  wanted: ReadonlyMap<string, Buffer>,
): Promise<{ found: string[]; bytes: number }> {
  const handle = await open(file, 'r')
  const found: string[] = []
  const zeros = Buffer.alloc(CHUNK_BYTES)
  const chunk = Buffer.alloc(CHUNK_BYTES)
  let looked = 0
  try {
    for (let at = from; ; at += CHUNK_BYTES - OVERLAP_BYTES) {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, at)
      const part = chunk.subarray(0, bytesRead)
      if (!part.equals(zeros.subarray(0, bytesRead))) {
        looked += bytesRead
        for (const [name, bytes] of wanted) {
          const where = part.indexOf(bytes)
          if (where !== -1) found.push(`${name} at ${at + where}`)
        }
      }
      if (bytesRead < CHUNK_BYTES) return { found, bytes: looked }
    }
  } finally {
    await handle.close()
  }
}

/** The data partition as a file of its own, and of that the files. No mount, so no root's loop device. */
async function takeOut(context: Context, to: string): Promise<{ partition: string; offset: number }> {
  const disk = await open(context.disk, 'r')
  const offset = await partitionOffset(disk, 'candor-data').finally(() => disk.close())
  const partition = join(to, 'data.ext4')
  const { status } = spawnSync('dd', [
    `if=${context.disk}`,
    `of=${partition}`,
    'bs=1M',
    'conv=sparse',
    `skip=${offset}`,
    'iflag=skip_bytes',
    'status=none',
  ])
  if (status !== 0) throw new AppError('internal', 'the data partition cannot be copied')
  const files = join(to, 'files')
  mkdirSync(files)
  // Its journal is replayed first, as any machine would that mounts it.
  spawnSync('e2fsck', ['-p', partition])
  await promisify(execFile)('debugfs', ['-R', `rdump /lib /log ${files}`, partition], { maxBuffer: MAX_OUTPUT_BYTES })
  return { partition, offset }
}

const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

interface Decoded {
  databases: number
  rows: number
  tables: string[]
  found: string[]
}

/** Every column of every row, as SQLite gives them. */
function searchDatabases(files: readonly string[], wanted: ReadonlyMap<string, Buffer>): Decoded {
  const decoded: Decoded = { databases: 0, rows: 0, tables: [], found: [] }
  for (const file of files) {
    if (!file.endsWith('.db') || !readFileSync(file).subarray(0, MAGIC.length).equals(MAGIC)) continue
    const database = openDatabase(file)
    try {
      decoded.databases++
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all() as string[]
      for (const table of tables) {
        const rows = database.prepare(`SELECT * FROM "${table}"`).all() as Record<string, unknown>[]
        decoded.rows += rows.length
        if (rows.length > 0) decoded.tables.push(`${table} ${rows.length}`)
        for (const row of rows) {
          for (const [column, value] of Object.entries(row)) {
            const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value))
            for (const [name, pattern] of wanted)
              if (bytes.includes(pattern)) decoded.found.push(`${name} in ${table}.${column}`)
          }
        }
      }
    } finally {
      database.close()
    }
  }
  return decoded
}

/** The journal's own compression hides long fields from a search of the bytes. */
async function searchJournal(
  files: string,
  wanted: ReadonlyMap<string, Buffer>,
): Promise<{ found: string[]; lines: number }> {
  const folder = join(files, 'log/journal')
  if (!existsSync(folder)) return { found: [], lines: 0 }
  const args = ['--directory', folder, '--no-pager', '-o', 'export']
  const { stdout } = await promisify(execFile)('journalctl', args, { maxBuffer: 512 * 1024 ** 2, encoding: 'buffer' })
  const found = [...wanted].filter(([, bytes]) => stdout.includes(bytes)).map(([name]) => `${name} in the journal`)
  return { found, lines: stdout.toString('latin1').split('\n').length }
}

/** Throws with what was found that should not be there. */
export async function lookThroughCard(context: Context): Promise<string> {
  const folder = join(context.folder, 'stolen')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const words = forbidden(context)
  const wanted = patterns(words)
  // That it would be found if it were there: one word is put into a copy's free end.
  const probe = join(folder, 'probe')
  const [first] = wanted
  writeFileSync(probe, Buffer.concat([Buffer.alloc(CHUNK_BYTES - 3), first?.[1] ?? Buffer.alloc(0)]))
  if ((await searchBytes(probe, 0, wanted)).found.length === 0)
    throw new AppError('internal', 'the search does not find')

  const { found, bytes } = await searchBytes(context.disk, 0, wanted)
  await takeOut(context, folder)
  const files = filesIn(join(folder, 'files'))
  const decoded = searchDatabases(files, wanted)
  if (!decoded.tables.some((table) => table.startsWith('outbox ')))
    throw new AppError('internal', 'nothing was waiting on the card: the search would prove nothing')
  const journal = await searchJournal(join(folder, 'files'), wanted)
  const privateKeys = files
    .filter((file) => /PRIVATE KEY/.test(readFileSync(file, 'latin1')))
    .map((file) => file.slice(folder.length + 6))
  const all = [...found, ...decoded.found, ...journal.found]
  if (all.length > 0) throw new AppError('integrity', `on the card: ${all.slice(0, 8).join('; ')}`)
  rmSync(folder, { recursive: true, force: true })
  return (
    `${words.size} words (plates read and listed, reasons, case numbers, list keys) in ${Math.round(bytes / 1e6)} MB of raw bytes, ` +
    `${decoded.rows} rows of ${decoded.databases} databases (${decoded.tables.join(', ')}) and ${journal.lines} lines of the journal: none found. ` +
    `Private keys: ${privateKeys.join(', ')} (the unit's own, revoked with it)`
  )
}
