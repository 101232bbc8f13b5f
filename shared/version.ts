/** The software's version as it stands in package.json; travels in every sighting and status. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout or installation folder: the nearest one above this file that holds package.json. */
export function installationFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url))
  // Runs from `shared/` and, when built, from `dist/shared/`.
  return here.endsWith(join('dist', 'shared')) ? dirname(dirname(here)) : dirname(here)
}

export function softwareVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(installationFolder(), 'package.json'), 'utf8'))
  const version = typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : null
  return typeof version === 'string' ? version : '0.0.0'
}
