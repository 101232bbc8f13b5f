import { lookup as systemLookup } from 'node:dns'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SECOND_MS, systemClock } from '../../shared/clock.ts'
import { toAppError } from '../../shared/errors.ts'
import { inCloud, until } from '../testing.ts'
import { MAX_HOST_LENGTH, mayConnect, parseWebhookUrl } from './address.ts'
import { parseRetryAfter } from './delivery.ts'
import { type Answer, MAX_ANSWER_BYTES, MAX_POST_BYTES, post, type Sending } from './post.ts'

const SENDING: Sending = { clock: systemClock, timeoutMs: 5 * SECOND_MS, caPem: null, lookup: systemLookup }
const never = new AbortController().signal

/** The answer, or the reason of the refusal. */
async function send(
  url: string,
  change: Partial<Sending> & { body?: Buffer; signal?: AbortSignal } = {},
): Promise<Answer | string> {
  const { body = Buffer.from('{}'), signal = never, ...sending } = change
  try {
    return await post(new URL(url), { headers: {}, body }, { ...SENDING, ...sending }, signal)
  } catch (thrown) {
    return toAppError(thrown).message
  }
}

async function listening<T>(server: Server, work: (port: number) => Promise<T>): Promise<T> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    return await work((server.address() as AddressInfo).port)
  } finally {
    server.close()
    if ('closeAllConnections' in server) (server as ReturnType<typeof createHttpServer>).closeAllConnections()
  }
}

const http = <T>(answer: RequestListener, work: (url: string) => Promise<T>) =>
  listening(createHttpServer(answer), (port) => work(`http://127.0.0.1:${port}/`))

test('an address may be https anywhere but on the link, at metadata and multicast, and http on this machine only', () => {
  for (const url of [
    'https://dispatch.example/hook?x=1',
    'https://10.1.2.3:8443/',
    'https://192.168.0.9/',
    'https://127.0.0.1/',
    'https://[fd12::9]/',
    'http://localhost:8080/',
    'http://127.9.9.9/',
    'http://[::1]/',
    // 127.0.0.1 as one number.
    'http://2130706433/',
  ]) {
    assert.is(parseWebhookUrl(url).href, new URL(url).href)
  }
  for (const url of [
    '',
    'dispatch.example',
    'ftp://dispatch.example/',
    'http://dispatch.example/',
    'http://10.1.2.3/',
    'http://localhost.example/',
    'https://ann:secret@dispatch.example/',
    'https://dispatch.example/#x',
    'https://169.254.169.254/latest/meta-data',
    // The same as one number, and as IPv4 inside IPv6.
    'https://2852039166/',
    'https://169.254.169.254./',
    'https://[::ffff:169.254.169.254]/',
    'https://[64:ff9b::169.254.169.254]/',
    'https://[fe80::1]/',
    'https://[febf::1]/',
    'https://[fd00:ec2::254]/',
    'https://100.100.100.200/',
    'https://0.0.0.0/',
    'https://[::]/',
    'https://224.0.0.1/',
    'https://[ff02::1]/',
    'https://255.255.255.255/',
    'http://[::ffff:10.0.0.1]/',
  ]) {
    assert.throws(() => parseWebhookUrl(url), /^url: /, url)
  }
  const host = (length: number) => `https://${'a'.repeat(length - 8)}.example/`
  assert.ok(parseWebhookUrl(host(MAX_HOST_LENGTH)))
  assert.throws(() => parseWebhookUrl(host(MAX_HOST_LENGTH + 1)), /characters/)
})

test('what is refused ends exactly at the edges of its networks', () => {
  for (const address of ['169.253.255.255', '169.255.0.0', 'fe7f::1', 'fec0::1', '223.255.255.255', '1.0.0.0']) {
    assert.ok(mayConnect(address, false), address)
  }
  for (const address of [
    '169.254.0.0',
    '169.254.255.255',
    'fe80::',
    'fe80::1%eth0',
    'no-address',
    '224.0.0.0',
    '0.255.255.255',
  ]) {
    assert.not(mayConnect(address, false), address)
  }
})

test('a name that leads to a refused address gets no connection, also when it led elsewhere before', async () => {
  let connections = 0
  const server = createTcpServer((socket) => {
    connections += 1
    socket.destroy()
  })
  await listening(server, async (port) => {
    let address = '127.0.0.1'
    const lookup: Sending['lookup'] = (_host, _options, done) => done(null, [{ address, family: 4 }])
    const url = `https://rebinding.example:${port}/`
    assert.match(String(await send(url, { lookup })), /ECONNRESET|closed|failed/)
    await until('it was connected to', () => connections === 1)
    address = '169.254.169.254'
    assert.match(String(await send(url, { lookup })), /refused/)
    address = '127.0.0.1'
    // http, which is for this machine, whose name now leads to another one.
    address = '10.0.0.1'
    assert.match(String(await send(`http://localhost:${port}/`, { lookup })), /refused/)
    assert.match(String(await send(`https://169.254.169.254:${port}/`)), /refused/)
    assert.is(connections, 1)
  })
})

