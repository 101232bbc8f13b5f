/**
 * Which slot a unit starts from, and how often it may still try: kept in the raw partition `bootstate` as two copies, each with a CRC-32 and
 * a number; the valid one with the higher number counts, and a change goes over the other. So a power cut at any moment leaves one whole.
 * The format is that of U-Boot's `env export -c`, because U-Boot counts tries down (scripts/unit-image/boot.cmd). Used by the programs here.
 */
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { AppError } from '../../shared/errors.ts'

export const SLOTS = ['a', 'b'] as const
export type SlotName = (typeof SLOTS)[number]

/** Starts of a slot that nobody has confirmed, before the other is taken. */
export const MAX_TRIES = 3
/** One copy, bytes; a CRC-32, then `name=value` and a zero byte each, a further zero byte, zeros. */
export const COPY_BYTES = 4_096
const CRC_BYTES = 4
/** Where the copies begin. Flash cards erase up to 4 MiB at once: both in one such block could be lost together. */
export const COPY_OFFSETS = [0, 4 * 1024 * 1024] as const
export const BOOT_STATE_BYTES = 8 * 1024 * 1024
/** As U-Boot's script counts, in hexadecimal; it would take a million updates a year for four thousand years. */
const MAX_SEQUENCE = 0xffff_ffff

/** `good`: confirmed, started without counting. Else the tries that are left; 0: not to be started. */
export type SlotState = 'good' | number

export interface BootState {
  readonly sequence: number
  readonly primary: SlotName
  readonly a: SlotState
  readonly b: SlotState
  /** Of the unit, given to systemd by the kernel's command line, since /etc is read-only; null before the first start. */
  readonly machineId: string | null
}

export const otherSlot = (slot: SlotName): SlotName => (slot === 'a' ? 'b' : 'a')

/** What a card holds that was just written: slot a is whole, and b empty. */
export const FIRST_STATE: BootState = { sequence: 1, primary: 'a', a: 'good', b: 0, machineId: null }

/** The slot that the boot loader takes next; when both are used up it takes the primary one all the same. */
export function nextSlot(state: BootState): SlotName {
  const other = otherSlot(state.primary)
  return state[state.primary] === 0 && state[other] !== 0 ? other : state.primary
}

export function encodeBootState(state: BootState): Buffer {
  const lines = [
    `candor_a=${state.a}`,
    `candor_b=${state.b}`,
    ...(state.machineId === null ? [] : [`candor_machine=${state.machineId}`]),
    `candor_primary=${state.primary}`,
    `candor_sequence=${state.sequence.toString(16)}`,
  ]
  const bytes = Buffer.alloc(COPY_BYTES)
  bytes.write(lines.map((line) => `${line}\0`).join(''), CRC_BYTES, 'latin1')
  bytes.writeUInt32LE(crc32(bytes.subarray(CRC_BYTES)), 0)
  return bytes
}

/**
 * The whole partition of a fresh card. Both copies are there: one that was left out of the image would be the old card's when a card is flashed
 * again, and its higher number would count.
 */
export function freshBootState(): Buffer {
  const bytes = Buffer.alloc(BOOT_STATE_BYTES)
  encodeBootState(FIRST_STATE).copy(bytes, COPY_OFFSETS[0])
  encodeBootState({ ...FIRST_STATE, sequence: FIRST_STATE.sequence - 1 }).copy(bytes, COPY_OFFSETS[1])
  return bytes
}

/** null: damaged, half written or never written. */
export function decodeBootState(bytes: Uint8Array): BootState | null {
  const copy = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (copy.length !== COPY_BYTES || crc32(copy.subarray(CRC_BYTES)) !== copy.readUInt32LE(0)) return null
  const end = copy.indexOf('\0\0', CRC_BYTES, 'latin1')
  const values = new Map(
    copy
      .toString('latin1', CRC_BYTES, end === -1 ? copy.length : end)
      .split('\0')
      .map((line) => [line.replace(/=.*/, ''), line.replace(/^[^=]*=/, '')]),
  )
  const slotState = (name: string): SlotState | null => {
    const value = values.get(name) ?? ''
    if (value === 'good') return value
    return /^[0-9]$/.test(value) && Number(value) <= MAX_TRIES ? Number(value) : null
  }
  const primary = SLOTS.find((slot) => slot === values.get('candor_primary'))
  const sequence = values.get('candor_sequence') ?? ''
  const a = slotState('candor_a')
  const b = slotState('candor_b')
  const machine = values.get('candor_machine')
  if (primary === undefined || a === null || b === null || !/^[0-9a-f]{1,8}$/.test(sequence)) return null
  if (machine !== undefined && !isMachineId(machine)) return null
  return { sequence: Number.parseInt(sequence, 16), primary, a, b, machineId: machine ?? null }
}

export const isMachineId = (text: string) => /^[0-9a-f]{32}$/.test(text)

/** The state in the partition or file, and where it stands; what a fresh card holds when neither copy is valid, as U-Boot takes it then. */
export function readBootState(file: string): { state: BootState; copy: 0 | 1 } {
  const device = openSync(file, 'r')
  try {
    const copies = COPY_OFFSETS.map((offset) => {
      const bytes = Buffer.alloc(COPY_BYTES)
      readSync(device, bytes, 0, COPY_BYTES, offset)
      return decodeBootState(bytes)
    })
    const [first = null, second = null] = copies
    if (first !== null && (second === null || first.sequence >= second.sequence)) return { state: first, copy: 0 }
    if (second !== null) return { state: second, copy: 1 }
    return { state: { ...FIRST_STATE, sequence: 0 }, copy: 1 }
  } finally {
    closeSync(device)
  }
}

/** Reads, changes and writes over the older copy. The new state is on the disk when this returns. */
export function changeBootState(file: string, change: (state: BootState) => Partial<BootState>): BootState {
  const { state, copy } = readBootState(file)
  const changed: BootState = { ...state, ...change(state), sequence: state.sequence + 1 }
  if (changed.sequence > MAX_SEQUENCE) throw new AppError('internal', 'the number of the boot state is used up')
  const device = openSync(file, 'r+')
  try {
    writeSync(device, encodeBootState(changed), 0, COPY_BYTES, COPY_OFFSETS[copy === 0 ? 1 : 0])
    fsyncSync(device)
  } finally {
    closeSync(device)
  }
  return changed
}
