/** Routes of the policy: what is in force, in words too; what was; changes, proposals and profiles. */
import { z } from 'zod'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { policySchema, timeMsSchema } from '../../shared/wire/index.ts'
import type { CloudParts } from '../parts.ts'
import { merged, POLICY_CHANGE_FIELDS, type PolicyChange } from '../policy/change.ts'
import { auditedDiff, diffPolicies, type PolicyDifference } from '../policy/diff.ts'
import { changeTo, getProfile, NO_LEGAL_ADVICE, profiles, rulesOf } from '../policy/profile.ts'
import { MAX_PROPOSAL_REASON, type Proposal } from '../policy/proposals.ts'
import { renderPolicy, renderProfile } from '../policy/render.ts'
import type { Door, TypedApi } from './door.ts'

/** Newest, of versions and of proposals. */
const MAX_LISTED = 100

const version = z.int().min(1)
const param = z.coerce.number().int().min(1)

const renderingSchema = z.object({
  title: z.string(),
  basis: z.object({ id: slugSchema, title: z.string(), citation: z.string(), read: z.string() }).nullable(),
  sections: z.array(
    z.object({
      title: z.string(),
      rules: z.array(
        z.object({
          field: z.string(),
          text: z.string(),
          section: z.string().optional().describe('of the statute of the profile that the policy began as'),
          profileText: z.string().optional().describe('what that profile says, where the policy says something else'),
        }),
      ),
    }),
  ),
  duties: z.array(z.object({ text: z.string(), section: z.string() })).describe('what the agency must see to itself'),
  notice: z.string(),
})

const differenceSchema = z.object({
  field: z.string(),
  before: z.unknown(),
  after: z.unknown(),
  beforeText: z.string(),
  afterText: z.string(),
  loosens: z.boolean().describe('more is kept, for longer, or shared wider, or less is checked and told'),
})

const issuedSchema = z.object({
  version,
  issuedAtMs: timeMsSchema,
  issuedBy: slugSchema.nullable(),
  approvedBy: slugSchema.nullable().describe('the second person'),
})

const proposalSchema = z.object({
  number: z.int(),
  basisVersion: version,
  state: z.enum(['waiting', 'approved', 'rejected', 'withdrawn', 'lapsed', 'expired']),
  reason: z.string().nullable(),
  proposedAtMs: timeMsSchema,
  proposedBy: slugSchema,
  expiresAtMs: timeMsSchema,
  decidedAtMs: timeMsSchema.nullable(),
  decidedBy: slugSchema.nullable(),
  differences: z.array(differenceSchema),
})

const profileSchema = z.object({ id: slugSchema, title: z.string(), citation: z.string(), read: z.string() })

const changeBody = z.strictObject({
  version: version.describe('the version that was seen'),
  fromProfile: slugSchema.optional().describe('all rules of this profile; the other fields are applied on top'),
  reason: z.string().trim().min(1).max(MAX_PROPOSAL_REASON).nullable().default(null),
  ...POLICY_CHANGE_FIELDS,
})

const nothingChanges = () =>
  new AppError('bad_input', 'nothing would change', { hint: '`candor policy show` says what is in force' })

