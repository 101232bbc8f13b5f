/**
 * A program of ours, and all that it imports of ours, as plain JavaScript. Node.js starts it in a third of the processor time that it needs with
 * tsx, which asks for each file by itself; the tests start thousands. Called by run-tests.ts.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

/** Each file goes on finding what lies beside it, and by its ending that it is run from source. */
const ownAddresses: Plugin = {
  name: 'own addresses',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      const own = `const ownAddress = ${JSON.stringify(pathToFileURL(path).href)};`
      return { contents: text.replace(/^(#!.*\n)?/, (hashbang) => hashbang + own), loader: 'ts' }
    })
  },
}

/**
 * Into `folder`, which must lie where the packages are found; resolves with the file to start. What is imported while it runs stays apart,
 * and loads its packages then. Throws what esbuild says of a file that it cannot read.
 */
export async function bundle(entry: string, folder: string): Promise<string> {
  await build({
    ...{
      entryPoints: { main: entry },
      outdir: folder,
      outExtension: { '.js': '.mjs' },
      platform: 'node',
      target: 'node20',
    },
    ...{ bundle: true, splitting: true, packages: 'external', format: 'esm', keepNames: true },
    ...{ define: { 'import.meta.url': 'ownAddress' }, plugins: [ownAddresses] },
    ...{ sourcemap: 'linked', sourcesContent: false, logLevel: 'silent' },
  })
  return join(folder, 'main.mjs')
}
