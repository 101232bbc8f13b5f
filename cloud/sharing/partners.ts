/**
 * Agencies whose clouds ours has been paired with, each by the pinned key of its authority. The listener asks `identify` at every
 * connection and ends connections on `onChanged`. Called by sharing.ts; writes table partners, and ends grants with their partner.
 */
import { X509Certificate } from 'node:crypto'
import { AppError } from '../../shared/errors.ts'
import type { Database } from '../database/database.ts'
import type { PartnersTable } from '../database/schema-sharing.ts'
import { agencyOf, type Identity, normaliseFingerprint, publicKeyOf } from './identity.ts'

/** Partners that are not revoked: as many agencies as one audit entry can name. */
export const MAX_PARTNERS = 64
/** With those revoked, which stay known. */
export const MAX_KNOWN_PARTNERS = 512

export interface Partner {
  partner: string
  /** Full name, as it is published. */
  name: string
  /** Such as US-VA, as judged by who added it. */
  jurisdiction: string
  /** null: it asks and is not asked. */
  url: string | null
  caPem: string
  /** SHA-256 of its authority's public key, hex. */
  fingerprint: string
  addedAtMs: number
  addedBy: string
  revokedAtMs: number | null
  revokedBy: string | null
}

export type PartnerRefusal = 'certificate_untrusted' | 'certificate_expired' | 'partner_unknown'

export interface Partners {
  /** null: unknown, or revoked. Synchronous, so that a revocation counts from the turn in which it is stored. */
  active(partner: string): Partner | null
  allActive(): Partner[]
  /** Revoked ones too, by name. */
  list(): Promise<Partner[]>
  /**
   * Whose certificate this is: signed by the pinned key of the partner that it names, and not expired. Does not rely on what TLS has
   * checked, which knows all partners' authorities and not which of them may speak for whom.
   */
  identify(raw: Buffer | undefined): { ok: true; partner: Partner } | { ok: false; rule: PartnerRefusal }
  /**
   * Adds, or for one that is there under the same key takes over what else is new. Throws `bad_input` when `fingerprint` is not that of the identity,
   * or it is our own; `conflict` for another key than the pinned one; `too_large`.
   */
  add(
    identity: Identity,
    facts: { name: string; jurisdiction: string; fingerprint: string },
    by: string,
  ): Promise<Partner>
  /** With all its grants. Throws `not_found`. */
  revoke(partner: string, by: string): Promise<Partner>
  /** Told of who was added, changed or revoked, before `add` and `revoke` resolve. */
  onChanged(listener: (partner: string) => void | Promise<void>): void
}

export interface PartnersDeps {
  database: Database
  agency: string
  /** Of our own authority. */
  caPem: string
  clock: { nowMs(): number }
}

