/**
 * Runs every *.test.ts in a process of its own, built by esbuild just before (bundled.ts), and believes only what adds up. uvu can exit 0 on a suite that never ran
 * (design.md, fact 1), so a file passes when it exited 0, ran at least one test, and passed every one.
 * Called by scripts/test; by hand: `node --import tsx scripts/run-tests.ts [--list] [--time-limit-minutes=N] [--at-once=N] [PATH…]`, minutes for
 * each file, and so many files at the same time.
 *
 * A test that cannot run here skips itself by uvu's test.skip; it is accepted only when scripts/allowed-skips.json names its file.
 * The last line is `N passed, N failed, N skipped`.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { z } from 'zod'
import { AppError, EXIT } from '../shared/errors.ts'
import { bundle } from './bundled.ts'
import { BUILT_VARIABLE } from './trial/program.ts'

/** Files that run at the same time, of each processor: about half of a file's time is waiting for brokers, browsers and timers. */
const FILES_A_PROCESSOR = 2
/** A test file that takes longer hangs, ms. */
export const DEFAULT_TIME_LIMIT_MS = 10 * 60_000
/** What a test that failed has not closed keeps its file alive: so long after the summary it is ended, ms. */
const AFTER_FAILURE_MS = 10_000
/** Output kept of one file, characters; the end is what explains a failure. */
const MAX_OUTPUT = 200_000
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set(['node_modules', 'dist', 'coverage', '.git', '.candor'])

export interface FileResult {
  file: string
  passed: number
  failed: number
  skipped: number
  durationMs: number
  /** Why the file does not count as passed; null when it does. */
  problem: string | null
  output: string
}

/** Every test file under `folder`, sorted. */
export async function findTests(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) found.push(...(await findTests(path)))
    else if (entry.isFile() && entry.name.endsWith('.test.ts')) found.push(path)
  }
  return found.sort()
}

/** Those of scripts/ start whole systems and take the longest: begun last, one of them would run alone at the end. */
export function longestFirst(files: readonly string[], root: string): string[] {
  const isLong = (file: string) => relative(root, file).startsWith('scripts/')
  return [...files.filter(isLong), ...files.filter((file) => !isLong(file))]
}

/** A file, or those under a folder. Throws `not_found` where there is neither. */
async function testsIn(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => null)
  if (found === null) throw new AppError('not_found', `${path}: there is no such file or folder`)
  return found.isDirectory() ? await findTests(path) : [path]
}

interface Counts {
  total: number
  passed: number
  skipped: number
}

/** uvu's summary at the end of its output, colours removed; null when it is not there. */
export function parseSummary(output: string): Counts | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape that starts a terminal colour
  const plain = output.replace(/\u001b\[[0-9;]*m/g, '')
  const all = [...plain.matchAll(/^ {2}Total: {5}(\d+)\n {2}Passed: {4}(\d+)\n {2}Skipped: {3}(\d+)$/gm)]
  const last = all.at(-1)
  return last === undefined ? null : { total: Number(last[1]), passed: Number(last[2]), skipped: Number(last[3]) }
}

/** Judges one ended process; the only place that decides what counts. */
export function judge(
  ended: { exitCode: number | null; signal: string | null; timedOut: boolean; wentOn: boolean; output: string },
  maySkip: boolean,
): Pick<FileResult, 'passed' | 'failed' | 'skipped' | 'problem'> {
  const counts = parseSummary(ended.output)
  const passed = counts?.passed ?? 0
  const missing = (counts?.total ?? 0) - passed
  const skipped = counts?.skipped ?? 0
  const bad = (problem: string) => ({ passed, failed: Math.max(1, missing), skipped, problem })
  if (ended.timedOut) return bad('took longer than its time limit and was ended')
  if (ended.wentOn) return bad(`${missing} of ${counts?.total ?? 0} did not pass, and left something open`)
  if (ended.signal !== null) return bad(`ended by ${ended.signal}`)
  if (ended.exitCode !== 0) return bad(`exit code ${ended.exitCode}`)
  if (counts === null) return bad('no summary: it ended before its tests did, or never called run()')
  if (skipped > 0 && !maySkip) {
    return bad(`${skipped} skipped (test.only or test.skip) and the file is not in scripts/allowed-skips.json`)
  }
  if (counts.total === 0 && skipped === 0) return bad('no test ran')
  if (missing !== 0) return bad(`${missing} of ${counts.total} did not pass, and the exit code was 0`)
  return { passed, failed: 0, skipped, problem: null }
}

/** Ends the process group of each file that is running now. */
const running = new Set<() => void>()

interface RunOptions {
  root: string
  timeLimitMs: number
  afterFailureMs?: number
  maySkip: boolean
  /** What the file finds in its environment besides what this process has. */
  environment?: Readonly<Record<string, string>>
}

/** Of this run alone. */
const testsFolder = (root: string) => join(root, '.candor/tests', String(process.pid))

