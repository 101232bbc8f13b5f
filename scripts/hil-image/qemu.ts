/** A process of QEMU for an arm64 machine. Used by machine.ts (the machine `virt`) and pi-step.ts (a Pi 3). */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'

export interface Qemu {
  /** Performance milliseconds when it was switched on. */
  readonly startedMs: number
  /** Off: its power was cut, or it ended by itself. */
  readonly exited: boolean
  /** Resolves when it is off. */
  readonly whenExited: Promise<void>
  /** The power goes: nothing is told to anybody. */
  cutPower(): Promise<void>
}

/** What QEMU itself says is in qemu.log of `folder`. */
export function startQemu(folder: string, args: readonly string[]): Qemu {
  const errors = openSync(join(folder, 'qemu.log'), 'a')
  const child = spawn('qemu-system-aarch64', args, { stdio: ['ignore', errors, errors] })
  closeSync(errors)
  let exited = false
  const whenExited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      exited = true
      resolve()
    })
  })
  return {
    startedMs: performance.now(),
    get exited() {
      return exited
    },
    whenExited,
    async cutPower() {
      child.kill('SIGKILL')
      await whenExited
    },
  }
}
