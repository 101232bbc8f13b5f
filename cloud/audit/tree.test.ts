import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from './testing.ts'
import {
  consistencyRanges,
  createFrontier,
  EMPTY_ROOT,
  inclusionRanges,
  isConsistent,
  leafHash,
  nodeHash,
  proofOf,
  rangeRoot,
  rootFromInclusion,
  rootOf,
  type SubtreeHash,
} from './tree.ts'

/** The vectors of Certificate Transparency's own tests (RFC 6962), which every implementation is checked with. */
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
const INCLUSION: readonly [number, number, readonly string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
]
const CONSISTENCY: readonly [number, number, readonly string[]][] = [
  [1, 1, []],
  [
    1,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    6,
    8,
    [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [
    2,
    5,
    [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
]

const leaves = LEAVES.map((hex) => leafHash(Buffer.from(hex, 'hex')))
const hex = (hashes: readonly Buffer[]) => hashes.map((hash) => hash.toString('hex'))

/** MTH as RFC 6962, 2.1 defines it, word by word: what everything quicker is compared with. */
function defined(hashes: readonly Buffer[]): Buffer {
  if (hashes.length === 0) return EMPTY_ROOT
  if (hashes.length === 1) return hashes[0] as Buffer
  let half = 1
  while (half * 2 < hashes.length) half *= 2
  return nodeHash(defined(hashes.slice(0, half)), defined(hashes.slice(half)))
}

const from =
  (hashes: readonly Buffer[]): SubtreeHash =>
  async ({ height, index }) =>
    defined(hashes.slice(index * 2 ** height, (index + 1) * 2 ** height))

const numbered = (count: number) => Array.from({ length: count }, (_, i) => leafHash(Buffer.from(String(i))))

test('roots and proofs are those of the published vectors', async () => {
  for (const [size, root] of ROOTS.entries()) {
    assert.is(rootOf(leaves.slice(0, size)).toString('hex'), root)
  }
  for (const [index, size, proof] of INCLUSION) {
    assert.equal(hex(await proofOf(inclusionRanges(index, size), from(leaves))), proof)
  }
  for (const [before, size, proof] of CONSISTENCY) {
    assert.equal(hex(await proofOf(consistencyRanges(before, size), from(leaves))), proof)
    const tree = (count: number) => ({ size: count, root: Buffer.from(ROOTS[count] ?? '', 'hex') })
    const hashes = proof.map((one) => Buffer.from(one, 'hex'))
    assert.ok(isConsistent(tree(before), tree(size), hashes))
  }
})

test('the frontier has the defined root at each size from 0 to 300, whichever way it was come by', async () => {
  const hashes = numbered(300)
  const frontier = createFrontier()
  for (let size = 0; size <= hashes.length; size++) {
    const root = defined(hashes.slice(0, size))
    assert.ok(frontier.root().equals(root), String(size))
    assert.ok((await rangeRoot({ start: 0, end: size }, from(hashes))).equals(root), String(size))
    const next = hashes[size]
    if (next === undefined) break
    const copy = frontier.copy()
    for (const { height, index, hash } of frontier.append(next)) {
      assert.ok(hash.equals(await from(hashes)({ height, index })), `${size}: ${height}/${index}`)
    }
    assert.is(copy.size, size)
    assert.ok(copy.root().equals(root), 'a copy does not grow with it')
  }
})

test('random larger trees: the frontier has the defined root, and their proofs hold', async () => {
  const { seed, below } = seededRandom(process.env.CANDOR_SEED)
  const hashes = numbered(6_000)
  for (let trial = 0; trial < 12; trial++) {
    const size = 301 + below(hashes.length - 301)
    const root = defined(hashes.slice(0, size))
    assert.ok(rootOf(hashes.slice(0, size)).equals(root), `seed ${seed}`)
    const index = below(size)
    const path = await proofOf(inclusionRanges(index, size), from(hashes))
    assert.ok(rootFromInclusion(index, size, hashes[index] as Buffer, path)?.equals(root), `seed ${seed}`)
    const before = below(size + 1)
    const proof = await proofOf(consistencyRanges(before, size), from(hashes))
    const old = { size: before, root: defined(hashes.slice(0, before)) }
    assert.ok(isConsistent(old, { size, root }, proof), `seed ${seed}: ${before} ${size}`)
  }
})

test('every inclusion proof up to 40 entries holds for its own leaf and place and for no other', async () => {
  const hashes = numbered(41)
  for (let size = 1; size <= 40; size++) {
    const root = defined(hashes.slice(0, size))
    for (let index = 0; index < size; index++) {
      const leaf = hashes[index] as Buffer
      const proof = await proofOf(inclusionRanges(index, size), from(hashes))
      const leads = (at: number, of: number, start: Buffer, path: readonly Buffer[]) =>
        rootFromInclusion(at, of, start, path)?.equals(root) === true
      assert.ok(leads(index, size, leaf, proof))
      assert.not(leads(index, size, hashes[40] as Buffer, proof))
      assert.not(leads(index, size, leaf, [...proof, leaf]))
      if (size > 1) assert.not(leads((index + 1) % size, size, leaf, proof))
      if (size > 1) assert.not(leads(index, size, leaf, proof.slice(1)))
      for (const wrong of [-1, size, 0.5, Number.NaN]) assert.not(leads(wrong, size, leaf, proof))
    }
  }
})

test('every consistency proof up to 40 entries holds for its own two trees and for no others', async () => {
  const hashes = numbered(40)
  const tree = (size: number) => ({ size, root: defined(hashes.slice(0, size)) })
  const other = defined(numbered(50))
  for (let size = 0; size <= 40; size++) {
    for (let before = 0; before <= size; before++) {
      const proof = await proofOf(consistencyRanges(before, size), from(hashes))
      const context = `${before} of ${size}`
      assert.ok(isConsistent(tree(before), tree(size), proof), context)
      assert.not(isConsistent({ size: before, root: other }, tree(size), proof), context)
      // Every tree continues the empty one.
      if (before > 0) assert.not(isConsistent(tree(before), { size, root: other }, proof), context)
      assert.not(isConsistent(tree(before), tree(size), [...proof, other]), context)
      if (proof.length > 0) assert.not(isConsistent(tree(before), tree(size), proof.slice(1)), context)
      if (before < size) assert.not(isConsistent(tree(size), tree(before), proof), context)
      for (let i = 0; i < proof.length; i++) {
        const bent = proof.map((hash, at) => (at === i ? other : hash))
        assert.not(isConsistent(tree(before), tree(size), bent), context)
      }
    }
  }
})

test.run()
