/**
 * Serves the page that dist/web holds (built by bundle.ts) at `/`, with headers that allow nothing but its own script, style
 * and connections. Called by the API, once.
 */
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../../shared/errors.ts'

const BUILT = fileURLToPath(new URL('../../dist/web/', import.meta.url))
/** The stand-alone verifier of the audit, built by bundle.ts beside the page. */
export const VERIFIER_FILE = fileURLToPath(new URL('../../dist/web/audit/verify.mjs', import.meta.url))

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

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
}

/**
 * Reads the built page once and serves it from memory: a handful of files, so no path that somebody sends is ever looked up
 * on the disk. Throws `configuration` when the page was not built. `folder`: where the built page lies.
 */
export async function registerPages(app: FastifyInstance, folder: string = BUILT): Promise<void> {
  let names: string[]
  try {
    names = await readdir(folder, { recursive: true })
  } catch (cause) {
    throw new AppError('configuration', 'the page is not built', { hint: 'run ./scripts/setup', cause })
  }
  for (const name of names) {
    const type = TYPES[extname(name)]
    if (type === undefined) continue
    const plain = await readFile(join(folder, name))
    const compressed = names.includes(`${name}.br`) ? await readFile(join(folder, `${name}.br`)) : null
    app.get(name === 'index.html' ? '/' : `/${name}`, { schema: { hide: true } }, async (request, reply) => {
      reply.headers({ ...PAGE_HEADERS, 'content-type': type, vary: 'accept-encoding' })
      const takesBrotli = /(?:^|[,\s])br(?:$|[,;\s])/.test(request.headers['accept-encoding'] ?? '')
      return compressed !== null && takesBrotli ? reply.header('content-encoding', 'br').send(compressed) : plain
    })
  }
  if (!names.includes('index.html')) {
    throw new AppError('configuration', 'the page is not built', { hint: 'run ./scripts/setup' })
  }
}
