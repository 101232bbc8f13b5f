import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newSecret } from '../../shared/ids.ts'
import { type Access, bareCode, codeDigest, createAccess, type LoginAnswer, shownCode } from './access.ts'
import { CODE_CHARACTERS, LOGIN_PAUSE_MS, MAX_CODE_CHARACTERS, SESSION_IDLE_MS, TRIES } from './limits.ts'

interface World {
  access: Access
  /** All that were ever shown; null: none holds. */
  codes: (string | null)[]
  pass(ms: number): void
  firstUsed(): number
  /** Logs in with the newest code. */
  enter(): string
  refusal(typed: string): Exclude<LoginAnswer, { token: string }>
}

function world(firstCode: string | null = null): World {
  let nowMs = 1_000
  let used = 0
  const codes: (string | null)[] = []
  const access = createAccess({
    clock: { monotonicMs: () => nowMs },
    newSecret,
    firstCode,
    onCode: (code) => codes.push(code),
    onFirstUsed: () => {
      used += 1
    },
  })
  const made: World = {
    access,
    codes,
    pass(ms) {
      nowMs += ms
    },
    firstUsed: () => used,
    enter() {
      const answer = access.logIn(codes.at(-1) ?? '')
      assert.ok('token' in answer, JSON.stringify(answer))
      return answer.token
    },
    refusal(typed) {
      const answer = access.logIn(typed)
      assert.ok('refused' in answer)
      return answer
    },
  }
  return made
}

/** Fits, and is none. */
const WRONG = '0000-0000'

test('the code opens one session, is burnt by it, and cannot open a second one meanwhile', () => {
  const { access, codes, enter, refusal } = world()
  assert.match(codes[0] ?? '', /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
  const token = enter()
  assert.ok(access.holds(token))
  assert.not.ok(access.holds(`${token}x`))
  assert.not.ok(access.holds(null))
  assert.is(codes.at(-1), null)
  assert.equal(refusal(codes[0] ?? ''), { refused: 'busy' })
})

test('when a session ends there is a new code, and neither the old code nor the old session does anything', () => {
  const { access, codes, enter, refusal } = world()
  const token = enter()
  access.logOut()
  assert.is(codes.length, 3)
  assert.is.not(codes[2], codes[0])
  assert.not.ok(access.holds(token))
  assert.is(refusal(codes[0] ?? '').refused, 'wrong')
  enter()
})

test('a code is typed as people type: small letters, blanks, O for 0, I and L for 1', () => {
  const { access } = world('A01B1C0D')
  const answer = access.logIn(' ao1b-lc od ')
  assert.ok('token' in answer)
})

test('the fifth wrong code makes a new one and a pause, in which the right code does nothing either', () => {
  const { access, codes, pass, enter, refusal } = world()
  for (let n = 1; n < TRIES; n += 1) assert.equal(refusal(WRONG), { refused: 'wrong', triesLeft: TRIES - n })
  assert.equal(refusal(WRONG), { refused: 'pause', retryInMs: LOGIN_PAUSE_MS.first })
  assert.is(codes.length, 2)
  assert.is.not(codes[0], codes[1])
  pass(LOGIN_PAUSE_MS.first - 1)
  assert.equal(refusal(codes[1] ?? ''), { refused: 'pause', retryInMs: 1 })
  pass(1)
  assert.is(refusal(codes[0] ?? '').refused, 'wrong')
  enter()
  assert.is(access.idleLeftMs(), SESSION_IDLE_MS)
})

test('each pause is twice as long as the one before, up to an hour, and short again after a log-in', () => {
  const { access, pass, enter, refusal } = world()
  const fail = () => {
    for (let n = 1; n < TRIES; n += 1) refusal(WRONG)
    const last = refusal(WRONG)
    assert.ok(last.refused === 'pause')
    pass(last.retryInMs)
    return last.retryInMs
  }
  const { first, most } = LOGIN_PAUSE_MS
  assert.equal([fail(), fail(), fail()], [first, 2 * first, 4 * first])
  for (let n = 0; n < 6; n += 1) fail()
  assert.is(fail(), most)
  enter()
  access.logOut()
  assert.is(fail(), first)
})

test('tries in the pause are not counted: nobody can prolong it', () => {
  const { codes, pass, refusal } = world()
  for (let n = 0; n < TRIES; n += 1) refusal(WRONG)
  for (let n = 0; n < 50; n += 1) refusal(WRONG)
  assert.is(codes.length, 2)
  pass(LOGIN_PAUSE_MS.first)
  assert.equal(refusal(WRONG), { refused: 'wrong', triesLeft: TRIES - 1 })
})

test('a session ends when nobody touches the page for so long, and not a moment before', () => {
  const { access, codes, pass, enter } = world()
  const token = enter()
  pass(SESSION_IDLE_MS - 1)
  assert.ok(access.holds(token))
  access.touch()
  pass(SESSION_IDLE_MS - 1)
  assert.is(access.idleLeftMs(), 1)
  access.tick()
  assert.ok(access.holds(token))
  pass(1)
  access.tick()
  assert.is(codes.length, 3)
  assert.not.ok(access.holds(token))
  assert.is(access.idleLeftMs(), null)
})

test('the time without use counts from the last touch', () => {
  const { access, pass, enter } = world()
  pass(5_000)
  assert.is(access.unusedMs(), 5_000)
  enter()
  pass(70)
  assert.is(access.unusedMs(), 70)
  access.touch()
  assert.is(access.unusedMs(), 0)
})

test('the first code can come from a file, and is told of when it is used; those after it are not', () => {
  const { access, codes, firstUsed, enter } = world('7Q4MX2KD9')
  assert.is(codes[0], '7Q4M-X2KD-9')
  enter()
  assert.is(firstUsed(), 1)
  access.logOut()
  enter()
  assert.is(firstUsed(), 1)
})

test('a code has 8 to 32 characters of its alphabet', () => {
  assert.is(bareCode('A'.repeat(CODE_CHARACTERS)), 'A'.repeat(CODE_CHARACTERS))
  assert.is(bareCode('A'.repeat(CODE_CHARACTERS - 1)), null)
  assert.is(bareCode('A'.repeat(MAX_CODE_CHARACTERS)), 'A'.repeat(MAX_CODE_CHARACTERS))
  assert.is(bareCode('A'.repeat(MAX_CODE_CHARACTERS + 1)), null)
  assert.is(bareCode(`${' '.repeat(4 * MAX_CODE_CHARACTERS)}AAAAAAAA`), null)
  assert.is(bareCode('AAAA-AAAU'), null)
  assert.is(shownCode('AAAABBBBC'), 'AAAA-BBBB-C')
  assert.is.not(codeDigest('AAAAAAAA'), codeDigest('AAAAAAAB'))
})

test('codes are spread over the whole alphabet and do not repeat', () => {
  const seen = new Set<string>()
  const characters = new Set<string>()
  for (let n = 0; n < 400; n += 1) {
    const [code] = world().codes
    seen.add(code ?? '')
    for (const character of (code ?? '').replace('-', '')) characters.add(character)
  }
  assert.is(seen.size, 400)
  assert.is(characters.size, 32)
})

test.run()
