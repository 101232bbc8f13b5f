import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DAY_MS, systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { createSigner, createVerifier, newSigningKeyPem, type Signer } from '../shared/signing.ts'
import {
  type HotlistRules,
  hotlistRulesSchema,
  MAX_MANUAL_HOURS,
  MAX_PROHIBITED_CATEGORIES,
  MAX_RETENTION_DAYS,
  MAX_SHIFT_ENDS,
  policySchema,
} from '../shared/wire/policy.ts'
import { openSqlite } from './database/sqlite.ts'
import { createPolicy, type PolicyKeeper } from './policy.ts'

type Open = (
  signer?: Signer,
  retentionDays?: number,
) => Promise<{ policy: PolicyKeeper; sent: Buffer[]; close(): Promise<void> }>

async function inWorld(work: (open: Open, signer: Signer) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-policy-'))
  const own = createSigner(newSigningKeyPem().privateKeyPem)
  try {
    await work(async (signer = own, retentionDays = 30) => {
      const database = openSqlite({ path: join(folder, 'cloud.db'), nowMs: Date.now() })
      try {
        const policy = await createPolicy({
          database,
          agency: 'springfield',
          trusted: () => [signer.publicKeyPem],
          signer,
          clock: systemClock,
          retentionDays,
        })
        const sent: Buffer[] = []
        await policy.publishCurrent(async (topic, payload, options) => {
          assert.is(topic, 'candor/v1/springfield/policy')
          assert.ok(options.retain && options.qos === 1)
          sent.push(payload)
        })
        return { policy, sent, close: () => database.close() }
      } catch (thrown) {
        await database.close()
        throw thrown
      }
    }, own)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const codeOf = (thrown: unknown) => (thrown instanceof AppError ? thrown.code : String(thrown))

test('the first start makes a policy of the configured retention, and later starts keep it', async () => {
  await inWorld(async (open) => {
    const first = await open(undefined, 21)
    assert.is(first.policy.current().version, 1)
    assert.is(first.policy.current().upload, 'all')
    assert.is(first.policy.retention().unmatchedMs, 21 * DAY_MS)
    await first.close()
    const second = await open(undefined, 90)
    assert.is(second.policy.retention().cropMs, 21 * DAY_MS)
    await second.close()
  })
})

test('a change is a new signed version that is published and counts at once', async () => {
  await inWorld(async (open, signer) => {
    const { policy, sent, close } = await open()
    await policy.change(1, { upload: 'matches-only', retention: { unmatchedDays: 3 / 1440 } }, 'ada')
    assert.is(policy.retention().unmatchedMs, 180_000)
    assert.is(policy.retention().matchedMs, 30 * DAY_MS)
    assert.is(sent.length, 2)
    const opened = createVerifier([signer.publicKeyPem]).open(JSON.parse((sent[1] as Buffer).toString()))
    const published = policySchema.parse(JSON.parse(opened.toString()))
    assert.is(published.version, 2)
    assert.is(published.upload, 'matches-only')
    assert.equal(
      (await policy.history(10)).map((one) => [one.policy.version, one.issuedBy]),
      [
        [2, 'ada'],
        [1, null],
      ],
    )
    await close()
  })
})

test('a change against an old version and values out of range are refused', async () => {
  await inWorld(async (open) => {
    const { policy, close } = await open()
    const tries: [number, Parameters<PolicyKeeper['change']>[1], string][] = [
      [2, { upload: 'all' }, 'conflict'],
      [0, { upload: 'all' }, 'conflict'],
      [1, { retention: { cropDays: 0 } }, 'bad_input'],
      [1, { retention: { cropDays: MAX_RETENTION_DAYS + 1 } }, 'bad_input'],
      [1, { retention: { cropDays: Number.NaN } }, 'bad_input'],
    ]
    for (const [version, change, code] of tries) {
      assert.is(await policy.change(version, change, 'ada').then(() => 'done', codeOf), code)
    }
    await policy.change(1, { retention: { cropDays: MAX_RETENTION_DAYS } }, 'ada')
    const both = await Promise.allSettled([policy.change(2, {}, 'ada'), policy.change(2, {}, 'bob')])
    assert.equal(both.map((one) => one.status).sort(), ['fulfilled', 'rejected'])
    await close()
  })
})

test('the rules for hotlists begin with their defaults, change one by one, and are kept within their limits', async () => {
  await inWorld(async (open) => {
    const { policy, close } = await open()
    const change = (hotlists: HotlistRules | Partial<HotlistRules>) =>
      policy.change(policy.current().version, { hotlists }, 'ada').then(
        () => 'done',
        (thrown: unknown) => codeOf(thrown),
      )
    assert.equal(policy.current().hotlists, hotlistRulesSchema.parse({}))
    assert.is(await change({ prohibitedCategories: ['toll debt'], staleLists: 'stop' }), 'done')
    assert.is(await change({ checkPastHours: 48 }), 'done')
    const { prohibitedCategories, staleLists, checkPastHours } = policy.current().hotlists
    assert.equal([prohibitedCategories, staleLists, checkPastHours], [['toll debt'], 'stop', 48])
    const shifts = { timeZone: 'America/Los_Angeles', ends: ['06:00', '14:00', '22:00'] }
    const names = (count: number) => Array.from({ length: count }, (_, n) => `category ${n}`)
    const ends = (count: number) => Array.from({ length: count }, (_, n) => `${String(n).padStart(2, '0')}:00`)
    const tries: [Partial<HotlistRules>, string][] = [
      [{ shifts }, 'done'],
      [{ shifts: { ...shifts, ends: ends(MAX_SHIFT_ENDS) } }, 'done'],
      [{ shifts: { ...shifts, ends: ends(MAX_SHIFT_ENDS + 1) } }, 'bad_input'],
      [{ shifts: { ...shifts, ends: ['24:00'] } }, 'bad_input'],
      [{ shifts: { ...shifts, timeZone: 'Springfield' } }, 'bad_input'],
      [{ prohibitedCategories: names(MAX_PROHIBITED_CATEGORIES) }, 'done'],
      [{ prohibitedCategories: names(MAX_PROHIBITED_CATEGORIES + 1) }, 'bad_input'],
      [{ prohibitedCategories: ['x'] }, 'bad_input'],
      [
        {
          prohibitedCategories: names(MAX_PROHIBITED_CATEGORIES).map((name) => `${'ü'.repeat(30)}${name}`.slice(0, 40)),
        },
        'done',
      ],
      [{ prohibitedCategories: names(MAX_PROHIBITED_CATEGORIES).map(() => '車'.repeat(40)) }, 'done'],
      [{ prohibitedCategories: names(MAX_PROHIBITED_CATEGORIES).map(() => '\u0001'.repeat(40)) }, 'done'],
      [{ manualMaxHours: MAX_MANUAL_HOURS }, 'done'],
      [{ manualMaxHours: MAX_MANUAL_HOURS + 1 }, 'bad_input'],
      [{ manualMaxHours: 0 }, 'bad_input'],
      [{ checkPastHours: MAX_RETENTION_DAYS * 24 + 1 }, 'bad_input'],
    ]
    for (const [rules, result] of tries) assert.is(await change(rules), result, JSON.stringify(rules).slice(0, 200))
    await close()
  })
})

test('a stored policy that this cloud did not sign is not used', async () => {
  await inWorld(async (open) => {
    await (await open()).close()
    const stranger = createSigner(newSigningKeyPem().privateKeyPem)
    assert.is(await open(stranger).then(() => 'opened', codeOf), 'integrity')
  })
})

test.run()
