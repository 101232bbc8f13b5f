import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MINUTE_MS } from '../shared/clock.ts'
import { createLog } from '../shared/log.ts'
import { LINES_PER_MINUTE, limitLog } from './limited-log.ts'

test('so many lines of a name are written in a minute, the next minute begins with how many were not', () => {
  const lines: { name: string; count?: number; kind?: string }[] = []
  let nowMs = 5
  const target = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const log = limitLog(createLog({ level: 'debug', part: 'test', target }), { monotonicMs: () => nowMs })
  const names = () => lines.splice(0).map(({ name, kind, count }) => (kind === undefined ? name : `${kind} ${count}`))
  for (let n = 0; n < LINES_PER_MINUTE; n += 1) log.warn('refused')
  assert.is(names().length, LINES_PER_MINUTE)
  log.with({ list: 'stolen' }).warn('refused')
  log.warn('refused')
  nowMs += MINUTE_MS - 1
  log.warn('refused')
  assert.equal(names(), [])
  log.info('applied')
  assert.equal(names(), ['applied'], 'another name has its own number')
  nowMs += 1
  log.warn('refused')
  assert.equal(names(), ['refused 3', 'refused'])
})

test.run()
