/**
 * What hangs on USB and in which plug, as Linux tells it in sysfs, without opening a device: a body that another process holds is not
 * disturbed. A body is named by its plug, such as usb:1-1.2 (bus 1, plug 1 of it, plug 2 of the hub there), because the number by which
 * libgphoto2 knows it, such as usb:001,004, is given anew by the kernel at each plugging in, power cycle and boot. Called by gphoto2-child.ts,
 * the set-up page and the doctor.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export const USB_FOLDER = '/sys/bus/usb/devices'
/** A device's folder; root hubs are usbN, interfaces have a colon [Linux, Documentation/ABI/testing/sysfs-bus-usb]. */
const PLUG = /^\d{1,3}-\d{1,3}(\.\d{1,3}){0,6}$/
/** Still image, which bodies and phones are [USB-IF, class codes]. */
const IMAGE_CLASS = '06'
/** Characters of what a device says of itself. */
const MAX_TEXT = 64

/** What `source.port` may not be: it means another device each time. */
export const NUMBERED_PORT = /^usb:\d+,\d+$/

export interface UsbDevice {
  /** As `source.port` names it. */
  port: string
  /** As libgphoto2 names it now. */
  numberedPort: string
  /** Maker and product as the device says; empty: it does not. */
  name: string
  /** As the device says, which some bodies do not. */
  serialNumber: string | null
  isCamera: boolean
}

/** In order of their plugs. Empty where there is no sysfs; a device that goes meanwhile is left out. */
export async function usbDevices(folder = USB_FOLDER): Promise<UsbDevice[]> {
  const names = await readdir(folder).catch(() => [])
  const text = async (...path: string[]) => {
    const read = await readFile(join(folder, ...path), 'utf8').catch(() => '')
    return read
      .replace(/[^\x20-\x7e]/g, '')
      .trim()
      .slice(0, MAX_TEXT)
  }
  const devices = await Promise.all(
    names
      .filter((name) => PLUG.test(name))
      .map(async (plug): Promise<UsbDevice | null> => {
        const [bus, device] = [Number(await text(plug, 'busnum')), Number(await text(plug, 'devnum'))]
        if (!(bus > 0 && device > 0)) return null
        const interfaces = names.filter((name) => name.startsWith(`${plug}:`))
        const classes = await Promise.all(interfaces.map((name) => text(name, 'bInterfaceClass')))
        const called = [await text(plug, 'manufacturer'), await text(plug, 'product')]
        const serialNumber = await text(plug, 'serial')
        return {
          port: `usb:${plug}`,
          numberedPort: `usb:${padded(bus)},${padded(device)}`,
          name: called.join(' ').trim(),
          serialNumber: serialNumber === '' ? null : serialNumber,
          isCamera: classes.includes(IMAGE_CLASS),
        }
      }),
  )
  const found = devices.filter((one) => one !== null)
  return found.sort((a, b) => a.port.localeCompare(b.port, 'en', { numeric: true }))
}

const padded = (number: number) => String(number).padStart(3, '0')

/** By the name that lasts, where there is one: libgphoto2's own name of a camera on a network does. */
export const lastingPort = (port: string, devices: readonly UsbDevice[]): string =>
  devices.find((one) => one.numberedPort === port)?.port ?? port

/** For a person who is to put the port into `source.port`. */
export function bodyText({ model, port }: { model: string; port: string }, devices: readonly UsbDevice[]): string {
  const serialNumber = devices.find((one) => one.numberedPort === port)?.serialNumber ?? null
  return `${model} at ${lastingPort(port, devices)}${serialNumber === null ? '' : ` (serial number ${serialNumber})`}`
}
