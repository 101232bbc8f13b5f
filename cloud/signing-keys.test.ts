import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createSigner, newSigningKeyPem } from '../shared/signing.ts'
import { followSigningKeys, readSigningKeys, type TrustedKeys } from '../shared/signing-keys.ts'
import { MAX_KEPT_SIGNING_KEYS } from '../shared/wire/index.ts'
import { openSigningKeys, SIGNING_KEY_FILES, type SigningKeys } from './signing-keys.ts'
import { AGENCY, codeOf, inCloud } from './testing.ts'

const by = { agency: AGENCY, nowMs: 1_790_000_000_000 }

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-signing-keys-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Where a camera comes to that begins with `from` and follows what is published. */
function followed(from: TrustedKeys, keys: SigningKeys): TrustedKeys {
  let trusted = from
  for (const { version, bytes } of keys.documents) {
    if (version <= trusted.version) continue
    const { document } = readSigningKeys(bytes)
    followSigningKeys(bytes, trusted, AGENCY)
    trusted = { version, pems: document.keys.map(({ publicKeyPem }) => publicKeyPem) }
  }
  return trusted
}

test('after a rotation a camera of the first day comes to the key that signs, and a restart changes nothing', async () => {
  await inFolder(async (folder) => {
    const keys = await openSigningKeys(folder)
    const enrolled = { version: keys.version, pems: keys.trusted }
    assert.is(enrolled.version, 1)
    await keys.begin({ ...by, retireNow: false })
    assert.is(await codeOf(() => keys.begin({ ...by, retireNow: false })), 'conflict')
    assert.equal([keys.version, keys.trusted.length, keys.isRotating], [2, 2, true])
    await keys.retire(by)
    const later = await openSigningKeys(folder)
    for (const one of [keys, later]) {
      assert.equal([one.version, one.isRotating], [3, false])
      assert.equal(followed(enrolled, one), { version: 3, pems: [one.signer.publicKeyPem] })
    }
    assert.is(existsSync(join(folder, SIGNING_KEY_FILES.next)), false)
  })
})

test('a rotation that is cut short at any step is finished at the next start', async () => {
  for (const cut of ['key made', 'document written', 'key taken'] as const) {
    await inFolder(async (folder) => {
      const file = (name: keyof typeof SIGNING_KEY_FILES) => join(folder, SIGNING_KEY_FILES[name])
      const keys = await openSigningKeys(folder)
      const enrolled = { version: keys.version, pems: keys.trusted }
      const oldPem = readFileSync(file('current'), 'utf8')
      await keys.begin({ ...by, retireNow: false })
      const newPem = readFileSync(file('current'), 'utf8')
      // The files as each step leaves them.
      writeFileSync(file('next'), newPem)
      if (cut !== 'key taken') writeFileSync(file('current'), oldPem)
      if (cut === 'key made') rmSync(file('chain'))
      const again = await openSigningKeys(folder)
      await again.finish(by)
      assert.equal([again.version, again.isRotating], [2, true], cut)
      assert.is(again.signer.keyId, createSigner(newPem).keyId, cut)
      assert.is(existsSync(file('next')), false, cut)
      assert.is(followed(enrolled, again).pems.length, 2, cut)
    })
  }
})

test('as many documents stay as are published, and the oldest goes for one more', async () => {
  await inFolder(async (folder) => {
    const keys = await openSigningKeys(folder)
    for (let count = 0; count < MAX_KEPT_SIGNING_KEYS / 2; count += 1) {
      await keys.begin({ ...by, retireNow: false })
      await keys.retire(by)
    }
    assert.equal([keys.documents.length, keys.documents[0]?.version], [MAX_KEPT_SIGNING_KEYS, 2])
    await keys.begin({ ...by, retireNow: false })
    const later = await openSigningKeys(folder)
    assert.equal([later.documents.length, later.documents[0]?.version], [MAX_KEPT_SIGNING_KEYS, 3])
  })
})

test('a key that is not of the chain, and a damaged chain, are told at the start', async () => {
  await inFolder(async (folder) => {
    const keys = await openSigningKeys(folder)
    await keys.begin({ ...by, retireNow: true })
    await keys.retire(by)
    writeFileSync(join(folder, SIGNING_KEY_FILES.current), newSigningKeyPem().privateKeyPem)
    assert.is(await codeOf(() => openSigningKeys(folder)), 'configuration')
    writeFileSync(join(folder, SIGNING_KEY_FILES.chain), '{"retireNow":')
    assert.is(await codeOf(() => openSigningKeys(folder)), 'configuration')
  })
})

test('a cloud that was ended in the middle of a rotation goes on with it when it starts', async () => {
  await inCloud(async (cloud) => {
    await cloud.importList('stolen', ['ABC1234'])
    const oldKey = cloud.cloud.parts.keys.signing.signer.keyId
    writeFileSync(join(cloud.folder, 'data', 'keys', SIGNING_KEY_FILES.next), newSigningKeyPem().privateKeyPem)
    await cloud.restart()
    const { keyRotation, policy } = cloud.cloud.parts
    const state = await keyRotation.state()
    assert.is.not(state.keyId, oldKey)
    // No camera has been seen who would have to follow.
    assert.equal([state.version, state.rotating], [3, false])
    assert.is((await cloud.audited('hotlist.signing_key_retired')).length, 1)
    assert.is((await policy.history(10)).length, 1)
    await cloud.restart()
    assert.equal(await cloud.cloud.parts.keyRotation.state(), state)
  })
})

test.run()