export function registerPolicy(app: TypedApi, parts: CloudParts, door: Door): void {
  const { policy } = parts
  const by = (request: Parameters<Door['session']>[0]) => door.session(request).account
  const proposalId = (number: number) => ({ kind: 'policy-proposal', id: String(number) })

  function toChange(body: z.infer<typeof changeBody>): PolicyChange {
    const { version: _, fromProfile, reason: __, ...change } = body
    if (fromProfile === undefined) return change
    return merged(changeTo(getProfile(fromProfile)), change)
  }

  const describe = async (proposal: Proposal) => {
    const { policy: proposed, ...rest } = proposal
    const isCurrent = proposal.basisVersion === policy.current().version
    const basis = isCurrent ? policy.current() : (await policy.version(proposal.basisVersion)).policy
    return { ...rest, differences: diffPolicies(basis, proposed) }
  }

  /** What the audit says of a change before it is made; what is wrong with it is told by the change itself. */
  function audited(of: () => readonly PolicyDifference[]) {
    try {
      return auditedDiff(of())
    } catch {
      return {}
    }
  }

  app.route({
    method: 'GET',
    url: '/api/v1/policy',
    onRequest: door.guard(null),
    schema: {
      summary: 'The policy in force, as a document and in words; whoever is logged in may know it',
      response: { 200: z.object({ policy: policySchema, rendering: renderingSchema }) },
    },
    handler: async () => ({ policy: policy.current(), rendering: renderPolicy(policy.current()) }),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/policy/history',
    onRequest: door.guard(null),
    schema: {
      summary: 'Versions of the policy, newest first, each with what it changed',
      response: {
        200: z.object({ versions: z.array(issuedSchema.extend({ differences: z.array(differenceSchema) })) }),
      },
    },
    async handler() {
      const issued = await policy.history(MAX_LISTED + 1)
      const versions = issued.slice(0, MAX_LISTED).map(({ policy: one, issuedBy, approvedBy }, index) => {
        const before = issued[index + 1]?.policy ?? one
        const { version, issuedAtMs } = one
        return { version, issuedAtMs, issuedBy, approvedBy, differences: diffPolicies(before, one) }
      })
      return { versions }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/policy/versions/:version',
    onRequest: door.guard(null),
    schema: {
      summary: 'A version of the policy, in force or not, as a document and in words',
      params: z.object({ version: param }),
      response: {
        200: issuedSchema.omit({ version: true, issuedAtMs: true }).extend({
          policy: policySchema,
          rendering: renderingSchema,
        }),
      },
    },
    async handler(request) {
      const issued = await policy.version(request.params.version)
      return { ...issued, rendering: renderPolicy(issued.policy) }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/policy/diff',
    onRequest: door.guard(null),
    schema: {
      summary: 'What differs between two versions of the policy',
      querystring: z.strictObject({ from: param, to: param }),
      response: { 200: z.object({ differences: z.array(differenceSchema) }) },
    },
    async handler(request) {
      const { from, to } = request.query
      return { differences: diffPolicies((await policy.version(from)).policy, (await policy.version(to)).policy) }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/policy/profiles',
    onRequest: door.guard(null),
    schema: {
      summary: 'Profiles that a policy can be made from',
      response: { 200: z.object({ profiles: z.array(profileSchema), notice: z.string() }) },
    },
    handler: async () => ({ profiles: [...profiles()], notice: NO_LEGAL_ADVICE }),
  })

  app.route({
    method: 'GET',
    url: '/api/v1/policy/profiles/:profile',
    onRequest: door.guard(null),
    schema: {
      summary: 'A profile: its rules in words, each with its section, and as a document',
      params: z.object({ profile: slugSchema }),
      response: {
        200: z.object({ rules: z.looseObject({}), rendering: renderingSchema }),
      },
    },
    async handler(request) {
      const profile = getProfile(request.params.profile)
      return { rules: rulesOf(profile), rendering: renderProfile(profile) }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/policy/preview',
    onRequest: door.guard('policy.read'),
    schema: {
      summary: 'What a change would change; nothing is done',
      body: changeBody,
      response: { 200: z.object({ differences: z.array(differenceSchema), secondPerson: z.boolean() }) },
    },
    async handler(request) {
      const current = policy.current()
      const next = policy.preview(request.body.version, toChange(request.body))
      return { differences: diffPolicies(current, next), secondPerson: current.secondPerson }
    },
  })

  app.route({
    method: 'PATCH',
    url: '/api/v1/policy',
    onRequest: door.guard('policy.write'),
    schema: {
      summary:
        'Changes any part of the policy: a new version (200), or a proposal that waits for a second person (202)',
      body: changeBody,
      response: { 200: policySchema, 202: proposalSchema },
    },
    async handler(request, reply) {
      const { version: seen, reason, fromProfile } = request.body
      const current = policy.current()
      const differences = () => diffPolicies(current, policy.preview(seen, toChange(request.body)))
      const detail = { version: seen, ...(fromProfile === undefined ? {} : { fromProfile }), ...audited(differences) }
      const operation = current.secondPerson ? 'policy.propose' : 'policy.change'
      return door.audited(request, { operation, reason, detail }, async (seq) => {
        const change = toChange(request.body)
        if (differences().length === 0) throw nothingChanges()
        if (!current.secondPerson) return policy.change(seen, change, by(request))
        const proposal = await policy.propose(seen, change, by(request), reason)
        const { number, expiresAtMs } = proposal
        const kept = {
          operation: 'policy.proposed',
          subject: proposalId(number),
          completes: seq,
          detail: { expiresAtMs },
        }
        await door.audit(request, kept)
        return reply.code(202).send(await describe(proposal))
      })
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/policy/proposals',
    onRequest: door.guard('policy.read'),
    schema: {
      summary: 'Changes of the policy that wait for a second person, and those that are over; newest first',
      response: { 200: z.object({ proposals: z.array(proposalSchema) }) },
    },
    async handler() {
      const proposals = []
      for (const proposal of await policy.proposals(MAX_LISTED)) proposals.push(await describe(proposal))
      return { proposals }
    },
  })

  for (const [verb, summary] of [
    ['approve', 'Puts a proposal in force; not for who made it'],
    ['reject', 'Drops a proposal; not for who made it'],
    ['withdraw', 'Drops one’s own proposal'],
  ] as const) {
    app.route({
      method: 'POST',
      url: `/api/v1/policy/proposals/:number/${verb}`,
      onRequest: door.guard('policy.write'),
      schema: { summary, params: z.object({ number: param }), response: { 200: proposalSchema } },
      async handler(request) {
        const { number } = request.params
        const found = await policy.proposal(number).catch(() => null)
        const detail = found === null ? {} : auditedDiff((await describe(found)).differences)
        const proposedBy = found?.proposedBy ?? null
        const record = { operation: `policy.${verb}`, subject: proposalId(number), detail: { proposedBy, ...detail } }
        return door.audited(request, record, async () => {
          await policy[verb](number, by(request))
          return describe(await policy.proposal(number))
        })
      },
    })
  }
}
