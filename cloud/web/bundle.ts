/**
 * Builds the page with esbuild: `node --import tsx cloud/web/bundle.ts [FOLDER/]`, by default into dist/web, and the audit's
 * stand-alone verifier beside it. Called by scripts/setup; the cloud itself only serves what is there. Owns that folder.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress } from 'node:zlib'
import { build, type Plugin } from 'esbuild'

const page = fileURLToPath(new URL('./page/', import.meta.url))
const out = process.argv[2] ?? fileURLToPath(new URL('../../dist/web/', import.meta.url))

/** zod carries its messages in 50 languages; the page shows none of them. */
const onlyEnglish: Plugin = {
  name: 'only-english',
  setup({ onLoad }) {
    onLoad({ filter: /[/\\]zod[/\\]v4[/\\]locales[/\\]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js'",
    }))
  },
}

await rm(out, { recursive: true, force: true })
await mkdir(`${out}assets`, { recursive: true })
await build({
  entryPoints: { page: `${page}main.ts`, style: `${page}style.css` },
  outdir: `${out}assets`,
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: ['chrome109', 'firefox115', 'safari16'],
  minify: true,
  legalComments: 'linked',
  plugins: [onlyEnglish],
  logLevel: 'warning',
  // The packages' Node builds ask for `global`.
  define: { global: 'globalThis' },
})
// One file that runs with bare Node, so that an outsider need install, and trust, nothing else.
await build({
  entryPoints: [fileURLToPath(new URL('../../scripts/candor/verify-alone.ts', import.meta.url))],
  outfile: `${out}audit/verify.mjs`,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node18',
  legalComments: 'inline',
  plugins: [onlyEnglish],
  logLevel: 'warning',
})
await writeFile(`${out}index.html`, await readFile(`${page}index.html`))
await writeFile(`${out}assets/icon.svg`, await readFile(`${page}icon.svg`))
// A phone at the edge of the cell waits for every byte; the server sends these to browsers that take them.
for (const file of ['assets/page.js', 'assets/style.css']) {
  await writeFile(`${out}${file}.br`, await promisify(brotliCompress)(await readFile(out + file)))
}
