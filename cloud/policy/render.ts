/**
 * The policy in plain English: sections of rules, each a sentence or two with its field and, where the policy began as a profile, the section
 * that asks for it. Plain data, so that a terminal and a page can show it alike. Pure.
 */
import type { Policy } from '../../shared/wire/policy.ts'
import { EARLIEST_TIME_MS } from '../../shared/wire/sighting.ts'
import { changeTo, NO_LEGAL_ADVICE, type Profile, profiles, rulesOf } from './profile.ts'
import { POLICY_SECTIONS } from './rules.ts'

export interface RenderedRule {
  field: string
  text: string
  /** Of the profile's statute. */
  section?: string
  /** What the profile says, where this policy has gone another way. */
  profileText?: string
}

export interface Rendering {
  title: string
  /** The profile's statute and its standing; null: made without one. */
  basis: { id: string; title: string; citation: string; read: string } | null
  sections: { title: string; rules: RenderedRule[] }[]
  /** With a profile: what the agency must see to itself. */
  duties: { text: string; section: string }[]
  notice: string
}

export const sectionText = ({ section, unsure }: { section: string; unsure?: true }) =>
  unsure === true ? `${section} (unsure)` : section

export function renderPolicy(policy: Policy): Rendering {
  const profile = profiles().find(({ id }) => id === policy.profile?.id) ?? null
  const asProfile = profile === null ? null : { ...policy, ...rulesOf(profile) }
  const kept = profile === null ? null : changeTo(profile)
  const sections = POLICY_SECTIONS.map(({ title, rules }) => ({
    title,
    rules: rules.map((rule): RenderedRule => {
      const { field } = rule
      const text = rule.say(policy)
      const cited = profile?.sections[field]
      const rendered = { field, text, ...(cited === undefined ? {} : { section: sectionText(cited) }) }
      if (asProfile === null || !isSaid(kept, field)) return rendered
      const profileText = rule.say(asProfile)
      return profileText === text ? rendered : { ...rendered, profileText }
    }),
  }))
  return {
    title: `Licence-plate reading policy of ${policy.agency}, version ${policy.version}`,
    basis: profile === null ? null : basisOf(profile),
    sections,
    duties: (profile?.duties ?? []).map((duty) => ({ text: duty.text, section: sectionText(duty) })),
    notice: NO_LEGAL_ADVICE,
  }
}

const basisOf = ({ id, title, citation, read }: Profile) => ({ id, title, citation, read })

/** A profile as the policy that it would make. */
export function renderProfile(profile: Profile): Rendering {
  const rendering = renderPolicy({ ...rulesOf(profile), agency: 'any', version: 1, issuedAtMs: EARLIEST_TIME_MS })
  return { ...rendering, title: profile.title }
}

/** Does the profile say anything of it? What is the agency's own has no other way to go. */
function isSaid(change: object | null, field: string): boolean {
  let at: unknown = change
  for (const name of field.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return false
    at = (at as Record<string, unknown>)[name]
  }
  return at !== undefined
}
