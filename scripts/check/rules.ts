/** The rules of the house that a machine can hold; each is a function from the files of the checkout to problems. */
import { importsOf, isTest, lineAt, type Problem, packageName, resolveImport, type SourceFile } from './source.ts'

/** Longest source file, lines; a longer one is split into a folder of its name. */
export const MAX_FILE_LINES = 400
/** A test file is a list of sentences that nobody reads at one sitting. */
export const MAX_TEST_LINES = 700

const typescript = (files: readonly SourceFile[]) => files.filter((file) => file.path.endsWith('.ts'))
const product = (files: readonly SourceFile[]) => typescript(files).filter((file) => !isTest(file.path))
const part = (path: string) => (/^(?:cloud\/web|edge\/setup)\/page\//.test(path) ? 'page' : path.split('/')[0])

/** shared imports neither side, edge and cloud never each other, and no program imports scripts or a test. */
export function importDirections(files: readonly SourceFile[]): Problem[] {
  const allowed: Record<string, readonly string[]> = {
    shared: ['shared'],
    edge: ['edge', 'shared'],
    cloud: ['cloud', 'shared'],
    page: ['page', 'shared'],
    scripts: ['scripts', 'edge', 'cloud', 'shared'],
  }
  const problems: Problem[] = []
  for (const file of product(files)) {
    const own = part(file.path) ?? ''
    for (const { from, line } of importsOf(file)) {
      const target = resolveImport(file.path, from)
      if (target === null) continue
      const wrong = (problem: string) => problems.push({ path: file.path, line, rule: 'import directions', problem })
      if (isTest(target)) wrong(`imports the test ${target}`)
      else if (!(allowed[own] ?? []).includes(part(target) ?? '')) wrong(`${own} must not import ${target}`)
      else if (!target.endsWith('.json') && !files.some((other) => other.path === target))
        wrong(`${target} does not exist`)
    }
  }
  return problems
}

/** Packages that are vocabulary, not machinery: their types and builders stand in many files. */
export const SHARED_VOCABULARY: Readonly<Record<string, string>> = {
  zod: 'every document on the wire and in a configuration is a schema',
  kysely: 'every owner of a table builds its own statements; only the database door executes',
  commander: 'every command declares itself',
  fastify: 'every route declares itself on the instance that is handed in',
  'fastify-type-provider-zod': 'ties the two above together, where routes are set up and where their errors are told',
}

/**
 * A foreign package is imported, as a value, by one file of each program, which translates its errors. Types may travel.
 * Scripts and tests are tools, and may drive a package beside the program.
 */
export function oneImporter(files: readonly SourceFile[]): Problem[] {
  const importers = new Map<string, { path: string; line: number }[]>()
  for (const file of product(files)) {
    if (part(file.path) === 'scripts') continue
    for (const { from, line, typeOnly } of importsOf(file)) {
      if (typeOnly || from.startsWith('.') || from.startsWith('node:') || packageName(from) in SHARED_VOCABULARY)
        continue
      const key = `${packageName(from)} in ${part(file.path)}`
      const before = importers.get(key) ?? []
      if (!before.some((importer) => importer.path === file.path))
        importers.set(key, [...before, { path: file.path, line }])
    }
  }
  return [...importers].flatMap(([key, [first, ...others]]) =>
    others.map(({ path, line }) => ({
      path,
      line,
      rule: 'one importer a package',
      problem: `${key.split(' ')[0]} is already imported by ${first?.path}`,
    })),
  )
}

const WRITES =
  /\b(?:insertInto|replaceInto|updateTable|deleteFrom|mergeInto)\(\s*['"](?<built>\w+)|\b(?:INSERT(?: OR \w+)? INTO|REPLACE INTO|UPDATE(?: OR \w+)?|DELETE FROM)\s+(?<raw>[a-z_]+)\b/g

/** `cloud/hotlists.ts` and everything in `cloud/hotlists/` are one owner. */
const owner = (path: string) => path.split('/').slice(0, 2).join('/').replace(/\.ts$/, '')

/** Only the owner of a table writes to it, and every table is STRICT. */
export function oneOwner(files: readonly SourceFile[]): Problem[] {
  const problems: Problem[] = []
  const tables = new Set<string>()
  for (const file of product(files)) {
    for (const match of file.text.matchAll(
      /CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)\s*\((?:[^;]*?)\)([^();]*?)(?=[;`'"])/g,
    )) {
      tables.add(match[1] ?? '')
      if (!/\bSTRICT\b/.test(match[2] ?? '')) {
        const line = lineAt(file.text, match.index)
        problems.push({ path: file.path, line, rule: 'tables', problem: `table ${match[1]} is not STRICT` })
      }
    }
  }
  const writers = new Map<string, string>()
  for (const file of product(files)) {
    if (file.path.includes('/migrations/') || part(file.path) === 'scripts') continue
    for (const match of file.text.matchAll(WRITES)) {
      const table = match.groups?.built ?? match.groups?.raw ?? ''
      if (!tables.has(table)) continue
      const key = `${part(file.path)} ${table}`
      const first = writers.get(key) ?? owner(file.path)
      writers.set(key, first)
      if (first !== owner(file.path)) {
        const line = lineAt(file.text, match.index)
        problems.push({ path: file.path, line, rule: 'tables', problem: `${table} is written by ${first} too` })
      }
    }
  }
  return problems
}

/** Files that may read the process, the clock or randomness, by what they are. */
const DOORS: readonly RegExp[] = [
  /^scripts\//,
  /^(?:edge|cloud)\/(?:main|config)\.ts$/,
  // The set-up of a unit is a program of its own.
  /^edge\/setup\/main\.ts$/,
  /^shared\/(?:clock|ids)\.ts$/,
  // The page is a program of its own, in a browser: its clock is the browser's.
  /^(?:cloud\/web|edge\/setup)\/(?:page\/|bundle\.ts$)/,
  // It tells a library something that it asks the environment for.
  /^edge\/vision\/no-telemetry\.ts$/,
  // A file that is the main program of a child process or a worker thread.
  /(?:^|[/-])(?:child|worker)\.ts$/,
]

/** `process.`, the wall clock and randomness only behind their doors, so that tests decide all three. */
export function doors(files: readonly SourceFile[]): Problem[] {
  const forbidden =
    /\bprocess\.(?!umask)\w+|\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bperformance\.now\b|\brandomUUID\b/g
  return product(files)
    .filter((file) => !DOORS.some((door) => door.test(file.path)))
    .flatMap((file) =>
      [...file.code.matchAll(forbidden)].map((match) => ({
        path: file.path,
        line: lineAt(file.code, match.index),
        rule: 'doors',
        problem: `${match[0]} stands outside main.ts, config.ts, shared/clock.ts, shared/ids.ts and scripts/`,
      })),
    )
}

/** Every source file is reached from a program: by an import, or by its name in a string, a script, a unit or a page. */
export function deadFiles(files: readonly SourceFile[]): Problem[] {
  const sources = new Map(typescript(files).map((file) => [file.path, file]))
  const reached = new Set<string>()
  const waiting: string[] = []
  const reach = (path: string | null) => {
    if (path === null || !sources.has(path) || reached.has(path) || isTest(path)) return
    reached.add(path)
    waiting.push(path)
  }
  for (const file of files) {
    if (file.path.endsWith('.ts')) continue
    for (const [name] of file.text.matchAll(/[\w./-]+\.ts\b/g)) {
      // Documentation keeps a tool alive that people start by hand, but no part of a program.
      if (!file.path.endsWith('.md') || name.startsWith('scripts/')) reach(name.replace(/^\.\//, ''))
    }
  }
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = sources.get(path)
    if (file === undefined) continue
    for (const { from } of importsOf(file)) reach(resolveImport(path, from))
    for (const { value } of file.strings) {
      // A worker is named without its ending, and the page by its folder.
      if (/^\.\.?\/[\w./-]+$/.test(value))
        reach(resolveImport(path, value.endsWith('/') ? `${value}main.ts` : `${value}.ts`))
      if (!value.endsWith('.ts')) continue
      reach(value)
      reach(resolveImport(path, value.startsWith('.') ? value : `./${value}`))
    }
  }
  // What several tests share is reached from a test and says so by its name.
  return [...sources.keys()]
    .filter((path) => !isTest(path) && !reached.has(path) && !/[./-]testing\.ts$|\.d\.ts$/.test(path))
    .map((path) => ({ path, line: null, rule: 'dead files', problem: 'nothing that runs imports or names it' }))
}

/** A uvu file without run() at its end tests nothing and exits 0; a hook that throws hides failures (design.md, fact 1). */
export function testsRun(files: readonly SourceFile[]): Problem[] {
  return typescript(files)
    .filter((file) => isTest(file.path))
    .flatMap((file) => {
      const problems: Problem[] = []
      const wrong = (problem: string, offset: number | null) =>
        problems.push({
          path: file.path,
          line: offset === null ? null : lineAt(file.code, offset),
          rule: 'tests',
          problem,
        })
      if (!/\.run\(\)\s*;?\s*$/.test(file.code)) wrong('does not end with run()', null)
      const suites = 1 + [...file.code.matchAll(/\bsuite\(/g)].length
      const runs = [...file.code.matchAll(/^\w+\.run\(\)/gm)].length
      if (runs > suites) wrong(`${runs} run() for ${suites} suites`, null)
      for (const match of file.code.matchAll(/\btest\.only\b/g)) wrong('test.only', match.index)
      for (const match of file.code.matchAll(/\btest\.(?:before|after)\b/g))
        wrong('hooks are not used here', match.index)
      return problems
    })
}

/** Source files stay short enough to be read at one sitting. */
export function fileLength(files: readonly SourceFile[]): Problem[] {
  return files
    .filter((file) => /\.(?:ts|css|html)$/.test(file.path) || /^scripts\/[a-z]+$/.test(file.path))
    .flatMap((file) => {
      const lines = file.text.replace(/\n$/, '').split('\n').length
      const most = isTest(file.path) ? MAX_TEST_LINES : MAX_FILE_LINES
      if (lines <= most) return []
      return [{ path: file.path, line: null, rule: 'length', problem: `${lines} lines; at most ${most}` }]
    })
}

/** Written in pieces, so that this file does not find itself. */
const MARKS = new RegExp(
  [
    `\\b(?:TO${''}DO|FIX${''}ME|X${''}XX|HA${''}CK)\\b`,
    `\\bnot imple${''}mented\\b`,
    `\\bplace${''}holder\\b`,
    `\\bfor no${''}w\\b`,
  ].join('|'),
  'gi',
)

/** Nothing unfinished is left standing, and no path of one person's machine. */
export function leftOvers(files: readonly SourceFile[]): Problem[] {
  const machine = new RegExp(`(?<![\\w.])/(?:wo${''}rk|home/\\w+|root)/`, 'g')
  return files.flatMap((file) =>
    [MARKS, machine].flatMap((pattern) =>
      [...file.text.matchAll(pattern)].map((match) => ({
        path: file.path,
        line: lineAt(file.text, match.index),
        rule: 'left-overs',
        problem: `"${match[0].trim()}"`,
      })),
    ),
  )
}

/** Each file says at its head what it does; a migration says it by its name. */
export function fileHeads(files: readonly SourceFile[]): Problem[] {
  return product(files)
    .filter((file) => !file.path.includes('/migrations/'))
    .filter((file) => !/^(?:#![^\n]*\n)?(?:\/\/\/[^\n]*\n)*\/\*\*/.test(file.text))
    .map((file) => ({
      path: file.path,
      line: 1,
      rule: 'heads',
      problem: 'no head (/** … */) that says what the file does',
    }))
}

/** Words of others that a file must use as they are. */
const FOREIGN_NAMES: Readonly<Record<string, RegExp>> = {
  // JSON Schema.
  'scripts/config-table.ts': /^items$/,
}

/**
 * Nothing of ours is called event or item, and no file is named after events, messages, items or data. Identifiers called
 * `message` and `data` are left to the reviewer: errors, MQTT, zod and streams use both words.
 */
export function houseNames(files: readonly SourceFile[]): Problem[] {
  return typescript(files).flatMap((file) => {
    const problems: Problem[] = []
    const name = file.path.split('/').at(-1) ?? ''
    if (/(?:^|-)(?:events?|messages?|items?|data)(?=[-.])/.test(name))
      problems.push({ path: file.path, line: null, rule: 'names', problem: `a file called ${name}` })
    for (const match of file.code.matchAll(/(?<![\w$])(?:events?|items?)(?![\w$])/g)) {
      if (FOREIGN_NAMES[file.path]?.test(match[0]) === true) continue
      const line = lineAt(file.code, match.index)
      problems.push({ path: file.path, line, rule: 'names', problem: `something is called ${match[0]}` })
    }
    return problems
  })
}
