import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from './errors.ts'
import { createSigner, createVerifier, newSigningKeyPem, sha256Hex } from './signing.ts'

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : 'other'
  }
  return 'none'
}

test('what was signed opens to the same bytes', () => {
  const key = newSigningKeyPem()
  const payload = Buffer.from('{"b":1, "a":2}')
  const opened = createVerifier([key.publicKeyPem]).open(createSigner(key.privateKeyPem).seal(payload))
  assert.ok(opened.equals(payload))
})

test('one changed bit anywhere is refused', () => {
  const key = newSigningKeyPem()
  const verifier = createVerifier([key.publicKeyPem])
  const envelope = createSigner(key.privateKeyPem).seal(Buffer.from('version 7'))
  for (const part of ['payload', 'signature'] as const) {
    const bytes = Buffer.from(envelope[part], 'base64')
    for (let bit = 0; bit < bytes.length * 8; bit += 5) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.is(
        codeOf(() => verifier.open({ ...envelope, [part]: changed.toString('base64') })),
        'integrity',
      )
    }
  }
})

test('a key that is not trusted is refused, even if it names a trusted one', () => {
  const trusted = newSigningKeyPem()
  const stranger = createSigner(newSigningKeyPem().privateKeyPem)
  const verifier = createVerifier([trusted.publicKeyPem])
  const envelope = stranger.seal(Buffer.from('x'))
  assert.is(
    codeOf(() => verifier.open(envelope)),
    'integrity',
  )
  assert.is(
    codeOf(() => verifier.open({ ...envelope, keyId: verifier.keyIds[0] })),
    'integrity',
  )
})

test('anything that is no envelope is bad input', () => {
  const verifier = createVerifier([newSigningKeyPem().publicKeyPem])
  const envelope = createSigner(newSigningKeyPem().privateKeyPem).seal(Buffer.from('x'))
  for (const bad of [
    null,
    1,
    'x',
    [],
    {},
    { ...envelope, extra: 1 },
    { ...envelope, keyId: 'ZZ' },
    { ...envelope, signature: '' },
  ]) {
    assert.is(
      codeOf(() => verifier.open(bad)),
      'bad_input',
    )
  }
})

test('only Ed25519 public keys can be trusted', () => {
  assert.is(
    codeOf(() => createVerifier(['no pem'])),
    'configuration',
  )
})

test('sha256Hex is SHA-256', () => {
  // FIPS 180-4 example "abc".
  assert.is(sha256Hex('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})

test.run()
