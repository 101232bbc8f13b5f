/** May this device or file be written over? Used by flash.ts, before anything is asked or written. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { DISK_RESERVE_BYTES } from '../../edge/roll-out/fetch.ts'
import { AppError, systemCode } from '../../shared/errors.ts'

export interface Target {
  path: string
  isDevice: boolean
  /** What it holds; of a file, what it has now. */
  bytes: number
  /** For people. */
  description: string
}

/** Read from the system; tests give their own. */
export interface System {
  /** Lines of /proc/self/mounts and /proc/swaps. */
  mounts: string
  swaps: string
  /** Names of the block devices that lie on `disk`, itself included: its partitions, and what is made of those. */
  onDisk(disk: string): string[]
  /** `null`: not a whole disk. */
  disk(name: string): { bytes: number; isReadOnly: boolean; model: string } | null
}

const read = (path: string) => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
const list = (path: string) => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** What of the kernel's names lies on a disk: partitions, and LUKS, LVM or RAID made of them. */
function namesOn(disk: string): string[] {
  const holders = (path: string): string[] =>
    list(`${path}/holders`).flatMap((name) => [name, ...holders(`/sys/block/${name}`)])
  const folder = `/sys/block/${disk}`
  const partitions = list(folder).filter((name) => name.startsWith(disk))
  const all = [disk, ...partitions, ...holders(folder), ...partitions.flatMap((name) => holders(`${folder}/${name}`))]
  const mapped = all.map((name) => read(`/sys/block/${name}/dm/name`)).filter((name) => name !== '')
  return [...all, ...mapped.map((name) => `mapper/${name}`)]
}

export const runningSystem = (): System => ({
  mounts: read('/proc/self/mounts'),
  swaps: read('/proc/swaps'),
  onDisk: namesOn,
  disk(name) {
    const size = read(`/sys/block/${name}/size`)
    if (size === '') return null
    const model = [
      read(`/sys/block/${name}/device/vendor`),
      read(`/sys/block/${name}/device/model`),
      read(`/sys/block/${name}/device/name`),
    ]
    return {
      bytes: Number(size) * 512,
      isReadOnly: read(`/sys/block/${name}/ro`) === '1',
      model: model.filter(Boolean).join(' '),
    }
  },
})

/** Bytes. */
export interface Need {
  imageBytes: number
  /** Of the data partition, which is what the card has behind the image. */
  dataBytes: number
}

/**
 * Of a data partition that takes updates also while the outbox is full, bytes: an update lies there twice, as it was fetched and as root installs
 * it (../unit/update-request.ts), and the reserve is left free.
 */
export const dataBytesNeeded = ({ bundleBytes, outboxBytes }: { bundleBytes: number; outboxBytes: number }): number =>
  outboxBytes + 2 * bundleBytes + DISK_RESERVE_BYTES

/** Throws `bad_input`, `forbidden` or `too_large`, and says what to do. */
export function checkTarget(path: string, need: Need, system: System): Target {
  const found = stat(path)
  if (found === null || found.isFile())
    return { path, isDevice: false, bytes: found?.size ?? 0, description: found === null ? 'a new file' : 'a file' }
  if (!found.isBlockDevice()) throw new AppError('bad_input', `${path} is neither a disk nor a file`)
  return checkDisk(path, need, system)
}

export function checkDisk(path: string, { imageBytes, dataBytes }: Need, system: System): Target {
  const name = basename(path)
  const disk = system.disk(name)
  if (disk === null)
    throw new AppError('bad_input', `${path} is no whole disk`, {
      hint: 'name the card itself, /dev/sdX or /dev/mmcblk0, and no partition of it',
    })
  const inUse = new Set(
    [system.mounts, system.swaps].flatMap((text) => text.split('\n').map((line) => line.split(/\s+/)[0] ?? '')),
  )
  const used = system.onDisk(name).filter((one) => inUse.has(`/dev/${one}`))
  if (used.length > 0) {
    throw new AppError('forbidden', `${path} is in use: ${used.map((one) => `/dev/${one}`).join(', ')}`, {
      hint: 'if it is the card, unmount it first; the disk that this machine runs from cannot be written',
    })
  }
  if (disk.isReadOnly)
    throw new AppError('forbidden', `${path} is write-protected`, { hint: 'cards have a small switch at their side' })
  if (disk.bytes < imageBytes)
    throw new AppError('too_large', `${path} has ${disk.bytes} bytes, and the image needs ${imageBytes}`, {
      hint: 'take a larger card',
    })
  const needed = imageBytes + dataBytes
  if (disk.bytes < needed) {
    const gb = (bytes: number) => (bytes / 1e9).toFixed(1)
    throw new AppError(
      'too_large',
      `${path} has ${gb(disk.bytes)} GB, of which ${gb(disk.bytes - imageBytes)} would be left for data: ` +
        'the unit could take no update once its outbox is full, and would have to be flashed anew',
      {
        hint: `take a card of ${gb(needed)} GB or more, or give it a smaller outbox: edge.outbox.maxBytes in unit.json`,
      },
    )
  }
  return {
    path,
    isDevice: true,
    bytes: disk.bytes,
    description: `${disk.model || 'a disk'}, ${(disk.bytes / 1e9).toFixed(1)} GB`,
  }
}

function stat(path: string) {
  try {
    return statSync(path)
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return null
    throw new AppError('bad_input', `${path} cannot be looked at: ${systemCode(thrown)}`, { cause: thrown })
  }
}
