/**
 * A step of `scripts/hil image`: the image on the closest thing to a Raspberry Pi 4 that QEMU 7.2 has, a Pi 3 (`raspi3b`), whose U-Boot is the very
 * file on the card. What a Pi 4 alone has is read from its device tree. Run by stage.ts.
 *
 * It is no Pi 4: no VideoCore firmware runs, so config.txt is not read and the device tree is given by QEMU; another processor and another controller
 * of the card. It has no network: Linux gives QEMU's USB network to cdc_subset, which QEMU does not speak. And the watchdog is taken out of the device
 * tree, since QEMU's resets the machine as soon as it is set [hw/misc/bcm2835_powermgt.c].
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../shared/errors.ts'
import { newId } from '../../shared/ids.ts'
import { partitionOffset } from '../flash-card/partitions.ts'
import {
  type BootState,
  COPY_BYTES,
  COPY_OFFSETS,
  decodeBootState,
  encodeBootState,
  FIRST_STATE,
  MAX_TRIES,
} from '../unit/boot-state.ts'
import { BOOT_MS, type Context, FIRST } from './context.ts'
import { missingDrivers, namesInArchive } from './drivers.ts'
import { growFile } from './machine.ts'
import { type Qemu, startQemu } from './qemu.ts'
import { SETTINGS, type Step } from './steps.ts'
import { until } from './unit.ts'

/** QEMU's card of a Pi must be a power of two. */
const CARD_BYTES = 4 * 1024 ** 3
/** The boards that the image is for, and the controller of their card. */
const PI_4 = ['bcm2711-rpi-4-b.dtb', 'bcm2711-rpi-400.dtb', 'bcm2711-rpi-cm4-io.dtb']
const PI_4_CARD = 'brcm,bcm2711-emmc2'
const PI_3 = 'bcm2837-rpi-3-b.dtb'
/** What comes by the serial pins at each start, in this order. */
const STATIONS: readonly [string, RegExp][] = [
  ['slot a by U-Boot', /Candor: number \w+, primary a, a good/],
  ['kernel', /Booting Linux on physical CPU/],
  ['root on mmcblk0p3', /EXT4-fs \(mmcblk0p3\): mounted/],
  ['data partition mmcblk0p5', /EXT4-fs \(mmcblk0p5\): mounted/],
]
/** Its journal is looked at on the card, where Linux writes it after 30 s [vm.dirty_expire_centisecs]. */
const LOOK_MS = 15_000
/** Of the emulated machine: its card gives 2 MB a second, and the processor is slower than that of `virt`. */
const PI_BOOT_MS = 2 * BOOT_MS
/** Higher than what a card has after two starts. */
const TRIAL_SEQUENCE = 100
const MAX_OUTPUT_BYTES = 256 * 1024 ** 2

const seconds = (sinceMs: number) => Math.round((performance.now() - sinceMs) / 1_000)

function output(program: string, args: readonly string[], input?: Buffer): Buffer {
  const { status, stdout, stderr } = spawnSync(program, args, { maxBuffer: MAX_OUTPUT_BYTES, input })
  if (status !== 0) throw new AppError('internal', `${program} ended with ${status}: ${String(stderr).slice(-200)}`)
  return stdout
}

async function offsetOf(disk: string, partition: string): Promise<number> {
  const handle = await open(disk, 'r')
  return partitionOffset(handle, partition).finally(() => handle.close())
}

/** Off of itself when it wants to reset. */
interface Pi extends Omit<Qemu, 'whenExited'> {
  /** What came by the serial pins since the power is on. */
  console(): string
}

/** What stops U-Boot as Debian builds it: any key, and Ctrl-C for a script. As noise on open pins would, from power on for as long as it runs. */
const KEYS = 'x\r\x03'
const KEY_MS = 100

/** Returns what ends it. */
function pressKeys(pins: string): () => void {
  let line: Socket | null = null
  const timer = setInterval(() => {
    if (line === null && existsSync(pins)) {
      line = connect(pins)
      line.on('error', () => {
        line = null
      })
      // Read, or QEMU would wait; what comes is in its log too.
      line.resume()
    }
    line?.write(KEYS)
  }, KEY_MS)
  return () => {
    clearInterval(timer)
    line?.destroy()
  }
}

