import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError } from './errors.ts'
import { createSigner, newSigningKeyPem, type Signer } from './signing.ts'
import { cosign, followSigningKeys } from './signing-keys.ts'
import { MAX_SIGNING_KEYS, MAX_SIGNING_KEYS_BYTES, type SigningKeysDocument } from './wire/index.ts'

const newSigner = () => createSigner(newSigningKeyPem().privateKeyPem)
const entry = ({ keyId, publicKeyPem }: Signer) => ({ keyId, publicKeyPem })
const [first, second, stranger] = [newSigner(), newSigner(), newSigner()]
const trusted = { version: 1, pems: [first.publicKeyPem] }

const documentOf = (change: Partial<SigningKeysDocument> = {}): SigningKeysDocument => ({
  agency: 'springfield',
  version: 2,
  keys: [entry(second), entry(first)],
  retired: [],
  issuedAtMs: 1_790_000_000_000,
  ...change,
})

function refusal(document: SigningKeysDocument, signers: readonly Signer[], pad = 0): string {
  try {
    const bytes = Buffer.from(`${JSON.stringify(cosign(document, signers))}${' '.repeat(pad)}`)
    followSigningKeys(bytes, trusted, 'springfield')
    return 'none'
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.message : String(thrown)
  }
}

test('a document follows the version before when a key of that one and each new key have signed it', () => {
  assert.is(refusal(documentOf(), [first, second]), 'none')
  assert.is(refusal(documentOf({ keys: [entry(second)], retired: [first.keyId] }), [first, second]), 'none')
})

test('a document is refused that is not signed by both, or by somebody else', () => {
  assert.match(refusal(documentOf(), [first]), /a new key has not signed/)
  assert.match(refusal(documentOf(), [second]), /no key of the version before/)
  assert.match(refusal(documentOf(), [stranger, second]), /no key of the version before/)
  const [signature] = cosign(documentOf(), [stranger]).signatures
  const forged = cosign(documentOf(), [second])
  forged.signatures.push({ keyId: first.keyId, signature: signature?.signature ?? '' })
  assert.throws(() => followSigningKeys(Buffer.from(JSON.stringify(forged)), trusted, 'springfield'), /does not verify/)
})

test('a document is refused that is of another agency, not the next version, or does not account for its keys', () => {
  const both = [first, second]
  assert.match(refusal(documentOf({ agency: 'shelbyville' }), both), /another agency/)
  assert.match(refusal(documentOf({ version: 3 }), both), /cannot follow version 1/)
  assert.match(refusal(documentOf({ keys: [entry(second)] }), both), /what became of each key/)
  assert.match(refusal(documentOf({ retired: [stranger.keyId] }), both), /what became of each key/)
  const misnamed = { keyId: stranger.keyId, publicKeyPem: second.publicKeyPem }
  assert.match(refusal(documentOf({ keys: [misnamed, entry(first)] }), both), /they are called/)
  assert.match(refusal(documentOf({ keys: [entry(first), entry(first)] }), both), /they are called/)
})

test('as many keys as may be and as many bytes are taken, and one more is refused', () => {
  const signers = [first, ...Array.from({ length: MAX_SIGNING_KEYS }, newSigner)]
  const of = (count: number) => documentOf({ keys: signers.slice(0, count).map(entry) })
  assert.is(refusal(of(MAX_SIGNING_KEYS), signers.slice(0, MAX_SIGNING_KEYS)), 'none')
  assert.match(refusal(of(MAX_SIGNING_KEYS + 1), signers), /keys/)
  const bytes = JSON.stringify(cosign(documentOf(), [first, second])).length
  assert.is(refusal(documentOf(), [first, second], MAX_SIGNING_KEYS_BYTES - bytes), 'none')
  assert.match(refusal(documentOf(), [first, second], MAX_SIGNING_KEYS_BYTES - bytes + 1), /more than/)
})

test.run()
