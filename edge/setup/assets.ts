/** The built page, read once into memory, so that no path that somebody sends is ever looked up on the disk. Called by main.ts of this folder. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../shared/errors.ts'
import { installationFolder } from '../../shared/version.ts'

export interface PageAsset {
  path: string
  type: string
  bytes: Buffer
}

/** Where bundle.ts of this folder puts it. */
const BUILT = join('dist', 'setup')
const FILES = [
  { path: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/page.js', file: 'page.js', type: 'text/javascript; charset=utf-8' },
  { path: '/style.css', file: 'style.css', type: 'text/css; charset=utf-8' },
  { path: '/icon.svg', file: 'icon.svg', type: 'image/svg+xml' },
] as const

/** Throws `configuration` when it was not built. */
export async function loadAssets(folder = join(installationFolder(), BUILT)): Promise<PageAsset[]> {
  try {
    const read = FILES.map(async ({ path, file, type }) => ({ path, type, bytes: await readFile(join(folder, file)) }))
    return await Promise.all(read)
  } catch (cause) {
    throw new AppError('configuration', 'the set-up page is not built', { hint: 'run ./scripts/setup', cause })
  }
}
