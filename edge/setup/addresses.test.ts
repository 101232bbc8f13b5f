import type { NetworkInterfaceInfo } from 'node:os'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isLocal, MAX_ADDRESSES, mayReach, ownAddresses, ownHost, plainAddress } from './addresses.ts'

const info = (address: string, bits: number, family: 'IPv4' | 'IPv6' = 'IPv4') =>
  ({ address, family, cidr: `${address}/${bits}`, internal: false }) as NetworkInterfaceInfo

test('private, link-local and loopback addresses are local, to the edges of their ranges', () => {
  const local = [
    ...['10.0.0.0', '10.255.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255'],
    ...['169.254.0.0', '169.254.255.255', '127.0.0.1', '127.255.255.255'],
    ...[
      '::1',
      'fe80::1',
      'febf:ffff::1',
      'fc00::',
      'fdff:ffff::1',
      'FE80::1%eth0',
      '::ffff:10.1.2.3',
      '::FFFF:192.168.1.1',
    ],
  ]
  for (const address of local) assert.ok(isLocal(address), address)
  const others = [
    ...['9.255.255.255', '11.0.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0'],
    ...['169.253.255.255', '169.255.0.0', '126.255.255.255', '128.0.0.0', '0.0.0.0', '8.8.8.8', '100.64.0.1'],
    ...['::', '::2', 'fec0::1', 'fe7f::1', 'fbff::1', 'fe00::1', '2001:db8::1', '::ffff:8.8.8.8', '64:ff9b::a00:1'],
    ...['::ffff:0a00:0001', '::ffff:a00:1', '10.0.0', '10.0.0.1.evil.example', 'localhost', '', 'fe80', '0x0a000001'],
  ]
  for (const address of others) assert.not.ok(isLocal(address), address)
})

test('an IPv4 address that is written as IPv6 counts as itself, and zones do not count', () => {
  assert.is(plainAddress('::ffff:192.168.1.7'), '192.168.1.7')
  assert.is(plainAddress('fe80::1%wlan0'), 'fe80::1')
  assert.is(plainAddress('::ffff:999.1.1.1'), '::ffff:999.1.1.1')
})

test('the page listens at local addresses alone, link-local ones with their zone', () => {
  const own = ownAddresses({
    lo: [info('127.0.0.1', 8), info('::1', 128, 'IPv6')],
    eth0: [info('192.168.1.7', 24), info('2001:db8::7', 64, 'IPv6'), info('fe80::7', 64, 'IPv6')],
    wwan0: [info('203.0.113.9', 24)],
    gone: undefined,
  })
  assert.equal(
    own.map(({ listenAt, prefix }) => `${listenAt}/${prefix}`),
    ['127.0.0.1/8', '::1/128', '192.168.1.7/24', 'fe80::7%eth0/64'],
  )
})

test('at most 16 addresses are listened at', () => {
  const many = (count: number) => ({ eth0: Array.from({ length: count }, (_, n) => info(`10.0.0.${n}`, 24)) })
  assert.is(ownAddresses(many(MAX_ADDRESSES)).length, MAX_ADDRESSES)
  assert.is(ownAddresses(many(MAX_ADDRESSES + 1)).length, MAX_ADDRESSES)
})

test('only machines in a network of the unit reach the page: neither those behind a router nor those of the internet', () => {
  const own = ownAddresses({
    eth0: [info('192.168.1.7', 24), info('fd00:1::7', 64, 'IPv6'), info('fe80::7', 64, 'IPv6')],
  })
  for (const near of ['192.168.1.1', '192.168.1.255', '::ffff:192.168.1.20', 'fd00:1::20', 'fe80::abcd%eth0'])
    assert.ok(mayReach(near, own), near)
  const far = [
    '192.168.0.255',
    '192.168.2.0',
    '10.0.0.1',
    '8.8.8.8',
    '::ffff:192.168.2.1',
    'fd00:2::1',
    '2001:db8::1',
    '127.0.0.1',
    '',
  ]
  for (const address of far) assert.not.ok(mayReach(address, own), address)
})

test('a public network of the unit does not make its neighbours near', () => {
  const own = [{ address: '203.0.113.9', listenAt: '203.0.113.9', prefix: 24 }]
  assert.not.ok(mayReach('203.0.113.10', own))
})

test('the unit is asked for by its addresses and names, and by no other name that somebody points at it', () => {
  const own = ownAddresses({ eth0: [info('192.168.1.7', 24), info('fd00:1::7', 64, 'IPv6')] })
  const host = (header: string | undefined) => ownHost(header, own, 'Unit-7')
  for (const header of [
    '192.168.1.7:8443',
    '192.168.1.7',
    '[fd00:1::7]:8443',
    'unit-7.local:8443',
    'UNIT-7:8443',
    'localhost:1',
  ])
    assert.type(host(header), 'string', header)
  const foreign = [
    ...[undefined, '', 'evil.example', 'evil.example:8443', '192.168.1.8:8443', '192.168.1.7.evil.example', '10.0.0.1'],
    ...['unit-7.local.evil.example', '192.168.1.7:8443@evil.example', 'evil.example/192.168.1.7', '192.168.1.7:99999'],
    ...['fd00:1::7', '[fd00:1::8]', '192.168.1.7:8443:1', ' 192.168.1.7', 'unit-7.local.', '3232235783', '0xc0a80107'],
  ]
  for (const header of foreign) assert.is(host(header), null, String(header))
})

test.run()
