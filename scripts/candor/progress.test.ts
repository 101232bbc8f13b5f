import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { createProgress, LINE_EVERY_MS, QUIET_MS } from './progress.ts'

function streamOf(isTTY: boolean) {
  const written: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk))
      done()
    },
  })
  return { written, stream: Object.assign(stream, { isTTY }) }
}

test('without a terminal nothing is said of what is over soon, then a line now and then', () => {
  const { written, stream } = streamOf(false)
  let nowMs = 100
  const progress = createProgress(stream, { ...systemClock, monotonicMs: () => nowMs })
  const at = (ms: number, done: number, total = 10) => {
    nowMs = 100 + ms
    progress.show('reading', done, total, `${done} rows`)
  }
  at(0, 0)
  at(QUIET_MS - 1, 1)
  assert.equal(written, [])
  at(QUIET_MS, 2)
  at(QUIET_MS + LINE_EVERY_MS - 1, 3)
  at(QUIET_MS + LINE_EVERY_MS, 9.99)
  at(QUIET_MS + 2 * LINE_EVERY_MS, 11)
  at(QUIET_MS + 3 * LINE_EVERY_MS, 12, 0)
  progress.stop()
  assert.equal(written, [
    'reading 20% (2 rows)\n',
    'reading 99% (9.99 rows)\n',
    'reading 100% (11 rows)\n',
    'reading (12 rows)\n',
  ])
})

test('on a terminal a bar shows phase and share, and gives the terminal back as it was', () => {
  // cli-progress draws with what a terminal has beside being written to.
  const { written, stream } = streamOf(true)
  Object.assign(stream, { columns: 80, cursorTo() {}, clearLine() {}, moveCursor() {} })
  const progress = createProgress(stream, systemClock)
  progress.stop()
  progress.show('uploading', 0, 10)
  assert.is(process.listenerCount('SIGINT'), 1)
  progress.show('publishing', 10, 10, '3 chunks')
  progress.stop()
  const text = written.join('')
  assert.match(text, /uploading .* 0%/)
  assert.match(text, /publishing .* 100% 3 chunks/)
  assert.ok(text.lastIndexOf('\u001b[?7h') > text.lastIndexOf('\u001b[?7l'), 'long lines are wrapped again')
  assert.is(process.listenerCount('SIGINT'), 0)
})

test('Ctrl-C ends a command that shows a bar, and gives the terminal back', async () => {
  const program = `
    import { createProgress } from ${JSON.stringify(new URL('./progress.ts', import.meta.url).href)}
    import { systemClock } from ${JSON.stringify(new URL('../../shared/clock.ts', import.meta.url).href)}
    const terminal = { isTTY: true, columns: 80, cursorTo() {}, clearLine() {}, moveCursor() {} }
    createProgress(Object.assign(process.stderr, terminal), systemClock).show('uploading', 1, 10)
    setInterval(() => {}, 1_000)
    process.stdout.write('shown')`
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', program])
  let drawn = ''
  child.stderr.on('data', (chunk) => (drawn += chunk))
  child.stdout.once('data', () => child.kill('SIGINT'))
  const [, signal] = await once(child, 'close')
  assert.is(signal, 'SIGINT', drawn)
  assert.ok(drawn.lastIndexOf('\u001b[?7h') > drawn.lastIndexOf('\u001b[?7l'), drawn)
})

test.run()
