/** Routes of partners and grants: with whom reads are shared, what they may search, and whether both sides' records agree. */
import { z } from 'zod'
import { slugSchema } from '../../shared/names.ts'
import { jurisdictionSchema, MAX_PURPOSES, MAX_RETENTION_DAYS, timeMsSchema } from '../../shared/wire/index.ts'
import type { CloudParts } from '../parts.ts'
import { MAX_SEARCH_CAMERAS } from '../search/request.ts'
import type { Grant } from '../sharing/grants.ts'
import { identitySchema, readIdentity } from '../sharing/identity.ts'
import type { Partner } from '../sharing/partners.ts'
import { givenGrantSchema, recordRowSchema } from '../sharing/wire.ts'
import type { Door, TypedApi } from './door.ts'

/** Full name of an agency, characters. */
const MAX_NAME_CHARACTERS = 120

const partnerParams = z.object({ partner: slugSchema })
const grantParams = z.object({ grantId: z.uuidv7() })

export const partnerSchema = z.object({
  partner: slugSchema,
  name: z.string(),
  jurisdiction: z.string(),
  url: z.string().nullable().describe('where it is asked; null: it only asks'),
  fingerprint: z.string().describe('SHA-256 of its authority’s public key'),
  state: z.enum(['active', 'revoked']),
  addedAtMs: timeMsSchema,
  addedBy: slugSchema,
  revokedAtMs: timeMsSchema.nullable(),
  revokedBy: slugSchema.nullable(),
})

export const grantSchema = givenGrantSchema.extend({
  partner: slugSchema,
  state: z.enum(['proposed', 'active', 'rejected', 'revoked']),
  madeAtMs: timeMsSchema,
  madeBy: slugSchema,
  decidedAtMs: timeMsSchema.nullable(),
  decidedBy: slugSchema.nullable(),
  revokedAtMs: timeMsSchema.nullable(),
  revokedBy: slugSchema.nullable(),
})

export const reconciliationSchema = z.object({
  compared: z.int().describe('searches that both sides know'),
  untold: z
    .int()
    .describe('own rows whose audit entry went by policy, so that it cannot be told any more whether it fits'),
  differences: z.array(
    z.object({
      requestId: z.string(),
      askedBy: z.enum(['us', 'them']),
      problem: z.enum([
        'missing_here',
        'missing_there',
        'numbers_differ',
        'outcomes_differ',
        'results_differ',
        'not_in_own_audit',
      ]),
      here: recordRowSchema.nullable(),
      there: recordRowSchema.nullable(),
    }),
  ),
})

