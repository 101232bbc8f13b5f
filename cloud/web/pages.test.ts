import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fastify from 'fastify'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PAGE_HEADERS, registerPages } from './pages.ts'

const bundle = fileURLToPath(new URL('./bundle.ts', import.meta.url))

async function withPage(use: (app: ReturnType<typeof fastify>) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(`${tmpdir()}/candor-page-`)
  const app = fastify()
  try {
    await promisify(execFile)(process.execPath, ['--import', 'tsx', bundle, `${folder}/web/`])
    await registerPages(app, `${folder}/web/`)
    await use(app)
  } finally {
    await app.close()
    await rm(folder, { recursive: true })
  }
}

test('the page, its script and its style are served with headers that allow nothing else', async () => {
  await withPage(async (app) => {
    for (const [url, type] of [
      ['/', 'text/html'],
      ['/assets/page.js', 'javascript'],
      ['/assets/style.css', 'text/css'],
    ] as const) {
      const reply = await app.inject({ url })
      assert.is(reply.statusCode, 200, url)
      assert.match(String(reply.headers['content-type']), type)
      for (const [name, value] of Object.entries(PAGE_HEADERS)) assert.is(reply.headers[name], value, `${url} ${name}`)
    }
    const policy = PAGE_HEADERS['content-security-policy'] ?? ''
    assert.not.match(policy, 'unsafe')
  })
})

test('the page has neither inline script nor style, and loads nothing from elsewhere', async () => {
  await withPage(async (app) => {
    const { body } = await app.inject({ url: '/' })
    assert.not.match(body, /<script(?![^>]*\bsrc=)/)
    assert.not.match(body, /<style|style=|\son\w+=|https?:/)
  })
})

test('a browser that takes brotli gets it', async () => {
  await withPage(async (app) => {
    const encodings = { 'accept-encoding': 'gzip, deflate, br, zstd' }
    assert.is((await app.inject({ url: '/', headers: encodings })).statusCode, 200)
    assert.is((await app.inject({ url: '/assets/page.js.LEGAL.txt', headers: encodings })).statusCode, 200)
    const reply = await app.inject({ url: '/assets/page.js', headers: { 'accept-encoding': 'br, gzip' } })
    assert.is(reply.headers['content-encoding'], 'br')
    assert.match(String(reply.headers['content-type']), 'javascript')
    assert.is(reply.headers['x-content-type-options'], 'nosniff')
    assert.ok(reply.rawPayload.length < 300_000, `${reply.rawPayload.length} bytes`)
  })
})

test('nothing outside the built page is served', async () => {
  await withPage(async (app) => {
    for (const url of [
      '/../package.json',
      '/%2e%2e/package.json',
      '/assets/..%2f..%2f..%2fpackage.json',
      '/page.ts',
      '/assets/',
    ]) {
      assert.is((await app.inject({ url })).statusCode, 404, url)
    }
    assert.is((await app.inject({ url: '/', method: 'POST' })).statusCode, 404)
  })
})

test('a checkout whose page was not built is told so', async () => {
  const folder = await mkdtemp(`${tmpdir()}/candor-page-`)
  const app = fastify()
  try {
    await registerPages(app, folder)
    assert.unreachable()
  } catch (thrown) {
    assert.match(String(thrown), 'the page is not built')
  } finally {
    await app.close()
    await rm(folder, { recursive: true })
  }
})

test.run()
