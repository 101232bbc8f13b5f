/** What a provider that is none, or a hostile one, answers: over real HTTPS. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { openAuthority } from '../authority.ts'
import { codeOf } from '../testing.ts'
import { createProviderFetch } from './provider-fetch.ts'

test('an answer with a status that is none, or that may have no body, is rejected and ends nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-provider-'))
  const theirs = { folder, agency: 'idp', hostnames: ['localhost'], clock: systemClock }
  const { serverKeyPem: key, serverCertPem: cert, caPem } = await openAuthority(theirs)
  const server = createServer({ key, cert }, ({ socket, url }) => {
    socket.end(`HTTP/1.1 ${url?.slice(1)} Odd\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const ask = (status: number) =>
    createProviderFetch([caPem])(`https://localhost:${(server.address() as AddressInfo).port}/${status}`, {
      method: 'GET',
      headers: {},
    })
  try {
    assert.is(await (await ask(200)).text(), 'no')
    for (const status of [999, 205]) assert.is(await codeOf(() => ask(status)), 'unavailable', `${status}`)
  } finally {
    server.close()
    await rm(folder, { recursive: true, force: true })
  }
})

test.run()
