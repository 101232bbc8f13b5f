/**
 * The folder `candor/` of the FAT partition, which `scripts/flash` writes and anybody with the card can read: what a unit is to be
 * (unit.json), its one-time claim (claim.json), its network (network.json), its camera's password (camera-login) and the code of its set-up page
 * (setup-code). Mounted read-only, and for the moment of a removal otherwise.
 */
import { closeSync, fsyncSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, systemCode } from '../../shared/errors.ts'
import { runCommand } from './command.ts'
import { CARD_DEVICE, CARD_MOUNT } from './places.ts'

export const CARD_FOLDER = 'candor'
export const UNIT_FILE = 'unit.json'
export const CLAIM_FILE = 'claim.json'
export const NETWORK_FILE = 'network.json'
/** `user:password` of a camera on the network, for `source.credentialsFile`; removed from the card as the claim is. */
export const LOGIN_FILE = 'camera-login'
/** The first code of the set-up page; on the card of a unit that is set up it opens that page once more. */
export const SETUP_CODE_FILE = 'setup-code'
/** Any of them, bytes. */
export const MAX_CARD_FILE_BYTES = 256 * 1024
const MOUNT_MS = 120_000
/** Nothing on it is run, and nobody else looks into it. */
const MOUNT_OPTIONS = 'nosuid,nodev,noexec,umask=077'

export interface Card {
  /** null: there is none. Throws `bad_input` for one that is too large. */
  read(name: string): string | null
  /** Overwritten, flushed, then removed: the bytes shall not stay in a free cluster. */
  remove(name: string): Promise<void>
  close(): Promise<void>
}

/** Throws `unavailable` when there is no such partition, or it cannot be read. */
export async function openCard(): Promise<Card> {
  await mkdir(CARD_MOUNT, { recursive: true, mode: 0o700 })
  await runCommand('mount', ['-t', 'vfat', '-o', `ro,${MOUNT_OPTIONS}`, CARD_DEVICE, CARD_MOUNT], MOUNT_MS)
  const folder = join(CARD_MOUNT, CARD_FOLDER)
  return {
    read: (name) => readCardFile(folder, name),
    async remove(name) {
      await runCommand('mount', ['-o', `remount,rw,${MOUNT_OPTIONS}`, CARD_MOUNT], MOUNT_MS)
      try {
        eraseFile(join(folder, name))
      } finally {
        await runCommand('mount', ['-o', `remount,ro,${MOUNT_OPTIONS}`, CARD_MOUNT], MOUNT_MS)
      }
    },
    async close() {
      await runCommand('umount', [CARD_MOUNT], MOUNT_MS)
    },
  }
}

export function readCardFile(folder: string, name: string): string | null {
  try {
    const file = join(folder, name)
    const { size } = statSync(file)
    if (size > MAX_CARD_FILE_BYTES)
      throw new AppError('bad_input', `${name} on the card is larger than ${MAX_CARD_FILE_BYTES} bytes`)
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    if (systemCode(thrown) === 'ENOENT') return null
    throw thrown
  }
}

export function eraseFile(path: string): void {
  try {
    const { size } = statSync(path)
    const file = openSync(path, 'r+')
    try {
      writeSync(file, Buffer.alloc(size), 0, size, 0)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    unlinkSync(path)
  } catch (thrown) {
    if (systemCode(thrown) !== 'ENOENT') throw thrown
  }
}
