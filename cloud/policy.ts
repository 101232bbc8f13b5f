/**
 * The agency's policy: one signed, versioned document that says how long things are kept and what leaves a camera. It exists
 * from the first start; every change is a new version. Owns table policies. Called by retention, the API and main.
 */
import { type Clock, DAY_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { createVerifier, type Envelope, type Signer } from '../shared/signing.ts'
import { topics } from '../shared/topics.ts'
import { MAX_MANIFEST_BYTES } from '../shared/wire/hotlist.ts'
import { DEFAULT_RETENTION_DAYS, type HotlistRules, type Policy, policySchema } from '../shared/wire/policy.ts'
import type { Database } from './database/database.ts'
import type { Publish } from './hotlists.ts'

export interface PolicyChange {
  upload?: Policy['upload'] | undefined
  retention?: { [Class in keyof Policy['retention']]?: number | undefined } | undefined
  hotlists?: { [Rule in keyof HotlistRules]?: HotlistRules[Rule] | undefined } | undefined
  uses?: Policy['uses'] | undefined
  search?: Policy['search'] | undefined
  sharing?: Policy['sharing'] | undefined
  secondPerson?: boolean | undefined
}

export interface PolicyKeeper {
  current(): Policy
  /** In milliseconds, of the policy in force: a shorter one counts from the moment it is set. */
  retention(): { unmatchedMs: number; matchedMs: number; cropMs: number; quarantineMs: number }
  /** A new version. `version` is the one that was seen; throws `conflict` for another, `bad_input` for values out of range. */
  change(version: number, change: PolicyChange, by: string): Promise<Policy>
  /** Newest first, at most `limit`. */
  history(limit: number): Promise<{ policy: Policy; issuedBy: string | null }[]>
  /** Signs every version with the signing key of now, and publishes the one in force. */
  signAgain(): Promise<void>
  /** Publishes the policy (retained); later versions go out by themselves. */
  publishCurrent(publish: Publish): Promise<void>
}

export interface PolicyDeps {
  database: Database
  agency: string
  signer: Signer
  /** Public keys by which stored versions may be signed. */
  trusted: () => readonly string[]
  clock: Clock
  /** Retention of the first version, days, for every class. */
  retentionDays?: number
  /** What leaves a camera, in the first version. */
  upload?: Policy['upload']
}

/** Opens the policy, making the first version at first start. Throws `integrity` when the stored one is not ours. */
export async function createPolicy(deps: PolicyDeps): Promise<PolicyKeeper> {
  const { database, agency, signer, trusted, clock } = deps
  const { build } = database
  let publish: Publish | null = null
  let changing = false

  function open(envelope: string): Policy {
    return policySchema.parse(JSON.parse(createVerifier(trusted()).open(JSON.parse(envelope)).toString('utf8')))
  }

  async function store(policy: Policy, by: string | null): Promise<string> {
    const envelope = JSON.stringify(signer.seal(Buffer.from(JSON.stringify(policy))))
    // Cameras take no larger one.
    if (Buffer.byteLength(envelope) > MAX_MANIFEST_BYTES) {
      throw new AppError('too_large', `the signed policy would have more than ${MAX_MANIFEST_BYTES} bytes`)
    }
    await database.writeBatch([
      build
        .insertInto('policies')
        .values({ version: policy.version, envelope, issued_at_ms: policy.issuedAtMs, issued_by: by }),
    ])
    return envelope
  }

  const send = (to: Publish, envelope: string) =>
    to(topics.policy(agency), Buffer.from(envelope), { qos: 1, retain: true })

  const [newest] = await database.read(build.selectFrom('policies').selectAll().orderBy('version', 'desc').limit(1))
  let current: Policy
  let currentEnvelope: string
  if (newest === undefined) {
    current = firstPolicy(deps)
    currentEnvelope = await store(current, null)
  } else {
    current = open(newest.envelope)
    currentEnvelope = newest.envelope
  }

  return {
    current: () => current,
    retention() {
      const { unmatchedDays, matchedDays, cropDays, quarantineDays } = current.retention
      return {
        unmatchedMs: unmatchedDays * DAY_MS,
        matchedMs: matchedDays * DAY_MS,
        cropMs: cropDays * DAY_MS,
        quarantineMs: quarantineDays * DAY_MS,
      }
    },
    async change(version, change, by) {
      if (version !== current.version || changing) {
        throw new AppError('conflict', `the policy is at version ${current.version}`, {
          hint: 'read it again, then repeat the change',
        })
      }
      const given = (part: object | undefined) =>
        Object.fromEntries(Object.entries(part ?? {}).filter(([, value]) => value !== undefined))
      const parsed = policySchema.safeParse({
        ...current,
        version: current.version + 1,
        issuedAtMs: clock.nowMs(),
        upload: change.upload ?? current.upload,
        retention: { ...current.retention, ...given(change.retention) },
        hotlists: { ...current.hotlists, ...given(change.hotlists) },
        uses: change.uses ?? current.uses,
        search: change.search ?? current.search,
        sharing: change.sharing ?? current.sharing,
        secondPerson: change.secondPerson ?? current.secondPerson,
      })
      if (!parsed.success) {
        const issue = parsed.error.issues[0]
        throw new AppError('bad_input', `${issue?.path.join('.') ?? 'policy'}: ${issue?.message ?? 'wrong'}`)
      }
      changing = true
      try {
        currentEnvelope = await store(parsed.data, by)
        current = parsed.data
      } finally {
        changing = false
      }
      if (publish !== null) await send(publish, currentEnvelope)
      return current
    },
    async history(limit) {
      const rows = await database.read(build.selectFrom('policies').selectAll().orderBy('version', 'desc').limit(limit))
      return rows.map((row) => ({ policy: open(row.envelope), issuedBy: row.issued_by }))
    },
    async signAgain() {
      const rows = await database.read(build.selectFrom('policies').select(['version', 'envelope']))
      const left = rows.filter(({ envelope }) => (JSON.parse(envelope) as Envelope).keyId !== signer.keyId)
      const again = ({ envelope }: { envelope: string }) =>
        JSON.stringify(signer.seal(createVerifier(trusted()).open(JSON.parse(envelope))))
      const signed = left.map((row) => ({ ...row, envelope: again(row) }))
      const own = signed.find(({ version }) => version === current.version)
      if (own !== undefined) {
        currentEnvelope = own.envelope
        if (publish !== null) await send(publish, currentEnvelope)
      }
      await database.writeBatch(
        signed.map(({ version, envelope }) =>
          build.updateTable('policies').set({ envelope }).where('version', '=', version),
        ),
      )
    },
    async publishCurrent(to) {
      publish = to
      await send(to, currentEnvelope)
    },
  }
}

function firstPolicy({
  agency,
  clock,
  retentionDays: days = DEFAULT_RETENTION_DAYS,
  upload = 'all',
}: PolicyDeps): Policy {
  return policySchema.parse({
    agency,
    version: 1,
    issuedAtMs: clock.nowMs(),
    upload,
    retention: { unmatchedDays: days, matchedDays: days, cropDays: days, quarantineDays: days },
  })
}
