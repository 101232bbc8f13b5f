import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from './errors.ts'
import { createOpener, createSealer, isSealed, newSealingKeyPem, SEAL_BYTES } from './sealing.ts'
import { newSigningKeyPem } from './signing.ts'

const { privateKeyPem, publicKeyPem } = newSealingKeyPem()
const opener = createOpener(privateKeyPem)

function refuses(work: () => unknown, code: AppError['code'], what = ''): void {
  try {
    work()
  } catch (thrown) {
    assert.instance(thrown, AppError)
    assert.is((thrown as AppError).code, code, what)
    return
  }
  assert.unreachable(what)
}

test('what is sealed is opened by the key that it was sealed to, in its context, and says nothing before', () => {
  const sealer = createSealer(publicKeyPem)
  for (const text of ['', 'ABC1234', 'x'.repeat(70_000)]) {
    const sealed = sealer.seal(Buffer.from(text), 'north/sightings')
    assert.ok(isSealed(sealed))
    assert.is(sealed.length, text.length + SEAL_BYTES)
    assert.is(opener.open(sealed, 'north/sightings').toString(), text)
    if (text !== '') assert.not.ok(sealed.includes(text))
  }
  const twice = [0, 1].map(() => sealer.seal(Buffer.from('ABC1234'), 'c'))
  assert.is.not(twice[0]?.toString('hex'), twice[1]?.toString('hex'))
  assert.is(opener.publicKeyPem, publicKeyPem)
})

test('another context, another key, and a change of any byte are refused', () => {
  const sealed = createSealer(publicKeyPem).seal(Buffer.from('ABC1234'), 'north/sightings')
  refuses(() => opener.open(sealed, 'south/sightings'), 'integrity', 'another context')
  refuses(() => createOpener(newSealingKeyPem().privateKeyPem).open(sealed, 'north/sightings'), 'integrity', 'key')
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    refuses(() => opener.open(changed, 'north/sightings'), 'integrity', `byte ${at}`)
  }
  for (const length of [0, 3, SEAL_BYTES - 1, sealed.length - 1])
    refuses(() => opener.open(sealed.subarray(0, length), 'north/sightings'), 'integrity', `cut to ${length}`)
})

test('what is not sealed is told from what is, and other keys are no sealing keys', () => {
  assert.not.ok(isSealed(Buffer.from('{"sightingId":"0"}'.padEnd(200))))
  assert.not.ok(isSealed(Buffer.from('CSR1')))
  const signing = newSigningKeyPem()
  refuses(() => createSealer(signing.publicKeyPem), 'configuration')
  refuses(() => createOpener(signing.privateKeyPem), 'configuration')
  refuses(() => createSealer('not a key'), 'configuration')
})

test('two processes of one camera have keys of their own, and more than are remembered are opened all the same', () => {
  const sealed = Array.from({ length: 1_100 }, (_, n) => createSealer(publicKeyPem).seal(Buffer.from(String(n)), 'c'))
  for (const [n, each] of sealed.entries()) assert.is(opener.open(each, 'c').toString(), String(n))
  assert.is(opener.open(sealed[0] ?? Buffer.alloc(0), 'c').toString(), '0')
})

test.run()
