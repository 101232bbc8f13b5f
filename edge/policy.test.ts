import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS } from '../shared/clock.ts'
import { silentLog } from '../shared/log.ts'
import { createSigner, createVerifier, newSigningKeyPem } from '../shared/signing.ts'
import { openDatabase, type SqliteDatabase } from '../shared/sqlite.ts'
import {
  EARLIEST_TIME_MS,
  hotlistRulesSchema,
  MAX_POLICY_BYTES,
  MAX_RETENTION_DAYS,
  type Policy,
  policyAckSchema,
} from '../shared/wire/index.ts'
import { type CameraPolicy, createPolicy, type PolicyDefaults } from './policy.ts'

const NOW = 1_790_000_000_000
const DEFAULTS: PolicyDefaults = {
  upload: 'all',
  unmatchedInMemory: false,
  retention: { unmatchedDays: 30, matchedDays: 60, cropDays: 10 },
}
const signer = createSigner(newSigningKeyPem().privateKeyPem)
const stranger = createSigner(newSigningKeyPem().privateKeyPem)

function openPolicy(database: SqliteDatabase, nowMs = NOW): CameraPolicy {
  return createPolicy({
    database,
    verifier: createVerifier([signer.publicKeyPem]),
    agency: 'springfield',
    defaults: DEFAULTS,
    clock: { nowMs: () => nowMs },
    log: silentLog,
  })
}

function withPolicy(run: (policy: CameraPolicy, database: SqliteDatabase) => void, nowMs = NOW): void {
  const database = openDatabase(':memory:')
  try {
    run(openPolicy(database, nowMs), database)
  } finally {
    database.close()
  }
}

const policyOf = (change: Partial<Policy> = {}) => ({
  agency: 'springfield',
  version: 3,
  issuedAtMs: NOW,
  upload: 'matches-only',
  retention: { unmatchedDays: 1, matchedDays: 2, cropDays: 0.5, quarantineDays: 7 },
  ...change,
})
const sealed = (document: unknown, by = signer) =>
  Buffer.from(JSON.stringify(by.seal(Buffer.from(JSON.stringify(document)))))

test('until a signed policy has come the configuration rules', () => {
  withPolicy((policy) => {
    assert.is(policy.version, 0)
    assert.is(policy.upload, 'all')
    assert.equal(policy.cutoffs(NOW), {
      unmatchedMs: NOW - 30 * DAY_MS,
      matchedMs: NOW - 60 * DAY_MS,
      cropMs: NOW - 10 * DAY_MS,
      unmatchedMayLeave: true,
    })
  })
})

test('a signed policy is applied at once, acknowledged, and still there after a restart', () => {
  withPolicy((policy, database) => {
    const ack = policyAckSchema.parse(policy.take(sealed(policyOf())))
    assert.equal(ack, { version: 3, result: 'applied', reason: null, atMs: NOW })
    for (const each of [policy, openPolicy(database)]) {
      assert.is(each.version, 3)
      assert.is(each.upload, 'matches-only')
      assert.equal(each.cutoffs(NOW), {
        unmatchedMs: NOW - DAY_MS,
        matchedMs: NOW - 2 * DAY_MS,
        cropMs: NOW - DAY_MS / 2,
        unmatchedMayLeave: false,
      })
    }
  })
})

test('a policy says what becomes of lists past their age limit; one that was signed before there was this rule marks them', () => {
  withPolicy((policy, database) => {
    policy.take(sealed(policyOf()))
    assert.is(policy.staleLists, 'mark')
    policy.take(sealed(policyOf({ version: 4, hotlists: hotlistRulesSchema.parse({ staleLists: 'stop' }) })))
    for (const each of [policy, openPolicy(database)]) assert.is(each.staleLists, 'stop')
  })
})

