/**
 * Serves the page that dist/web holds (built by bundle.ts) at `/`, with headers that allow nothing but its own script, style
 * and connections. Called by the API, once.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../../shared/errors.ts'

const BUILT = fileURLToPath(new URL('../../dist/web/', import.meta.url))

/** Pictures come through the API with the person's token and are shown as blobs. [CSP Level 3] */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  // The page is small and must never be older than the API it talks to.
  'cache-control': 'no-cache',
}

/** Throws `configuration` when the page was not built. `folder`: where the built page lies. */
export async function registerPages(app: FastifyInstance, folder: string = BUILT): Promise<void> {
  if (!existsSync(`${folder}/index.html`)) {
    throw new AppError('configuration', 'the page is not built', { hint: 'run ./scripts/setup' })
  }
  await app.register(fastifyStatic, {
    root: folder,
    prefix: '/',
    index: 'index.html',
    // Only files that stand there now; everything else is the API's 404.
    wildcard: false,
    decorateReply: false,
    preCompressed: true,
    cacheControl: false,
    setHeaders: (reply) => {
      for (const [name, value] of Object.entries(PAGE_HEADERS)) reply.setHeader(name, value)
    },
  })
}
