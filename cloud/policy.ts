/**
 * The agency's policy: one signed, versioned document. It exists from the first start; every change is a new version, by one person or,
 * where the policy in force says so, by two. Owns table policies. Called by retention, the API and main.
 */
import { type Clock, DAY_MS } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { createVerifier, type Envelope, type Signer } from '../shared/signing.ts'
import { topics } from '../shared/topics.ts'
import { DEFAULT_RETENTION_DAYS, MAX_POLICY_BYTES, type Policy, policySchema } from '../shared/wire/policy.ts'
import type { Database, Statement } from './database/database.ts'
import type { PoliciesTable } from './database/schema-policy.ts'
import type { Publish } from './hotlists.ts'
import { applyChange, type PolicyChange } from './policy/change.ts'
import { changeTo, checkNamed, getProfile } from './policy/profile.ts'
import { checkWaiting, createProposals, type Proposal } from './policy/proposals.ts'

export type { PolicyChange }

/** A version with who issued it; null: the cloud itself, at its first start. */
export interface IssuedPolicy {
  policy: Policy
  issuedBy: string | null
  /** The second person; null: none was asked for. */
  approvedBy: string | null
}

export interface PolicyKeeper {
  current(): Policy
  /** In milliseconds, of the policy in force: a shorter one counts from the moment it is set. */
  retention(): { unmatchedMs: number; matchedMs: number; cropMs: number; quarantineMs: number }
  /** What a change would make of the policy in force. Throws `conflict` for another version than that, `bad_input` for wrong values. */
  preview(version: number, change: PolicyChange): Policy
  /** A new version by one person. Throws as `preview` does, and `forbidden` where the policy in force asks for a second one. */
  change(version: number, change: PolicyChange, by: string): Promise<Policy>
  /** Kept until another person approves it. Throws as `preview` does, and `conflict` when too many wait. */
  propose(version: number, change: PolicyChange, by: string, reason: string | null): Promise<Proposal>
  /** Puts a proposal in force. Throws `forbidden` for who proposed it, `conflict` for one that is over. */
  approve(number: number, by: string): Promise<Policy>
  /** By another person. Throws as `approve` does. */
  reject(number: number, by: string): Promise<Proposal>
  /** By who proposed it. Throws `forbidden` for anybody else. */
  withdraw(number: number, by: string): Promise<Proposal>
  /** Throws `not_found`. */
  proposal(number: number): Promise<Proposal>
  /** Newest first, at most `limit`. */
  proposals(limit: number): Promise<Proposal[]>
  /** Newest first, at most `limit`. */
  history(limit: number): Promise<IssuedPolicy[]>
  /** Throws `not_found`. */
  version(version: number): Promise<IssuedPolicy>
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
  /** Of the first version, in the place of these two. */
  profile?: string | undefined
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

  function seal(policy: Policy): string {
    const envelope = JSON.stringify(signer.seal(Buffer.from(JSON.stringify(policy))))
    // Cameras take no larger one.
    if (Buffer.byteLength(envelope) <= MAX_POLICY_BYTES) return envelope
    throw new AppError('too_large', `the signed policy would have more than ${MAX_POLICY_BYTES} bytes`)
  }

