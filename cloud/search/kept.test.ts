import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createKeptSearches, type KeptSearch, MAX_KEPT_OF_SESSION, MAX_KEPT_SEARCHES } from './kept.ts'
import { SEARCH_KEPT_MS } from './request.ts'

const INES = { account: 'ines', roles: ['investigator' as const], session: 's-1', source: '127.0.0.1' }
/** Sessions of one person each. */
const actorOf = (number: number) => ({ ...INES, account: `person-${number}`, session: `t-${number}` })

const search = (auditSeq: number): KeptSearch => ({
  ...{ auditSeq, found: [], vehicles: null, truncated: false, timedOut: false, fromMs: null },
  purpose: { caseNumber: '24-00123', offenceType: 'burglary', reason: 'vehicle seen at the break-in' },
})

function openWorld() {
  let nowMs = 0
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} }
  const kept = createKeptSearches(clock)
  const has = (auditSeq: number, actor = INES) => kept.get(auditSeq, actor)?.auditSeq === auditSeq
  return { kept, has, advance: (ms: number) => (nowMs += ms) }
}

test('of one session so many searches are kept; with one more its oldest goes, and no other session’s', () => {
  const { kept, has } = openWorld()
  const [other, again] = [actorOf(1), { ...INES, session: 's-2' }]
  kept.add(search(1), other)
  kept.add(search(2), again)
  for (let seq = 11; seq <= 10 + MAX_KEPT_OF_SESSION; seq++) kept.add(search(seq), INES)
  assert.ok(has(11))
  kept.add(search(100), INES)
  assert.equal([has(11), has(12), has(100)], [false, true, true])
  assert.equal([has(1, other), has(2, again)], [true, true], 'older ones of others')
})

test('of all sessions so many searches are kept; with one more the oldest of all goes', () => {
  const { kept, has } = openWorld()
  for (let seq = 1; seq <= MAX_KEPT_SEARCHES; seq++) kept.add(search(seq), actorOf(seq))
  assert.ok(has(1, actorOf(1)))
  kept.add(search(1_000), INES)
  assert.equal([has(1, actorOf(1)), has(2, actorOf(2)), has(1_000)], [false, true, true])
})

test('a session that has as many as it may makes room itself where no more are kept of all', () => {
  const { kept, has } = openWorld()
  const others = MAX_KEPT_SEARCHES - MAX_KEPT_OF_SESSION
  for (let seq = 1; seq <= others; seq++) kept.add(search(seq), actorOf(seq))
  for (let seq = others + 1; seq <= MAX_KEPT_SEARCHES; seq++) kept.add(search(seq), INES)
  kept.add(search(1_000), INES)
  assert.equal([has(1, actorOf(1)), has(others + 1), has(others + 2), has(1_000)], [true, false, true, true])
})

test('a search is kept until its time is over, for the session that ran it, and then takes up no room', () => {
  const { kept, has, advance } = openWorld()
  kept.add(search(1), INES)
  assert.equal([has(1, { ...INES, session: 's-2' }), has(1, { ...INES, account: 'ivan' })], [false, false])
  advance(SEARCH_KEPT_MS - 1)
  assert.ok(has(1))
  kept.add(search(2), INES)
  advance(1)
  assert.equal([has(1), has(2)], [false, true])
  for (let seq = 3; seq < 2 + MAX_KEPT_OF_SESSION; seq++) kept.add(search(seq), INES)
  assert.ok(has(2), 'with the first there would be one too many')
})

test.run()
