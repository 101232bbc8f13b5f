/** The faults of the stage: how each begins and ends, and by what the unit shows that it had it. */
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../shared/errors.ts'
import type { MjpegCamera } from './mjpeg-camera.ts'
import type { CameraFault, PtpCamera } from './ptp-camera.ts'
import type { RtspCamera } from './rtsp-camera.ts'
import { descendant, type Unit, type UnitHealth } from './units.ts'

/**
 * In the health that the cloud has of the unit. `gone`: lost or stalled, where libgphoto2's own limit of time and ours end a wait at
 * about the same moment, and the machine decides which is first.
 */
export type Sign = 'lost' | 'stalled' | 'rejected' | 'gone'

export interface Fault {
  unit: Unit
  what: string
  sign: Sign
  begin(): unknown
  end(): unknown
  /** What must hold besides: the problem, or null. */
  check?(): string | null
  /** Begins with the unit, and not once it sends sightings. */
  isFromStart?: true
}

export function hasSign(sign: Sign, before: UnitHealth, now: UnitHealth): boolean {
  if (before.source === undefined || now.source === undefined) return false
  if (sign === 'rejected') return now.frames.rejected > before.frames.rejected
  const isStalled = now.source.stalls > before.source.stalls
  if (sign === 'stalled' || (sign === 'gone' && isStalled)) return isStalled
  return now.source.state === 'lost' || now.source.reconnects > before.source.reconnects
}

/** One of libgphoto2's own folder of drivers, which finds the virtual body there when it is "attached". */
export interface Bus {
  folder: string
  attach(): Promise<void>
  detach(): Promise<void>
  /** What the body takes pictures of from its next start on. */
  show(picture: string): Promise<void>
}

export async function openBus(body: string, folder: string): Promise<Bus> {
  await mkdir(folder, { recursive: true })
  const driver = join(folder, 'vusb.so')
  const pictures = join(body, 'photos', 'DCIM', '100CANDR')
  return {
    folder,
    attach: () => copyFile(join(body, 'vusb.so'), driver),
    detach: () => rm(driver, { force: true }),
    async show(picture) {
      for (const name of await readdir(pictures)) await rm(join(pictures, name))
      await copyFile(picture, join(pictures, 'PIC_0001.JPG'))
    },
  }
}

async function signalTo(unit: Unit, program: string, signal: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
  const pid = await descendant(unit.pid, program)
  if (pid === null) throw new AppError('unavailable', `${unit.name} has no process ${program}`)
  process.kill(pid, signal)
}

const nothing = () => {}

export const bodyFaults = (unit: Unit, bus: Bus, another: string): Fault[] => [
  {
    ...{ unit, what: 'libgphoto2 crashes', sign: 'lost', end: nothing },
    begin: () => signalTo(unit, 'gphoto2-child', 'SIGKILL'),
  },
  {
    ...{ unit, what: 'libgphoto2 hangs', sign: 'stalled', end: nothing },
    begin: () => signalTo(unit, 'gphoto2-child', 'SIGSTOP'),
  },
  {
    ...{ unit, what: 'unplugged, plugged in again', sign: 'lost' },
    async begin() {
      await bus.detach()
      await bus.show(another)
      await signalTo(unit, 'gphoto2-child', 'SIGKILL')
    },
    end: () => bus.attach(),
  },
]

export function ptpFaults(
  unit: Unit,
  camera: PtpCamera,
  hasLiveView: boolean,
  which: readonly (CameraFault | 'unplugged')[],
): Fault[] {
  const told: Readonly<Record<CameraFault | 'unplugged', [string, Sign]>> = {
    none: ['', 'lost'],
    drops: ['connection breaks in a picture', 'lost'],
    // Of live view libgphoto2 itself looks for the end, and gives up waiting sooner than the unit does.
    truncates: ['half pictures', hasLiveView ? 'lost' : 'rejected'],
    silent: ['nothing follows a capture', hasLiveView ? 'lost' : 'stalled'],
    busy: ['busy', 'lost'],
    mute: ['answers nothing', 'gone'],
    unplugged: ['unplugged, plugged in again', 'lost'],
  }
  return which.map((fault): Fault => {
    const [what, sign] = told[fault]
    if (fault === 'unplugged') return { unit, what, sign, begin: () => camera.unplug(), end: () => camera.plug() }
    return {
      ...{ unit, what, sign },
      begin() {
        camera.fault = fault
      },
      end() {
        camera.fault = 'none'
      },
      check: () => (camera.did.lost > 0 ? 'a picture was deleted on the camera that never came whole' : null),
    }
  })
}

export const mjpegFaults = (unit: Unit, camera: MjpegCamera): Fault[] => [
  {
    ...{ unit, what: 'stream falls silent', sign: 'lost' },
    begin() {
      camera.isSilent = true
    },
    end() {
      camera.isSilent = false
    },
  },
  { unit, what: 'stops and returns', sign: 'lost', begin: () => camera.stop(), end: () => camera.start() },
  {
    ...{ unit, what: 'decoder crashes', sign: 'lost', end: nothing },
    begin: () => signalTo(unit, 'stream-child', 'SIGKILL'),
  },
]

export const rtspFaults = (unit: Unit, camera: RtspCamera): Fault[] => [
  { unit, what: 'camera stands still', sign: 'lost', begin: () => camera.stall(), end: () => camera.resume() },
  { unit, what: 'stops and returns', sign: 'lost', begin: () => camera.stop(), end: () => camera.start() },
  {
    ...{ unit, what: 'decoder hangs', sign: 'stalled', end: nothing },
    begin: () => signalTo(unit, 'stream-child', 'SIGSTOP'),
  },
]
