/**
 * Checks copies of a log that need no database: an exported file, or the published tiles with or without their entries. Never
 * throws for what it finds in them. Part of the stand-alone verifier; `candor audit verify` calls it too.
 *
 * An exported file is text: one line that says what it is, then each entry's bytes as they are, a line each (canonical JSON has no
 * line ends); an entry whose bytes went by policy is `{"purged":"HASH"}`.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { AppError, systemCode, toAppError } from '../../shared/errors.ts'
import { brokenBy, createWalk, type Earlier, isProblem, type Problem, type Verdict, type Walk } from './check.ts'
import { DOES_NOT_FOLLOW, MAX_ENTRY_BYTES } from './entry.ts'
import {
  type Checkpoint,
  cosignatureOf,
  type Note,
  type NoteKey,
  noteAsKept,
  openCheckpoint,
  parseVerifierKey,
} from './note.ts'
import { openPlace, type Place } from './place.ts'
import { bundlePath, decodeBundle, decodeTile, type Node, TILE_WIDTH, type Tile, tilePath, tilesOf } from './tiles.ts'
import { HASH_BYTES, leafHash } from './tree.ts'

export const COPY_FORMAT = 'candor-audit-copy-1'
/** Of an exported file's first line. */
const MAX_HEADER_BYTES = 256 * 1024

/** Files of a publication beside its tiles. */
export const PLACE_FILES = {
  checkpoint: 'checkpoint',
  cosigned: 'checkpoint.cosigned',
  key: 'key',
  verifier: 'verify.mjs',
} as const

const headerSchema = z.strictObject({
  format: z.literal(COPY_FORMAT),
  key: z.string(),
  checkpoint: z.string(),
  cosigned: z.string().nullable(),
})
export type CopyHeader = z.infer<typeof headerSchema>

const purgedSchema = z.strictObject({ purged: z.string().regex(/^[0-9a-f]{64}$/) })

export interface CopyCheck {
  /** An exported file, a folder of tiles, or the address of one. */
  where: string
  /** The log's verifier key; null: the one that came with the copy. */
  key: NoteKey | null
  /** Files or folders that were kept of the log before: checkpoints, exports, tiles. */
  since: readonly string[]
  /** Each of them must have cosigned the checkpoint, the cosigned one beside it or one of `since`. */
  witnesses: readonly NoteKey[]
  caPem?: string | null
}

interface SignedNote extends Checkpoint {
  note: Note
}

export async function verifyCopy(check: CopyCheck): Promise<Verdict> {
  let walk: Walk | null = null
  const broken = ({ problem, firstBad }: Problem): Verdict => ({
    ok: false,
    entries: walk?.point.seq ?? 0,
    firstBad,
    problem,
  })
  try {
    const copy = await openCopy(check.where, check.caPem ?? null)
    const key = check.key ?? copy.key
    const checkpoint = openCheckpoint(copy.checkpoint, key)
    const notes: SignedNote[] = [checkpoint]
    const earlier: Earlier[] = []
    if (copy.cosigned !== null) {
      const cosigned = openCheckpoint(copy.cosigned, key)
      notes.push(cosigned)
      earlier.push({ ...cosigned, leaves: null, name: 'the cosigned checkpoint beside it' })
    }
    for (const path of check.since) {
      const { note, ...kept } = await readEarlier(path, key)
      notes.push({ ...note })
      earlier.push(kept)
    }
    walk = createWalk(earlier)
    const problem = (await copy.follow(walk, checkpoint.size)) ?? compare(walk, checkpoint)
    if (problem !== null) return broken(problem)
    const ended = walk.end()
    if (isProblem(ended)) return broken(ended)
    const witnesses: string[] = []
    for (const witness of check.witnesses) {
      if (!notes.some(({ note }) => cosignatureOf(note, witness, null) !== null))
        return broken({ problem: `the witness ${witness.name} has cosigned none of the checkpoints`, firstBad: null })
      witnesses.push(witness.name)
    }
    return {
      ok: true,
      entries: walk.point.seq,
      headHash: walk.point.hash,
      root: walk.root().toString('base64'),
      agency: walk.agency ?? agencyOf(checkpoint.origin),
      note: copy.note(check.key === null),
      ...ended,
      witnesses,
    }
  } catch (thrown) {
    return brokenBy(toAppError(thrown), walk?.point.seq ?? 0)
  }
}

