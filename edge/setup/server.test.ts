/** The server of the set-up page against those who mean harm, over real TLS on loopback. */
import { request } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { silentLog } from '../../shared/log.ts'
import type { OwnAddress } from './addresses.ts'
import { newPageCertificate } from './certificate.ts'
import { SERVER_LIMITS, type ServerLimits } from './limits.ts'
import { COOKIE, createSetupServer, type Route, type SetupServer } from './server.ts'

const certificate = newPageCertificate(['localhost', '127.0.0.1'], null)
const TOKEN = 'the-session'
const LOOPBACK: OwnAddress[] = [{ address: '127.0.0.1', listenAt: '127.0.0.1', prefix: 32 }]

const ROUTES: readonly Route[] = [
  { method: 'GET', path: '/', open: true, answer: () => ({ bytes: Buffer.from('page') }) },
  { method: 'GET', path: '/api/state', answer: () => ({ json: { secret: 'state' } }) },
  { method: 'POST', path: '/api/open', open: true, answer: ({ json }) => ({ json }) },
  { method: 'POST', path: '/api/set', answer: ({ json }) => ({ json }) },
  {
    method: 'POST',
    path: '/api/fails',
    answer: () => {
      throw new Error('what is inside')
    },
  },
  {
    method: 'POST',
    path: '/api/refuses',
    answer: () => {
      throw new AppError('conflict', 'not now', { hint: 'later' })
    },
  },
  // Until the browser is gone.
  {
    method: 'GET',
    path: '/api/waits',
    answer: async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      return {}
    },
  },
]

async function withServer(limits: Partial<ServerLimits>, work: (server: SetupServer) => Promise<void>): Promise<void> {
  const server = createSetupServer({
    ...{ certificate, routes: ROUTES, port: 0, hostname: 'unit-7', clock: systemClock, log: silentLog },
    limits: { ...SERVER_LIMITS, ...limits },
    isLoggedIn: (token) => token === TOKEN,
  })
  await server.listenAt(LOOPBACK)
  try {
    await work(server)
  } finally {
    await server.close()
  }
}

interface Given {
  status: number
  text: string
  headers: Record<string, string | string[] | undefined>
}

interface Sent {
  method?: string
  path?: string
  headers?: Record<string, string>
  body?: string | Buffer
  localAddress?: string
}

/** As a page of the unit would ask, unless `sent` says otherwise. */
function ask({ port }: SetupServer, sent: Sent = {}): Promise<Given> {
  const { method = 'GET', path = '/api/state', headers = {}, body, localAddress } = sent
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        ...{
          host: '127.0.0.1',
          port,
          method,
          path,
          ca: certificate.certificatePem,
          agent: false,
          localAddress,
          servername: 'localhost',
        },
        headers: {
          host: `127.0.0.1:${port}`,
          cookie: `${COOKIE}=${TOKEN}`,
          ...(method === 'POST' ? { origin: `https://127.0.0.1:${port}`, 'content-type': 'application/json' } : {}),
          ...headers,
        },
      },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            text: Buffer.concat(chunks).toString(),
            headers: answer.headers,
          }),
        )
      },
    )
    asked.on('error', reject)
    asked.end(body)
  })
}

const statusOf = async (server: SetupServer, sent: Sent) => (await ask(server, sent)).status
const codeOf = async (server: SetupServer, sent: Sent) =>
  (JSON.parse((await ask(server, sent)).text) as { error: { code: string } }).error.code
/** Broken off before there was an answer. */
const isCut = (work: Promise<unknown>) =>
  work.then(
    () => false,
    () => true,
  )

/** Sends bytes as they are; resolves with all that came back until the server hung up. */
function raw({ port }: SetupServer, bytes: string, onOpen: (socket: TLSSocket) => void = () => {}): Promise<string> {
  return new Promise((resolve) => {
    let said = ''
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: certificate.certificatePem }, () => {
      socket.write(bytes)
      onOpen(socket)
    })
    socket.on('data', (chunk) => {
      said += chunk.toString()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(said))
  })
}

test('without the session nothing but what is open answers, and what is inside is not told', async () => {
  await withServer({}, async (server) => {
    const without = { headers: { cookie: '' } }
    assert.is((await ask(server, { ...without, path: '/' })).text, 'page')
    assert.is(await statusOf(server, { ...without, method: 'POST', path: '/api/open', body: '{}' }), 200)
    for (const sent of [{ path: '/api/state' }, { method: 'POST', path: '/api/set', body: '{}' }]) {
      for (const cookie of ['', `${COOKIE}=wrong`, `${COOKIE}=`, `x${COOKIE}=${TOKEN}`, `candor-setup=${TOKEN}`]) {
        const { status, text } = await ask(server, { ...sent, headers: { cookie } })
        assert.is(status, 401, cookie)
        assert.not.match(text, /secret/)
      }
      assert.is(await statusOf(server, { ...sent, headers: { cookie: `a=b; ${COOKIE}=${TOKEN}; c=d` } }), 200)
    }
    const failed = await ask(server, { method: 'POST', path: '/api/fails', body: '{}' })
    assert.is(failed.status, 500)
    assert.not.match(failed.text, /inside/)
    assert.match((await ask(server, { method: 'POST', path: '/api/refuses', body: '{}' })).text, /not now.*later/)
  })
})

