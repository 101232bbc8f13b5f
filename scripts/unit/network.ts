/**
 * The unit's network: DHCP on any wire, unless network.json of the card says otherwise. It is taken from the card once, kept on the data
 * partition, and made into a file of systemd-networkd and one of wpa_supplicant in /run at every start. Run before systemd-networkd.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { z } from 'zod'
import { checkConfig, parseOwn, type TellUnknown, unknownLine } from '../../shared/config.ts'
import { AppError, EXIT } from '../../shared/errors.ts'
import { readFileIfThere, writeFileDurably } from '../../shared/secret-file.ts'
import { type Card, NETWORK_FILE, openCard } from './card.ts'
import { runCommand } from './command.ts'
import { UNIT_FOLDER } from './places.ts'

const address = z.string().refine((text) => isIP(text) !== 0, 'must be an IP address')
const network = z
  .string()
  .refine((text) => /^[^/]+\/\d{1,3}$/.test(text) && isIP(text.split('/')[0] ?? '') !== 0, 'must be ADDRESS/BITS')
/** What could end a quoted string or a line of a configuration file stands in none of these. */
const plain = (most: number) =>
  z
    .string()
    .regex(/^[^"\\\p{Cc}]+$/u)
    .max(most)

export const networkSchema = z
  .strictObject({
    /** Static; without it DHCP. */
    address: network.optional(),
    gateway: address.optional(),
    dns: z.array(address).max(4).default([]),
    ntp: z
      .array(z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/))
      .max(4)
      .default([]),
    /** 802.11i: a passphrase has 8 to 63 characters, an SSID at most 32 bytes. */
    wifi: z
      .strictObject({
        ssid: plain(32),
        passphrase: plain(63).min(8),
        country: z.string().regex(/^[A-Z]{2}$/),
      })
      .optional(),
  })
  .refine((config) => config.gateway === undefined || config.address !== undefined, 'gateway: needs an address')
export type Network = z.infer<typeof networkSchema>

export function parseNetwork(text: string): Network {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new AppError('bad_input', `${NETWORK_FILE} is not JSON`)
  }
  return checkConfig(json, networkSchema, NETWORK_FILE)
}

/** The kept one: it was looked at when it was taken, perhaps by a newer release. Throws what is wrong with it all the same. */
export const parseKeptNetwork = (text: string, tell: TellUnknown): Network => parseOwn(text, networkSchema, tell)

/** For systemd-networkd [systemd.network(5)]; it stands before 80-wired.network. */
export function networkdFile({ address, gateway, dns, ntp, wifi }: Network): string {
  const lines = ['[Match]', `Name=${wifi === undefined ? 'en* eth*' : 'wl*'}`, '', '[Network]']
  lines.push(address === undefined ? 'DHCP=yes' : `Address=${address}`, 'LinkLocalAddressing=ipv6')
  if (gateway !== undefined) lines.push(`Gateway=${gateway}`)
  for (const one of dns) lines.push(`DNS=${one}`)
  for (const one of ntp) lines.push(`NTP=${one}`)
  return `${lines.join('\n')}\n`
}

export function wpaFile({ ssid, passphrase, country }: NonNullable<Network['wifi']>): string {
  return `country=${country}\nnetwork={\n  ssid="${ssid}"\n  psk="${passphrase}"\n}\n`
}

const RUN_NETWORKD = '/run/systemd/network'
export const WPA_FILE = '/run/candor-unit/wpa.conf'

/** The network of the card, kept in `kept` from then on, or else the kept one; null without either. What is wrong with the card is told and no more. */
export async function currentNetwork(
  kept: string,
  open: () => Promise<Card>,
  tell: (line: string) => void,
): Promise<string | null> {
  let text = await readFileIfThere(kept)
  // Neither a typing error nor a card that cannot be read must keep a unit from the network that it has.
  const trying = async (what: string, work: () => Promise<void>) =>
    work().catch((thrown) => tell(`${what}: ${thrown instanceof Error ? thrown.message : thrown}\n`))
  await trying(`the card's ${NETWORK_FILE} is not used`, async () => {
    const card = await open()
    try {
      const fresh = card.read(NETWORK_FILE)
      if (fresh === null) return
      parseNetwork(fresh)
      await writeFileDurably(kept, fresh)
      text = fresh
      // It may hold a passphrase; and a card that is taken to a computer again shows what is still to come.
      await trying(`${NETWORK_FILE} stays on the card`, () => card.remove(NETWORK_FILE))
    } finally {
      await trying('the card is not let go', () => card.close())
    }
  })
  return text
}

export async function networkProcess(): Promise<number> {
  await mkdir(UNIT_FOLDER, { recursive: true, mode: 0o700 })
  const text = await currentNetwork(join(UNIT_FOLDER, NETWORK_FILE), openCard, (line) => process.stderr.write(line))
  if (text === null) return EXIT.done
  const config = parseKeptNetwork(text, (members) => process.stderr.write(`${unknownLine(NETWORK_FILE, members)}\n`))
  mkdirSync(RUN_NETWORKD, { recursive: true })
  writeFileSync(join(RUN_NETWORKD, '70-candor.network'), networkdFile(config))
  chmodSync(join(RUN_NETWORKD, '70-candor.network'), 0o644)
  if (config.wifi !== undefined) {
    writeFileSync(WPA_FILE, wpaFile(config.wifi), { mode: 0o600 })
    await runCommand('systemctl', ['--no-block', 'start', 'candor-wifi.service'], 30_000)
  }
  return EXIT.done
}
