import { X509Certificate } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inCloud } from '../cloud/testing.ts'
import { newCameraRequest } from '../shared/certificate-request.ts'
import { AppError } from '../shared/errors.ts'
import { authoritiesIn, MAX_AUTHORITIES, openTls, serverProblem } from './server-trust.ts'

test('a server’s certificate is held against authority, kind, name and time, each by itself', async () => {
  await inCloud(async (world) => {
    const { authority } = world.cloud.parts
    const { caPem } = authority
    const certificate = new X509Certificate(authority.serverCertPem)
    const [fromMs, toMs] = [certificate.validFrom, certificate.validTo].map((text) => new Date(text).getTime()) as [
      number,
      number,
    ]
    const problem = (atMs: number | null, host = 'localhost', ca = caPem) =>
      serverProblem(certificate, { caPem: ca, host, atMs })
    for (const atMs of [null, fromMs, toMs - 1]) assert.is(problem(atMs), null)
    for (const atMs of [fromMs - 1, toMs, 0]) assert.match(problem(atMs) ?? '', /not valid at/)
    assert.is(problem(fromMs, '127.0.0.1'), null)
    assert.match(problem(fromMs, '127.0.0.2') ?? '', /not for 127\.0\.0\.2/)
    assert.match(problem(fromMs, 'elsewhere.example') ?? '', /not for elsewhere/)
    const camera = await authority.issueCamera('elm-st-1', newCameraRequest('x').csrPem)
    const asServer = serverProblem(new X509Certificate(camera.certPem), { caPem, host: 'localhost', atMs: null })
    assert.match(asServer ?? '', /not the certificate of a server/)
    const itself = serverProblem(new X509Certificate(caPem), { caPem, host: 'localhost', atMs: null })
    assert.match(itself ?? '', /not the certificate of a server/)
    await inCloud(async (elsewhere) => {
      const other = elsewhere.cloud.caPem
      // OpenSSL would tell of the time alone here.
      assert.match(problem(0, 'localhost', other) ?? '', /not signed by the authority/)
      assert.is(problem(fromMs, 'localhost', `${other}${caPem}`), null, 'one of two that are trusted')
    })
    assert.is(authoritiesIn(caPem.repeat(MAX_AUTHORITIES)).length, MAX_AUTHORITIES)
    for (const text of ['', caPem.repeat(MAX_AUTHORITIES + 1), caPem.replace(/\n[A-Za-z0-9]{8}/, '\nAAAAAAAA')]) {
      assert.throws(
        () => authoritiesIn(text),
        (thrown: unknown) => thrown instanceof AppError && thrown.code === 'configuration',
      )
    }
  })
})

test('a server that closes, or is not there, is unavailable', async () => {
  const closing = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => closing.listen(0, '127.0.0.1', resolve))
  const at = { host: '127.0.0.1', port: (closing.address() as AddressInfo).port }
  const codeOf = () =>
    openTls(at).then(
      () => 'open',
      (thrown: AppError) => thrown.code,
    )
  assert.is(await codeOf(), 'unavailable')
  await new Promise((resolve) => closing.close(resolve))
  assert.is(await codeOf(), 'unavailable')
})

test.run()
