import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { toAppError } from '../../shared/errors.ts'
import { type BlockMap, MAX_BLOCK_MAP_BYTES, parseBlockMap } from './block-map.ts'
import { partitionOffset } from './partitions.ts'
import { checkSum, readSignedSums } from './release.ts'
import { checkDisk, checkTarget, dataBytesNeeded, type System } from './target.ts'
import { readBack, writeMapped } from './write.ts'

const BLOCK = 4_096
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const IMAGE = Buffer.alloc(10 * BLOCK, 'an image of a unit ')
IMAGE.fill(0, 2 * BLOCK, 5 * BLOCK)

const range = (first: number, last: number) =>
  `<Range chksum="${sha256(IMAGE.subarray(first * BLOCK, (last + 1) * BLOCK))}"> ${first === last ? first : `${first}-${last}`} </Range>`
const mapText = (ranges = [range(0, 1), range(5, 5), range(7, 9)], sum = 'sha256') =>
  `<?xml version="1.0" ?><bmap version="2.0"><ImageSize> ${IMAGE.length} </ImageSize><BlockSize> ${BLOCK} </BlockSize>
   <ChecksumType> ${sum} </ChecksumType><BlockMap>${ranges.join('\n')}</BlockMap></bmap>`

async function problem(work: () => unknown): Promise<string> {
  try {
    await work()
  } catch (thrown) {
    const error = toAppError(thrown)
    return `${error.code}: ${error.message}`
  }
  return 'none'
}
async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-flash-'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
/** In pieces that end nowhere in particular. */
async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

test('a map is read: single blocks and ranges, in bytes', () => {
  const map = parseBlockMap(mapText())
  assert.is(map.imageBytes, 10 * BLOCK)
  assert.is(map.mappedBytes, 6 * BLOCK)
  assert.equal(
    map.ranges.map(({ start, end }) => [start / BLOCK, end / BLOCK]),
    [
      [0, 2],
      [5, 6],
      [7, 10],
    ],
  )
})

test('a map with another sum, no ranges, ranges out of order, one that is not understood, or too large is refused', async () => {
  assert.match(await problem(() => parseBlockMap(mapText(undefined, 'md5'))), /SHA-256/)
  assert.match(await problem(() => parseBlockMap(mapText([]))), /no ranges/)
  assert.match(await problem(() => parseBlockMap(mapText([range(5, 5), range(0, 1)]))), /order/)
  assert.match(await problem(() => parseBlockMap(mapText([range(0, 1), '<Range>3</Range>']))), /not understood/)
  assert.match(await problem(() => parseBlockMap('')), /ImageSize|sums/)
  assert.is(await problem(() => parseBlockMap(mapText().padEnd(MAX_BLOCK_MAP_BYTES))), 'none')
  assert.match(await problem(() => parseBlockMap(mapText().padEnd(MAX_BLOCK_MAP_BYTES + 1))), /larger/)
})

test('what the map names is written and read back, and nothing else is touched', () =>
  inFolder(async (folder) => {
    for (const size of [1_000, BLOCK, 100_000]) {
      const path = join(folder, 'card')
      writeFileSync(path, Buffer.alloc(12 * BLOCK, 0x55))
      const card = await open(path, 'r+')
      const map = parseBlockMap(mapText())
      let told = 0
      await writeMapped(pieces(IMAGE, size), map, card, (bytes) => {
        told = bytes
      })
      assert.is(told, map.mappedBytes)
      await readBack(card, map, () => {})
      await card.close()
      const written = readFileSync(path)
      assert.ok(written.subarray(0, 2 * BLOCK).equals(IMAGE.subarray(0, 2 * BLOCK)))
      assert.ok(written.subarray(7 * BLOCK, 10 * BLOCK).equals(IMAGE.subarray(7 * BLOCK)))
      for (const block of [3, 6, 11]) assert.is(written[block * BLOCK], 0x55)
    }
  }))

test('an image with a changed byte, one that is too short, and a card that gives back something else are found', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'card')
    writeFileSync(path, Buffer.alloc(10 * BLOCK))
    const card = await open(path, 'r+')
    const map: BlockMap = parseBlockMap(mapText())
    const changed = Buffer.from(IMAGE)
    changed[8 * BLOCK] = 0
    const quiet = () => {}
    assert.match(
      await problem(() => writeMapped(pieces(changed, BLOCK), map, card, quiet)),
      /^integrity: the image is damaged/,
    )
    assert.match(
      await problem(() => writeMapped(pieces(IMAGE.subarray(0, 9 * BLOCK), BLOCK), map, card, quiet)),
      /^integrity/,
    )
    await writeMapped(pieces(IMAGE, BLOCK), map, card, quiet)
    await card.write(Buffer.from([1]), 0, 1, 5 * BLOCK + 7)
    assert.match(await problem(() => readBack(card, map, quiet)), /^integrity: the card does not hold/)
    await card.close()
  }))

