import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { missingDrivers, modulesByCompatible, namesInArchive, neededFor, parseDeviceTree } from './drivers.ts'

const cells = (...numbers: number[]) => {
  const bytes = Buffer.alloc(4 * numbers.length)
  for (const [n, number] of numbers.entries()) bytes.writeUInt32BE(number, 4 * n)
  return bytes
}
const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])

interface Described {
  [name: string]: Buffer | string | Described
}

/** A flattened tree [Devicetree Specification 0.4, 5] of what is described: buffers and texts are properties, the rest are nodes. */
function flattened(root: Described): Buffer {
  const structure: Buffer[] = []
  const strings: string[] = []
  const write = (name: string, node: Described) => {
    structure.push(cells(1), padded(Buffer.from(`${name}\0`)))
    for (const [key, value] of Object.entries(node)) {
      if (typeof value !== 'string' && !Buffer.isBuffer(value)) {
        write(key, value)
        continue
      }
      const bytes = Buffer.isBuffer(value) ? value : Buffer.from(`${value}\0`)
      const at = strings.join('').length
      strings.push(`${key}\0`)
      structure.push(cells(3, bytes.length, at), padded(bytes))
    }
    structure.push(cells(2))
  }
  write('', root)
  // A token that means nothing, which may stand anywhere.
  const body = Buffer.concat([cells(4), ...structure, cells(9)])
  const text = Buffer.from(strings.join(''))
  const [structureAt, stringsAt] = [40, 40 + body.length]
  const total = stringsAt + text.length
  const header = cells(0xd00dfeed, total, structureAt, stringsAt, 40, 17, 16, 0, text.length, body.length)
  return Buffer.concat([header, body, text])
}

/** As a Pi 4 has it: the card's controller takes two supplies, one of which is switched by a pin of the firmware's. */
const board = (status = 'okay') =>
  flattened({
    soc: {
      compatible: 'simple-bus',
      card: {
        compatible: 'maker,card-2\0maker,card',
        status,
        clocks: cells(3, 51),
        'vmmc-supply': cells(1),
        'vqmmc-supply': cells(2),
      },
      clock: { compatible: 'maker,clock', phandle: cells(3), '#clock-cells': cells(1) },
      other: { compatible: 'maker,other', phandle: cells(51) },
    },
    fixed: { compatible: 'regulator-fixed', phandle: cells(1) },
    switched: { compatible: 'regulator-gpio', phandle: cells(2), gpios: cells(4, 6, 0) },
    pins: { compatible: 'firmware,pins', phandle: cells(4), '#gpio-cells': cells(2) },
  })

const ALIASES = `# Aliases extracted from modules themselves.
alias of:N*T*Cmaker,card card_driver
alias of:N*T*Cmaker,cardC* card_driver
alias of:N*T*Cregulator-fixed fixed
alias of:N*T*Cregulator-fixedC* fixed
alias of:N*T*Cregulator-gpio gpio_regulator
alias of:N*T*Cmaker,other other
alias usb:v0001p0002d*dc*dsc*dp*ic*isc*ip*in* thing
`

test('what a device needs are its supplies, its clocks, their pins and all buses, but not what a number of theirs happens to name', () => {
  const names = [...neededFor(parseDeviceTree(board()), 'maker,card')].map(({ name }) => name).sort()
  assert.equal(names, ['', 'card', 'clock', 'fixed', 'pins', 'soc', 'switched'])
})

test('drivers that are modules and not in the initrd are named, however their files are written', () => {
  const found = missingDrivers(board(), 'maker,card', ALIASES, ['usr/lib/modules/6/kernel/card_driver.ko', 'init'])
  assert.equal(found, { needed: ['card_driver', 'fixed', 'gpio_regulator'], missing: ['fixed', 'gpio_regulator'] })
  const files = ['a/card_driver.ko', 'a/fixed.ko.xz', 'a/gpio-regulator.ko']
  assert.equal(missingDrivers(board(), 'maker,card', ALIASES, files).missing, [])
})

test('a device that is switched off or not there is no device', () => {
  assert.throws(() => neededFor(parseDeviceTree(board('disabled')), 'maker,card'), /the board has no maker,card/)
  assert.throws(() => neededFor(parseDeviceTree(board()), 'maker,card-3'), /the board has no/)
})

test('only aliases of device trees count', () => {
  assert.equal(
    [...modulesByCompatible(ALIASES).keys()],
    ['maker,card', 'regulator-fixed', 'regulator-gpio', 'maker,other'],
  )
})

test('what is no device tree, or not all of one, is refused', () => {
  assert.throws(() => parseDeviceTree(Buffer.from('no')), /no device tree/)
  assert.throws(() => parseDeviceTree(Buffer.alloc(100)), /no device tree/)
  const blob = Buffer.from(board())
  blob.writeUInt32BE(7, blob.readUInt32BE(8))
  assert.throws(() => parseDeviceTree(blob), /token 7/)
  assert.throws(() => parseDeviceTree(board().subarray(0, 200)), /ends too early/)
})

const entry = (name: string, content: string) => {
  const hex = (number: number) => number.toString(16).padStart(8, '0')
  const fields = [1, 0o100644, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0]
  const head = padded(Buffer.from(`070701${fields.map(hex).join('')}${name}\0`))
  return Buffer.concat([head, padded(Buffer.from(content))])
}

test('the names in an initrd are read to its end, whatever is in the files', () => {
  const archive = Buffer.concat([
    ...[entry('init', '#!/bin/sh\n'), entry('a/b.ko', '070701'), entry('c', ''), entry('TRAILER!!!', '')],
    entry('after', ''),
  ])
  assert.equal(namesInArchive(archive), ['init', 'a/b.ko', 'c'])
  assert.throws(() => namesInArchive(Buffer.alloc(200)), /no archive/)
})

test.run()
