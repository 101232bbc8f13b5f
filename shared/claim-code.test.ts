import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CLAIM_CHARACTERS, claimDigest, MAX_CLAIM_TEXT, newClaimCode, parseClaimCode } from './claim-code.ts'
import { newSecret } from './ids.ts'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const bare = (code: string) => code.replaceAll('-', '')

test('a claim code has 130 random bits in characters that are not mistaken for others', () => {
  const codes = Array.from({ length: 200 }, () => newClaimCode(newSecret))
  assert.is(new Set(codes).size, codes.length)
  for (const code of codes) {
    assert.match(code, /^([0-9A-HJKMNP-TV-Z]{5}-){5}[0-9A-HJKMNP-TV-Z]{2}$/)
    assert.is(parseClaimCode(code), bare(code).slice(0, CLAIM_CHARACTERS))
  }
  // Every bit is used: with all of them set each character is the last of the alphabet.
  assert.match(
    newClaimCode((bytes) => Buffer.alloc(bytes, 0xff).toString('base64url')),
    /^(Z{5}-){5}Z/,
  )
  for (let place = 0; place < CLAIM_CHARACTERS; place += 1)
    assert.ok(new Set(codes.map((code) => bare(code)[place])).size > 20, `place ${place}`)
})

test('small letters, blanks, O for 0 and I or L for 1 are read as they are meant', () => {
  const code = newClaimCode((bytes) => Buffer.from([...Array(bytes - 1).fill(0), 1]).toString('base64url'))
  const wanted = parseClaimCode(code)
  assert.ok(wanted?.includes('0') && wanted.includes('1'), code)
  assert.is(parseClaimCode(code.toLowerCase().replaceAll('-', ' ')), wanted)
  assert.is(parseClaimCode(code.replaceAll('0', 'O').replaceAll('1', 'l')), wanted)
  assert.is(parseClaimCode(`\n${code}\n`), wanted)
})

test('one wrong character, any two that changed places, and one too few or too many are all found', () => {
  const whole = bare(newClaimCode(newSecret))
  for (let i = 0; i < whole.length; i += 1) {
    for (const other of ALPHABET) {
      if (other === whole[i]) continue
      assert.is(parseClaimCode(whole.slice(0, i) + other + whole.slice(i + 1)), null, `${other} at ${i}`)
    }
    for (let j = i + 1; j < whole.length; j += 1) {
      if (whole[i] === whole[j]) continue
      const swapped = [...whole]
      ;[swapped[i], swapped[j]] = [swapped[j] ?? '', swapped[i] ?? '']
      assert.is(parseClaimCode(swapped.join('')), null, `${i} and ${j}`)
    }
  }
  assert.is(parseClaimCode(whole.slice(1)), null)
  assert.is(parseClaimCode(`${whole}0`), null)
  assert.is(parseClaimCode(''), null)
  assert.is(parseClaimCode(`${whole.slice(0, -1)}U`), null, 'no character of the alphabet')
})

test('a code with blanks is looked at up to its longest, and not beyond', () => {
  const code = newClaimCode(newSecret)
  assert.is.not(parseClaimCode(code.padEnd(MAX_CLAIM_TEXT)), null)
  assert.is(parseClaimCode(code.padEnd(MAX_CLAIM_TEXT + 1)), null)
})

test('the digest tells nothing of the code and differs for each', () => {
  const [one, two] = [newClaimCode(newSecret), newClaimCode(newSecret)].map((code) => parseClaimCode(code) ?? '')
  assert.match(claimDigest(one ?? ''), /^[0-9a-f]{64}$/)
  assert.is.not(claimDigest(one ?? ''), claimDigest(two ?? ''))
})

test.run()
