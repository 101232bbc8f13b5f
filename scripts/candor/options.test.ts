import type { InvalidArgumentError } from 'commander'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { candor } from '../trial/commands-testing.ts'
import { positiveNumber, timeAt, wholeNumber } from './options.ts'

/** What the parser says against it; null when it takes it. */
function objection(parse: () => unknown): string | null {
  try {
    parse()
    return null
  } catch (thrown) {
    return (thrown as InvalidArgumentError).message
  }
}

test('a whole number is digits within its limits, and nothing that merely begins like one', () => {
  const parse = wholeNumber(1, 500)
  assert.equal([parse('1'), parse('500'), parse('007')], [1, 500, 7])
  for (const text of ['0', '501', 'v1', '1v', '1.5', '1e2', '0x10', '-1', '+1', ' 1', '', 'NaN', '99999999999999999'])
    assert.is(
      objection(() => parse(text)),
      'a whole number from 1 to 500 is needed.',
      text,
    )
  assert.is(wholeNumber(0)(String(Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER)
  assert.is(
    objection(() => wholeNumber(0)('9007199254740992')),
    'a whole number from 0 on is needed.',
  )
})

test('a positive number may have decimals, and is above 0', () => {
  assert.equal([positiveNumber('0.5'), positiveNumber('24')], [0.5, 24])
  for (const text of ['0', '0.0', 'foo', '-1', '1,5', '1h', '', 'Infinity'])
    assert.is(
      objection(() => positiveNumber(text)),
      'a number above 0 is needed.',
      text,
    )
})

test('a time has its zone; a date is its first moment, or at the end the midnight after it', () => {
  assert.is(timeAt('start')('2026-01-31'), Date.UTC(2026, 0, 31))
  assert.is(timeAt('end')('2026-01-31'), Date.UTC(2026, 1, 1))
  assert.is(timeAt('end')('2026-01-31T08:00:00+01:00'), Date.UTC(2026, 0, 31, 7))
  for (const text of ['yesterday', '2026-13-01', '2026-01-31T08:00:00', ''])
    assert.match(objection(() => timeAt('start')(text)) ?? '', /2026-01-31T08:00:00Z/, text)
})

const WRONG: readonly (readonly [RegExp, ...string[]])[] = [
  [/whole number from 1 on/, 'hotlist', 'rollback', 'stolen', '--to', 'v1'],
  [/number above 0/, 'hotlist', 'import', 'list.csv', '--list', 'stolen', '--max-age', 'foo'],
  [/Allowed choices are exact, near/, 'hotlist', 'import', 'list.csv', '--list', 'stolen', '--match', 'fuzzy'],
  [/whole number from 1 on/, 'hotlist', 'diff', 'stolen', '--from', 'a', '--to', '2'],
  [/there are: officer, .*auditor/, 'account', 'add', 'kim', '--role', 'king'],
  [/there are: officer, .*auditor/, 'account', 'set', 'kim', '--role', 'officer', 'king'],
  [/whole number from 1 to 500/, 'audit', 'list', '--limit', 'abc'],
  [/whole number from 1 to 500/, 'audit', 'list', '--limit', '501'],
  [/whole number from 1 on/, 'audit', 'list', '--before', '1.5'],
  [/--database FILE --head FILE --key/, 'audit', 'verify'],
  [/there are: .*sighting/, 'schema', 'nosuch'],
  [/Allowed choices are open, raised, .*closed/, 'alert', 'list', '--state', 'new'],
  [/Allowed choices are misread, .*not_located/, 'alert', 'close', 'ID', '--outcome', 'nonsense'],
  [/whole number from 1 to 200/, 'search', '--plate', 'ABC123', '--limit', '201'],
  [/date or a time with its zone/, 'search', '--plate', 'ABC123', '--from', 'yesterday'],
  [/whole number from 1 to 600/, 'bench', 'ingest', '--seconds', '10s'],
]
test('what is not understood is never guessed at: exit code 2, and what is allowed is named', async () => {
  for (const [allowed, ...args] of WRONG) {
    const { code, out, err } = await candor(args)
    assert.equal([code, out], [2, ''], `${args.join(' ')}: ${err}`)
    assert.match(err, allowed, args.join(' '))
  }
})

test.run()
