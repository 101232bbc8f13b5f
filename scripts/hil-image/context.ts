/** What a step of `scripts/hil image` works with: files, the cloud, and the unit, switched on when a step needs it. Made by stage.ts. */
import { spawn } from 'node:child_process'
import { createWriteStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '../../shared/errors.ts'
import { type Machine, startMachine } from './machine.ts'
import { awaitReading, awaitShell } from './unit.ts'
import type { World } from './world.ts'

export const CAMERA = 'bench-1'
/** Of the releases: the one on the card, the one that it is updated to, and one in which the camera does not start. */
export const FIRST = '0.1.0'
export const GOOD = '0.1.1'
export const BAD = '0.1.2'
/** Emulated on a busy machine: five times what a quiet one takes. */
export const BOOT_MS = 10 * 60_000

export interface Context {
  readonly checkout: string
  readonly folder: string
  readonly world: World
  readonly disk: string
  readonly firmware: string
  /** Bundles of all releases, the forged ones too, in one folder, and that as a disk. */
  readonly bundlesFolder: string
  readonly bundlesDisk: string
  bundle(version: string): string
  image(): string
  /** Runs a program, its output into a log of that name; rejects unless it ends with 0. Resolves with its last lines. */
  run(log: string, program: string, args: readonly string[]): Promise<string>
  /** The unit, on and reading. */
  unit(): Promise<Machine>
  /** Switched on, nothing awaited. */
  switchOn(): Promise<Machine>
  /** Off, in order, if it is on. */
  switchOff(): Promise<void>
  /** The power goes, if it is on. */
  cutPower(): Promise<void>
}

export function createContext(checkout: string, folder: string, world: World): Context {
  let machine: Machine | null = null
  const out = (version: string) => join(folder, 'out', version)
  const context: Context = {
    checkout,
    folder,
    world,
    disk: join(folder, 'card.img'),
    firmware: join(out(FIRST), 'u-boot-qemu-arm64.bin'),
    bundlesFolder: join(folder, 'bundles'),
    bundlesDisk: join(folder, 'bundles.img'),
    bundle: (version) => join(folder, 'bundles', `candor-unit-${version}-arm64.raucb`),
    image: () => join(out(FIRST), `candor-unit-${FIRST}-arm64.img.zst`),
    run: (log, program, args) => run(checkout, join(folder, `${log}.log`), program, args),
    async switchOn() {
      if (machine !== null && !machine.exited) return machine
      if (!existsSync(context.disk))
        throw new AppError('conflict', 'there is no card yet', { hint: 'run the step flash first' })
      machine = await startMachine({
        ...{
          folder: join(folder, 'machine'),
          disk: context.disk,
          firmware: context.firmware,
          tpmDisk: null,
          bundlesDisk: existsSync(context.bundlesDisk) ? context.bundlesDisk : null,
        },
      })
      return machine
    },
    async unit() {
      const isNew = machine === null || machine.exited
      const on = await context.switchOn()
      if (isNew) {
        await awaitShell(on, BOOT_MS)
        await awaitReading(on, BOOT_MS)
      }
      return on
    },
    async switchOff() {
      if (machine !== null && !machine.exited) await machine.powerOff()
      machine = null
    },
    async cutPower() {
      if (machine !== null && !machine.exited) await machine.cutPower()
      machine = null
    },
  }
  return context
}

function run(cwd: string, logFile: string, program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const log = createWriteStream(logFile)
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    const lines: string[] = []
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes: Buffer) => {
        log.write(bytes)
        lines.push(...bytes.toString('utf8').split('\n').filter(Boolean))
        lines.splice(0, lines.length - 12)
      })
    }
    child.once('error', reject)
    child.once('close', (code) => {
      log.end()
      if (code === 0) resolve(lines.join('\n'))
      else
        reject(
          new AppError('internal', `${program} ended with ${code}: ${lines.slice(-3).join(' ')}`, {
            hint: `its log: ${logFile}`,
          }),
        )
    })
  })
}
