import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../shared/clock.ts'
import { silentLog } from '../shared/log.ts'
import { createSigner, newSigningKeyPem, type Signer } from '../shared/signing.ts'
import { cosign, type TrustedKeys } from '../shared/signing-keys.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { MAX_SIGNING_KEYS_BYTES } from '../shared/wire/index.ts'
import { createSigningKeys, type SigningKeys } from './signing-keys.ts'

const newSigner = () => createSigner(newSigningKeyPem().privateKeyPem)
const [first, second, third] = [newSigner(), newSigner(), newSigner()]
const enrolled: TrustedKeys = { version: 1, pems: [first.publicKeyPem] }

function step(version: number, before: Signer, after: readonly Signer[], retired: readonly Signer[] = []): Buffer {
  const keys = after.map(({ keyId, publicKeyPem }) => ({ keyId, publicKeyPem }))
  const gone = retired.map(({ keyId }) => keyId)
  const document = { agency: 'springfield', version, keys, retired: gone, issuedAtMs: 1_790_000_000_000 }
  return Buffer.from(JSON.stringify(cosign(document, [before, ...after.filter((one) => one !== before)])))
}

/** Two whole rotations. */
const CHAIN = new Map([
  [2, step(2, first, [second, first])],
  [3, step(3, second, [second], [first])],
  [4, step(4, second, [third, second])],
  [5, step(5, third, [third], [second])],
])

async function onCamera(work: (open: (from?: TrustedKeys) => SigningKeys) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-signing-keys-'))
  const databases: ReturnType<typeof openDatabase>[] = []
  try {
    work((from = enrolled) => {
      databases.pop()?.close()
      const database = openDatabase(join(folder, 'lists.db'))
      databases.push(database)
      return createSigningKeys({
        ...{ database, enrolled: from, agency: 'springfield', clock: systemClock },
        log: silentLog,
      })
    })
  } finally {
    databases.pop()?.close()
    rmSync(folder, { recursive: true })
  }
}

const trusts = (keys: SigningKeys, signer: Signer) => {
  try {
    return keys.verifier.open(signer.seal(Buffer.from('x'))).length === 1
  } catch {
    return false
  }
}

test('a camera follows a chain in any order of arrival, and what it trusts survives a restart', async () => {
  await onCamera((open) => {
    const keys = open()
    for (const version of [5, 3, 4])
      assert.equal(keys.take(version, CHAIN.get(version) as Buffer), { ack: null, changed: false })
    assert.ok(trusts(keys, first) && !trusts(keys, third))
    const { ack, changed } = keys.take(2, CHAIN.get(2) as Buffer)
    assert.equal([ack?.version, ack?.result, changed], [5, 'applied', true])
    assert.equal([trusts(keys, first), trusts(keys, second), trusts(keys, third)], [false, false, true])
    const later = open()
    assert.equal([later.version, trusts(later, third), trusts(later, first)], [5, true, false])
    const again = later.take(5, CHAIN.get(5) as Buffer)
    assert.equal([again.ack?.version, again.ack?.result, again.changed], [5, 'applied', false])
    assert.equal(later.take(2, CHAIN.get(2) as Buffer), { ack: null, changed: false }, 'there is no way back')
    assert.is(later.version, 5)
  })
})

test('what may not follow is refused with its reason, and the keys of before stay', async () => {
  await onCamera((open) => {
    const keys = open()
    const refused = (version: number, bytes: Buffer) => keys.take(version, bytes).ack?.reason ?? 'taken'
    assert.match(refused(2, step(2, second, [second])), /what became of each key/)
    assert.match(refused(2, step(2, third, [third], [first])), /no key of the version before/)
    assert.match(refused(2, CHAIN.get(3) as Buffer), /cannot follow/)
    assert.match(refused(2, Buffer.from('{}')), /payload|signatures/)
    assert.match(refused(2, Buffer.alloc(MAX_SIGNING_KEYS_BYTES + 1, ' ')), /more than/)
    assert.is(keys.version, 1)
    assert.ok(trusts(keys, first) && !trusts(keys, third))
    keys.take(2, CHAIN.get(2) as Buffer)
    assert.match(refused(2, step(2, first, [third, first])), /same version with other content/)
    assert.match(refused(4, Buffer.from('{}')), /taken/)
  })
})

test('a camera that is enrolled again begins with what it is given, and one enrolled late takes the document of its version', async () => {
  await onCamera((open) => {
    for (const [version, bytes] of CHAIN) open().take(version, bytes)
    assert.is(open().version, 5)
    const late = open({ version: 4, pems: [third.publicKeyPem, second.publicKeyPem] })
    assert.equal([late.version, late.take(4, CHAIN.get(4) as Buffer).ack?.result], [4, 'applied'])
    assert.match(late.take(4, step(4, second, [first, second])).ack?.reason ?? '', /other content/)
    late.take(5, CHAIN.get(5) as Buffer)
    assert.is(late.version, 5)
  })
})

test.run()
