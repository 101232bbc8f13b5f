import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** Is busy with a frame while its parent goes, and answers before it hears of that. */
const BUSY_CHILD = `
  import { answerParent } from ${JSON.stringify(new URL('answer-parent.ts', import.meta.url).href)}
  process.on('disconnect', () => process.exit(0))
  process.on('message', () => {
    answerParent(process, { kind: 'taken' })
    setImmediate(() => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
      answerParent(process, { kind: 'read', bytes: Buffer.alloc(300_000) })
    })
  })
`

test('a child whose parent went while it was busy ends without a stack trace', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', BUSY_CHILD], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
  })
  const said = text(child.stderr as Readable)
  child.send({ kind: 'frame' })
  const [answer] = await once(child, 'message')
  assert.equal(answer, { kind: 'taken' })
  child.disconnect()
  const [code] = await once(child, 'exit')
  assert.is(await said, '')
  assert.is(code, 0)
})

test.run()