export function registerSharing(app: TypedApi, { sharing, clock }: CloudParts, door: Door): void {
  const { partners, grants, asking } = sharing
  const reads = door.guard('sharing.read')
  const writes = door.guard('sharing.write')
  const by = (request: Parameters<Door['session']>[0]) => door.session(request).account
  const ofPartner = (partner: string) => ({ kind: 'partner', id: partner })
  const ofGrant = (grantId: string) => ({ kind: 'grant', id: grantId })

  app.route({
    method: 'GET',
    url: '/api/v1/partners/identity',
    onRequest: reads,
    schema: {
      summary: 'What another agency imports to be a partner of this one; its fingerprint is compared by telephone',
      response: { 200: z.object({ identity: identitySchema, agency: slugSchema, fingerprint: z.string() }) },
    },
    async handler() {
      const identity = await sharing.identity()
      const { agency, fingerprint } = readIdentity(identity)
      return { identity, agency, fingerprint }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/partners',
    onRequest: reads,
    schema: {
      summary: 'Partners, revoked ones too',
      response: { 200: z.object({ partners: z.array(partnerSchema) }) },
    },
    handler: async () => ({ partners: (await partners.list()).map(showPartner) }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/partners',
    onRequest: writes,
    schema: {
      summary: 'Adds a partner by its identity; it may search nothing until there is a grant',
      body: z.strictObject({
        identity: identitySchema,
        name: z.string().trim().min(2).max(MAX_NAME_CHARACTERS).describe('full name, as it is published'),
        jurisdiction: jurisdictionSchema.describe('such as US-VA; yours to say, not the partner’s'),
        fingerprint: z.string().max(128).describe('as the other agency read it out'),
      }),
      response: { 201: partnerSchema },
    },
    async handler(request, reply) {
      const { name, jurisdiction, fingerprint } = request.body
      const identity = readIdentity(request.body.identity)
      const detail = { name, jurisdiction, url: identity.url, fingerprint: identity.fingerprint }
      const record = { operation: 'partner.add', subject: ofPartner(identity.agency), detail }
      const added = await door.audited(request, record, () =>
        partners.add(identity, { name, jurisdiction, fingerprint }, by(request)),
      )
      return reply.code(201).send(showPartner(added))
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/partners/:partner/revoke',
    onRequest: writes,
    schema: {
      summary: 'Ends a partnership with all its grants and connections, at once',
      params: partnerParams,
      response: { 200: partnerSchema },
    },
    async handler(request) {
      const { partner } = request.params
      const record = { operation: 'partner.revoke', subject: ofPartner(partner) }
      return showPartner(await door.audited(request, record, () => partners.revoke(partner, by(request))))
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/partners/:partner/grants',
    onRequest: reads,
    schema: {
      summary: 'What that partner lets us search, asked of its cloud',
      params: partnerParams,
      response: { 200: z.object({ grants: z.array(givenGrantSchema) }) },
    },
    async handler(request) {
      const { partner } = request.params
      return door.audited(request, { operation: 'partner.grants_asked', subject: ofPartner(partner) }, async () => ({
        grants: await asking.grants(partner),
      }))
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/partners/:partner/reconcile',
    onRequest: door.guard('audit.read'),
    schema: {
      summary: 'Compares our record of shared searches with the partner’s, and names each difference',
      params: partnerParams,
      querystring: z.strictObject({
        fromMs: z.coerce.number().pipe(timeMsSchema),
        toMs: z.coerce.number().pipe(timeMsSchema),
      }),
      response: { 200: reconciliationSchema },
    },
    async handler(request) {
      const { partner } = request.params
      const record = { operation: 'partner.reconcile', subject: ofPartner(partner), detail: { ...request.query } }
      return door.audited(request, record, async (seq) => {
        const found = await sharing.reconcile(partner, request.query)
        const { compared, differences } = found
        const detail = { compared, differences: differences.length }
        await door.audit(request, {
          operation: 'partner.reconciled',
          subject: ofPartner(partner),
          completes: seq,
          detail,
        })
        return found
      })
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/grants',
    onRequest: reads,
    schema: {
      summary: 'Grants, newest first, ended ones too',
      querystring: z.strictObject({ partner: slugSchema.optional() }),
      response: { 200: z.object({ grants: z.array(grantSchema) }) },
    },
    handler: async (request) => ({ grants: (await grants.list(request.query.partner ?? null)).map(showGrant) }),
  })

  app.route({
    method: 'POST',
    url: '/api/v1/grants',
    onRequest: writes,
    schema: {
      summary: 'Lets a partner search; where the policy wants a second person, once that has approved',
      body: z.strictObject({
        partner: slugSchema,
        purposes: z.array(slugSchema).min(1).max(MAX_PURPOSES),
        what: z.enum(['sightings', 'matches']).describe('all reads, or those alone that met an entry of a list'),
        cameras: z.array(slugSchema).max(MAX_SEARCH_CAMERAS).default([]).describe('empty: all'),
        maxAgeDays: z.number().gt(0).max(MAX_RETENTION_DAYS).describe('seen no longer ago'),
        fromMs: timeMsSchema.nullable().default(null).describe('null: from now'),
        untilMs: timeMsSchema.describe('in force before this time'),
        crops: z.boolean().default(false).describe('with evidence pictures'),
        patterns: z.boolean().default(false).describe('by pattern too, not by a whole plate alone'),
      }),
      response: { 201: grantSchema },
    },
    async handler(request, reply) {
      const grant = { ...request.body, fromMs: request.body.fromMs ?? clock.nowMs() }
      const { partner, ...detail } = grant
      const record = { operation: 'grant.add', subject: ofPartner(partner), detail }
      const added = await door.audited(request, record, async (seq) => {
        const made = await grants.add(grant, by(request))
        await door.audit(request, {
          operation: 'grant.added',
          subject: ofGrant(made.grantId),
          completes: seq,
          detail: { state: made.state },
        })
        return made
      })
      return reply.code(201).send(showGrant(added))
    },
  })

  const change = (
    ending: 'approve' | 'reject' | 'revoke',
    summary: string,
    work: (grantId: string, account: string) => Promise<Grant>,
  ) =>
    app.route({
      method: 'POST',
      url: `/api/v1/grants/:grantId/${ending}`,
      onRequest: writes,
      schema: { summary, params: grantParams, response: { 200: grantSchema } },
      async handler(request) {
        const { grantId } = request.params
        const record = { operation: `grant.${ending}`, subject: ofGrant(grantId) }
        return showGrant(await door.audited(request, record, () => work(grantId, by(request))))
      },
    })
  change('approve', 'The second person’s yes', (grantId, account) => grants.decide(grantId, 'active', account))
  change('reject', 'The second person’s no', (grantId, account) => grants.decide(grantId, 'rejected', account))
  change('revoke', 'Ends a grant at once; one person suffices', grants.revoke)
}

function showPartner({ caPem: _, ...partner }: Partner): z.infer<typeof partnerSchema> {
  return { ...partner, state: partner.revokedAtMs === null ? 'active' : 'revoked' }
}

function showGrant(grant: Grant): z.infer<typeof grantSchema> {
  return { ...grant, purposes: [...grant.purposes], cameras: [...grant.cameras] }
}
