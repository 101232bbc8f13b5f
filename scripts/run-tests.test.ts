import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type FileResult,
  findTests,
  judge,
  longestFirst,
  numberAfter,
  parseSummary,
  runFile,
  runTests,
} from './run-tests.ts'

const uvu = import.meta.resolve('uvu')
const prologue = `import { test } from ${JSON.stringify(uvu)}\n`

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-run-tests-'))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function run(
  code: string,
  options: { timeLimitMs?: number; afterFailureMs?: number; maySkip?: boolean } = {},
): Promise<FileResult> {
  return inFolder(async (folder) => {
    const file = join(folder, 'x.test.ts')
    await writeFile(file, code)
    return await runFile(file, {
      root: folder,
      timeLimitMs: options.timeLimitMs ?? 30_000,
      maySkip: options.maySkip ?? false,
      ...(options.afterFailureMs === undefined ? {} : { afterFailureMs: options.afterFailureMs }),
    })
  })
}

test('a file whose tests all pass is counted by its tests', async () => {
  const result = await run(`${prologue}test('one', () => {})\ntest('two', async () => {})\ntest.run()\n`)
  assert.is(result.problem, null)
  assert.equal([result.passed, result.failed, result.skipped], [2, 0, 0])
  assert.is(result.file, 'x.test.ts')
})

test('a failing test fails the file and is counted', async () => {
  const result = await run(
    `${prologue}test('one', () => {})\ntest('two', () => { throw new Error('no') })\ntest.run()\n`,
  )
  assert.equal([result.passed, result.failed], [1, 1])
  assert.match(String(result.problem), 'exit code 1')
})

test('a file that throws while it is loaded fails', async () => {
  const result = await run(`${prologue}test('one', () => {})\ntest.run()\nthrow new Error('broken')\n`)
  assert.is(result.failed, 1)
  assert.match(result.output, 'broken')
})

test('a file that never calls run() fails although it exits 0', async () => {
  const result = await run(`${prologue}test('one', () => {})\n`)
  assert.is(result.failed, 1)
  assert.match(String(result.problem), 'never called run()')
})

test('a file that runs no test fails although it exits 0', async () => {
  const result = await run(`${prologue}test.run()\n`)
  assert.is(result.failed, 1)
  assert.match(String(result.problem), 'no test ran')
})

test('a forgotten test.only fails, and is accepted nowhere by chance', async () => {
  const code = `${prologue}test('one', () => {})\ntest.only('two', () => {})\ntest.run()\n`
  const refused = await run(code)
  assert.is(refused.failed, 1)
  assert.match(String(refused.problem), 'skipped')
})

test('a skipped test counts as skipped when the file may skip', async () => {
  const result = await run(`${prologue}test('one', () => {})\ntest.skip('two', () => {})\ntest.run()\n`, {
    maySkip: true,
  })
  assert.equal([result.passed, result.failed, result.skipped, result.problem], [1, 0, 1, null])
})

test('a file that exits early with 0 fails', async () => {
  const result = await run(`${prologue}test('one', () => {})\ntest.run()\nprocess.reallyExit(0)\n`)
  assert.is(result.failed, 1)
})

test('a throwing hook that uvu swallows fails', async () => {
  const result = await run(
    `${prologue}test.before(() => { throw new Error('hook') })\ntest('one', () => {})\ntest.run()\n`,
  )
  assert.is(result.failed, 1)
})

test('a rejection after the summary fails', async () => {
  const result = await run(
    `${prologue}test('one', () => {})\ntest.run()\nsetTimeout(() => { throw new Error('late') }, 300)\n`,
  )
  assert.is(result.failed, 1)
  assert.is(result.passed, 1)
})

test('a file that hangs is ended at its time limit, with what it has started', async () => {
  const startedMs = performance.now()
  const result = await run(
    `${prologue}import { spawn } from 'node:child_process'
    test('one', () => new Promise(() => { const child = spawn('sleep', ['60'], { stdio: 'inherit' }); child.unref(); setInterval(() => {}, 1000) }))
    test.run()\n`,
    { timeLimitMs: 1_500 },
  )
  assert.is(result.failed, 1)
  assert.match(String(result.problem), 'time limit')
  assert.ok(performance.now() - startedMs < 15_000, 'the grandchild did not hold the runner')
})

