/**
 * Where a webhook may stand: https anywhere but at addresses that belong to the machine's own link or to a hosting provider's
 * metadata; http on this machine only. Asked when a webhook is added and again for each connection, with the address that its
 * name has then: a name that changes its address in between gets nowhere.
 */
import { BlockList, isIP, isIPv6 } from 'node:net'
import { AppError } from '../../shared/errors.ts'

/** Longest address of a webhook, characters. */
export const MAX_WEBHOOK_URL = 2_048
/** Longest name of a host, characters [RFC 1035, 2.3.4]. */
export const MAX_HOST_LENGTH = 253

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

const REFUSED = new BlockList()
// Link-local [RFC 3927; RFC 4291, 2.5.6], where clouds keep their metadata, credentials included.
REFUSED.addSubnet('169.254.0.0', 16, 'ipv4')
REFUSED.addSubnet('fe80::', 10, 'ipv6')
// The same metadata at other addresses: Amazon over IPv6, Alibaba, and IPv4's link-local behind NAT64 [RFC 6052].
REFUSED.addAddress('fd00:ec2::254', 'ipv6')
REFUSED.addAddress('100.100.100.200', 'ipv4')
REFUSED.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6')
// "This host" [RFC 6890], multicast and broadcast: no receiver stands there.
REFUSED.addSubnet('0.0.0.0', 8, 'ipv4')
REFUSED.addAddress('::', 'ipv6')
REFUSED.addSubnet('224.0.0.0', 4, 'ipv4')
REFUSED.addSubnet('ff00::', 8, 'ipv6')
REFUSED.addAddress('255.255.255.255', 'ipv4')

const within = (list: BlockList, address: string) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

/** May a connection go to this IP address? `loopbackOnly`: the webhook is http. */
export function mayConnect(address: string, loopbackOnly: boolean): boolean {
  // A resolver may add the zone of a link-local address.
  const bare = address.replace(/%.*$/, '')
  if (isIP(bare) === 0) return false
  return loopbackOnly ? within(LOOPBACK, bare) : !within(REFUSED, bare)
}

/** The host of a URL as an IP address or a name, without the brackets of IPv6. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** Throws `bad_input`, never with the address itself: its path may hold a token. */
export function parseWebhookUrl(text: string): URL {
  const refuse = (problem: string) => new AppError('bad_input', `url: ${problem}`)
  if (!URL.canParse(text)) throw refuse('not an address; it begins with https://')
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse('must begin with https://')
  if (url.hostname.length > MAX_HOST_LENGTH) throw refuse(`the host has more than ${MAX_HOST_LENGTH} characters`)
  if (url.username !== '' || url.password !== '') throw refuse('must not hold a user name or password')
  if (url.hash !== '') throw refuse('must not have a fragment (#…)')
  if (!mayStandAt(url)) {
    throw refuse(
      url.protocol === 'http:'
        ? 'http is for 127.0.0.1, ::1 and localhost only; use https'
        : 'link-local, metadata and multicast addresses are refused',
    )
  }
  return url
}

function mayStandAt(url: URL): boolean {
  const host = hostOf(url)
  const loopbackOnly = url.protocol === 'http:'
  if (isIP(host) !== 0) return mayConnect(host, loopbackOnly)
  return !loopbackOnly || host === 'localhost'
}
