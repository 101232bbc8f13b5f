import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inCloud } from '../../cloud/testing.ts'
import type { AppError } from '../../shared/errors.ts'
import { openConnection } from './connection.ts'

test('a connection that nobody answers is given up at once when the camera is told to end, whatever its clock', () =>
  inCloud(async (world) => {
    const { key, cert } = await world.addCamera('north')
    for (const isClockTrusted of [true, false]) {
      let taken = (_: Socket) => {}
      const met = new Promise<Socket>((resolve) => {
        taken = resolve
      })
      // A link that swallows what is sent, as a firewall does or a tunnel that is dead.
      const silent = createServer((socket) => taken(socket.on('error', () => {})))
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
      const stop = new AbortController()
      const opening = openConnection({
        ...{
          url: `mqtts://127.0.0.1:${(silent.address() as AddressInfo).port}`,
          clientId: 'north',
          keepaliveSeconds: 30,
        },
        ...{ caPem: world.cloud.caPem, certificatePem: cert, keyPem: key, isClockTrusted, signal: stop.signal },
        ...{ will: { topic: 'status', payload: Buffer.alloc(0) }, onPublish() {} },
      }).then(
        () => 'open',
        ({ code, message }: AppError) => `${code}: ${message}`,
      )
      const socket = await met
      socket.resume()
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      stop.abort()
      assert.match(await opening, /^unavailable: .*given up/)
      await closed
      await new Promise((resolve) => silent.close(resolve))
    }
  }))

test.run()