export async function createPartners({ database, agency, caPem, clock }: PartnersDeps): Promise<Partners> {
  const { build } = database
  const listeners: ((partner: string) => void | Promise<void>)[] = []
  const known = new Map<string, Partner>()
  for (const row of await database.read(build.selectFrom('partners').selectAll()))
    known.set(row.partner, toPartner(row))
  const own = publicKeyOf(caPem).export({ type: 'spki', format: 'der' })

  /** One change after the other: what is in memory is what was stored last. */
  let last: Promise<unknown> = Promise.resolve()
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = last.then(work)
    last = next.catch(() => {})
    return next
  }

  async function remember(partner: Partner): Promise<Partner> {
    known.set(partner.partner, partner)
    await Promise.all(listeners.map((listener) => listener(partner.partner)))
    return partner
  }

  const active = (partner: string) => {
    const found = known.get(partner)
    return found === undefined || found.revokedAtMs !== null ? null : found
  }
  const allActive = () => [...known.values()].filter(({ revokedAtMs }) => revokedAtMs === null)

  return {
    active,
    allActive,
    async list() {
      return [...known.values()].sort((a, b) => (a.partner < b.partner ? -1 : 1))
    },
    identify(raw) {
      const no = (rule: PartnerRefusal) => ({ ok: false, rule }) as const
      let certificate: X509Certificate
      try {
        certificate = new X509Certificate(raw ?? Buffer.alloc(0))
      } catch {
        return no('certificate_untrusted')
      }
      const named = agencyOf(certificate.subjectAltName)
      const partner = named === null ? null : active(named)
      if (partner === null) return no('partner_unknown')
      if (!certificate.verify(publicKeyOf(partner.caPem))) return no('certificate_untrusted')
      if (clock.nowMs() > new Date(certificate.validTo).getTime()) return no('certificate_expired')
      return { ok: true, partner }
    },
    add: (identity, { name, jurisdiction, fingerprint }, by) =>
      inTurn(async () => {
        if (normaliseFingerprint(fingerprint) !== identity.fingerprint) {
          throw new AppError('bad_input', 'the fingerprint is not that of the identity', {
            hint: 'compare it by telephone with the other agency, which reads it from `candor partner identity`',
          })
        }
        if (
          identity.agency === agency ||
          publicKeyOf(identity.caPem).export({ type: 'spki', format: 'der' }).equals(own)
        )
          throw new AppError('bad_input', 'that is this agency’s own identity')
        const before = active(identity.agency)
        if (before !== null && before.fingerprint !== identity.fingerprint) {
          throw new AppError('conflict', `${identity.agency} is a partner under another key`, {
            hint: 'if it has a new authority, revoke the partner, which ends its grants, and add it anew',
          })
        }
        const other = allActive().find(
          ({ partner, fingerprint: pinned }) => pinned === identity.fingerprint && partner !== identity.agency,
        )
        if (other !== undefined) throw new AppError('conflict', `that key is pinned for ${other.partner}`)
        if (before === null && allActive().length >= MAX_PARTNERS)
          throw new AppError('too_large', `there are ${MAX_PARTNERS} partners, the most there may be`)
        if (!known.has(identity.agency) && known.size >= MAX_KNOWN_PARTNERS)
          throw new AppError('too_large', `${MAX_KNOWN_PARTNERS} partners are known, revoked ones included`)
        const row: PartnersTable = {
          partner: identity.agency,
          name,
          jurisdiction,
          url: identity.url,
          ca_pem: identity.caPem,
          fingerprint: identity.fingerprint,
          added_at_ms: before?.addedAtMs ?? clock.nowMs(),
          added_by: before?.addedBy ?? by,
          revoked_at_ms: null,
          revoked_by: null,
        }
        const { partner: _, ...rest } = row
        await database.writeBatch([
          build
            .insertInto('partners')
            .values(row)
            .onConflict((conflict) => conflict.column('partner').doUpdateSet(rest)),
        ])
        return remember(toPartner(row))
      }),
    revoke: (partner, by) =>
      inTurn(async () => {
        const found = active(partner)
        if (found === null) throw new AppError('not_found', `there is no partner ${partner}`)
        const ended = { revoked_at_ms: clock.nowMs(), revoked_by: by }
        await database.writeBatch([
          build.updateTable('partners').set(ended).where('partner', '=', partner),
          build
            .updateTable('grants')
            .set({ state: 'revoked', ...ended })
            .where('partner', '=', partner)
            .where('state', 'in', ['proposed', 'active']),
        ])
        return remember({ ...found, revokedAtMs: ended.revoked_at_ms, revokedBy: by })
      }),
    onChanged: (listener) => void listeners.push(listener),
  }
}

function toPartner(row: PartnersTable): Partner {
  return {
    partner: row.partner,
    name: row.name,
    jurisdiction: row.jurisdiction,
    url: row.url,
    caPem: row.ca_pem,
    fingerprint: row.fingerprint,
    addedAtMs: row.added_at_ms,
    addedBy: row.added_by,
    revokedAtMs: row.revoked_at_ms,
    revokedBy: row.revoked_by,
  }
}