  /** In force when it resolves, in one transaction with `more`. */
  async function store(policy: Policy, by: IssuedBy, more: readonly Statement[] = []): Promise<string> {
    const envelope = seal(policy)
    await database.writeBatch([
      build.insertInto('policies').values({
        version: policy.version,
        envelope,
        issued_at_ms: policy.issuedAtMs,
        issued_by: by.issuedBy,
        approved_by: by.approvedBy,
      }),
      ...more,
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
    currentEnvelope = await store(current, { issuedBy: null, approvedBy: null })
  } else {
    current = open(newest.envelope)
    currentEnvelope = newest.envelope
  }

  const proposals = createProposals({ database, nowMs: clock.nowMs, current: () => current })
  const versions = () => build.selectFrom('policies').selectAll()
  const toIssued = (row: PoliciesTable): IssuedPolicy => ({
    policy: open(row.envelope),
    issuedBy: row.issued_by,
    approvedBy: row.approved_by,
  })

  /** Two changes at a time would each be made of what the other has not seen. */
  async function exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (changing) throw conflict(current)
    changing = true
    try {
      return await work()
    } finally {
      changing = false
    }
  }

  function preview(version: number, change: PolicyChange): Policy {
    if (version !== current.version) throw conflict(current)
    checkNamed(change.profile)
    return applyChange(current, change, { version: version + 1, issuedAtMs: clock.nowMs() })
  }

  async function enact(next: Policy, by: IssuedBy, more: readonly Statement[] = []): Promise<Policy> {
    currentEnvelope = await store(next, by, more)
    current = next
    if (publish !== null) await send(publish, currentEnvelope)
    return next
  }

  function end(number: number, state: 'rejected' | 'withdrawn', by: string, check: (proposal: Proposal) => void) {
    return exclusively(async () => {
      const proposal = await proposals.get(number)
      checkWaiting(proposal)
      check(proposal)
      await database.writeBatch([proposals.decide(number, state, by)])
      return proposals.get(number)
    })
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
    preview,
    change(version, change, by) {
      return exclusively(async () => {
        const next = preview(version, change)
        if (current.secondPerson) {
          throw new AppError('forbidden', 'a change of this policy needs a second person', {
            hint: 'propose it; another policy administrator approves it',
          })
        }
        return enact(next, { issuedBy: by, approvedBy: null })
      })
    },
    async propose(version, change, by, reason) {
      return exclusively(() => {
        const next = preview(version, change)
        // What could never be put in force is not handed to a second person.
        seal(next)
        return proposals.add(next, by, reason)
      })
    },
    approve(number, by) {
      return exclusively(async () => {
        const proposal = await proposals.get(number)
        checkWaiting(proposal)
        checkOther(proposal, by)
        // Rules that have come with an update since must hold for it too.
        const next = policySchema.parse({ ...proposal.policy, issuedAtMs: clock.nowMs() })
        const issuedBy = { issuedBy: proposal.proposedBy, approvedBy: by }
        return enact(next, issuedBy, [proposals.decide(number, 'approved', by)])
      })
    },
    reject: (number, by) => end(number, 'rejected', by, (proposal) => checkOther(proposal, by)),
    withdraw: (number, by) =>
      end(number, 'withdrawn', by, ({ proposedBy }) => {
        if (proposedBy !== by) throw new AppError('forbidden', `only ${proposedBy} may withdraw it; you may reject it`)
      }),
    proposal: (number) => proposals.get(number),
    proposals: (limit) => proposals.list(limit),
    async history(limit) {
      const newestFirst = versions().where('version', '<=', current.version).orderBy('version', 'desc')
      return (await database.read(newestFirst.limit(limit))).map(toIssued)
    },
    async version(version) {
      const [row] = await database.read(versions().where('version', '=', version))
      if (row === undefined) throw new AppError('not_found', `no version ${version} of the policy`)
      return toIssued(row)
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

type IssuedBy = Pick<IssuedPolicy, 'issuedBy' | 'approvedBy'>

const conflict = ({ version }: Policy) =>
  new AppError('conflict', `the policy is at version ${version}`, { hint: 'read it again, then repeat the change' })

function checkOther({ proposedBy }: Proposal, by: string): void {
  if (proposedBy !== by) return
  throw new AppError('forbidden', 'it is your own proposal: another person decides it', { hint: 'you may withdraw it' })
}

function firstPolicy(deps: PolicyDeps): Policy {
  const { agency, clock, retentionDays: days = DEFAULT_RETENTION_DAYS, upload = 'all', profile } = deps
  const issuedAtMs = clock.nowMs()
  const retention = { unmatchedDays: days, matchedDays: days, cropDays: days, quarantineDays: days }
  const plain = policySchema.parse({ agency, version: 1, issuedAtMs, upload, retention })
  return profile === undefined ? plain : applyChange(plain, changeTo(getProfile(profile)), { version: 1, issuedAtMs })
}
