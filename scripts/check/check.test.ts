import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  deadFiles,
  doors,
  fileHeads,
  fileLength,
  houseNames,
  importDirections,
  leftOvers,
  MAX_FILE_LINES,
  oneImporter,
  oneOwner,
  testsRun,
} from './rules.ts'
import { importsOf, type Problem, packageName, resolveImport, type SourceFile, sourceFile } from './source.ts'
import { parseTree, readmeTree } from './tree.ts'

const checkout = (texts: Record<string, string>): SourceFile[] =>
  Object.entries(texts).map(([path, text]) => sourceFile(path, text))

const where = (problems: Problem[]) => problems.map(({ path, line }) => `${path}:${line}`)

test('comments, strings, templates and regular expressions are no code', () => {
  const text = [
    "const a = 'process.env' // process.env",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the TypeScript to scan
    '/* process.env */ const b = `x ${process.pid} process.env ${`${process.argv}`} y`',
    'const c = /process.env[/]"/.test(a) ? 4 / 2 : 1 / 3',
    'const d = process.cwd()',
  ].join('\n')
  const file = sourceFile('x.ts', text)
  assert.is(file.code.length, text.length)
  assert.equal(
    [...file.code.matchAll(/process\.\w+/g)].map(([found]) => found),
    ['process.pid', 'process.argv', 'process.cwd'],
  )
  assert.ok(file.code.includes('? 4 / 2 : 1 / 3'))
})

test('imports are found in every form, and types are told apart', () => {
  const file = sourceFile(
    'edge/x.ts',
    [
      "import { a } from './a.ts'",
      "import type { b } from './b.ts'",
      "import { type c, type C } from './c.ts'",
      "import { type d, D } from './d.ts'",
      "export * from './e.ts'",
      "import './f.ts'",
      "const g = await import('./g.ts')",
      'const text = "import h from \'./h.ts\'"',
      'import {\n  i,\n} from "./i.ts"',
      "// import { j } from './j.ts'",
    ].join('\n'),
  )
  assert.equal(
    importsOf(file).map(({ from, typeOnly }) => `${from}${typeOnly ? ' type' : ''}`),
    ['./a.ts', './b.ts type', './c.ts type', './d.ts', './e.ts', './f.ts', './g.ts', './i.ts'],
  )
})

test('specifiers are resolved to paths and packages', () => {
  assert.is(resolveImport('cloud/audit/log.ts', '../../shared/log.ts'), 'shared/log.ts')
  assert.is(resolveImport('cloud/a.ts', './audit/log.ts'), 'cloud/audit/log.ts')
  assert.is(resolveImport('cloud/a.ts', 'zod'), null)
  assert.is(packageName('@peculiar/x509/build'), '@peculiar/x509')
  assert.is(packageName('uvu/assert'), 'uvu')
})

test('edge and cloud never import each other, shared imports neither, and nothing imports scripts', () => {
  const files = checkout({
    'shared/a.ts': "import '../edge/a.ts'",
    'edge/a.ts': "import '../shared/a.ts'\nimport '../cloud/a.ts'",
    'cloud/a.ts': "import '../shared/a.ts'\nimport type { x } from '../edge/a.ts'",
    'cloud/b.ts': "import '../scripts/a.ts'\nimport './gone.ts'\nimport './a.test.ts'",
    'cloud/web/page/main.ts': "import '../../a.ts'\nimport '../../../shared/a.ts'",
    'scripts/a.ts': "import '../edge/a.ts'\nimport '../cloud/a.ts'",
    'cloud/a.test.ts': "import '../edge/a.ts'",
  })
  assert.equal(where(importDirections(files)), [
    'shared/a.ts:1',
    'edge/a.ts:2',
    'cloud/a.ts:2',
    'cloud/b.ts:1',
    'cloud/b.ts:2',
    'cloud/b.ts:3',
    'cloud/web/page/main.ts:1',
  ])
})

test('a foreign package has one importer in each program; types, tests and scripts are free', () => {
  const files = checkout({
    'edge/a.ts': "import mqtt from 'mqtt'\nimport { z } from 'zod'",
    'edge/b.ts': "import { z } from 'zod'\nimport { connect } from 'mqtt/client'",
    'edge/c.ts': "import type { Packet } from 'mqtt'\nimport fs from 'node:fs'",
    'edge/c.test.ts': "import mqtt from 'mqtt'",
    'cloud/a.ts': "import mqtt from 'mqtt'",
    'scripts/a.ts': "import mqtt from 'mqtt'",
  })
  assert.equal(where(oneImporter(files)), ['edge/b.ts:2'])
})

test('a table is STRICT and written by its owner alone', () => {
  const files = checkout({
    'cloud/database/migrations/0001-a.ts':
      'sql`CREATE TABLE cars (id TEXT PRIMARY KEY, n INTEGER CHECK (n > 0)) STRICT`',
    'cloud/database/migrations/0002-b.ts': 'sql`CREATE TABLE dogs (id TEXT)`',
    'cloud/cars.ts': "database.build.insertInto('cars')",
    'cloud/cars/purge.ts': "exec('DELETE FROM cars WHERE id = ?')",
    'cloud/search.ts': "database.build.selectFrom('cars')\nexec('UPDATE cars SET n = 1')",
    'cloud/search.test.ts': "exec('DELETE FROM cars')",
  })
  assert.equal(where(oneOwner(files)), ['cloud/database/migrations/0002-b.ts:1', 'cloud/search.ts:2'])
})

