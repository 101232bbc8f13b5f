/**
 * The Merkle tree over the audit's entries [RFC 6962, 2.1]: roots, inclusion and consistency proofs, and the frontier by which
 * it grows without a look at what lies before. Pure; used by the log, the verifiers, the publisher and the witness, and part
 * of the stand-alone verifier. An entry's index in the tree is its number less one.
 */
import { createHash } from 'node:crypto'

/** Bytes of each hash (SHA-256). */
export const HASH_BYTES = 32
/** Hashes of a proof at most: two for each level of a tree of 2^53 entries. */
export const MAX_PROOF_HASHES = 64

const LEAF_PREFIX = Buffer.from([0])
const NODE_PREFIX = Buffer.from([1])

export const EMPTY_ROOT = createHash('sha256').digest()

/** SHA-256(0x00 || entry). */
export function leafHash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(LEAF_PREFIX).update(bytes).digest()
}

/** SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256').update(NODE_PREFIX).update(left).update(right).digest()
}

/** A perfect subtree: its leaves are [index · 2^height, (index + 1) · 2^height). */
export interface Subtree {
  readonly height: number
  readonly index: number
}

/** Leaves [start, end). */
export interface LeafRange {
  readonly start: number
  readonly end: number
}

/** Hash of a perfect subtree that is wholly in the tree. */
export type SubtreeHash = (subtree: Subtree) => Promise<Buffer>

/** The perfect subtrees, largest first, that make up a range as RFC 6962 cuts it: its start is a multiple of the first one's size. */
export function subtreesOf({ start, end }: LeafRange): Subtree[] {
  const found: Subtree[] = []
  for (let at = start; at < end; ) {
    let height = 0
    while (2 ** (height + 1) <= end - at) height += 1
    found.push({ height, index: at / 2 ** height })
    at += 2 ** height
  }
  return found
}

/** The right ones are joined first: the last subtree is the deepest. */
export function foldSubtrees(hashes: readonly Buffer[]): Buffer {
  let folded: Buffer | null = null
  for (let i = hashes.length - 1; i >= 0; i--) {
    const hash = hashes[i] as Buffer
    folded = folded === null ? hash : nodeHash(hash, folded)
  }
  return folded ?? EMPTY_ROOT
}

/** MTH(D[start:end]) of hashes that lie in memory. */
export function rootOf(hashes: readonly Buffer[]): Buffer {
  const frontier = createFrontier()
  for (const hash of hashes) frontier.append(hash)
  return frontier.root()
}

export async function rangeRoot(range: LeafRange, hashOf: SubtreeHash): Promise<Buffer> {
  const hashes: Buffer[] = []
  for (const subtree of subtreesOf(range)) hashes.push(await hashOf(subtree))
  return foldSubtrees(hashes)
}

/** The tree's right edge: the hashes of the perfect subtrees that it consists of, at most one a height. */
export interface Frontier {
  readonly size: number
  /** Takes one more leaf; returns the perfect subtrees that it completes, smallest first, the leaf itself not among them. */
  append(leaf: Buffer): (Subtree & { hash: Buffer })[]
  root(): Buffer
  copy(): Frontier
}

/** `hashes`: those of `subtreesOf({start: 0, end: size})`. */
export function createFrontier(size = 0, hashes: readonly Buffer[] = []): Frontier {
  const edge = [...hashes]
  let leaves = size
  return {
    get size() {
      return leaves
    },
    append(leaf) {
      const completed: (Subtree & { hash: Buffer })[] = []
      let hash = leaf
      for (let index = leaves, height = 1; index % 2 === 1; height++) {
        hash = nodeHash(edge.pop() as Buffer, hash)
        index = (index - 1) / 2
        completed.push({ height, index, hash })
      }
      edge.push(hash)
      leaves += 1
      return completed
    },
    root: () => foldSubtrees(edge),
    copy: () => createFrontier(leaves, edge),
  }
}

/** Largest power of two smaller than `count` (at least 2). */
function split(count: number): number {
  let half = 1
  while (half * 2 < count) half *= 2
  return half
}

/** What the inclusion proof of leaf `index` in a tree of `size` consists of, from the leaf up [RFC 6962, 2.1.1: PATH]. */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  const ranges: LeafRange[] = []
  let start = 0
  let end = size
  while (end - start > 1) {
    const middle = start + split(end - start)
    if (index < middle) {
      ranges.push({ start: middle, end })
      end = middle
    } else {
      ranges.push({ start, end: middle })
      start = middle
    }
  }
  return ranges.reverse()
}

/** What the proof that a tree of `size` continues one of `before` consists of [RFC 6962, 2.1.2: PROOF]; nothing for 0 and the same size. */
export function consistencyRanges(before: number, size: number): LeafRange[] {
  if (before === 0 || before === size) return []
  const ranges: LeafRange[] = []
  let start = 0
  let end = size
  while (before !== end) {
    const middle = start + split(end - start)
    if (before <= middle) {
      ranges.push({ start: middle, end })
      end = middle
    } else {
      ranges.push({ start, end: middle })
      start = middle
    }
  }
  // The old tree itself is known to whoever asks.
  if (start > 0) ranges.push({ start, end })
  return ranges.reverse()
}

export async function proofOf(ranges: readonly LeafRange[], hashOf: SubtreeHash): Promise<Buffer[]> {
  const proof: Buffer[] = []
  for (const range of ranges) proof.push(await rangeRoot(range, hashOf))
  return proof
}

/** The root that a proof leads to from a leaf's hash, or null when the proof is not as long as it must be. */
export function rootFromInclusion(index: number, size: number, leaf: Buffer, proof: readonly Buffer[]): Buffer | null {
  if (!isPlace(index, size)) return null
  const ranges = inclusionRanges(index, size)
  if (ranges.length !== proof.length) return null
  let hash = leaf
  for (const [i, { start }] of ranges.entries()) {
    const other = proof[i] as Buffer
    hash = start > index ? nodeHash(hash, other) : nodeHash(other, hash)
  }
  return hash
}

/** Whether `proof` shows that the tree of `size` with `root` begins with the tree of `before` with `rootBefore`. */
export function isConsistent(
  before: { size: number; root: Buffer },
  after: { size: number; root: Buffer },
  proof: readonly Buffer[],
): boolean {
  if (!Number.isSafeInteger(before.size) || !Number.isSafeInteger(after.size)) return false
  if (before.size < 0 || before.size > after.size) return false
  if (before.size === 0) return proof.length === 0 && before.root.equals(EMPTY_ROOT)
  if (before.size === after.size) return proof.length === 0 && before.root.equals(after.root)
  const ranges = consistencyRanges(before.size, after.size)
  if (ranges.length !== proof.length) return false
  const hashes = [...proof]
  // A tree of a power of two is a whole subtree of the later one, which the proof leaves out.
  const first = ranges[0]
  const seed = first !== undefined && first.end === before.size ? (hashes.shift() as Buffer) : before.root
  const rest = ranges.slice(ranges.length - hashes.length)
  let old = seed
  let now = seed
  for (const [i, { start }] of rest.entries()) {
    const other = hashes[i] as Buffer
    if (start >= before.size) now = nodeHash(now, other)
    else {
      old = nodeHash(other, old)
      now = nodeHash(other, now)
    }
  }
  return old.equals(before.root) && now.equals(after.root)
}

function isPlace(index: number, size: number): boolean {
  return Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size
}