test('what a test that failed has left open does not hold the runner', async () => {
  const open = `setInterval(() => {}, 1000)`
  const failed = await run(`${prologue}test('one', () => {\n${open}\nthrow new Error('wrong') })\ntest.run()\n`, {
    timeLimitMs: 20_000,
    afterFailureMs: 200,
  })
  assert.is(failed.problem, '1 of 1 did not pass, and left something open')
  assert.match(failed.output, 'wrong')
  const passed = await run(`${prologue}test('one', () => { ${open} })\ntest.run()\n`, {
    timeLimitMs: 2_000,
    afterFailureMs: 200,
  })
  assert.match(String(passed.problem), 'time limit', 'one that passed is to end by itself')
})

test('a process ended by a signal fails', async () => {
  const result = await run(`process.kill(process.pid, 'SIGKILL')\n`)
  assert.match(String(result.problem), 'SIGKILL')
})

test('the summary is the last one printed, with or without colours', () => {
  assert.equal(
    parseSummary(
      '\n  Total:     3\u001b[32m\n  Passed:    3\u001b[39m\n  Skipped:   \u001b[33m1\u001b[39m\n  Duration:  1ms\n',
    ),
    { total: 3, passed: 3, skipped: 1 },
  )
  assert.is(parseSummary('Total: 3\nPassed: 3\nSkipped: 0\n'), null)
  assert.is(parseSummary(''), null)
})

test('an exit code of 0 beside a test that did not pass is not believed', () => {
  const output = '\n  Total:     3\n  Passed:    2\n  Skipped:   0\n'
  const verdict = judge({ exitCode: 0, signal: null, timedOut: false, wentOn: false, output }, false)
  assert.equal([verdict.passed, verdict.failed], [2, 1])
})

test('an option is a whole number above 0, or the runner says so and runs nothing', () => {
  assert.is(numberAfter('--at-once=', ['--at-once=1', 'a.test.ts']), 1)
  assert.is(numberAfter('--at-once=', ['a.test.ts']), null)
  for (const wrong of ['0', '0.5', '-1', '', 'x']) {
    assert.throws(() => numberAfter('--at-once=', [`--at-once=${wrong}`]), /whole number above 0/)
  }
})

test('a file that is not there is named, in a run that has failed', async () => {
  const runner = fileURLToPath(new URL('run-tests.ts', import.meta.url))
  const ended = spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), runner, 'none.test.ts'], {
    encoding: 'utf8',
  })
  assert.match(ended.stderr, /none\.test\.ts: there is no such file or folder\n$/)
  assert.is(ended.stdout, '0 passed, 1 failed, 0 skipped\n')
  assert.is(ended.status, 2)
})

test('the totals add up over files, and only a listed file may skip', async () => {
  await inFolder(async (folder) => {
    await writeFile(join(folder, 'a.test.ts'), `${prologue}test('one', () => {})\ntest.run()\n`)
    await writeFile(join(folder, 'b.test.ts'), `${prologue}test('one', () => {})\ntest.skip('x')\ntest.run()\n`)
    await writeFile(join(folder, 'c.test.ts'), `${prologue}test('one', () => {})\ntest.skip('x')\ntest.run()\n`)
    const printed: string[] = []
    const totals = await runTests(await findTests(folder), {
      root: folder,
      timeLimitMs: 30_000,
      atOnce: 2,
      allowedSkips: new Set(['b.test.ts']),
      print: (line) => printed.push(line),
    })
    assert.equal(totals, { passed: 3, failed: 1, skipped: 2 })
    assert.is(printed.length, 3)
  })
})

test('tests are found in folders, but not in packages or builds', async () => {
  await inFolder(async (folder) => {
    for (const file of ['a.test.ts', 'x/b.test.ts', 'node_modules/c.test.ts', 'dist/d.test.ts', 'x/e.ts']) {
      await mkdir(dirname(join(folder, file)), { recursive: true })
      await writeFile(join(folder, file), '')
    }
    assert.equal(await findTests(folder), [join(folder, 'a.test.ts'), join(folder, 'x/b.test.ts')])
    const files = ['cloud/a.test.ts', 'scripts/x.test.ts', 'shared/scripts/y.test.ts'].map((file) => join(folder, file))
    assert.equal(
      longestFirst(files, folder),
      [files[1], files[0], files[2]],
      'those that start whole systems come first',
    )
  })
  const here = fileURLToPath(import.meta.url)
  assert.ok((await findTests(dirname(here))).includes(here))
})

test.run()
