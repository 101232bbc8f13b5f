import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { MINUTE_MS } from '../../shared/clock.ts'
import { isNight, nightSchema, settingsAt } from './night.ts'

const at = (time: string) => Date.parse(`2026-06-01T${time}:00Z`)

test('a night over midnight begins with its first minute and ends before its last', () => {
  const night = { fromUtc: '21:30', toUtc: '04:00' }
  for (const time of ['21:30', '23:59', '00:00', '03:59']) assert.is(isNight(night, at(time)), true, time)
  for (const time of ['21:29', '04:00', '12:00']) assert.is(isNight(night, at(time)), false, time)
  assert.is(isNight(night, at('04:00') - 1), true)
})

test('a night within one day of UTC, as in America, is one', () => {
  const night = { fromUtc: '03:00', toUtc: '13:00' }
  assert.equal(
    ['02:59', '03:00', '12:59', '13:00'].map((time) => isNight(night, at(time))),
    [false, true, true, false],
  )
})

test('without a night it is always day, and a clock before 1970 is no trouble', () => {
  assert.is(isNight(null, at('00:00')), false)
  assert.is(isNight({ fromUtc: '23:00', toUtc: '01:00' }, -MINUTE_MS), true)
})

test('at night what differs is set, and the rest stays', () => {
  const day = { gain: '1', ev: '0' }
  const night = { fromUtc: '20:00', toUtc: '05:00', settings: { gain: '8' } }
  assert.equal(settingsAt(day, night, at('21:00')), { isNight: true, settings: { gain: '8', ev: '0' } })
  assert.equal(settingsAt(day, night, at('12:00')), { isNight: false, settings: day })
})

test('a time that is none, and a night without length, is refused', () => {
  const schema = nightSchema(z.strictObject({}))
  const valid = { fromUtc: '00:00', toUtc: '23:59', settings: {} }
  assert.is(schema.safeParse(valid).success, true)
  for (const change of [
    { fromUtc: '24:00' },
    { fromUtc: '7:00' },
    { toUtc: '12:60' },
    { toUtc: '00:00' },
    { toUtc: '' },
  ])
    assert.is(schema.safeParse({ ...valid, ...change }).success, false, JSON.stringify(change))
})

test.run()