/** Runs one file; never rejects for what the file does. */
export async function runFile(file: string, options: RunOptions): Promise<FileResult> {
  const name = relative(options.root, file)
  const folder = join(testsFolder(options.root), name)
  try {
    return await runBundle(name, await bundle(file, folder), options)
  } catch (thrown) {
    const ended = { passed: 0, failed: 1, skipped: 0, durationMs: 0 }
    return { file: name, ...ended, problem: 'cannot be read', output: String(thrown) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function runBundle(name: string, program: string, options: RunOptions): Promise<FileResult> {
  return new Promise((done, refuse) => {
    const startedMs = performance.now()
    // Its own process group, so that a hung file goes together with the brokers and browsers that it has started.
    const child = spawn(process.execPath, ['--enable-source-maps', program], {
      cwd: options.root,
      detached: true,
      env: { ...process.env, ...options.environment, NO_COLOR: '1', FORCE_COLOR: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    let timedOut = false
    let wentOn = false
    let afterFailure: NodeJS.Timeout | undefined
    const collect = (text: string) => {
      output = (output + text).slice(-MAX_OUTPUT)
      if (afterFailure !== undefined || !text.includes('Skipped:')) return
      const counts = parseSummary(output)
      if (counts === null || counts.passed === counts.total) return
      afterFailure = setTimeout(() => {
        wentOn = true
        endGroup()
      }, options.afterFailureMs ?? AFTER_FAILURE_MS)
    }
    child.stdout.setEncoding('utf8').on('data', collect)
    child.stderr.setEncoding('utf8').on('data', collect)
    const endGroup = () => {
      running.delete(endGroup)
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // The group is gone already.
      }
    }
    running.add(endGroup)
    const limit = setTimeout(() => {
      timedOut = true
      endGroup()
    }, options.timeLimitMs)
    // A grandchild that keeps the pipes open must not keep us: `exit` first, then what is left of the group is ended.
    child.once('exit', () => {
      clearTimeout(limit)
      clearTimeout(afterFailure)
      endGroup()
    })
    child.once('error', refuse)
    child.once('close', (exitCode, signal) => {
      const verdict = judge({ exitCode, signal, timedOut, wentOn, output }, options.maySkip)
      done({ file: name, ...verdict, durationMs: performance.now() - startedMs, output })
    })
  })
}

const allowedSkipsSchema = z.record(z.string(), z.string().min(1))

/** Files that may skip tests, each with its reason. */
export async function readAllowedSkips(file: string): Promise<ReadonlySet<string>> {
  return new Set(Object.keys(allowedSkipsSchema.parse(JSON.parse(await readFile(file, 'utf8')))))
}

export interface Totals {
  passed: number
  failed: number
  skipped: number
}

export function totalsLine(totals: Totals): string {
  return `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`
}

/** Runs the files, several at once, and prints each as it ends, with the output of those that failed. */
export async function runTests(
  files: readonly string[],
  options: Omit<RunOptions, 'maySkip'> & {
    allowedSkips: ReadonlySet<string>
    /** Files at the same time. */
    atOnce: number
    print: (line: string) => void
  },
): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 }
  const waiting = [...files]
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const maySkip = options.allowedSkips.has(relative(options.root, file))
      const result = await runFile(file, { ...options, maySkip })
      totals.passed += result.passed
      totals.failed += result.failed
      totals.skipped += result.skipped
      const counts = `${result.passed} passed${result.skipped > 0 ? `, ${result.skipped} skipped` : ''}`
      const seconds = `${(result.durationMs / 1000).toFixed(1)} s`
      if (result.problem === null) options.print(`  ok    ${result.file}  ${counts}, ${seconds}`)
      else options.print(`${result.output}\n  FAIL  ${result.file}  ${result.problem} (${counts}, ${seconds})`)
    }
  }
  await Promise.all(Array.from({ length: options.atOnce }, work))
  return totals
}

/** Of an option; null where it is not given. Throws where it is no whole number above 0: with half a file at once none would run, and none fail. */
export function numberAfter(option: string, argv: readonly string[]): number | null {
  const given = argv.find((argument) => argument.startsWith(option))?.slice(option.length)
  if (given === undefined) return null
  const number = Number(given)
  if (!Number.isInteger(number) || number < 1)
    throw new AppError('bad_input', `${option}${given}: it must be a whole number above 0`)
  return number
}

async function main(argv: readonly string[]): Promise<number> {
  const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
  const paths = argv.filter((argument) => !argument.startsWith('--')).map((path) => resolve(path))
  const found = await Promise.all((paths.length === 0 ? [root] : paths).map(testsIn))
  const files = longestFirst(found.flat(), root)
  if (argv.includes('--list')) {
    for (const file of files) console.log(relative(root, file))
    return 0
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      for (const end of running) end()
      process.exit(1)
    })
  }
  const timeLimitMs = 60_000 * (numberAfter('--time-limit-minutes=', argv) ?? DEFAULT_TIME_LIMIT_MS / 60_000)
  const atOnce = numberAfter('--at-once=', argv) ?? FILES_A_PROCESSOR * availableParallelism()
  process.once('exit', () => rmSync(testsFolder(root), { recursive: true, force: true }))
  const totals = await runTests(files, {
    root,
    timeLimitMs,
    atOnce,
    allowedSkips: await readAllowedSkips(join(root, 'scripts/allowed-skips.json')),
    environment: { [BUILT_VARIABLE]: await bundle(join(root, 'scripts/candor.ts'), join(testsFolder(root), 'candor')) },
    print: (line) => console.log(line),
  })
  if (files.length === 0) totals.failed += 1
  console.log(totalsLine(totals))
  return totals.failed === 0 ? 0 : 1
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await main(process.argv.slice(2)).catch((thrown: unknown) => {
    if (!(thrown instanceof AppError)) throw thrown
    console.error(thrown.message)
    console.log(totalsLine({ passed: 0, failed: 1, skipped: 0 }))
    return EXIT.usage
  })
}