test('a request by another name is refused: a page elsewhere that points its own name at the unit', async () => {
  await withServer({}, async (server) => {
    for (const host of ['evil.example', `evil.example:${server.port}`, '192.168.1.7', 'unit-7.evil.example'])
      assert.is(await statusOf(server, { headers: { host } }), 421, host)
    for (const host of ['unit-7', `unit-7.local:${server.port}`, 'localhost', '127.0.0.1'])
      assert.is(await statusOf(server, { headers: { host } }), 200, host)
    assert.match(await raw(server, 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /)
    assert.match(
      await raw(server, 'GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n'),
      /^HTTP\/1\.1 421 /,
    )
  })
})

test('nothing is changed for another page: not by another origin, none at all, a form, or a picture’s address', async () => {
  await withServer({}, async (server) => {
    const post = { method: 'POST', path: '/api/set', body: '{}' }
    assert.is(await statusOf(server, post), 200)
    const own = `https://127.0.0.1:${server.port}`
    for (const origin of [
      'https://evil.example',
      'null',
      '',
      `http://127.0.0.1:${server.port}`,
      'https://127.0.0.1',
      `${own}.evil.example`,
    ])
      assert.is(await codeOf(server, { ...post, headers: { origin } }), 'forbidden', origin)
    // The right origin of another name of the unit is still another page.
    assert.is(await statusOf(server, { ...post, headers: { host: 'unit-7.local', origin: own } }), 403)
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/jsonx',
      '',
    ])
      assert.is(await codeOf(server, { ...post, headers: { 'content-type': type } }), 'bad_input', type)
    for (const site of ['cross-site', 'same-site', 'none'])
      assert.is(await statusOf(server, { headers: { 'sec-fetch-site': site } }), 403, site)
    assert.is(await statusOf(server, { headers: { 'sec-fetch-site': 'same-origin' } }), 200)
    assert.is(await statusOf(server, { path: '/api/set' }), 405)
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])
      assert.is(await statusOf(server, { method, path: '/api/set' }), 405, method)
  })
})

test('no path but those of the table answers, however it is written', async () => {
  await withServer({}, async (server) => {
    const tricks = [
      ...[
        '/..',
        '/../etc/passwd',
        '//',
        '/./',
        '/%2e%2e/%2e%2e/etc/shadow',
        '/api/state/',
        '/api//state',
        '/API/state',
      ],
      ...['/api/state%00', '/api/state;x', '/api%2fstate', '/\\api\\state', '/index.html', '/edge.json', '/key.pem'],
      ...['https://127.0.0.1/api/state', '*', '/api/state#', '/constructor', '/__proto__'],
    ]
    for (const path of tricks) {
      const said = await raw(
        server,
        `GET ${path} HTTP/1.1\r\nhost: localhost\r\ncookie: ${COOKIE}=${TOKEN}\r\nconnection: close\r\n\r\n`,
      )
      assert.match(said, /^HTTP\/1\.1 40[04] /, path)
      assert.not.match(said, /secret/, path)
    }
    assert.is(await statusOf(server, { path: '/api/state?x=../..' }), 200)
  })
})

test('a body may have as many bytes as the limit, and not one more, whatever its head says', async () => {
  await withServer({ maxBodyBytes: 1_000 }, async (server) => {
    const post = { method: 'POST', path: '/api/set' }
    const body = (bytes: number) => `{"a":"${'x'.repeat(bytes - 8)}"}`
    assert.is(body(1_000).length, 1_000)
    assert.is(await statusOf(server, { ...post, body: body(1_000) }), 200)
    assert.is(await statusOf(server, { ...post, body: body(1_001) }), 413)
    assert.is(await statusOf(server, { ...post, body: body(1_000), headers: { 'transfer-encoding': 'chunked' } }), 200)
    assert.is(await statusOf(server, { ...post, body: body(1_001), headers: { 'transfer-encoding': 'chunked' } }), 413)
    assert.is(await codeOf(server, { ...post, body: '{"a":' }), 'bad_input')
    assert.is(await statusOf(server, { ...post, body: '' }), 200)
    // Many times the limit is not read to its end; and nobody who is not logged in has a body read at all.
    const huge = Buffer.alloc(30_000_000, 'x')
    const answer = await ask(server, { ...post, body: huge }).catch(() => ({ status: 413 }))
    assert.is(answer.status, 413)
    const stranger = await ask(server, { ...post, body: huge, headers: { cookie: '' } }).catch(() => ({ status: 401 }))
    assert.is(stranger.status, 401)
  })
})

