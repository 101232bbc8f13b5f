import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { UNIT_DEFAULTS, withDefaults } from './boot-loader.ts'

const BEFORE = Buffer.from('code of U-Boot, and a last word\0', 'latin1')
const AFTER = Buffer.from('\0\0\0bootdelay=3\0 is told by something else\0', 'latin1')
const DEFAULTS = [
  'bootcmd=run distro_bootcmd',
  'bootdelay=2',
  'preboot=pci enum; usb start;',
  'empty=',
  'stdin=serial,usbkbd',
  'boot_targets=mmc0 mmc1 mmc2 usb0 pxe dhcp ',
  'bootcmd_usb0=devnum=0; run usb_boot',
  'bootcmd_pxe=dhcp; if pxe get; then pxe boot; fi',
  'bootcmd_dhcp=devtype=dhcp; source scriptaddr',
  'dhcpuboot=usb start; dhcp u-boot.uimg; bootm',
  'distro_bootcmd=for target in boot_targets; do run bootcmd; done',
]

const loaderWith = (defaults: readonly string[]) =>
  Buffer.concat([BEFORE, Buffer.from(defaults.map((line) => `${line}\0`).join(''), 'latin1'), AFTER])

test('U-Boot of a unit asks nobody, starts from its card alone, and all else of the file stays in its place', () => {
  const loader = loaderWith(DEFAULTS)
  const changed = withDefaults(loader, UNIT_DEFAULTS)
  assert.is(changed.length, loader.length)
  assert.equal(changed.subarray(0, BEFORE.length), BEFORE)
  assert.equal(changed.subarray(-AFTER.length), AFTER)
  const end = changed.indexOf('\0\0', BEFORE.length)
  assert.equal(changed.subarray(BEFORE.length, end).toString('latin1').split('\0'), [
    'bootcmd=run distro_bootcmd; reset',
    'bootdelay=-2',
    'empty=',
    'stdin=nulldev',
    'boot_targets=mmc0 mmc1 mmc2',
    'distro_bootcmd=for target in boot_targets; do run bootcmd; done',
  ])
  assert.ok(changed.subarray(end, -AFTER.length).every((byte) => byte === 0))
})

test('a file that is no such U-Boot is refused, and so is one that lacks what is to be changed or has no room', () => {
  assert.throws(() => withDefaults(Buffer.from('something else'), UNIT_DEFAULTS), /no U-Boot with one set of defaults/)
  const twice = Buffer.concat([loaderWith(DEFAULTS), loaderWith(DEFAULTS)])
  assert.throws(() => withDefaults(twice, UNIT_DEFAULTS), /no U-Boot with one set of defaults/)
  const without = DEFAULTS.filter((line) => !line.startsWith('stdin='))
  assert.throws(() => withDefaults(loaderWith(without), UNIT_DEFAULTS), /no default for stdin/)
  const loader = loaderWith(DEFAULTS)
  const room = 'x'.repeat(20)
  assert.is(
    withDefaults(loaderWith([...DEFAULTS, `room=${room}`]), { room: room.replaceAll('x', 'y') }).length,
    loader.length + 26,
  )
  assert.throws(
    () => withDefaults(loaderWith([...DEFAULTS, `room=${room}`]), { room: `${room}y` }),
    /take \d+ bytes, of \d+ that/,
  )
})

test.run()