function agencyOf(origin: string): string {
  return origin.split('/')[1] ?? origin
}

function compare(walk: Walk, checkpoint: Checkpoint): Problem | null {
  const { size, root } = checkpoint
  const end = walk.point.seq
  if (end < size)
    return { problem: `the tail is cut off: ${size} entries were signed, ${end} are there`, firstBad: end + 1 }
  if (end > size) return { problem: `entries after ${size} are not covered by the checkpoint`, firstBad: size + 1 }
  if (!root.equals(walk.root())) return { problem: 'the tree is not the one that was signed', firstBad: null }
  if (walk.agency !== null && walk.agency !== agencyOf(checkpoint.origin))
    return {
      problem: `the entries are of agency ${walk.agency}, the checkpoint is of ${checkpoint.origin}`,
      firstBad: null,
    }
  return null
}

interface Copy {
  readonly key: NoteKey
  readonly checkpoint: string
  readonly cosigned: string | null
  /** Takes each entry to the walk; returns what is wrong with the first one that is. */
  follow(walk: Walk, size: number): Promise<Problem | null>
  note(keyWasInside: boolean): string | null
}

async function openCopy(where: string, caPem: string | null): Promise<Copy> {
  if (/^https?:\/\//.test(where)) return openTiles(openPlace(where, caPem))
  const there = await stat(where).catch((cause: unknown) => {
    throw unreadable(where, cause)
  })
  return there.isFile() ? openExport(where) : openTiles(openPlace(where))
}

function unreadable(path: string, cause: unknown): AppError {
  const problem =
    systemCode(cause) === 'ENOENT' ? 'no such file or folder' : `cannot be read (${systemCode(cause) ?? ''})`
  return new AppError('not_found', `${path}: ${problem}`, { cause })
}

/** What the copy calls its log, which a PEM key does not say. Nothing is verified. Throws `bad_input`, `not_found`. */
export async function checkpointOrigin(where: string, caPem: string | null): Promise<string> {
  const { checkpoint } = await openCopy(where, caPem)
  return checkpoint.split('\n', 1)[0] ?? ''
}

const keyNote = (key: NoteKey, inside: boolean) =>
  inside ? `the key came with the copy: compare it with what ${key.name} has published elsewhere` : null

async function openExport(path: string): Promise<Copy> {
  const { key, ...header } = await readHeader(path)
  return {
    ...header,
    key,
    async follow(walk) {
      let parted: (Problem & { hash: Buffer; firstBad: number }) | null = null
      for await (const { bytes, number, whole } of linesOf(path)) {
        if (number === 0) continue
        if (parted !== null) return blame(parted, bytes)
        const seq = walk.point.seq + 1
        if (!whole) return { problem: `entry ${seq}: its line is cut off`, firstBad: seq }
        const row = { seq, ...lineEntry(bytes) }
        const problem = walk.take(row)
        if (problem === null) continue
        if (seq === 1 || !problem.problem.endsWith(DOES_NOT_FOLLOW)) return problem
        parted = { ...problem, hash: row.hash, firstBad: seq }
      }
      return parted
    },
    note: (inside) => keyNote(key, inside),
  }
}

/**
 * Of two entries that do not follow one another either may be the changed one, as an export holds no hashes beside the entries. Where
 * the `next` one follows the later of the two, the earlier one was changed.
 */
function blame({ hash, problem, firstBad }: Problem & { hash: Buffer; firstBad: number }, next: Buffer): Problem {
  const following = z.looseObject({ previous: z.literal(hash.toString('hex')) }).safeParse(parseJson(next))
  if (!following.success) return { problem, firstBad }
  const seq = firstBad - 1
  return { problem: `entry ${seq}: it is not the one that entry ${firstBad} follows`, firstBad: seq }
}

function lineEntry(line: Buffer): { bytes: Buffer; hash: Buffer } {
  if (line.length < MAX_HEADER_BYTES && line.subarray(0, 10).toString() === '{"purged":') {
    const purged = purgedSchema.safeParse(parseJson(line))
    if (purged.success) return { bytes: Buffer.alloc(0), hash: Buffer.from(purged.data.purged, 'hex') }
  }
  return { bytes: line, hash: leafHash(line) }
}

function parseJson(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'))
  } catch {
    return null
  }
}

