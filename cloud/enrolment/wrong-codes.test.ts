import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createWrongCodes, MAX_WRONG_ADDRESSES, MAX_WRONG_CODES, WRONG_CODES_WINDOW_MS } from './wrong-codes.ts'

function counting() {
  let nowMs = 0
  const codes = createWrongCodes({ monotonicMs: () => nowMs })
  return {
    codes,
    pass(ms: number) {
      nowMs += ms
    },
  }
}

test('an address is blocked from its last allowed wrong code on until the window is over, and no other is', () => {
  const { codes, pass } = counting()
  for (let i = 0; i < MAX_WRONG_CODES - 1; i += 1) codes.note('10.0.0.1')
  assert.not.ok(codes.isBlocked('10.0.0.1'))
  codes.note('10.0.0.1')
  assert.ok(codes.isBlocked('10.0.0.1'))
  assert.not.ok(codes.isBlocked('10.0.0.2'))
  pass(WRONG_CODES_WINDOW_MS - 1)
  assert.ok(codes.isBlocked('10.0.0.1'))
  pass(1)
  assert.not.ok(codes.isBlocked('10.0.0.1'))
  codes.note('10.0.0.1')
  assert.not.ok(codes.isBlocked('10.0.0.1'), 'counted anew')
})

test('so many addresses are counted; one more, and the first is forgotten', () => {
  const { codes } = counting()
  for (let i = 0; i < MAX_WRONG_CODES; i += 1) codes.note('first')
  for (let i = 1; i < MAX_WRONG_ADDRESSES; i += 1) codes.note(`address ${i}`)
  assert.ok(codes.isBlocked('first'))
  codes.note('one more')
  assert.not.ok(codes.isBlocked('first'))
})

test.run()
