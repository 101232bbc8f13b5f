import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../shared/clock.ts'
import { AUTHORITY_FILES, type Authority, openAuthority } from '../authority.ts'
import { codeOf } from '../testing.ts'
import {
  agencyOf,
  type IdentityFile,
  MAX_IDENTITY_BYTES,
  makeIdentity,
  normaliseFingerprint,
  readIdentity,
  spokenFingerprint,
} from './identity.ts'

const NOW_MS = systemClock.nowMs()

async function withAuthority(work: (authority: Authority, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-identity-'))
  try {
    await work(await openAuthority({ folder, agency: 'shelby', hostnames: ['localhost'], clock: systemClock }), folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const identityOf = (authority: Authority, change: object = {}): Promise<IdentityFile> =>
  makeIdentity(
    { agency: 'shelby', url: 'https://shelby.example:8444', caPem: authority.caPem, issuedAtMs: NOW_MS, ...change },
    authority.sign,
  )

const refusal = (file: unknown) => codeOf(async () => readIdentity(file))

test('an identity is read back by whoever imports it, with the fingerprint of the key that signed it', async () => {
  await withAuthority(async (authority) => {
    const identity = readIdentity(await identityOf(authority))
    assert.equal(
      [identity.agency, identity.url, identity.issuedAtMs],
      ['shelby', 'https://shelby.example:8444', NOW_MS],
    )
    assert.match(identity.fingerprint, /^[0-9a-f]{64}$/)
    const spoken = spokenFingerprint(identity.fingerprint)
    assert.match(spoken, /^([0-9a-f]{4} ){15}[0-9a-f]{4}$/)
    assert.is(normaliseFingerprint(` ${spoken.toUpperCase()}\n`), identity.fingerprint)
    const onlyAsks = readIdentity(await identityOf(authority, { url: null }))
    assert.equal([onlyAsks.url, onlyAsks.fingerprint], [null, identity.fingerprint])
  })
})

test('an identity that was changed, signed by another key, or of another shape is refused', async () => {
  await withAuthority(async (authority) => {
    const good = await identityOf(authority)
    await withAuthority(async (other) => {
      assert.is(await refusal(await identityOf(other, { caPem: authority.caPem })), 'integrity')
      assert.is(await refusal({ ...good, signature: (await identityOf(other)).signature }), 'integrity')
    })
    // What the authority signed as something else is no identity.
    const payload = Buffer.from(good.payload, 'base64')
    assert.is(await refusal({ ...good, signature: await authority.sign(payload) }), 'integrity')
    for (const url of [
      'http://shelby.example',
      'https://shelby.example/path',
      'https://a:b@shelby.example',
      'shelby',
      '',
    ])
      assert.is(await refusal(await identityOf(authority, { url })), 'bad_input', url)
    assert.is(await refusal(await identityOf(authority, { agency: 'Shelby Police' })), 'bad_input')
    assert.is(await refusal(await identityOf(authority, { more: 1 })), 'bad_input')
    // The certificate of a camera is no authority, and neither is the server's.
    assert.is(await refusal(await identityOf(authority, { caPem: authority.serverCertPem })), 'bad_input')
    for (const file of [
      null,
      {},
      [],
      'x',
      { ...good, more: 1 },
      { payload: 'x', signature: 'y' },
      { ...good, payload: '' },
    ])
      assert.is(await refusal(file), 'bad_input', JSON.stringify(file))
  })
})

test('an identity at the limit of its bytes is looked at, and one byte more is not', async () => {
  const ofBytes = (bytes: number) => ({ payload: Buffer.alloc(bytes, 32).toString('base64'), signature: 'AAAA' })
  assert.is(await refusal(ofBytes(MAX_IDENTITY_BYTES)), 'bad_input')
  assert.is(await refusal(ofBytes(MAX_IDENTITY_BYTES + 1)), 'too_large')
})

test('a certificate names one agency, or none', () => {
  assert.is(agencyOf('URI:urn:candor:shelby:partner, DNS:localhost, IP Address:127.0.0.1'), 'shelby')
  assert.is(agencyOf('DNS:localhost'), null)
  assert.is(agencyOf(undefined), null)
  assert.is(agencyOf('URI:urn:candor:shelby:camera:elm'), null)
  assert.is(agencyOf('URI:urn:candor:shelby:partner, URI:urn:candor:ogdenville:partner'), null)
  assert.is(agencyOf('DNS:"x, URI:urn:candor:shelby:partner"'), null)
  assert.is(agencyOf('URI:urn:candor:shelby:partner:more'), null)
})

test('the key for partners is a file for its owner alone, and is the same after a restart', async () => {
  await withAuthority(async (authority, folder) => {
    const first = await authority.partner()
    assert.is(statSync(join(folder, AUTHORITY_FILES.partnerKey)).mode & 0o777, 0o600)
    const again = await openAuthority({ folder, agency: 'shelby', hostnames: ['localhost'], clock: systemClock })
    assert.equal(await again.partner(), first)
    // A further name is a new certificate under the same authority: what partners have pinned stays.
    const renamed = await openAuthority({
      folder,
      agency: 'shelby',
      hostnames: ['localhost', 'b.example'],
      clock: systemClock,
    })
    assert.is.not((await renamed.partner()).certPem, first.certPem)
    const fingerprints = await Promise.all(
      [authority, renamed].map(async (one) => readIdentity(await identityOf(one)).fingerprint),
    )
    assert.is(fingerprints[0], fingerprints[1])
  })
})

test.run()