test('only the release key’s signature counts, and only for the files that it names', () =>
  inFolder(async (folder) => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const image = join(folder, 'unit.img.zst')
    const key = join(folder, 'key.pem')
    writeFileSync(image, 'the image')
    writeFileSync(key, publicKey.export({ type: 'spki', format: 'pem' }))
    const sums = `${sha256(Buffer.from('the image'))}  unit.img.zst\n`
    writeFileSync(join(folder, 'SHA256SUMS'), sums)
    writeFileSync(join(folder, 'SHA256SUMS.sig'), sign(null, Buffer.from(sums), privateKey))
    await checkSum(image, readSignedSums(image, key), () => {})
    assert.match(await problem(() => checkSum(key, readSignedSums(image, key), () => {})), /not among/)
    writeFileSync(image, 'the imagE')
    assert.match(
      await problem(() => checkSum(image, readSignedSums(image, key), () => {})),
      /^integrity: unit.img.zst is not/,
    )
    writeFileSync(join(folder, 'SHA256SUMS'), sums.replace('unit', 'Unit'))
    assert.match(await problem(() => readSignedSums(image, key)), /^integrity: the signature/)
    writeFileSync(join(folder, 'SHA256SUMS'), sums)
    writeFileSync(key, generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }))
    assert.match(await problem(() => readSignedSums(image, key)), /^integrity: the signature/)
    writeFileSync(key, 'no key')
    assert.match(await problem(() => readSignedSums(image, key)), /no public key/)
    rmSync(join(folder, 'SHA256SUMS.sig'))
    assert.match(await problem(() => readSignedSums(image, key)), /^bad_input.*cannot be read/)
  }))

const system = (more: Partial<System> = {}): System => ({
  mounts: '/dev/nvme0n1p2 / ext4 rw 0 0\n/dev/mapper/home /home ext4 rw 0 0',
  swaps: 'Filename Type Size\n/dev/nvme1n1 partition 1',
  onDisk: (disk) =>
    ({
      nvme0n1: ['nvme0n1', 'nvme0n1p1', 'nvme0n1p2'],
      nvme1n1: ['nvme1n1'],
      sda: ['sda', 'sda1', 'dm-0', 'mapper/home'],
      sdb: ['sdb', 'sdb1'],
    })[disk] ?? [disk],
  disk: (name) =>
    /\d$/.test(name) && !name.startsWith('nvme') ? null : { bytes: 1_000, isReadOnly: false, model: 'Card Reader' },
  ...more,
})

test('the disk that the machine runs from, one with something mounted or swapped on it, also beneath encryption, is refused', async () => {
  assert.match(
    await problem(() => checkDisk('/dev/nvme0n1', { imageBytes: 10, dataBytes: 0 }, system())),
    /^forbidden.*nvme0n1p2/,
  )
  assert.match(
    await problem(() => checkDisk('/dev/nvme1n1', { imageBytes: 10, dataBytes: 0 }, system())),
    /^forbidden.*nvme1n1/,
  )
  assert.match(
    await problem(() => checkDisk('/dev/sda', { imageBytes: 10, dataBytes: 0 }, system())),
    /^forbidden.*mapper\/home/,
  )
  assert.is(checkDisk('/dev/sdb', { imageBytes: 10, dataBytes: 0 }, system()).isDevice, true)
  const mounted = system({ mounts: '/dev/sdb1 /media/CANDOR vfat rw 0 0' })
  assert.match(
    await problem(() => checkDisk('/dev/sdb', { imageBytes: 10, dataBytes: 0 }, mounted)),
    /^forbidden.*sdb1/,
  )
})

test('a partition, a write-protected card and one that is a byte too small are refused', async () => {
  assert.match(await problem(() => checkDisk('/dev/sdb1', { imageBytes: 10, dataBytes: 0 }, system())), /no whole disk/)
  const locked = system({ disk: () => ({ bytes: 1_000, isReadOnly: true, model: '' }) })
  assert.match(await problem(() => checkDisk('/dev/sdb', { imageBytes: 10, dataBytes: 0 }, locked)), /write-protected/)
  assert.is(checkDisk('/dev/sdb', { imageBytes: 1_000, dataBytes: 0 }, system()).bytes, 1_000)
  assert.match(await problem(() => checkDisk('/dev/sdb', { imageBytes: 1_001, dataBytes: 0 }, system())), /^too_large/)
})

test('a card whose data partition is a byte too small for an update beside a full outbox is refused, with the size that would do', async () => {
  const need = { imageBytes: 3.5e9, dataBytes: dataBytesNeeded({ bundleBytes: 400e6, outboxBytes: 1024 ** 3 }) }
  assert.is(need.dataBytes, 1024 ** 3 + 800e6 + 256 * 1024 ** 2)
  const card = (bytes: number) => system({ disk: () => ({ bytes, isReadOnly: false, model: '' }) })
  const least = need.imageBytes + need.dataBytes
  assert.is(checkDisk('/dev/sdb', need, card(least)).bytes, least)
  assert.match(await problem(() => checkDisk('/dev/sdb', need, card(least - 1))), /^too_large.*no update/)
  assert.match(await problem(() => checkDisk('/dev/sdb', need, card(4e9))), /has 4.0 GB, of which 0.5 would be left/)
})

test('a file is a target, a folder and a character device are none', async () => {
  assert.is(checkTarget('/nowhere-at-all', { imageBytes: 10, dataBytes: 0 }, system()).isDevice, false)
  assert.match(await problem(() => checkTarget('/tmp', { imageBytes: 10, dataBytes: 0 }, system())), /neither/)
  assert.match(await problem(() => checkTarget('/dev/null', { imageBytes: 10, dataBytes: 0 }, system())), /neither/)
})

test('the FAT partition is found by its name', () =>
  inFolder(async (folder) => {
    const disk = Buffer.alloc(512 * 40)
    disk.write('EFI PART', 512, 'latin1')
    disk.writeBigUInt64LE(8_192n, 1_024 + 128 + 32)
    disk.write('CANDOR', 1_024 + 128 + 56, 'utf16le')
    writeFileSync(join(folder, 'disk'), disk)
    const file = await open(join(folder, 'disk'), 'r')
    assert.is(await partitionOffset(file, 'CANDOR'), 8_192 * 512)
    assert.match(await problem(() => partitionOffset(file, 'CANDO')), /no partition CANDO/)
    await file.close()
  }))

test.run()