test('of several addresses of a name only those are tried that are allowed', async () => {
  await http(
    (_, to) => to.end(),
    async (url) => {
      const found = ['169.254.169.254', '127.0.0.1'].map((address) => ({ address, family: 4 }))
      const answer = await send(url.replace('127.0.0.1', 'localhost'), {
        lookup: (_host, _options, done) => done(null, found),
      })
      assert.equal(answer, { status: 200, retryAfter: null })
    },
  )
})

test('a receiver must show a certificate that is trusted, of its own name', async () => {
  await inCloud(async ({ cloud }) => {
    const { serverKeyPem, serverCertPem, caPem } = cloud.parts.authority
    const server = createHttpsServer({ key: serverKeyPem, cert: serverCertPem }, (_, to) => to.writeHead(204).end())
    await listening(server, async (port) => {
      const url = `https://localhost:${port}/`
      assert.match(String(await send(url)), /CERT|VERIFY|ISSUER/)
      assert.equal(await send(url, { caPem: [caPem] }), { status: 204, retryAfter: null })
      const elsewhere = `https://receiver.example:${port}/`
      const lookup: Sending['lookup'] = (_host, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }])
      assert.is(await send(elsewhere, { caPem: [caPem], lookup }), 'ERR_TLS_CERT_ALTNAME_INVALID')
    })
  })
})

test('an answer that has no end is read no further than its bound, and its status counts', async () => {
  let written = 0
  const endless: RequestListener = (_, to) => {
    const more = () => {
      while (!to.destroyed && to.write(Buffer.alloc(4_096))) written += 4_096
    }
    to.writeHead(200)
    to.on('drain', more)
    more()
  }
  await http(endless, async (url) => {
    const beganMs = systemClock.monotonicMs()
    assert.equal(await send(url, { timeoutMs: 60 * SECOND_MS }), { status: 200, retryAfter: null })
    assert.ok(systemClock.monotonicMs() - beganMs < 30 * SECOND_MS, 'long before its time is over')
    assert.ok(written > MAX_ANSWER_BYTES)
    assert.ok(written < 32 * 1024 * 1024, 'what the system itself takes in advance')
  })
})

test('one deadline counts for an answer that does not come, a head that drips and a server that says nothing at all', async () => {
  const timeoutMs = 400
  await http(
    () => {},
    async (url) => assert.is(await send(url, { timeoutMs }), 'no answer within 0.4 s'),
  )
  const dripping = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.write('HTTP/1.1 200 OK\r\n')
    const drip = setInterval(() => socket.write('x: y\r\n'), 50)
    socket.on('close', () => clearInterval(drip))
  })
  await listening(dripping, async (port) => {
    assert.is(await send(`http://127.0.0.1:${port}/`, { timeoutMs }), 'no answer within 0.4 s')
  })
  const silent = createTcpServer((socket) => socket.on('error', () => {}))
  await listening(silent, async (port) => {
    assert.is(await send(`https://127.0.0.1:${port}/`, { timeoutMs }), 'no answer within 0.4 s')
  })
})

test('a status that was said counts although the rest of the answer never comes', async () => {
  await http(
    (_, to) => to.writeHead(200, { 'content-length': '10' }).write('x'),
    async (url) => assert.equal(await send(url, { timeoutMs: 2 * SECOND_MS }), { status: 200, retryAfter: null }),
  )
})

test('it ends at once when it is told to', async () => {
  const ending = new AbortController()
  await http(
    () => ending.abort(),
    async (url) => {
      const beganMs = systemClock.monotonicMs()
      assert.type(await send(url, { signal: ending.signal }), 'string')
      assert.ok(systemClock.monotonicMs() - beganMs < 2 * SECOND_MS)
      assert.type(await send(url, { signal: ending.signal }), 'string', 'and before it has begun')
    },
  )
})

test('a body goes up to its bound and not above', async () => {
  let bytes = 0
  const count: RequestListener = (incoming, to) => {
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    incoming.on('end', () => to.end())
  }
  await http(count, async (url) => {
    assert.equal(await send(url, { body: Buffer.alloc(MAX_POST_BYTES) }), { status: 200, retryAfter: null })
    assert.is(bytes, MAX_POST_BYTES)
    assert.match(String(await send(url, { body: Buffer.alloc(MAX_POST_BYTES + 1) })), /bytes/)
    assert.is(bytes, MAX_POST_BYTES)
  })
})

test('what the receiver says of when to come again is kept within our own bounds', () => {
  const nowMs = Date.UTC(2026, 10, 28, 12)
  const cases: [string | null, number | null][] = [
    [null, null],
    ['', null],
    ['soon', null],
    ['-5', null],
    ['0', 1_000],
    ['30', 30_000],
    ['900', 900_000],
    ['901', 900_000],
    ['99999999999999999999', null],
    ['Sat, 28 Nov 2026 12:01:00 GMT', 60_000],
    ['Sat, 28 Nov 2026 11:00:00 GMT', 1_000],
    ['Sun, 29 Nov 2026 12:00:00 GMT', 900_000],
  ]
  for (const [text, expected] of cases) assert.is(parseRetryAfter(text, nowMs), expected, String(text))
})

test.run()
