import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { codeOf } from '../../cloud/testing.ts'
import { systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { openSource, sourceSchema } from './sources.ts'
import { bodyText, lastingPort, NUMBERED_PORT, usbDevices } from './usb.ts'

/** As sysfs has them: a folder a device and a folder an interface. */
async function withUsb(
  entries: Readonly<Record<string, Readonly<Record<string, string>>>>,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-usb-'))
  try {
    for (const [name, files] of Object.entries(entries)) {
      await mkdir(join(folder, name))
      for (const [file, text] of Object.entries(files)) await writeFile(join(folder, name, file), text)
    }
    await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const body = (devnum: string) => ({ busnum: '1\n', devnum, manufacturer: 'NIKON\n', product: 'DSC D750\n' })

test('devices are named by plug and by the number of now, in order of their plugs, with what they say of themselves', async () => {
  const entries = {
    ...{ usb1: { busnum: '1', devnum: '1' }, '1-0:1.0': { bInterfaceClass: '09' } },
    ...{ '1-1.10': body('104\n'), '1-1.10:1.0': { bInterfaceClass: '06\n' } },
    ...{ '1-1.2': { ...body('4\n'), serial: '6048172\n' }, '1-1.2:1.0': { bInterfaceClass: '06\n' } },
    ...{ '1-1': { busnum: '1', devnum: '2' }, '1-1:1.0': { bInterfaceClass: '09' } },
    // One that goes while it is looked at.
    '1-1.4': {},
    '1-1.5': { ...body('9'), serial: `\u0007${'x'.repeat(65)}` },
  }
  await withUsb(entries, async (folder) => {
    const found = await usbDevices(folder)
    assert.equal(
      found.map(({ port, numberedPort, isCamera }) => [port, numberedPort, isCamera]),
      [
        ['usb:1-1', 'usb:001,002', false],
        ['usb:1-1.2', 'usb:001,004', true],
        ['usb:1-1.5', 'usb:001,009', false],
        ['usb:1-1.10', 'usb:001,104', true],
      ],
    )
    assert.equal(
      found.map(({ name, serialNumber }) => [name, serialNumber]),
      [
        ['', null],
        ['NIKON DSC D750', '6048172'],
        ['NIKON DSC D750', 'x'.repeat(64)],
        ['NIKON DSC D750', null],
      ],
    )
    assert.is(lastingPort('usb:001,104', found), 'usb:1-1.10')
    assert.is(lastingPort('usb:001,003', found), 'usb:001,003')
    assert.is(lastingPort('ptpip:10.0.0.9', found), 'ptpip:10.0.0.9')
    assert.is(bodyText({ model: 'D750', port: 'usb:001,004' }, found), 'D750 at usb:1-1.2 (serial number 6048172)')
    assert.is(bodyText({ model: 'D750', port: 'usb:001,104' }, found), 'D750 at usb:1-1.10')
  })
})

test('a machine without sysfs has no devices, and only numbers are numbers', async () => {
  assert.equal(await usbDevices('/nonexistent/usb'), [])
  assert.ok(NUMBERED_PORT.test('usb:001,004') && NUMBERED_PORT.test('usb:1,4'))
  for (const port of ['usb:1-1.2', 'usb:', 'ptpip:10.0.0.9', 'usb:001,004x']) assert.not(NUMBERED_PORT.test(port), port)
})

test('no camera is opened by a number of the kernel, whoever is attached', async () => {
  const deps = { clock: systemClock, random: () => 0, log: silentLog, usbFolder: '/nonexistent/usb' }
  for (const port of ['usb:001,004', 'usb:1,4']) {
    const open = () => openSource(sourceSchema.parse({ kind: 'gphoto2', port }), deps)
    assert.is(await codeOf(open), 'configuration')
    await open().catch(({ message }) => {
      assert.match(message, /^source\.port: is a number .* usb:1-1\.2, as `candor doctor` shows it \(got usb:/)
    })
  }
})

test.run()
