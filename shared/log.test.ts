import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createLog, MAX_LOG_TEXT } from './log.ts'

function capture(write: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const lines: string[] = []
  write(createLog({ level: 'debug', part: 'test', target: { write: (line) => lines.push(line) } }))
  return lines.map((line) => JSON.parse(line))
}

test('a line has its name, part, time and allowed fields', () => {
  const [line] = capture((log) => log.info('sighting_stored', { sightingId: 'x', ageMs: 5 }))
  assert.is(line?.name, 'sighting_stored')
  assert.is(line?.part, 'test')
  assert.is(line?.ageMs, 5)
})

test('a field that is not allow-listed never reaches the log', () => {
  const fields: Record<string, string> = { plate: 'ABC123', query: 'ABC', token: 's' }
  const [line] = capture((log) => log.with(fields).warn('x', fields))
  assert.not.match(JSON.stringify(line), /ABC|"s"/)
})

test('a long text is cut', () => {
  const [short, long] = capture((log) => {
    log.info('x', { reason: 'a'.repeat(MAX_LOG_TEXT) })
    log.info('x', { reason: 'a'.repeat(MAX_LOG_TEXT + 1) })
  })
  assert.is(short?.reason, 'a'.repeat(MAX_LOG_TEXT))
  assert.is(long?.reason, `${'a'.repeat(MAX_LOG_TEXT)}…`)
})

test.run()