async function readHeader(path: string): Promise<Omit<CopyHeader, 'key' | 'format'> & { key: NoteKey }> {
  for await (const { bytes } of linesOf(path)) {
    const header = headerSchema.safeParse(parseJson(bytes))
    if (!header.success) break
    const { checkpoint, cosigned, key } = header.data
    return { checkpoint, cosigned, key: parseVerifierKey(key) }
  }
  throw new AppError('bad_input', `${path} is no exported audit: its first line does not say ${COPY_FORMAT}`)
}

/** `number` counts from 0; the last line is not whole when it has no end. */
async function* linesOf(path: string): AsyncGenerator<{ bytes: Buffer; number: number; whole: boolean }> {
  let rest: Buffer = Buffer.alloc(0)
  let number = 0
  for await (const chunk of createReadStream(path)) {
    let buffer = Buffer.concat([rest, chunk as Buffer])
    for (let end = buffer.indexOf(10); end !== -1; end = buffer.indexOf(10)) {
      yield { bytes: buffer.subarray(0, end), number, whole: true }
      number += 1
      buffer = buffer.subarray(end + 1)
    }
    if (buffer.length > Math.max(MAX_HEADER_BYTES, MAX_ENTRY_BYTES))
      throw new AppError('too_large', `${path}: line ${number + 1} is too long for an entry`)
    rest = buffer
  }
  if (rest.length > 0) yield { bytes: rest, number, whole: false }
}

async function openTiles(place: Place): Promise<Copy> {
  const text = async (path: string) => (await place.read(path))?.toString('utf8') ?? null
  const checkpoint = await text(PLACE_FILES.checkpoint)
  const key = await text(PLACE_FILES.key)
  if (checkpoint === null || key === null)
    throw new AppError('not_found', `${place.name}: neither an exported audit nor published tiles`)
  let hasEntries = false
  return {
    key: parseVerifierKey(key),
    checkpoint,
    cosigned: await text(PLACE_FILES.cosigned),
    async follow(walk, size) {
      const above = new Map<number, Buffer[]>()
      const onNode = ({ level, hash }: Node) => {
        above.set(level, [...(above.get(level) ?? []), hash])
        return null
      }
      const leaves = [...tilesOf(size)].filter(({ level }) => level === 0)
      hasEntries = await holdsEntries(place, leaves)
      for (const tile of leaves) {
        const problem = await followTile(place, tile, walk, hasEntries, onNode)
        if (problem !== null) return problem
      }
      for (const tile of tilesOf(size)) {
        const problem = tile.level === 0 ? null : await compareTile(place, tile, above.get(tile.level) ?? [])
        if (problem !== null) return problem
      }
      return null
    },
    note: (inside) =>
      [keyNote(parseVerifierKey(key), inside), hasEntries ? null : NO_ENTRIES].filter(Boolean).join('; ') || null,
  }
}
const NO_ENTRIES = 'hashes alone were checked: the copy has no entries'

/** One bundle is enough: then each of the others must be there, or have gone by policy. */
async function holdsEntries(place: Place, leaves: readonly Tile[]): Promise<boolean> {
  for (const tile of [...leaves].reverse()) if ((await place.read(bundlePath(tile))) !== null) return true
  return false
}

