/**
 * `boot-loader.ts FROM TO`: Debian's U-Boot for a Raspberry Pi with other defaults of its environment. As Debian builds it, a key on the serial pins or on
 * a USB keyboard within two seconds of power on stops it, which noise on an open pin can do as well, and where the card does not answer it starts what a
 * USB stick or a stranger's server on the network offers, or waits at its prompt for ever. On a unit it asks nobody, starts from the card, and tries again.
 * Run by scripts/image.
 *
 * The defaults stand in the file as `name=value` and a zero byte each, then a further zero byte; U-Boot reads them up to there
 * [https://docs.u-boot.org/en/v2023.01/usage/environment.html]. They are kept in the file, not beside it as
 * uboot.env, since they must hold where the card
 * cannot be read.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { AppError } from '../../shared/errors.ts'

/** By name; null: is to go. */
export type Defaults = Readonly<Record<string, string | null>>

export const UNIT_DEFAULTS: Defaults = {
  // Not even looked for.
  bootdelay: '-2',
  stdin: 'nulldev',
  bootcmd: 'run distro_bootcmd; reset',
  // Which of the three the card is depends on the board.
  boot_targets: 'mmc0 mmc1 mmc2',
  // Searches the buses for a keyboard and for what else may be started.
  preboot: null,
  bootcmd_usb0: null,
  bootcmd_pxe: null,
  bootcmd_dhcp: null,
  dhcpuboot: null,
}

/** What the defaults begin with in Debian's files. */
const FIRST = Buffer.from('\0bootcmd=run distro_bootcmd\0')

/**
 * The same number of bytes with other defaults. Throws `bad_input` when the file has no defaults or more than one set of them, lacks one that is to be
 * changed, or has no room for all.
 */
export function withDefaults(loader: Buffer, changes: Defaults): Buffer {
  const start = loader.indexOf(FIRST) + 1
  if (start === 0 || loader.indexOf(FIRST, start) !== -1)
    throw new AppError('bad_input', `this is no U-Boot with one set of defaults (${FIRST.subarray(1, -1)})`)
  const end = loader.indexOf('\0\0', start) + 1
  const defaults = new Map<string, string>()
  for (const line of loader.subarray(start, end).toString('latin1').split('\0').slice(0, -1)) {
    const [name = ''] = line.split('=', 1)
    defaults.set(name, line.slice(name.length + 1))
  }
  for (const [name, value] of Object.entries(changes)) {
    if (!defaults.has(name))
      throw new AppError('bad_input', `this U-Boot has no default for ${name}; what stands in its place?`)
    if (value === null) defaults.delete(name)
    else defaults.set(name, value)
  }
  const bytes = Buffer.from([...defaults].map(([name, value]) => `${name}=${value}\0`).join(''), 'latin1')
  if (bytes.length > end - start)
    throw new AppError('bad_input', `the defaults take ${bytes.length} bytes, of ${end - start} that there are`)
  const changed = Buffer.from(loader)
  changed.fill(0, start, end)
  bytes.copy(changed, start)
  return changed
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [from = '', to = ''] = process.argv.slice(2)
  writeFileSync(to, withDefaults(readFileSync(from), UNIT_DEFAULTS))
}