function switchOn(folder: string, disk: string): Pi {
  const serial = join(folder, 'console.log')
  const from = existsSync(serial) ? statSync(serial).size : 0
  const pins = join(folder, 'pins')
  rmSync(pins, { force: true })
  const qemu = startQemu(folder, [
    ...['-M', 'raspi3b', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(folder, 'u-boot.bin'), '-dtb', join(folder, PI_3)],
    ...['-drive', `if=sd,file=${disk},format=raw,cache=writeback`],
    // The second of a Pi's serial ports is the one on its pins.
    ...['-serial', 'null', '-chardev', `socket,id=pins,path=${pins},server=on,wait=off,logfile=${serial},logappend=on`],
    ...['-serial', 'chardev:pins'],
  ])
  void qemu.whenExited.then(pressKeys(pins))
  return {
    startedMs: qemu.startedMs,
    get exited() {
      return qemu.exited
    },
    console: () => readFileSync(serial).subarray(from).toString('latin1'),
    cutPower: () => qemu.cutPower(),
  }
}

/** Modules that the card of each Pi 4 needs; throws `internal` when the initrd in slot a lacks one. */
async function driversOfPi4(disk: string): Promise<string> {
  const fat = await offsetOf(disk, 'CANDOR')
  const slot = `${disk}?offset=${await offsetOf(disk, 'root-a')}`
  const inSlot = (command: string) => output('debugfs', ['-R', command, slot])
  const [release] = /\d+\.\d+\.\d+-\S+/.exec(inSlot('ls -p /usr/lib/modules').toString().replaceAll('/', ' ')) ?? []
  const aliases = inSlot(`cat /usr/lib/modules/${release}/modules.alias`).toString()
  const initrd = namesInArchive(output('zstd', ['-dcq'], inSlot('cat /boot/initrd')))
  const found = new Set<string>()
  for (const board of PI_4) {
    const tree = output('mtype', ['-i', `${disk}@@${fat}`, `::/${board}`])
    const { needed, missing } = missingDrivers(tree, PI_4_CARD, aliases, initrd)
    if (needed.length === 0) throw new AppError('internal', `${board}: no driver of its card is known`)
    if (missing.length > 0) throw new AppError('internal', `${board}: the initrd lacks ${missing.join(' and ')}`)
    for (const module of needed) found.add(module)
  }
  return [...found].join(', ')
}

/** The card as after an update: slot b, which holds nothing, is to be tried. */
async function putOnTrial(disk: string): Promise<void> {
  const at = await offsetOf(disk, 'bootstate')
  const handle = await open(disk, 'r+')
  const state = encodeBootState({ ...FIRST_STATE, sequence: TRIAL_SEQUENCE, primary: 'b', b: MAX_TRIES })
  await handle.write(state, 0, COPY_BYTES, at + COPY_OFFSETS[0]).finally(() => handle.close())
}

/** What U-Boot has written over the other copy. */
async function countedDown(disk: string): Promise<BootState | null> {
  const at = await offsetOf(disk, 'bootstate')
  const handle = await open(disk, 'r')
  const copy = Buffer.alloc(COPY_BYTES)
  await handle.read(copy, 0, COPY_BYTES, at + COPY_OFFSETS[1]).finally(() => handle.close())
  return decodeBootState(copy)
}

/** The journal on the card as it is now, as text; empty before there is one. */
async function journalOf(folder: string, disk: string): Promise<string> {
  const partition = join(folder, 'data.ext4')
  const files = join(folder, 'files')
  rmSync(files, { recursive: true, force: true })
  mkdirSync(files)
  const from = await offsetOf(disk, 'candor-data')
  const copy = ['bs=1M', 'conv=sparse', 'iflag=skip_bytes', `skip=${from}`, 'status=none']
  output('dd', [`if=${disk}`, `of=${partition}`, ...copy])
  // Its journal is replayed first, as any machine would that mounts it.
  spawnSync('e2fsck', ['-p', partition])
  output('debugfs', ['-R', `rdump /log ${files}`, partition])
  const journal = join(files, 'log/journal')
  return existsSync(journal) ? output('journalctl', ['--directory', journal, '--no-pager']).toString() : ''
}

