/** What a camera keeps under each profile, class by class, at the limit and a second past it: a signed policy, the real outbox, a clock that is set. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { applyChange } from '../../cloud/policy/change.ts'
import { changeTo, type Profile, profiles } from '../../cloud/policy/profile.ts'
import { createMemory } from '../../edge/memory.ts'
import { type Outbox, openOutbox } from '../../edge/outbox/outbox.ts'
import { type CameraPolicy, createPolicy } from '../../edge/policy.ts'
import { purgeOnce } from '../../edge/retention.ts'
import { DAY_MS, SECOND_MS, systemClock } from '../../shared/clock.ts'
import { silentLog } from '../../shared/log.ts'
import { createSigner, createVerifier, newSigningKeyPem } from '../../shared/signing.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { MAX_POLICY_BYTES, policySchema } from '../../shared/wire/index.ts'

const START = 1_790_000_000_000
const signer = createSigner(newSigningKeyPem().privateKeyPem)

interface World {
  policy: CameraPolicy
  outbox: Outbox
  put(matched: boolean, crop: Buffer | null): void
  /** What may still leave, and what is still there after a purge, so long after the start. */
  after(ms: number): Promise<{ leaves: string[]; rows: number }>
}

async function underProfile(profile: Profile, work: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-profile-'))
  const lists = openDatabase(join(folder, 'lists.db'))
  let nowMs = START
  const clock = { ...systemClock, nowMs: () => nowMs }
  const outbox = openOutbox({ file: join(folder, 'outbox.db'), maxRows: 1_000, maxBytes: 1e8, clock })
  try {
    const verifier = createVerifier([signer.publicKeyPem])
    const retention = { unmatchedDays: 1_000, matchedDays: 1_000, cropDays: 1_000, quarantineDays: 1_000 }
    const defaults = { upload: 'all', unmatchedInMemory: false, retention } as const
    const policy = createPolicy({ database: lists, verifier, agency: 'springfield', defaults, clock, log: silentLog })
    const first = policySchema.parse({ agency: 'springfield', version: 1, issuedAtMs: START, upload: 'all', retention })
    const made = applyChange(first, changeTo(profile), { version: 2, issuedAtMs: START })
    const envelope = Buffer.from(JSON.stringify(signer.seal(Buffer.from(JSON.stringify(made)))))
    assert.ok(envelope.length <= MAX_POLICY_BYTES)
    assert.is(policy.take(envelope).result, 'applied')
    let count = 0
    await work({
      policy,
      outbox,
      put(matched, crop) {
        count += 1
        const sighting = {
          sightingId: `id-${count}`,
          revision: 1,
          matched,
          capturedAtMs: START,
          clock: 'synced' as const,
        }
        outbox.put({ ...sighting, payload: Buffer.from(matched ? 'matched' : 'unmatched') }, crop)
      },
      async after(ms) {
        nowMs = START + ms
        const leaves = outbox.oldest(100, new Set(), policy.cutoffs(nowMs), false)
        const clockState = { state: 'synced' as const, agingMs: () => nowMs }
        await purgeOnce({ outbox, hotlists: { sweep: () => 0 }, policy, clockState, clock, log: silentLog })
        return {
          leaves: leaves.map(({ kind, matched }) => `${matched ? 'matched' : 'unmatched'} ${kind}`),
          rows: outbox.rows,
        }
      },
    })
  } finally {
    outbox.close()
    lists.close()
    rmSync(folder, { recursive: true })
  }
}

for (const profile of profiles()) {
  const { unmatchedDays, matchedDays, cropDays } = profile.rules.retention
  const limitOf = (days: number) => Math.ceil(days * DAY_MS)

  test(`${profile.id}: a matched sighting is kept to its limit and gone a second past it`, async () => {
    await underProfile(profile, async (world) => {
      world.put(true, null)
      const kept = { leaves: ['matched sighting'], rows: 1 }
      assert.equal(await world.after(limitOf(matchedDays) - 1), kept)
      assert.equal(await world.after(limitOf(matchedDays) + SECOND_MS), { leaves: [], rows: 0 })
      assert.is(world.outbox.counters().expired, 1)
    })
  })

  test(`${profile.id}: a picture is kept to its limit and gone a second past it`, async () => {
    await underProfile(profile, async (world) => {
      world.put(true, Buffer.from('a picture'))
      const { leaves } = await world.after(limitOf(cropDays) - 1)
      assert.ok(leaves.includes('matched crop'))
      assert.not.ok((await world.after(limitOf(cropDays) + SECOND_MS)).leaves.includes('matched crop'))
    })
  })

  if (profile.rules.unmatchedInMemory === true) {
    test(`${profile.id}: what lies on the card without a match goes at once, and memory holds it to its limit`, async () => {
      await underProfile(profile, async (world) => {
        world.put(false, Buffer.from('a picture'))
        assert.equal(await world.after(0), { leaves: [], rows: 0 })
        assert.is(world.outbox.counters().withheld, 1)
        const memory = createMemory<string>({ keptMs: () => world.policy.unmatchedMs })
        memory.put({ bornAtMs: 0, picture: null, sighting: 'unmatched' }, 0)
        memory.forget(limitOf(unmatchedDays) - 1)
        assert.is(memory.held, 1)
        memory.forget(limitOf(unmatchedDays) + SECOND_MS)
        assert.is(memory.held, 0)
      })
    })
    continue
  }

  test(`${profile.id}: a sighting without a match is kept to its limit and gone a second past it`, async () => {
    await underProfile(profile, async (world) => {
      world.put(false, null)
      assert.equal(await world.after(limitOf(unmatchedDays) - 1), { leaves: ['unmatched sighting'], rows: 1 })
      assert.equal(await world.after(limitOf(unmatchedDays) + SECOND_MS), { leaves: [], rows: 0 })
    })
  })
}

test.run()
