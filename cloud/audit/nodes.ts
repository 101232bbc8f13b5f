/**
 * The tree as it is stored: the entries' own hashes, and one hash a whole tile above them. Read by the log, the API and the
 * publisher; the log writes both in the entries' own transaction. What is below a size never changes, so nothing here is locked.
 * Owns table audit_nodes.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import type { Database, Statement } from '../database/database.ts'
import { type AuditRow, CHAIN_START, type ChainPoint, checkRow } from './entry.ts'
import { type Node, nodesOf, TILE_HEIGHT, TILE_WIDTH, type Tile } from './tiles.ts'
import {
  consistencyRanges,
  createFrontier,
  type Frontier,
  inclusionRanges,
  proofOf,
  rangeRoot,
  rootOf,
  type SubtreeHash,
  subtreesOf,
} from './tree.ts'

/** Entries that are checked in one turn of the event loop when a tree is planted; 5 ms on a small server. */
export const PLANT_STEP_ENTRIES = 32
/** Nodes that are written in one transaction when a tree is planted. */
const PLANT_STEP_NODES = 1_000

/** Nothing for no nodes. */
export function insertNodes(database: Database, nodes: readonly Node[]): Statement[] {
  if (nodes.length === 0) return []
  return [
    database.build
      .insertInto('audit_nodes')
      .values([...nodes])
      .onConflict((conflict) => conflict.doNothing()),
  ]
}

/** Hashes [first, first + count) of a level. Throws `integrity` when one is missing. */
export async function readHashes(database: Database, level: number, first: number, count: number): Promise<Buffer[]> {
  const rows =
    level === 0
      ? await database.read(
          database.build
            .selectFrom('audit_entries')
            .select('hash')
            .where('seq', '>', first)
            .where('seq', '<=', first + count)
            .orderBy('seq'),
        )
      : await database.read(
          database.build
            .selectFrom('audit_nodes')
            .select('hash')
            .where('level', '=', level)
            .where('position', '>=', first)
            .where('position', '<', first + count)
            .orderBy('position'),
        )
  if (rows.length === count) return rows.map(({ hash }) => hash)
  throw new AppError('integrity', 'hashes of the audit\u2019s tree are missing', { hint: 'run `candor audit verify`' })
}

export function storedSubtrees(database: Database): SubtreeHash {
  return async ({ height, index }) => {
    const level = Math.floor(height / TILE_HEIGHT)
    const count = 2 ** (height - level * TILE_HEIGHT)
    return rootOf(await readHashes(database, level, index * count, count))
  }
}

/** The right edge of the tree of the first `size` entries: at most a tile a level is read. */
export async function readFrontier(database: Database, size: number): Promise<Frontier> {
  const hashOf = storedSubtrees(database)
  const hashes: Buffer[] = []
  for (const subtree of subtreesOf({ start: 0, end: size })) hashes.push(await hashOf(subtree))
  return createFrontier(size, hashes)
}

export function rootAt(database: Database, size: number): Promise<Buffer> {
  return rangeRoot({ start: 0, end: size }, storedSubtrees(database))
}

/** That entry `seq` is in the tree of the first `size`; both must be there. */
export function proveInclusion(database: Database, seq: number, size: number): Promise<Buffer[]> {
  return proofOf(inclusionRanges(seq - 1, size), storedSubtrees(database))
}

/** That the first `size` entries begin with the first `before`. */
export function proveConsistency(database: Database, before: number, size: number): Promise<Buffer[]> {
  return proofOf(consistencyRanges(before, size), storedSubtrees(database))
}

/**
 * Makes the tree of a log that has none yet, in steps that leave the event loop its turns, while nothing else is served. Every
 * entry is checked on the way, and nothing is stored unless the chain leads through `signed`; that it ends where it was signed
 * is for the log to see. A tree that is there already stays as it is.
 */
export async function plantTree(database: Database, signed: ChainPoint, clock: Pick<Clock, 'sleep'>): Promise<void> {
  const frontier = createFrontier()
  const nodes: Node[] = []
  let point = CHAIN_START
  for (;;) {
    const rows: AuditRow[] = await database.read(
      database.build
        .selectFrom('audit_entries')
        .selectAll()
        .where('seq', '>', point.seq)
        .orderBy('seq')
        .limit(PLANT_STEP_ENTRIES),
    )
    for (const row of rows) {
      const checked = checkRow(row, point)
      // The log says what is wrong with its end; a fault before that ends the planting, and the log finds no tree.
      if (!checked.ok) throw new AppError('integrity', `audit entry ${point.seq + 1}: ${checked.problem}`)
      point = checked.point
      if (point.seq === signed.seq && point.hash !== signed.hash) return
      nodes.push(...nodesOf(frontier.append(row.hash)))
    }
    if (rows.length < PLANT_STEP_ENTRIES) break
    await clock.sleep(0)
  }
  if (point.seq < signed.seq) return
  for (let at = 0; at < nodes.length; at += PLANT_STEP_NODES) {
    await database.writeBatch(insertNodes(database, nodes.slice(at, at + PLANT_STEP_NODES)))
    await clock.sleep(0)
  }
}

/** Hashes of one tile. */
export function readTile(database: Database, tile: Tile): Promise<Buffer[]> {
  return readHashes(database, tile.level, tile.index * TILE_WIDTH, tile.width)
}
