/**
 * Who may reach the set-up page: only machines in the same private network, by an address of the unit or by its own name. Pure. A page
 * elsewhere that makes the phone's browser ask for a name of its own (DNS rebinding) is refused by the name. Called by server.ts.
 */
import { BlockList, isIP, isIPv4 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'

/** Private, link-local and loopback [RFC 1918, RFC 3927, RFC 4193, RFC 4291]. Nothing of it is routed on the internet. */
export const LOCAL_RANGES = [
  { network: '10.0.0.0', prefix: 8, family: 'ipv4' },
  { network: '172.16.0.0', prefix: 12, family: 'ipv4' },
  { network: '192.168.0.0', prefix: 16, family: 'ipv4' },
  { network: '169.254.0.0', prefix: 16, family: 'ipv4' },
  { network: '127.0.0.0', prefix: 8, family: 'ipv4' },
  { network: 'fc00::', prefix: 7, family: 'ipv6' },
  { network: 'fe80::', prefix: 10, family: 'ipv6' },
  { network: '::1', prefix: 128, family: 'ipv6' },
] as const

/** Addresses that the page listens at: a unit with more interfaces is none. */
export const MAX_ADDRESSES = 16

const local = new BlockList()
for (const { network, prefix, family } of LOCAL_RANGES) local.addSubnet(network, prefix, family)

const familyOf = (address: string) => (isIPv4(address) ? 'ipv4' : 'ipv6')

/** Without the zone of a link-local address, and an IPv4 address that is written as IPv6 (::ffff:10.0.0.1) as itself. */
export function plainAddress(address: string): string {
  const bare = address.replace(/%.*$/, '').toLowerCase()
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare) ?? []
  return mapped !== undefined && isIPv4(mapped) ? mapped : bare
}

export function isLocal(address: string): boolean {
  const plain = plainAddress(address)
  if (isIP(plain) === 0) return false
  // Node's list takes ::ffff:0a00:0001 for 10.0.0.1, which no kernel gives us: written so, it is refused.
  if (plain.startsWith('::ffff:')) return false
  return local.check(plain, familyOf(plain))
}

export interface OwnAddress {
  address: string
  /** As `server.listen` wants it: with the zone where there must be one. */
  listenAt: string
  /** Bits of the network that it is in. */
  prefix: number
}

/** The addresses of this unit at which the page listens: the local ones. */
export function ownAddresses(interfaces: Readonly<Record<string, NetworkInterfaceInfo[] | undefined>>): OwnAddress[] {
  return Object.entries(interfaces)
    .flatMap(([name, infos]) =>
      (infos ?? []).map(({ address, cidr, family }): OwnAddress => {
        const needsZone = family === 'IPv6' && /^fe[89ab]/i.test(address)
        const prefix = Number(cidr?.split('/')[1] ?? (family === 'IPv4' ? 32 : 128))
        return { address, listenAt: needsZone ? `${address}%${name}` : address, prefix }
      }),
    )
    .filter(({ address }) => isLocal(address))
    .slice(0, MAX_ADDRESSES)
}

/** In the same network as one of the unit's own addresses, and that a private one: no router is between. */
export function mayReach(remote: string, own: readonly OwnAddress[]): boolean {
  const plain = plainAddress(remote)
  if (!isLocal(plain)) return false
  return own.some(({ address, prefix }) => {
    if (familyOf(address) !== familyOf(plain)) return false
    const network = new BlockList()
    network.addSubnet(address, prefix, familyOf(address))
    return network.check(plain, familyOf(plain))
  })
}

/** The host of a `Host` header that is this unit, in lower case and without its port; null for any other. */
export function ownHost(header: string | undefined, own: readonly OwnAddress[], hostname: string): string | null {
  const [, host, port] = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(\d{1,5}))?$/i.exec(header ?? '') ?? []
  if (host === undefined || Number(port ?? 1) > 65_535) return null
  const bare = host.toLowerCase().replace(/^\[|\]$/g, '')
  const names = ['localhost', hostname.toLowerCase(), `${hostname.toLowerCase()}.local`]
  if (names.includes(bare)) return host.toLowerCase()
  return isIP(bare) !== 0 && own.some(({ address }) => address.toLowerCase() === bare) ? host.toLowerCase() : null
}