async function run(context: Context): Promise<string> {
  await context.switchOff()
  const { world } = context
  const camera = `bench-pi-${newId().slice(-6)}`
  const folder = join(context.folder, 'pi')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const disk = join(folder, 'card.img')
  const out = join(context.folder, 'out', FIRST)
  const claim = join(folder, 'claim.json')
  writeFileSync(claim, await world.makeClaim(camera), { mode: 0o600 })
  const unit = join(folder, 'unit.json')
  writeFileSync(unit, JSON.stringify(SETTINGS))
  const options = ['--yes', '--key', join(out, 'release.pem'), '--claim', claim, '--unit', unit]
  await context.run('flash-pi', './scripts/flash', [context.image(), disk, ...options])
  growFile(disk, CARD_BYTES)
  const drivers = await driversOfPi4(disk)

  writeFileSync(
    join(folder, 'u-boot.bin'),
    output('mtype', ['-i', `${disk}@@${await offsetOf(disk, 'CANDOR')}`, '::/u-boot.bin']),
  )
  // Another name of the same length, which no driver knows.
  const tree = readFileSync(join(out, PI_3)).toString('latin1').replaceAll('brcm,bcm2835-pm', 'none,bcm2835-pm')
  writeFileSync(join(folder, PI_3), tree, 'latin1')

  const seen: string[] = []
  let pi: Pi | null = null
  const reach = async <T>(what: string, holds: (on: Pi) => Promise<T | null | undefined | false>): Promise<T> => {
    const found = await until(what, PI_BOOT_MS, async () => {
      if (pi === null || pi.exited) return { value: null }
      const value = await holds(pi)
      return value != null && value !== false && { value }
    })
    if (found.value === null) throw new AppError('internal', `the Pi has reset itself before: ${what}`)
    seen.push(`${what} ${seconds(pi?.startedMs ?? 0)} s`)
    return found.value
  }
  const cutPower = async () => {
    await pi?.cutPower()
    pi = null
  }
  /** Until the unit has shown its key for the nth time. Resolves with what its journal says of all starts. */
  const start = async (nth: number) => {
    pi = switchOn(folder, disk)
    for (const [what, pattern] of STATIONS) await reach(what, async (on) => pattern.test(on.console()))
    return reach('multi-user.target, and its key', async () => {
      await sleep(LOOK_MS)
      const text = await journalOf(folder, disk)
      const marks = [/Reached target multi-user\.target/g, /this unit's key: \S+/g]
      return marks.every((mark) => (text.match(mark)?.length ?? 0) >= nth) && text
    })
  }

  try {
    await start(1)
    await cutPower()
    seen.push('power cut')
    const text = await start(2)
    await cutPower()
    const keys = new Set(text.match(/(?<=this unit's key: )\S+/g))
    if (keys.size !== 1) throw new AppError('internal', `it has another key after the cut: ${[...keys].join(', ')}`)
    const failed = [...new Set(text.match(/\S+: Failed with result.*/g))]

    await putOnTrial(disk)
    pi = switchOn(folder, disk)
    await reach('slot b given up', async (on) => /slot b does not start.*Starting kernel/s.test(on.console()))
    await cutPower()
    const counted = await countedDown(disk)
    if (counted?.sequence !== TRIAL_SEQUENCE + 1 || counted.b !== MAX_TRIES - 1)
      throw new AppError('internal', `U-Boot has not counted the try down on the card: ${JSON.stringify(counted)}`)
    rmSync(folder, { recursive: true, force: true })
    const failures = failed.length === 0 ? 'no unit failed' : failed.join(', ')
    return `keys pressed at its serial pins all the time; from power on: ${seen.join(', ')}; the same key, ${failures}; no network there; an empty slot b on trial: the try is counted down on the card, and a started. Of a Pi 4 its device tree alone: all drivers that its card needs are in the initrd (${drivers})`
  } finally {
    await cutPower()
  }
}

export const PI_STEPS: readonly Step[] = [
  {
    name: 'pi',
    hasOwnCard: true,
    what: 'the card in an emulated Raspberry Pi 3, from its own U-Boot to its own key, twice; drivers of a Pi 4 for its card',
    run,
  },
]