test('a head that is too long is refused', async () => {
  await withServer({ maxHeadBytes: 2_000 }, async (server) => {
    assert.is(await statusOf(server, { headers: { x: 'a'.repeat(1_500) } }), 200)
    assert.is(await statusOf(server, { headers: { x: 'a'.repeat(2_001) } }), 431)
  })
})

test('who sends a head or a body drop by drop, or nothing, is cut off, and others are served meanwhile', async () => {
  const limits = { headMs: 300, requestMs: 600, silentMs: 1_500, handshakeMs: 300 }
  await withServer(limits, async (server) => {
    const timers: NodeJS.Timeout[] = []
    const drip = (start: string) => (socket: TLSSocket) => {
      timers.push(setInterval(() => socket.writable && socket.write('x'), 50))
      socket.write(start)
    }
    const head = `POST /api/set HTTP/1.1\r\nhost: localhost\r\n`
    const whole = `${head}cookie: ${COOKIE}=${TOKEN}\r\norigin: https://localhost\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n`
    const silentTcp = new Promise<void>((resolve) => {
      const socket = connectTcp({ host: '127.0.0.1', port: server.port })
      socket.on('error', () => {})
      socket.on('close', () => resolve())
    })
    const slow = [raw(server, head, drip('x-slow: ')), raw(server, whole, drip('{')), raw(server, '')]
    assert.is(await statusOf(server, {}), 200)
    const [slowHead, slowBody, silent] = await Promise.all([...slow, silentTcp])
    for (const timer of timers) clearInterval(timer)
    assert.match(slowHead ?? '', /^(HTTP\/1\.1 408 |$)/)
    assert.match(slowBody ?? '', /^(HTTP\/1\.1 408 |$)/)
    assert.match(silent ?? '', /^(HTTP\/1\.1 408 |$)/)
    assert.is(await statusOf(server, {}), 200)
  })
})

test('each machine has so many connections, all together so many more, and one that ends makes room', async () => {
  await withServer({ maxPerAddress: 3, maxConnections: 20 }, async (server) => {
    const waiting: Promise<string>[] = []
    const open: TLSSocket[] = []
    const wait = () =>
      new Promise<void>((ready) => {
        waiting.push(
          raw(server, `GET /api/waits HTTP/1.1\r\nhost: localhost\r\ncookie: ${COOKIE}=${TOKEN}\r\n\r\n`, (socket) => {
            open.push(socket)
            ready()
          }),
        )
      })
    for (let n = 0; n < 2; n += 1) await wait()
    assert.is(await statusOf(server, {}), 200)
    await wait()
    assert.ok(await isCut(ask(server)))
    open.pop()?.destroy()
    await waiting.pop()
    // The server hears of it a moment later.
    let status = 0
    for (let n = 0; n < 50 && status !== 200; n += 1) status = await statusOf(server, {}).catch(() => 0)
    assert.is(status, 200)
    for (const socket of open) socket.destroy()
  })
  await withServer({ maxPerAddress: 20, maxConnections: 1 }, async (server) => {
    const socket = connect({
      host: '127.0.0.1',
      port: server.port,
      servername: 'localhost',
      ca: certificate.certificatePem,
    })
    await new Promise((resolve) => socket.once('secureConnect', resolve))
    assert.ok(await isCut(ask(server)))
    socket.destroy()
  })
})

test('so many requests a minute are answered, and not one more', async () => {
  await withServer({ maxRequestsPerMinute: 5 }, async (server) => {
    const found: number[] = []
    for (let n = 0; n < 6; n += 1) found.push(await statusOf(server, {}))
    assert.equal(found, [200, 200, 200, 200, 200, 429])
  })
})

test('who is not in a network of the unit does not even get a handshake', async () => {
  await withServer({}, async (server) => {
    assert.is(await statusOf(server, { localAddress: '127.0.0.1' }), 200)
    // Another address of this machine, outside the network of one address that the server was told of.
    assert.ok(await isCut(ask(server, { localAddress: '127.0.0.2' })))
  })
})

test('the page’s headers allow nothing from elsewhere and keep nothing', async () => {
  await withServer({}, async (server) => {
    const { headers } = await ask(server, { path: '/' })
    const policy = String(headers['content-security-policy'])
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'/)
    assert.not.match(policy, /unsafe|\*|http/)
    assert.is(headers['cache-control'], 'no-store')
    assert.is(headers['x-content-type-options'], 'nosniff')
    assert.is((await ask(server)).headers['cache-control'], 'no-store')
  })
})

test('an address that is gone is no longer listened at, a new one is, on the same port', async () => {
  await withServer({}, async (server) => {
    const { port } = server
    assert.equal(server.origins, [`https://127.0.0.1:${port}`])
    await server.listenAt([{ address: '127.0.0.3', listenAt: '127.0.0.3', prefix: 8 }])
    assert.is(server.port, port)
    assert.equal(server.origins, [`https://127.0.0.3:${port}`])
    assert.ok(await isCut(ask(server)))
  })
})

test.run()
