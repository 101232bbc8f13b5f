/** A card that was a unit's, flashed again where nothing of it can be discarded: no byte of the file is lost but by being written over. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { describeError } from '../../shared/errors.ts'
import {
  COPY_OFFSETS,
  changeBootState,
  encodeBootState,
  FIRST_STATE,
  nextSlot,
  readBootState,
} from '../unit/boot-state.ts'
import type { BlockMap } from './block-map.ts'
import { DATA_HEAD_BYTES, DISK_TAIL_BYTES, leftOf, putImage, SLOT_HEAD_BYTES } from './put-image.ts'

const BLOCK = 4_096
const MIB = 1024 * 1024
const PARTITIONS = [
  { name: 'CANDOR', start: MIB, end: 2 * MIB },
  { name: 'bootstate', start: 4 * MIB, end: 12 * MIB },
  { name: 'root-a', start: 12 * MIB, end: 16 * MIB },
  { name: 'root-b', start: 16 * MIB, end: 20 * MIB },
]
const [BOOT_STATE, SLOT_B, DATA] = [4 * MIB, 16 * MIB, 20 * MIB]
const IMAGE_BYTES = 21 * MIB
const CARD_BYTES = 60 * MIB
const OLD = 0xa5

function imageWith(bootState: Buffer): Buffer {
  const image = Buffer.alloc(IMAGE_BYTES)
  image.write('EFI PART', 512, 'latin1')
  for (const [index, { name, start, end }] of PARTITIONS.entries()) {
    const at = 1_024 + index * 128
    image.writeBigUInt64LE(BigInt(start / 512), at + 32)
    image.writeBigUInt64LE(BigInt(end / 512 - 1), at + 40)
    image.write(name, at + 56, 'utf16le')
  }
  bootState.copy(image, BOOT_STATE)
  image.fill('the new root', 12 * MIB, 12 * MIB + 3 * BLOCK)
  image.write('EFI PART', IMAGE_BYTES - 512, 'latin1')
  return image
}

/** As bmaptool makes it of an image whose zeros are holes, but for the partition table, which is written whole. */
function mapOf(image: Buffer): BlockMap {
  const ranges: BlockMap['ranges'] = []
  for (let start = 0; start < image.length; start += BLOCK) {
    const bytes = image.subarray(start, start + BLOCK)
    if (start > 4 * BLOCK && isZero(bytes)) continue
    ranges.push({ start, end: start + BLOCK, sha256: createHash('sha256').update(bytes).digest('hex') })
  }
  return { imageBytes: image.length, mappedBytes: ranges.length * BLOCK, ranges }
}

/** An update has made b the primary slot, number 6 in the second copy; the data are sealed, and a table at the end names them. */
function oldCard(): Buffer {
  const card = Buffer.alloc(CARD_BYTES, OLD)
  const state = { ...FIRST_STATE, primary: 'b', b: 'good', machineId: 'a'.repeat(32) } as const
  encodeBootState({ ...state, sequence: 5 }).copy(card, BOOT_STATE + COPY_OFFSETS[0])
  encodeBootState({ ...state, sequence: 6 }).copy(card, BOOT_STATE + COPY_OFFSETS[1])
  card.writeUInt16LE(0xef53, SLOT_B + 1_024 + 0x38)
  for (const [at, magic] of [
    [0, 'LUKS\xba\xbe'],
    [16_384, 'SKUL\xba\xbe'],
  ] as const)
    card.write(magic, DATA + at, 'latin1')
  card.write('EFI PART', CARD_BYTES - 512, 'latin1')
  return card
}