test('an older version is refused, also after a restart; the same again is applied again', () => {
  withPolicy((policy, database) => {
    policy.take(sealed(policyOf()))
    for (const each of [policy, openPolicy(database)]) {
      const older = each.take(sealed(policyOf({ version: 2, upload: 'all' })))
      assert.equal([older.result, older.version], ['refused', 2])
      assert.match(older.reason ?? '', /older than version 3/)
      assert.is(each.take(sealed(policyOf())).result, 'applied')
      assert.is(each.upload, 'matches-only')
    }
    assert.is(policy.take(sealed(policyOf({ version: 4, upload: 'all' }))).result, 'applied')
    assert.equal([policy.version, policy.upload], [4, 'all'])
  })
})

test('the same version with other content is refused', () => {
  withPolicy((policy) => {
    policy.take(sealed(policyOf()))
    const ack = policy.take(sealed(policyOf({ upload: 'all' })))
    assert.equal([ack.result, ack.reason], ['refused', 'same version with other content'])
    assert.is(policy.upload, 'matches-only')
  })
})

test('what is tampered with, of a foreign key, of another agency, or no policy at all changes nothing', () => {
  const envelope = signer.seal(Buffer.from(JSON.stringify(policyOf())))
  const loosened = Buffer.from(JSON.stringify(policyOf({ upload: 'all' }))).toString('base64')
  const bad: Record<string, [Uint8Array, RegExp]> = {
    tampered: [Buffer.from(JSON.stringify({ ...envelope, payload: loosened })), /does not verify/],
    'a foreign key': [sealed(policyOf(), stranger), /unknown key/],
    'a foreign key under our id': [
      Buffer.from(JSON.stringify({ ...stranger.seal(Buffer.from('{}')), keyId: signer.keyId })),
      /does not verify/,
    ],
    'another agency': [sealed(policyOf({ agency: 'shelbyville' })), /another agency/],
    unsigned: [Buffer.from(JSON.stringify(policyOf())), /not a signed envelope/],
    empty: [Buffer.alloc(0), /not JSON/],
    'not JSON': [Buffer.from('{'), /not JSON/],
    'a retention of 0': [sealed(policyOf({ retention: { ...policyOf().retention, cropDays: 0 } })), /cropDays/],
    'a retention past the most': [
      sealed(policyOf({ retention: { ...policyOf().retention, matchedDays: MAX_RETENTION_DAYS + 1 } })),
      /matchedDays/,
    ],
    'a field that nobody knows': [sealed({ ...policyOf(), more: 1 }), /more/],
    'more bytes than taken': [Buffer.alloc(MAX_POLICY_BYTES + 1, ' '), /more than 65536 bytes/],
  }
  withPolicy((policy, database) => {
    for (const [what, [bytes, reason]] of Object.entries(bad)) {
      const ack = policyAckSchema.parse(policy.take(bytes))
      assert.is(ack.result, 'refused', what)
      assert.match(ack.reason ?? '', reason, what)
    }
    assert.equal([policy.version, policy.upload], [0, 'all'])
    assert.is(openPolicy(database).version, 0)
  })
})

test('the longest retention and the largest document are taken', () => {
  withPolicy((policy) => {
    const most = MAX_RETENTION_DAYS
    const retention = { unmatchedDays: most, matchedDays: most, cropDays: most, quarantineDays: most }
    const bytes = sealed(policyOf({ retention }))
    const padded = Buffer.concat([bytes, Buffer.alloc(MAX_POLICY_BYTES - bytes.length, ' ')])
    assert.is(policy.take(padded).result, 'applied')
    assert.is(policy.cutoffs(NOW).matchedMs, NOW - most * DAY_MS)
  })
})

test('a policy that the disk does not take is refused and not in force', () => {
  withPolicy((policy, database) => {
    database.pragma('query_only = ON')
    assert.is(policy.take(sealed(policyOf())).result, 'refused')
    assert.equal([policy.version, policy.upload], [0, 'all'])
    database.pragma('query_only = OFF')
    assert.is(policy.take(sealed(policyOf())).result, 'applied')
  })
})

test('a clock that was never set does not make the acknowledgement invalid', () => {
  withPolicy((policy) => {
    const ack = policyAckSchema.parse(policy.take(sealed(policyOf())))
    assert.equal([ack.result, ack.atMs], ['applied', EARLIEST_TIME_MS])
  }, 1_000)
})

test.run()