async function followTile(
  place: Place,
  tile: Tile,
  walk: Walk,
  hasEntries: boolean,
  onNode: (node: Node) => null,
): Promise<Problem | null> {
  const hashes = await readTile(place, tile, walk.point.seq + 1)
  if (isProblem(hashes)) return hashes
  const bundle = hasEntries ? await place.read(bundlePath(tile)) : null
  const { entries, rest } = bundle === null ? { entries: null, rest: false } : decodeBundle(bundle, tile.width)
  for (const [i, hash] of hashes.entries()) {
    const seq = walk.point.seq + 1
    let problem: Problem | null
    if (!hasEntries) problem = walk.takeHash(hash, onNode)
    else if (entries === null) problem = walk.take({ seq, bytes: Buffer.alloc(0), hash }, onNode)
    else {
      const bytes = entries[i]
      if (bytes === undefined || bytes.length === 0)
        return { problem: `entry ${seq}: ${bundlePath(tile)} is damaged or cut off`, firstBad: seq }
      problem = walk.take({ seq, bytes, hash }, onNode)
    }
    if (problem !== null) return problem
  }
  if (!rest) return null
  const seq = walk.point.seq
  return { problem: `${bundlePath(tile)} holds more than its entries, after entry ${seq}`, firstBad: null }
}

/** Hashes of a tile, of the whole one where the partial one is no longer kept. */
async function readTile(place: Place, tile: Tile, firstBad: number | null): Promise<Buffer[] | Problem> {
  const bytes = (await place.read(tilePath(tile))) ?? (await place.read(tilePath({ ...tile, width: TILE_WIDTH })))
  if (bytes === null) return { problem: `${tilePath(tile)} is missing`, firstBad }
  try {
    return decodeTile(bytes, bytes.length === TILE_WIDTH * HASH_BYTES ? TILE_WIDTH : tile.width).slice(0, tile.width)
  } catch {
    return { problem: `${tilePath(tile)} is damaged`, firstBad }
  }
}

async function compareTile(place: Place, tile: Tile, computed: readonly Buffer[]): Promise<Problem | null> {
  const hashes = await readTile(place, tile, null)
  if (isProblem(hashes)) return hashes
  const differs = hashes.findIndex((hash, i) => computed[tile.index * TILE_WIDTH + i]?.equals(hash) !== true)
  if (differs === -1) return null
  const span = TILE_WIDTH ** tile.level
  const first = (tile.index * TILE_WIDTH + differs) * span
  return {
    problem: `${tilePath(tile)}: hash ${differs} is not that of the entries ${first + 1} to ${first + span}`,
    firstBad: null,
  }
}

/** What somebody kept of the log: a checkpoint, an exported copy or a folder of tiles. Throws `integrity` when it is not whole itself. */
export async function readEarlier(path: string, key: NoteKey): Promise<Earlier & { note: SignedNote }> {
  const name = `the earlier ${path}`
  const place = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  if (place.isFile()) {
    const text = await firstText(path)
    if (!text.startsWith('{')) {
      const note = openCheckpoint(noteAsKept(text), key)
      return { ...note, note, leaves: null, name }
    }
  }
  const copy = await openCopy(path, null)
  const note = openCheckpoint(copy.checkpoint, key)
  const leaves: Buffer[] = []
  const walk = createWalk()
  const collect: Walk = {
    ...walk,
    get point() {
      return walk.point
    },
    take(row, onNode) {
      leaves.push(row.hash)
      return walk.take(row, onNode)
    },
    takeHash(hash, onNode) {
      leaves.push(hash)
      return walk.takeHash(hash, onNode)
    },
  }
  const problem = (await copy.follow(collect, note.size)) ?? compare(walk, note)
  if (problem !== null) throw new AppError('integrity', `${name} is not whole itself: ${problem.problem}`)
  return { ...note, note, leaves, name }
}

/** The beginning of a file, enough for any checkpoint. */
async function firstText(path: string): Promise<string> {
  for await (const chunk of createReadStream(path, { end: MAX_HEADER_BYTES - 1, highWaterMark: MAX_HEADER_BYTES }))
    return (chunk as Buffer).toString('utf8')
  return ''
}