async function flashed(
  image: Buffer,
  card: Buffer,
  onAllWritten: (card: FileHandle) => Promise<unknown> = async () => {},
): Promise<{ card: Buffer; problem: string; bootState: string; done(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-flash-'))
  const path = join(folder, 'card')
  writeFileSync(path, card)
  const file = await open(path, 'r+')
  let problem = 'none'
  try {
    await putImage(pieces(image), mapOf(image), file, {
      diskBytes: card.length,
      onWritten() {},
      onRead() {},
      async onAllWritten() {
        await onAllWritten(file)
      },
    })
  } catch (thrown) {
    problem = describeError(thrown)
  }
  await file.close()
  const after = readFileSync(path)
  const bootState = join(folder, 'bootstate')
  writeFileSync(bootState, after.subarray(BOOT_STATE, BOOT_STATE + 8 * MIB))
  return { card: after, problem, bootState, done: () => rmSync(folder, { recursive: true }) }
}
async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000)
}
const isZero = (bytes: Buffer) => bytes.equals(Buffer.alloc(bytes.length))

/** As images were before they had the second copy. */
const FIRST_COPY_ALONE = encodeBootState(FIRST_STATE)

test('a card of a unit that had updates starts the image, with nothing of the old unit: no slot b, no id, no data', async () => {
  const image = imageWith(FIRST_COPY_ALONE)
  const { card, problem, bootState, done } = await flashed(image, oldCard())
  try {
    assert.is(problem, 'none')
    const { state } = readBootState(bootState)
    assert.equal(state, FIRST_STATE)
    assert.is(nextSlot(state), 'a')
    assert.ok(isZero(card.subarray(SLOT_B, SLOT_B + SLOT_HEAD_BYTES)))
    const imageEnd = IMAGE_BYTES - BLOCK
    assert.ok(isZero(card.subarray(DATA, imageEnd)))
    assert.ok(card.subarray(imageEnd, IMAGE_BYTES).equals(image.subarray(imageEnd)), 'what the image has there stays')
    assert.ok(isZero(card.subarray(IMAGE_BYTES, DATA + DATA_HEAD_BYTES)))
    assert.ok(isZero(card.subarray(CARD_BYTES - DISK_TAIL_BYTES)), 'no copy of the old table')
    for (const at of [15 * MIB, SLOT_B + SLOT_HEAD_BYTES, DATA + DATA_HEAD_BYTES]) assert.is(card[at], OLD, `${at}`)
    // The next change is the newest one, whatever copy it goes over.
    assert.is(changeBootState(bootState, () => ({ b: 3 })).sequence, FIRST_STATE.sequence + 1)
    assert.is(readBootState(bootState).state.b, 3)
  } finally {
    done()
  }
})

test('the file of the partition brings both copies: what is mapped of it is enough against an older state', () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-flash-'))
  try {
    const file = join(folder, 'bootstate.bin')
    const program = fileURLToPath(new URL('../unit-image/boot-state-file.ts', import.meta.url))
    execFileSync(process.execPath, ['--import', 'tsx', program, file])
    const fresh = readFileSync(file)
    const old = oldCard().subarray(BOOT_STATE, BOOT_STATE + 8 * MIB)
    for (const { start, end } of mapOf(fresh).ranges) fresh.copy(old, start, start, end)
    writeFileSync(file, old)
    assert.equal(readBootState(file), { state: FIRST_STATE, copy: 0 })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a card that gives back what it held is found, be it in the state, in the other slot or in the data', async () => {
  const image = imageWith(FIRST_COPY_ALONE)
  for (const at of [BOOT_STATE + COPY_OFFSETS[1], SLOT_B + 1_080, DATA, CARD_BYTES - 512]) {
    const { problem, done } = await flashed(image, oldCard(), (card) => card.write(Buffer.from([1]), 0, 1, at))
    done()
    assert.match(problem, /^the card still holds what it held/, `${at}`)
  }
})

test('a file that ends with the image is cleared to its end and not made longer; an image without the partitions is refused', async () => {
  const image = imageWith(FIRST_COPY_ALONE)
  const { card, problem, done } = await flashed(image, oldCard().subarray(0, IMAGE_BYTES))
  done()
  assert.equal([problem, card.length], ['none', IMAGE_BYTES])
  assert.ok(isZero(card.subarray(DATA, IMAGE_BYTES - BLOCK)))
  assert.throws(() => leftOf(PARTITIONS.slice(2), mapOf(image), CARD_BYTES), /no partition bootstate/)
})

test.run()
