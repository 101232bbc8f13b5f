/**
 * Changes of the policy that wait for a second person: kept with what they would make, decided once, lapsed when the policy has changed since,
 * expired after PROPOSAL_DAYS. Owns table policy_proposals. Called by policy.ts alone, which puts what is approved in force.
 */
import { DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { type Policy, policySchema } from '../../shared/wire/policy.ts'
import type { Database, Statement } from '../database/database.ts'
import type { PolicyProposalsTable } from '../database/schema-policy.ts'

/** A proposal that nobody has decided is over after this. */
export const PROPOSAL_DAYS = 7
/** Against the version in force, at a time. */
export const MAX_WAITING_PROPOSALS = 20
export const MAX_PROPOSAL_REASON = 500

export type ProposalState = 'waiting' | 'approved' | 'rejected' | 'withdrawn' | 'lapsed' | 'expired'

export interface Proposal {
  number: number
  /** The version that it changes; lapsed when another is in force. */
  basisVersion: number
  state: ProposalState
  reason: string | null
  proposedAtMs: number
  proposedBy: string
  expiresAtMs: number
  decidedAtMs: number | null
  decidedBy: string | null
  /** What would be in force. */
  policy: Policy
}

export interface ProposalDeps {
  database: Database
  nowMs: () => number
  current: () => Policy
}

export interface ProposalTable {
  add(policy: Policy, by: string, reason: string | null): Promise<Proposal>
  /** Throws `not_found`. */
  get(number: number): Promise<Proposal>
  /** Newest first. */
  list(limit: number): Promise<Proposal[]>
  /** For the transaction that puts it in force, or alone. */
  decide(number: number, state: 'approved' | 'rejected' | 'withdrawn', by: string): Statement
}

export function createProposals({ database, nowMs, current }: ProposalDeps): ProposalTable {
  const { build } = database
  const rows = () => build.selectFrom('policy_proposals').selectAll()
  const read = (row: PolicyProposalsTable) => toProposal(row, current().version, nowMs())

  return {
    async add(policy, by, reason) {
      const basisVersion = current().version
      const waiting = await database.read(
        build
          .selectFrom('policy_proposals')
          .select('number')
          .where('state', '=', 'waiting')
          .where('basis_version', '=', basisVersion)
          .where('expires_at_ms', '>', nowMs()),
      )
      if (waiting.length >= MAX_WAITING_PROPOSALS) {
        throw new AppError('conflict', `${MAX_WAITING_PROPOSALS} proposals wait already`, {
          hint: 'decide or withdraw some first (`candor policy proposals`)',
        })
      }
      const proposedAtMs = nowMs()
      await database.writeBatch([
        build.insertInto('policy_proposals').values({
          basis_version: basisVersion,
          document: JSON.stringify(policy),
          state: 'waiting',
          reason,
          proposed_at_ms: proposedAtMs,
          proposed_by: by,
          expires_at_ms: proposedAtMs + PROPOSAL_DAYS * DAY_MS,
          decided_at_ms: null,
          decided_by: null,
        }),
      ])
      const [row] = await database.read(rows().where('number', '>', 0).orderBy('number', 'desc').limit(1))
      if (row === undefined) throw new AppError('internal', 'a proposal that was kept is not there')
      return read(row)
    },
    async get(number) {
      const [row] = await database.read(rows().where('number', '=', number))
      if (row !== undefined) return read(row)
      throw new AppError('not_found', `no proposal ${number}`, { hint: '`candor policy proposals` lists them' })
    },
    async list(limit) {
      const found = await database.read(rows().where('number', '>', 0).orderBy('number', 'desc').limit(limit))
      return found.map(read)
    },
    decide: (number, state, by) =>
      build
        .updateTable('policy_proposals')
        .set({ state, decided_at_ms: nowMs(), decided_by: by })
        .where('number', '=', number),
  }
}

function toProposal(row: PolicyProposalsTable, currentVersion: number, nowMs: number): Proposal {
  const isWaiting = row.state === 'waiting'
  const state =
    isWaiting && row.basis_version !== currentVersion
      ? 'lapsed'
      : isWaiting && row.expires_at_ms <= nowMs
        ? 'expired'
        : (row.state as ProposalState)
  return {
    number: row.number,
    basisVersion: row.basis_version,
    state,
    reason: row.reason,
    proposedAtMs: row.proposed_at_ms,
    proposedBy: row.proposed_by,
    expiresAtMs: row.expires_at_ms,
    decidedAtMs: row.decided_at_ms,
    decidedBy: row.decided_by,
    policy: policySchema.parse(JSON.parse(row.document)),
  }
}

/** Throws `conflict` for a proposal that is over. */
export function checkWaiting({ number, state, basisVersion }: Proposal): void {
  if (state === 'waiting') return
  const why = {
    approved: 'is approved already',
    rejected: 'was rejected',
    withdrawn: 'was withdrawn',
    expired: `is over: nobody decided it in ${PROPOSAL_DAYS} days`,
    lapsed: `has lapsed: it changes version ${basisVersion}, which is in force no more`,
  }[state]
  throw new AppError('conflict', `proposal ${number} ${why}`, {
    hint: 'propose the change again if it is still wanted',
  })
}
