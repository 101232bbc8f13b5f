/**
 * RAUC's back end for this boot loader, and the state for who looks. RAUC calls it by name (`bootloader-custom-backend`) [RAUC reference,
 * "custom bootloader backend interface"]: `get-primary`, `set-primary SLOT`, `get-state SLOT`, `set-state SLOT good|bad`. Besides:
 * `show`, and `machine-id` to keep the id that systemd has made at the first start.
 */
import { readFileSync } from 'node:fs'
import { EXIT } from '../../shared/errors.ts'
import {
  type BootState,
  changeBootState,
  isMachineId,
  MAX_TRIES,
  nextSlot,
  readBootState,
  SLOTS,
  type SlotName,
} from './boot-state.ts'
import { BOOT_STATE_DEVICE } from './places.ts'

/** What is to be printed; null: the call is not understood. */
export function answerSlots(file: string, args: readonly string[], machineIdFile: string): string | null {
  const [verb, name, value] = args
  const slot = SLOTS.find((one) => one === name)
  const set = (change: (state: BootState) => Partial<BootState>) => {
    changeBootState(file, change)
    return ''
  }
  const { state } = readBootState(file)
  if (verb === 'show' && args.length === 1) return JSON.stringify({ ...state, next: nextSlot(state) })
  if (verb === 'get-primary' && args.length === 1) return nextSlot(state)
  if (verb === 'machine-id' && args.length === 1) {
    const machineId = readFileSync(machineIdFile, 'utf8').trim()
    if (!isMachineId(machineId)) return null
    return machineId === state.machineId ? '' : set(() => ({ machineId }))
  }
  if (slot === undefined) return null
  if (verb === 'get-state' && args.length === 2) return state[slot] === 0 ? 'bad' : 'good'
  if (verb === 'set-primary' && args.length === 2) return set(() => ({ primary: slot, ...tries(slot, MAX_TRIES) }))
  if (verb === 'set-state' && args.length === 3 && value === 'good') return set(() => tries(slot, 'good'))
  if (verb === 'set-state' && args.length === 3 && value === 'bad') return set(() => tries(slot, 0))
  return null
}

const tries = (slot: SlotName, left: BootState['a']): Partial<BootState> => (slot === 'a' ? { a: left } : { b: left })

/** Exit code. */
export function slotsProcess(args: readonly string[]): number {
  const answer = answerSlots(BOOT_STATE_DEVICE, args, '/etc/machine-id')
  if (answer === null) {
    process.stderr.write(
      'slots: get-primary | set-primary SLOT | get-state SLOT | set-state SLOT good|bad | show | machine-id\n',
    )
    return EXIT.usage
  }
  if (answer !== '') process.stdout.write(`${answer}\n`)
  return EXIT.done
}
