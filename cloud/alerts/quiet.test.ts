import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isTimeZone, quietUntil } from './quiet.ts'

const at = (text: string) => Date.parse(text)
const end = (quiet: { from: string; until: string; timeZone: string }, now: string) => {
  const untilMs = quietUntil(quiet, at(now))
  return untilMs === null ? null : new Date(untilMs).toISOString()
}

test('quiet hours over midnight begin and end to the minute, in the time zone of the people', () => {
  const quiet = { from: '22:00', until: '06:00', timeZone: 'America/Chicago' }
  assert.is(end(quiet, '2026-01-15T03:59:59.999Z'), null)
  assert.is(end(quiet, '2026-01-15T04:00:00Z'), '2026-01-15T12:00:00.000Z')
  assert.is(end(quiet, '2026-01-15T11:59:59.999Z'), '2026-01-15T12:00:00.000Z')
  assert.is(end(quiet, '2026-01-15T12:00:00Z'), null)
  assert.is(end(quiet, '2026-07-15T03:30:00Z'), '2026-07-15T11:00:00.000Z', 'in summer an hour earlier')
})

test('quiet hours within a day, and in zones that are off by half an hour', () => {
  const quiet = { from: '12:00', until: '13:30', timeZone: 'Asia/Kolkata' }
  assert.is(end(quiet, '2026-01-15T06:29:00Z'), null)
  assert.is(end(quiet, '2026-01-15T06:30:00Z'), '2026-01-15T08:00:00.000Z')
  assert.is(end(quiet, '2026-01-15T08:00:00Z'), null)
})

test('a night in which the clocks change ends at its local time all the same', () => {
  const quiet = { from: '22:00', until: '06:00', timeZone: 'Europe/Berlin' }
  // 2026-03-29: 02:00 becomes 03:00; 2026-10-25: 03:00 becomes 02:00.
  assert.is(end(quiet, '2026-03-28T21:00:00Z'), '2026-03-29T04:00:00.000Z')
  assert.is(end(quiet, '2026-10-24T20:00:00Z'), '2026-10-25T05:00:00.000Z')
})

test('a night without the time at which it would end goes on until an hour later, and not for ever', () => {
  const quiet = { from: '22:00', until: '02:30', timeZone: 'Europe/Berlin' }
  assert.is(end(quiet, '2026-03-28T23:00:00Z'), '2026-03-29T01:30:00.000Z')
  assert.is(end(quiet, '2026-03-29T01:30:00Z'), null)
  assert.is(end({ ...quiet, from: '01:45' }, '2026-03-29T00:59:00Z'), '2026-03-29T01:30:00.000Z', 'never before now')
})

test('a time zone is one that this machine knows', () => {
  assert.equal(['Europe/Berlin', 'UTC', 'Middle/Earth', ''].map(isTimeZone), [true, true, false, false])
})

test.run()
