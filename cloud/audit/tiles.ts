/**
 * Tiles and entry bundles [c2sp.org/tlog-tiles]: the tree as files that never change, from which anybody makes any proof. Pure:
 * names and bytes; who reads and writes them is elsewhere. Part of the stand-alone verifier.
 */
import { AppError } from '../../shared/errors.ts'
import { HASH_BYTES, rootOf, type Subtree, type SubtreeHash } from './tree.ts'

/** Levels of the tree that one tile spans, and hashes in a whole tile. */
export const TILE_HEIGHT = 8
export const TILE_WIDTH = 2 ** TILE_HEIGHT
/** An entry's length is told in two bytes. */
const LENGTH_BYTES = 2
export const MAX_BUNDLED_BYTES = 2 ** 16 - 1

export interface Tile {
  /** 0: leaf hashes. */
  readonly level: number
  readonly index: number
  /** Hashes in it, from 1 to TILE_WIDTH. */
  readonly width: number
}

/** A hash of a tile above the entries' own: of the `position`-th 256^level entries. */
export interface Node {
  level: number
  position: number
  hash: Buffer
}

/** Those of the completed subtrees that stand in tiles. */
export function nodesOf(completed: readonly (Subtree & { hash: Buffer })[]): Node[] {
  return completed
    .filter(({ height }) => height % TILE_HEIGHT === 0)
    .map(({ height, index, hash }) => ({ level: height / TILE_HEIGHT, position: index, hash }))
}

function indexPath(index: number): string {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? []
  return groups.map((group, i) => (i === groups.length - 1 ? group : `x${group}`)).join('/')
}

function partial(width: number): string {
  return width === TILE_WIDTH ? '' : `.p/${width}`
}

export function tilePath({ level, index, width }: Tile): string {
  return `tile/${level}/${indexPath(index)}${partial(width)}`
}

/** The entries whose hashes the tile of level 0 holds. */
export function bundlePath({ index, width }: Omit<Tile, 'level'>): string {
  return `tile/entries/${indexPath(index)}${partial(width)}`
}

/** Inverse of `tilePath` and `bundlePath` below `tile/`; null for what is none. */
export function parseTilePath(path: string): (Tile & { entries: boolean }) | null {
  const found = /^(entries|0|[1-9]|[1-5]\d|6[0-3])\/((?:x\d{3}\/)*\d{3})(?:\.p\/([1-9]\d{0,2}))?$/.exec(path)
  if (found === null) return null
  const [, kind = '', groups = '', part] = found
  const index = Number(groups.replace(/[x/]/g, ''))
  const width = part === undefined ? TILE_WIDTH : Number(part)
  if (!Number.isSafeInteger(index) || indexPath(index) !== groups) return null
  if (part !== undefined && width >= TILE_WIDTH) return null
  return { level: kind === 'entries' ? 0 : Number(kind), index, width, entries: kind === 'entries' }
}

/** How wide tile `index` of `level` is in a tree of `size`; 0: it has none. */
export function tileWidth(level: number, index: number, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level)
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH))
}

/** Every tile of a tree, level by level; whole ones below `from` entries left out, as they were there before. */
export function* tilesOf(size: number, from = 0): Generator<Tile> {
  for (let level = 0; Math.floor(size / TILE_WIDTH ** level) > 0; level++) {
    for (let index = Math.floor(from / TILE_WIDTH ** (level + 1)); ; index++) {
      const width = tileWidth(level, index, size)
      if (width === 0) break
      yield { level, index, width }
    }
  }
}

/** Each entry behind its length, big-endian. Throws `too_large`. */
export function encodeBundle(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      if (entry.length > MAX_BUNDLED_BYTES)
        throw new AppError('too_large', `an entry is longer than ${MAX_BUNDLED_BYTES} bytes`)
      const length = Buffer.alloc(LENGTH_BYTES)
      length.writeUInt16BE(entry.length)
      return [length, entry]
    }),
  )
}

/** The entries of a bundle, as far as they are whole, `most` of them; `rest`: it holds something behind them. */
export function decodeBundle(bytes: Buffer, most: number): { entries: Buffer[]; rest: boolean } {
  const entries: Buffer[] = []
  let at = 0
  while (at + LENGTH_BYTES <= bytes.length && entries.length < most) {
    const start = at + LENGTH_BYTES
    const end = start + bytes.readUInt16BE(at)
    if (end > bytes.length) break
    entries.push(bytes.subarray(start, end))
    at = end
  }
  return { entries, rest: at < bytes.length }
}

/** Throws `bad_input` for what is not `width` hashes. */
export function decodeTile(bytes: Buffer, width: number): Buffer[] {
  if (bytes.length !== width * HASH_BYTES) throw new AppError('bad_input', `not a tile of ${width} hashes`)
  return Array.from({ length: width }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))
}

/** Hashes of perfect subtrees of a tree of `size`, made of its tiles; `hashesOf` gives a tile's. */
export function subtreeHashes(size: number, hashesOf: (tile: Tile) => Promise<readonly Buffer[]>): SubtreeHash {
  return async ({ height, index }) => {
    const level = Math.floor(height / TILE_HEIGHT)
    const count = 2 ** (height - level * TILE_HEIGHT)
    const first = index * count
    const tile = Math.floor(first / TILE_WIDTH)
    const hashes = await hashesOf({ level, index: tile, width: tileWidth(level, tile, size) })
    const start = first - tile * TILE_WIDTH
    return rootOf(hashes.slice(start, start + count))
  }
}
