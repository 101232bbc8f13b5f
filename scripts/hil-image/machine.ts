/**
 * A camera unit's hardware as QEMU imitates it: the machine `virt` with U-Boot, a disk file as its card, a watchdog, a network
 * from which 10.0.2.2 is this machine, and the port of the test image's shell. Used by the steps of stage.ts.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../shared/errors.ts'
import { type Qemu, startQemu } from './qemu.ts'

export interface MachineFiles {
  /** Sockets and logs. */
  folder: string
  disk: string
  firmware: string
  /** A disk with the state of a TPM 2.0, which the test image then has; null: the unit has none. */
  tpmDisk: string | null
  /** A disk with bundles to be updated to; null: none. */
  bundlesDisk: string | null
  /** Of this machine's loopback, from which connections go to the unit's set-up page; absent: none. */
  pagePort?: number
}

export interface Answer {
  code: number
  output: string
}

export interface Machine extends Omit<Qemu, 'whenExited'> {
  /** In the unit, as root. Rejects with `unavailable` when no answer comes in time. */
  shell(command: string, timeoutMs?: number): Promise<Answer>
  /** QEMU's own commands [QMP]. */
  qmp(command: string, args?: object): Promise<unknown>
  /** In order. */
  powerOff(): Promise<void>
  console(): string
}

const CONNECT_MS = 20_000

/** Retries until the program listens. */
async function connected(path: string): Promise<Socket> {
  const endMs = performance.now() + CONNECT_MS
  for (;;) {
    const socket = await new Promise<Socket | null>((resolve) => {
      const one = connect(path, () => resolve(one))
      one.once('error', () => resolve(null))
    })
    if (socket !== null) return socket
    if (performance.now() > endMs) throw new AppError('unavailable', `nothing listens on ${path}`)
    await sleep(100)
  }
}

function eachLine(socket: Socket, onLine: (line: string) => void): void {
  let rest = ''
  socket.on('data', (bytes: Buffer) => {
    rest += bytes.toString('utf8')
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line.trim())
  })
  socket.on('error', () => {})
}

/** A disk that the unit finds by its serial number. */
const further = (serial: string, file: string | null) =>
  file === null
    ? []
    : [
        ...['-drive', `if=none,id=${serial},file=${file},format=raw,cache=writeback`],
        ...['-device', `virtio-blk-pci,drive=${serial},serial=${serial}`],
      ]

export async function startMachine(files: MachineFiles): Promise<Machine> {
  const { folder, disk, firmware, pagePort } = files
  const forward = pagePort === undefined ? '' : `,hostfwd=tcp:127.0.0.1:${pagePort}-:8443`
  mkdirSync(folder, { recursive: true })
  const paths = { qmp: join(folder, 'qmp'), shell: join(folder, 'shell'), console: join(folder, 'console.log') }
  for (const path of [paths.qmp, paths.shell]) rmSync(path, { force: true })
  const consoleFrom = (() => {
    try {
      return readFileSync(paths.console).length
    } catch {
      return 0
    }
  })()
  const qemu = startQemu(folder, [
    ...['-M', 'virt', '-cpu', 'cortex-a72', '-smp', '2', '-m', '2048', '-accel', 'tcg,thread=multi'],
    ...['-display', 'none', '-nodefaults'],
    ...['-bios', firmware],
    ...['-drive', `if=none,id=card,file=${disk},format=raw,cache=writeback,discard=unmap`],
    ...['-device', 'virtio-blk-pci,drive=card'],
    ...['-netdev', `user,id=net${forward}`, '-device', 'virtio-net-pci,netdev=net,romfile='],
    ...['-device', 'virtio-rng-pci', '-device', 'i6300esb', '-action', 'watchdog=reset'],
    ...['-device', 'qemu-xhci,id=usb'],
    ...['-chardev', `file,id=console,path=${paths.console},append=on`, '-serial', 'chardev:console'],
    ...['-device', 'virtio-serial-pci', '-chardev', `socket,id=shell,path=${paths.shell},server=on,wait=off`],
    ...['-device', 'virtserialport,chardev=shell,name=candor.hil'],
    ...['-qmp', `unix:${paths.qmp},server=on,wait=off`],
    ...further('candor-tpm', files.tpmDisk),
    ...further('candor-bundles', files.bundlesDisk),
  ])

  const waiting = new Map<string, (answer: Answer) => void>()
  const shell = await connected(paths.shell)
  eachLine(shell, (line) => {
    const [number = '', code = '', output = ''] = line.split(' ')
    waiting.get(number)?.({ code: Number(code), output: Buffer.from(output, 'base64').toString('utf8') })
    waiting.delete(number)
  })
  let count = 0

  const qmpWaiting: ((reply: { return?: unknown; error?: { desc: string } }) => void)[] = []
  const qmpSocket = await connected(paths.qmp)
  eachLine(qmpSocket, (line) => {
    if (line === '') return
    const reply = JSON.parse(line) as { return?: unknown; error?: { desc: string } }
    if ('return' in reply || 'error' in reply) qmpWaiting.shift()?.(reply)
  })
  const qmp = (command: string, args: object = {}) =>
    new Promise<unknown>((resolve, reject) => {
      qmpWaiting.push((reply) => {
        if (reply.error === undefined) resolve(reply.return)
        else reject(new AppError('unavailable', `${command}: ${reply.error.desc}`))
      })
      qmpSocket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
    })
  await qmp('qmp_capabilities')

  const machine: Machine = {
    startedMs: qemu.startedMs,
    get exited() {
      return qemu.exited
    },
    shell(command, timeoutMs = 60_000) {
      const number = String(++count)
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(number)
          reject(new AppError('unavailable', `no answer to: ${command.slice(0, 60)}`))
        }, timeoutMs)
        waiting.set(number, (answer) => {
          clearTimeout(timer)
          resolve(answer)
        })
        shell.write(`${number} ${Buffer.from(command).toString('base64')}\n`)
      })
    },
    qmp,
    cutPower: () => qemu.cutPower(),
    async powerOff() {
      if (!qemu.exited) await this.shell('systemctl poweroff --no-block').catch(() => {})
      const late = setTimeout(() => void qemu.cutPower(), 180_000)
      await qemu.whenExited
      clearTimeout(late)
    },
    console: () => readFileSync(paths.console).subarray(consoleFrom).toString('utf8'),
  }
  return machine
}

/** A file of `bytes`, with holes. */
export function growFile(path: string, bytes: number): void {
  const { status } = spawnSync('truncate', ['-s', String(bytes), path])
  if (status !== 0) throw new AppError('storage_full', `${path} cannot be made ${bytes} bytes long`)
}
