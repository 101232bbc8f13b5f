import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const MODEL = path('models/plate-reader.onnx')

/** Files that a process leaves which runs this code in a home of its own, and whether it has begun the library's own log. */
async function leftBy(code: string): Promise<{ files: string[]; hasLog: boolean }> {
  const home = mkdtempSync(join(tmpdir(), 'candor-home-'))
  try {
    // Nothing else of this environment: the library keeps quiet by itself where CI, or a name of one of its servers, is set.
    const { PATH, TMPDIR } = process.env
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', `${code}; console.log(process.pid)`],
      { env: { PATH, ...(TMPDIR && { TMPDIR }), HOME: home }, cwd: path('../..') },
    )
    const log = join(tmpdir(), `mat-debug-${stdout.trim().split('\n').at(-1)}.log`)
    const hasLog = existsSync(log)
    rmSync(log, { force: true })
    return { files: readdirSync(home, { recursive: true, encoding: 'utf8' }), hasLog }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

test('a network that is opened reports to nobody: no id of the machine, no queue, no log', async () => {
  const network = JSON.stringify(path('network.ts'))
  const opened = await leftBy(`
    const { openNetwork } = await import(${network})
    await (await openNetwork(${JSON.stringify(MODEL)}, 1)).close()`)
  assert.equal(opened, { files: [], hasLog: false })
  // By itself the library does. When this no longer holds, no-telemetry.ts has no reason any more.
  const bare = await leftBy(`
    const { InferenceSession } = await import('onnxruntime-node')
    await (await InferenceSession.create(${JSON.stringify(MODEL)})).release()`)
  assert.ok(bare.hasLog && bare.files.some((name) => name.endsWith('onnxruntime.db')), JSON.stringify(bare))
})

test.run()
