/**
 * Builds the set-up page with esbuild: `node --import tsx edge/setup/bundle.ts [FOLDER/]`, by default into dist/setup. Called by
 * scripts/setup; a unit only serves what is there. Owns that folder.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const page = fileURLToPath(new URL('./page/', import.meta.url))
const out = process.argv[2] ?? fileURLToPath(new URL('../../dist/setup/', import.meta.url))

await rm(out, { recursive: true, force: true })
await mkdir(out, { recursive: true })
await build({
  entryPoints: { page: `${page}main.ts`, style: `${page}style.css` },
  outdir: out,
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: ['chrome109', 'firefox115', 'safari16'],
  minify: true,
  logLevel: 'warning',
})
for (const file of ['index.html', 'icon.svg']) await writeFile(`${out}${file}`, await readFile(`${page}${file}`))