test('process, wall clock and randomness stay behind their doors', () => {
  const code = 'f(process.env)\nDate.now()\nnew Date()\nMath.random()\nnew Date(nowMs)\n// Date.now()'
  const files = checkout({
    'edge/main.ts': code,
    'cloud/config.ts': code,
    'shared/clock.ts': code,
    'scripts/x.ts': code,
    'edge/vision/child.ts': code,
    'cloud/a.test.ts': code,
    'cloud/a.ts': code,
    'cloud/api/main.ts': code,
  })
  assert.equal(where(doors(files)), [
    ...[1, 2, 3, 4].map((line) => `cloud/a.ts:${line}`),
    ...[1, 2, 3, 4].map((line) => `cloud/api/main.ts:${line}`),
  ])
})

test('a file that nothing but its test imports is dead', () => {
  const files = checkout({
    'package.json': '{"bin": {"candor": "scripts/candor.ts"}}',
    'README.md': 'run scripts/by-hand.ts, and read edge/dead.ts',
    'scripts/by-hand.ts': '',
    'scripts/candor.ts': "import '../edge/main.ts'",
    'edge/main.ts': "fork(new URL('./child.ts', import.meta.url))",
    'edge/child.ts': "await import('./late.ts')",
    'edge/late.ts': '',
    'edge/dead.ts': '',
    'edge/dead.test.ts': "import './dead.ts'",
    'edge/world.testing.ts': '',
  })
  assert.equal(where(deadFiles(files)), ['edge/dead.ts:null'])
})

test('a test file ends with run(), has no hooks and no only', () => {
  const files = checkout({
    'a.test.ts': "test('a', () => {})\ntest.run()\n",
    'b.test.ts': "test('b', () => {})\n",
    'c.test.ts': "test.only('c', () => {})\ntest.before(() => {})\ntest.run()\n",
    'd.test.ts': "test('d', () => {})\n// test.run()\n",
    'e.test.ts': "test.run()\ntest('e', () => {})\ntest.run()\n",
  })
  assert.equal(where(testsRun(files)), [
    'b.test.ts:null',
    'c.test.ts:1',
    'c.test.ts:2',
    'd.test.ts:null',
    'e.test.ts:null',
  ])
})

test('a file of the longest length passes, and one line more does not', () => {
  const files = checkout({
    'a.ts': 'x\n'.repeat(MAX_FILE_LINES),
    'b.ts': 'x\n'.repeat(MAX_FILE_LINES + 1),
    'c.md': 'x\n'.repeat(MAX_FILE_LINES + 1),
  })
  assert.equal(where(fileLength(files)), ['b.ts:null'])
})

test('marks of unfinished work and paths of one machine are found in every text', () => {
  const files = checkout({
    'a.ts': `// TO${''}DO: later\nconst todos = 1`,
    'b.sh': `cd /ho${''}me/ann/candor`,
    'c.ts': "const path = '/var/lib/candor'",
  })
  assert.equal(where(leftOvers(files)), ['a.ts:1', 'b.sh:1'])
})

test('a file without a head is found', () => {
  const files = checkout({
    'a.ts': '/** What it does. */\n',
    'b.ts': '#!/usr/bin/env node\n/** What it does. */\n',
    'c.ts': '// What it does.\n',
    'c.test.ts': '',
  })
  assert.equal(where(fileHeads(files)), ['c.ts:1'])
})

test('nothing is called event or item, and no file after events, messages, items or data; words of others may be used', () => {
  const found = (path: string, text: string) => houseNames(checkout({ [path]: text })).map(({ problem }) => problem)
  assert.equal(
    found('edge/a.ts', "const event = 1\nlog({ items: [] }) // an event\nimport { once } from 'node:events'"),
    ['something is called event', 'something is called items'],
  )
  assert.equal(found('edge/a.ts', 'const eventual = error.message + reply.data + itemise'), [])
  assert.equal(found('edge/video-messages.ts', ''), ['a file called video-messages.ts'])
  assert.equal(found('edge/database.ts', ''), [])
  assert.equal(found('scripts/config-table.ts', 'node.items'), [])
})

const tree = (lines: string) => `# X\n\n## Architecture\n\nWords.\n\n\`\`\`\n${lines}\n\`\`\`\n`

test('the tree in the README must be the real tree', () => {
  const real = {
    'edge/main.ts': '',
    'edge/main.test.ts': '',
    'edge/vision/a.ts': '',
    'edge/vision/b.ts': '',
    '.ci/run': '',
  }
  const with_ = (lines: string) =>
    readmeTree(checkout({ ...real, 'README.md': tree(lines) })).map(({ problem }) => problem)
  assert.equal(with_('README.md  this\nedge/  the camera'), [])
  assert.equal(with_('README.md        this\n  edge/main.ts   the program\n  edge/vision/   the reader\n'), [])
  assert.equal(with_('README.md  this\nedge/  x\nedge/main.ts  the program\nedge/vision/a.ts  x'), [
    'edge/vision/b.ts is not listed',
  ])
  assert.equal(with_('README.md  this\nedge/main.ts  the program'), ['edge/vision/ is not listed'])
  assert.equal(with_('README.md  this\nedge/\ncloud/  the cloud'), [
    'edge/ has no description',
    'cloud/ does not exist',
  ])
  assert.equal(with_('edge/  x'), ['README.md is not listed'])
  assert.is(readmeTree(checkout({ 'README.md': '# X' })).length, 1)
  assert.equal(parseTree(tree('a  b c')), [{ path: 'a', description: 'b c', line: 8 }])
})

test.run()
