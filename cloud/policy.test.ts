import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Clock, DAY_MS, systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { createSigner, createVerifier, newSigningKeyPem, type Signer } from '../shared/signing.ts'
import {
  type HotlistRules,
  hotlistRulesSchema,
  MAX_MANUAL_HOURS,
  MAX_PHRASE_CHARACTERS,
  MAX_POLICY_BYTES,
  MAX_PROHIBITED_CATEGORIES,
  MAX_RETENTION_DAYS,
  MAX_SHIFT_ENDS,
  policySchema,
} from '../shared/wire/policy.ts'
import { openSqlite } from './database/sqlite.ts'
import { getProfile, rulesOf } from './policy/profile.ts'
import { MAX_WAITING_PROPOSALS, PROPOSAL_DAYS } from './policy/proposals.ts'
import { createPolicy, type PolicyKeeper } from './policy.ts'

type Open = (
  signer?: Signer,
  retentionDays?: number,
  more?: { profile?: string; clock?: Clock },
) => Promise<{ policy: PolicyKeeper; sent: Buffer[]; close(): Promise<void> }>

async function inWorld(work: (open: Open, signer: Signer) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-policy-'))
  const own = createSigner(newSigningKeyPem().privateKeyPem)
  try {
    await work(async (signer = own, retentionDays = 30, more = {}) => {
      const database = openSqlite({ path: join(folder, 'cloud.db'), nowMs: Date.now() })
      try {
        const policy = await createPolicy({
          database,
          agency: 'springfield',
          trusted: () => [signer.publicKeyPem],
          signer,
          clock: systemClock,
          retentionDays,
          ...more,
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

const outcomeOf = (work: Promise<unknown>) => work.then(() => 'done', codeOf)

test('any rule is changed by itself, lists as a whole, and what is not said stays', async () => {
  await inWorld(async (open) => {
    const { policy, close } = await open()
    await policy.change(1, { sharing: { jurisdictions: ['US-VA', 'US-MD'], allowed: true } }, 'ada')
    await policy.change(2, { sharing: { jurisdictions: ['US-VA'] }, audit: { days: 400 } }, 'ada')
    await policy.change(3, { audit: { days: null }, holds: { maxDays: 14 } }, 'ada')
    const { sharing, audit, holds, review } = policy.current()
    assert.equal(sharing, { allowed: true, jurisdictions: ['US-VA'], maxGrantDays: 365 })
    assert.equal([audit.days, holds.maxDays, review.everyDays], [null, 14, 7])
    await close()
  })
})

test('rules that do not go together are refused, and say why', async () => {
  await inWorld(async (open) => {
    const { policy, close } = await open()
    const refusal = (change: Parameters<PolicyKeeper['change']>[1]) =>
      policy.change(policy.current().version, change, 'ada').then(
        () => 'done',
        (thrown: unknown) => `${codeOf(thrown)} ${String(thrown)}`,
      )
    const purpose = { code: 'theft', label: 'a theft' }
    const scope = {
      role: 'investigator' as const,
      maxAgeDays: null,
      purposes: ['theft'],
      patterns: true,
      exports: true,
    }
    assert.match(await refusal({ unmatchedInMemory: true }), /bad_input .*upload: must be matches-only/)
    assert.match(
      await refusal({ hotlists: { manualEndsWithShift: true } }),
      /manualEndsWithShift: needs hotlists.shifts/,
    )
    assert.match(await refusal({ uses: { purposes: [purpose, purpose] } }), /uses: theft stands there twice/)
    assert.match(await refusal({ uses: { purposes: [purpose], prohibited: [{ ...purpose, words: [] }] } }), /twice/)
    assert.match(await refusal({ search: { scopes: [scope] } }), /theft is none of uses.purposes/)
    assert.match(await refusal({ profile: { id: 'maine', citation: 'something else' } }), /none of the profiles/)
    assert.is(await refusal({ unmatchedInMemory: true, upload: 'matches-only' }), 'done')
    assert.match(await refusal({ upload: 'all' }), /upload: must be matches-only/)
    assert.is(await refusal({ uses: { purposes: [purpose] }, search: { scopes: [scope] } }), 'done')
    assert.match(await refusal({ search: { scopes: [scope, { ...scope }] } }), /investigator stands there twice/)
    await close()
  })
})

test('a document of many rules is published, and one that is larger than cameras take is refused', async () => {
  await inWorld(async (open) => {
    const { policy, sent, close } = await open()
    const offences = (bytes: number) => ({
      uses: { offenceTypes: Array.from({ length: 200 }, (_, n) => 'x'.repeat(bytes - (n % 2))) },
    })
    await policy.change(1, offences(119), 'ada')
    assert.ok((sent.at(-1)?.length ?? 0) <= MAX_POLICY_BYTES)
    const words = Array.from({ length: 32 }, (_, n) => `${n}${'y'.repeat(110)}`)
    const prohibited = Array.from({ length: 32 }, (_, n) => ({ code: `p${n}`, label: 'prohibited', words }))
    assert.is(await outcomeOf(policy.change(2, { uses: { prohibited } }, 'ada')), 'too_large')
    assert.equal([policy.current().version, sent.length], [2, 2])
    await close()
  })
})

/** Payloads of so many bytes, as base64 in their envelope, make exactly MAX_POLICY_BYTES; one byte more makes four more. */
const MOST_PAYLOAD_BYTES = 49_044

test('a policy of as many signed bytes as cameras take is in force, and one byte more is refused', async () => {
  await inWorld(async (open) => {
    const { policy, sent, close } = await open()
    const words = Array.from({ length: 7 }, (_, n) => `${n}${'y'.repeat(110)}`)
    const prohibited = Array.from({ length: 32 }, (_, n) => ({ code: `p${n}`, label: 'prohibited', words }))
    const filled = (offenceTypes: string[]) => ({ uses: { prohibited, offenceTypes } })
    const bytesOf = (change: ReturnType<typeof filled>) => JSON.stringify(policy.preview(1, change)).length
    /** A change to a policy of so many bytes: phrases, each with its quotes, and commas between them. */
    const changeTo = (bytes: number) => {
      const left = bytes - bytesOf(filled([])) + 1
      const count = Math.ceil(left / (MAX_PHRASE_CHARACTERS + 3))
      const characters = left - 3 * count
      const lengthOf = (n: number) => Math.floor(characters / count) + (n < characters % count ? 1 : 0)
      return filled(Array.from({ length: count }, (_, n) => 'x'.repeat(lengthOf(n))))
    }
    assert.is(bytesOf(changeTo(MOST_PAYLOAD_BYTES)), MOST_PAYLOAD_BYTES)
    assert.is(await outcomeOf(policy.change(1, changeTo(MOST_PAYLOAD_BYTES + 1), 'ada')), 'too_large')
    assert.is(await outcomeOf(policy.propose(1, changeTo(MOST_PAYLOAD_BYTES + 1), 'ada', null)), 'too_large')
    assert.is(await outcomeOf(policy.propose(1, changeTo(MOST_PAYLOAD_BYTES), 'ada', null)), 'done')
    assert.equal([policy.current().version, sent.length], [1, 1])
    const { version } = await policy.change(1, changeTo(MOST_PAYLOAD_BYTES), 'ada')
    assert.equal([version, sent.at(-1)?.length], [2, MAX_POLICY_BYTES])
    await close()
    const again = await open()
    assert.equal([again.policy.current().version, again.sent[0]?.length], [2, MAX_POLICY_BYTES], 'after a restart')
    await again.close()
  })
})

test('a first policy made from a profile has its rules, and asks for a second person from then on', async () => {
  await inWorld(async (open) => {
    const { policy, close } = await open(undefined, 30, { profile: 'virginia' })
    const { agency, version, issuedAtMs: _, ...rules } = policy.current()
    assert.equal([agency, version], ['springfield', 1])
    assert.equal(rules, rulesOf(getProfile('virginia')))
    assert.is(await outcomeOf(policy.change(1, { retention: { cropDays: 1 } }, 'ada')), 'forbidden')
    await close()
    assert.is(await outcomeOf(open(undefined, 30, { profile: 'atlantis' }).then(({ close }) => close())), 'done')
  })
})

test('with a second person a change is kept, in force when another has approved it, and names both', async () => {
  await inWorld(async (open) => {
    const { policy, sent, close } = await open()
    await policy.change(1, { secondPerson: true }, 'ada')
    const { number, state } = await policy.propose(2, { retention: { unmatchedDays: 60 } }, 'ada', 'a court asks')
    assert.is(state, 'waiting')
    assert.equal([policy.current().version, sent.length], [2, 2])
    assert.is(await outcomeOf(policy.approve(number, 'ada')), 'forbidden')
    assert.is(await outcomeOf(policy.reject(number, 'ada')), 'forbidden')
    assert.is(await outcomeOf(policy.withdraw(number, 'bob')), 'forbidden')
    assert.is(await outcomeOf(policy.approve(number + 1, 'bob')), 'not_found')
    await policy.approve(number, 'bob')
    assert.equal([policy.current().version, policy.current().retention.unmatchedDays, sent.length], [3, 60, 3])
    const [newest] = await policy.history(1)
    assert.equal([newest?.issuedBy, newest?.approvedBy], ['ada', 'bob'])
    const decided = await policy.proposal(number)
    assert.equal([decided.state, decided.decidedBy, decided.reason], ['approved', 'bob', 'a court asks'])
    assert.is(await outcomeOf(policy.approve(number, 'cyd')), 'conflict')
    await close()
    const again = await open()
    assert.equal([again.policy.current().version, (await again.policy.proposals(10)).length], [3, 1])
    await again.close()
  })
})

test('to need no second person any more needs one', async () => {
  await inWorld(async (open) => {
    const { policy, close } = await open()
    await policy.change(1, { secondPerson: true }, 'ada')
    assert.is(await outcomeOf(policy.change(2, { secondPerson: false }, 'ada')), 'forbidden')
    const { number } = await policy.propose(2, { secondPerson: false }, 'ada', null)
    await policy.approve(number, 'bob')
    assert.is(await outcomeOf(policy.change(3, { retention: { cropDays: 1 } }, 'ada')), 'done')
    await close()
  })
})

test('a proposal lapses when another version has come into force, expires in its days, and is rejected or withdrawn once', async () => {
  await inWorld(async (open) => {
    let nowMs = 1_790_000_000_000
    const clock = { ...systemClock, nowMs: () => nowMs }
    const { policy, close } = await open(undefined, 30, { clock })
    await policy.change(1, { secondPerson: true }, 'ada')
    const propose = (cropDays: number) =>
      policy.propose(policy.current().version, { retention: { cropDays } }, 'ada', null)
    const [one, two] = [await propose(1), await propose(2)]
    await policy.approve(two.number, 'bob')
    assert.is((await policy.proposal(one.number)).state, 'lapsed')
    assert.is(await outcomeOf(policy.approve(one.number, 'bob')), 'conflict')
    assert.is(await outcomeOf(policy.propose(2, { retention: { cropDays: 3 } }, 'ada', null)), 'conflict')

    const three = await propose(3)
    nowMs = three.expiresAtMs - 1
    assert.is((await policy.proposal(three.number)).state, 'waiting')
    nowMs = three.proposedAtMs + PROPOSAL_DAYS * DAY_MS
    assert.is((await policy.proposal(three.number)).state, 'expired')
    assert.is(await outcomeOf(policy.approve(three.number, 'bob')), 'conflict')

    const [four, five] = [await propose(4), await propose(5)]
    assert.is((await policy.reject(four.number, 'bob')).state, 'rejected')
    assert.is((await policy.withdraw(five.number, 'ada')).state, 'withdrawn')
    for (const { number } of [four, five]) assert.is(await outcomeOf(policy.approve(number, 'bob')), 'conflict')
    assert.equal([policy.current().version, policy.current().retention.cropDays], [3, 2])
    await close()
  })
})

test('so many proposals wait at a time and no more; one that is decided makes room', async () => {
  await inWorld(async (open) => {
    const { policy, close } = await open()
    await policy.change(1, { secondPerson: true }, 'ada')
    const propose = () => policy.propose(2, { retention: { cropDays: 1 } }, 'ada', null)
    for (let n = 0; n < MAX_WAITING_PROPOSALS; n += 1) await propose()
    assert.is(await outcomeOf(propose()), 'conflict')
    await policy.withdraw(1, 'ada')
    assert.is(await outcomeOf(propose()), 'done')
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
