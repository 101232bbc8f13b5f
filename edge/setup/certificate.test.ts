import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../../shared/clock.ts'
import { newPageCertificate } from './certificate.ts'

const NAMES = ['localhost', 'unit-7', 'unit-7.local', '192.168.1.7', '::1', 'fe80::a1:b2c3', 'fd00:1:2:3:4:5:6:7']
const NOW_MS = Date.UTC(2026, 10, 29, 6)

test('the certificate is for the unit’s names and addresses, signs itself, and is no authority', () => {
  const { certificatePem, keyPem, fingerprint } = newPageCertificate(NAMES, NOW_MS)
  const certificate = new X509Certificate(certificatePem)
  assert.ok(certificate.verify(certificate.publicKey))
  assert.ok(certificate.checkPrivateKey(createPrivateKey(keyPem)))
  assert.is(certificate.ca, false)
  assert.equal(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  for (const name of ['localhost', 'unit-7.local']) assert.is(certificate.checkHost(name), name)
  for (const address of NAMES.slice(3)) assert.is(certificate.checkIP(address), address)
  assert.is(certificate.checkIP('192.168.1.8'), undefined)
  assert.is(certificate.checkIP('fe80::a1:b2c4'), undefined)
  assert.is(fingerprint, certificate.fingerprint256)
})

test('its dates are about now, or any that there may be where the clock is not to be trusted', () => {
  const now = new X509Certificate(newPageCertificate(NAMES, NOW_MS).certificatePem)
  assert.is(new Date(now.validFrom).getTime(), NOW_MS - 2 * DAY_MS)
  assert.is(new Date(now.validTo).getTime(), NOW_MS + 30 * DAY_MS)
  const any = new X509Certificate(newPageCertificate(NAMES, null).certificatePem)
  assert.is(new Date(any.validFrom).getUTCFullYear(), 2020)
  assert.is(new Date(any.validTo).getUTCFullYear(), 2049)
})

test('two certificates share neither key nor serial number', () => {
  const [one, other] = [newPageCertificate(NAMES, NOW_MS), newPageCertificate(NAMES, NOW_MS)]
  assert.is.not(one.keyPem, other.keyPem)
  assert.is.not(
    new X509Certificate(one.certificatePem).serialNumber,
    new X509Certificate(other.certificatePem).serialNumber,
  )
})

test('a TLS client that trusts it alone takes it for the name', async () => {
  const { keyPem, certificatePem } = newPageCertificate(NAMES, null)
  const server = createServer({ key: keyPem, cert: certificatePem }, (socket) => socket.end('hello'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = server.address() as AddressInfo
    const said = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, servername: 'unit-7.local', ca: certificatePem }, () => {})
      socket.once('data', (bytes) => resolve(bytes.toString()))
      socket.once('error', reject)
    })
    assert.is(said, 'hello')
  } finally {
    server.close()
  }
})

test.run()
