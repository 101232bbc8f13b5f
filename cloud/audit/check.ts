/**
 * What every verifier does with the entries of a log, whatever they come from: a database, an exported copy or published tiles.
 * It follows the chain, grows the tree, compares both with what was signed then and now, and names the first entry that is wrong.
 * Pure; part of the stand-alone verifier.
 */
import { type AppError, describeError, type ErrorCode } from '../../shared/errors.ts'
import { type AuditRow, CHAIN_START, type ChainPoint, checkRow } from './entry.ts'
import { type Node, nodesOf } from './tiles.ts'
import { createFrontier, HASH_BYTES } from './tree.ts'

/** Entries whose bytes went by policy; their hashes stay. */
export interface PurgedRange {
  from: number
  through: number
}

export interface Whole {
  ok: true
  entries: number
  /** Of the last entry, hex. */
  headHash: string
  /** Of the tree, base64. */
  root: string
  agency: string
  note: string | null
  purged: PurgedRange[]
  /** Sizes of the earlier checkpoints that it continues. */
  continues: number[]
  /** Names of the witnesses whose cosignatures were asked for and found. */
  witnesses: string[]
}

export interface Broken {
  ok: false
  entries: number
  /** Number of the first entry that is wrong or missing; null when no single entry is to blame. */
  firstBad: number | null
  problem: string
  /** True: the copy could not be looked at, which says nothing of the audit. */
  isUnseen?: boolean
}

export type Verdict = Whole | Broken

/** Errors that say nothing of the audit: it was not seen. */
const UNSEEN: readonly ErrorCode[] = ['unavailable', 'not_found', 'configuration']

/** The verdict where looking failed. `entries`: seen until then. */
export function brokenBy(error: AppError, entries: number): Broken {
  return { ok: false, entries, firstBad: null, problem: describeError(error), isUnseen: UNSEEN.includes(error.code) }
}

/** What was known of the log before: a checkpoint, and the hashes of its entries where a whole copy was kept. */
export interface Earlier {
  readonly size: number
  readonly root: Buffer
  /** Of entry 1 and up, `size` of them; null: only the checkpoint was kept. */
  readonly leaves: readonly Buffer[] | null
  /** How to call it. */
  readonly name: string
}

/** Operation of the entry that says which entries' bytes went. */
export const PURGE_OPERATION = 'audit.purged'

export interface Walk {
  /** The last entry that was right. */
  readonly point: ChainPoint
  readonly agency: string | null
  /** Hash of the tree of everything up to `point`. */
  root(): Buffer
  /** Checks one entry; empty `bytes`: they are gone. Returns what is wrong with it. */
  take(row: AuditRow, onNode?: (node: Node) => string | null): Problem | null
  /** The same for a log of which only the hashes are known: nothing but the tree is checked. */
  takeHash(hash: Buffer, onNode?: (node: Node) => string | null): Problem | null
  /** After the last entry: what can be told only then. */
  end(): Problem | { purged: PurgedRange[]; continues: number[] }
}

export interface Problem {
  problem: string
  firstBad: number | null
}

export function isProblem(result: object): result is Problem {
  return 'problem' in result
}

export function createWalk(earlier: readonly Earlier[] = []): Walk {
  const tree = createFrontier()
  const known = [...earlier].sort((a, b) => a.size - b.size)
  const purged: PurgedRange[] = []
  const receipts: PurgedRange[] = []
  let met = 0
  let point = CHAIN_START
  let agency: string | null = null

  const at = (problem: string): Problem => ({ problem: `entry ${point.seq + 1}: ${problem}`, firstBad: point.seq + 1 })

  function grow(hash: Buffer, onNode?: (node: Node) => string | null): Problem | null {
    const seq = tree.size + 1
    for (const { leaves, size, name } of known) {
      const before = seq <= size ? leaves?.[seq - 1] : undefined
      if (before !== undefined && !before.equals(hash)) return at(`it is another one than in ${name}`)
    }
    for (const node of nodesOf(tree.append(hash))) {
      const problem = onNode?.(node) ?? null
      if (problem !== null) return { problem, firstBad: null }
    }
    return null
  }

  /** The tree as it is now against every checkpoint of its size. */
  function meet(): Problem | null {
    for (; met < known.length && (known[met]?.size ?? 0) <= tree.size; met++) {
      const { size, root, name } = known[met] as Earlier
      if (size === tree.size && root.equals(tree.root())) continue
      // The checkpoints before this one were met, so what differs lies behind them.
      const after = known[met - 1]?.size ?? 0
      const where = size - after <= 1 ? `entry ${size}` : `one of the entries ${after + 1} to ${size}`
      const problem = `history was rewritten: it is not the one of ${name}, and the first entry that differs is ${where}`
      return { problem, firstBad: size - after === 1 ? size : null }
    }
    return null
  }

  return {
    get point() {
      return point
    },
    get agency() {
      return agency
    },
    root: () => tree.root(),
    take(row, onNode) {
      const early = tree.size === 0 ? meet() : null
      if (early !== null) return early
      let next: ChainPoint
      if (Buffer.isBuffer(row.bytes) && row.bytes.length === 0) {
        if (row.seq !== point.seq + 1) return at('it is missing')
        if (!Buffer.isBuffer(row.hash) || row.hash.length !== HASH_BYTES) return at('its hash is none')
        next = { seq: row.seq, hash: row.hash.toString('hex') }
        const last = purged.at(-1)
        if (last?.through === point.seq) last.through = next.seq
        else purged.push({ from: next.seq, through: next.seq })
      } else {
        const checked = checkRow(row, point)
        if (!checked.ok) return at(checked.problem)
        next = checked.point
        const { entry } = checked
        if (agency !== null && agency !== entry.agency) return at(`it is of agency ${entry.agency}, not ${agency}`)
        agency = entry.agency
        const { from, through } = entry.detail
        if (entry.operation === PURGE_OPERATION && entry.outcome === 'allowed' && entry.actor.account === null)
          if (typeof from === 'number' && typeof through === 'number') receipts.push({ from, through })
      }
      const problem = grow(row.hash, onNode)
      if (problem !== null) return problem
      point = next
      return meet()
    },
    takeHash(hash, onNode) {
      const problem = (tree.size === 0 ? meet() : null) ?? grow(hash, onNode)
      if (problem !== null) return problem
      point = { seq: tree.size, hash: hash.toString('hex') }
      return meet()
    },
    end() {
      const rewritten = meet()
      if (rewritten !== null) return rewritten
      const cut = known[met]
      if (cut !== undefined) {
        const problem = `the tail is cut off: ${cut.name} knows ${cut.size} entries, ${tree.size} are there`
        return { problem, firstBad: tree.size + 1 }
      }
      for (const { from, through } of purged) {
        let explained = from - 1
        for (const receipt of receipts)
          if (receipt.from <= explained + 1) explained = Math.max(explained, receipt.through)
        if (explained < through)
          return { problem: `entry ${explained + 1} is gone and no purge says so`, firstBad: explained + 1 }
      }
      return { purged, continues: known.map(({ size }) => size) }
    },
  }
}
